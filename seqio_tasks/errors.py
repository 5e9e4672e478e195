"""The error of both packages that a user can mend."""


class UserError(ValueError):
  """What the person who runs the project can mend; the message names file, field or setting, and the cure.

  The command line shows it as one line. Any other exception is a fault of ours, or of a library, and keeps its traceback.
  """


def shorten(value: object, most: int = 80) -> str:
  """A value as at most so many characters of one line, for a message."""
  try:
    text = str(value)
  except ValueError:  # Python does not write out numbers of thousands of digits
    text = f'a {type(value).__name__} of thousands of digits'
  text = ' '.join(text[: 4 * most].split())
  text = ''.join(c if c.isprintable() else f'\\x{ord(c):02x}' for c in text)
  return text if len(text) <= most else text[: most - 1] + '…'
