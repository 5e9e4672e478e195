"""The error of both packages that a user can mend."""


class UserError(ValueError):
  """What the person who runs the project can mend; the message names file, field or setting, and the cure.

  The command line shows it as one line. Any other exception is a fault of ours, or of a library, and keeps its traceback.
  """
