"""The error of both packages that a user can mend."""


class UserError(ValueError):
  """What the person who runs the project can mend; the message names file, field or setting, and the cure.

  The command line shows it as one line. Any other exception is a fault of ours, or of a library, and keeps its traceback.
  """


def shorten(value: object, most: int = 80) -> str:
  """A value as at most so many characters of one line, for a message."""
  text = ' '.join(str(value)[: 4 * most].split())
  return text if len(text) <= most else text[: most - 1] + '…'
