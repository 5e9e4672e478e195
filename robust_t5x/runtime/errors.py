"""Errors that a user can mend, and how they are shown."""

from collections.abc import Sequence
import difflib
import re
import sys
from typing import Any


class UsageError(ValueError):
  """A command line or configuration that cannot be used."""


def check_required(names: dict[str, Any]) -> None:
  """Raises UsageError naming each macro of `names` that is None."""
  missing = [name for name, value in names.items() if value is None]
  if missing:
    flags = ' '.join(f'--gin.{name}=...' for name in missing)
    raise UsageError(f'not set: {", ".join(missing)}; add {flags} or a gin file that sets them')


def report_error(error: Exception) -> int:
  """Prints one line for an error that this project raised about its input; raises any other again."""
  if not (isinstance(error, ValueError | RuntimeError | OSError) and _raised_here(error)):
    raise error
  # gin appends where in the configuration the call was made.
  text = re.split(r'\s*In call to configurable', str(error))[0]
  print(f'error: {" ".join(text.split())}', file=sys.stderr)
  return 2


def _raised_here(error: Exception) -> bool:
  """Whether the innermost frame that raised is code of this project."""
  frame = error.__traceback__
  while frame.tb_next is not None:
    frame = frame.tb_next
  return frame.tb_frame.f_globals.get('__name__', '').partition('.')[0] in ('robust_t5x', 'seqio_tasks')


def nearest(name: str, known: Sequence[str]) -> str:
  close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
  return f'; did you mean {close[0]}?' if close else ''
