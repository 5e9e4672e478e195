"""Instruction sets that others published, as bank files: read from a user's own copy, never shipped."""


class SourceError(ValueError):
  """A source that cannot be imported; the message names the file and the cure."""
