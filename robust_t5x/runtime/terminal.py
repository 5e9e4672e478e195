"""What is said to a person: letters that the output cannot show are written as codes, and a terminal is told nothing but text.

Names of tasks, labels, phrasings and outputs are others' texts. A terminal would obey what they hold, as to colour, erase or
rename itself, or to write from right to left.
"""

import re
import sys
from typing import Any, TextIO

# All that controls, but tab and the end of a line; marks of the direction of writing.
_OBEYED = '[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]'
# Libraries colour what they say on standard error.
_COLOUR = r'(?P<colour>\x1b\[[\d;]*m)'
_OUT, _ERROR = re.compile(_OBEYED), re.compile(f'{_COLOUR}|{_OBEYED}')


class Shown:
  """A text stream to a terminal, which shows what it would obey as codes, such as \\x1b."""

  def __init__(self, stream: TextIO, obeyed: re.Pattern[str]):
    self.stream, self._obeyed = stream, obeyed

  def write(self, text: str) -> int:
    """Writes a text; returns its length."""
    self.stream.write(self._obeyed.sub(_code, text))
    return len(text)

  def writelines(self, lines: Any) -> None:
    """Writes texts."""
    for text in lines:
      self.write(text)

  def __getattr__(self, name: str) -> Any:
    return getattr(self.stream, name)


def _code(match: re.Match[str]) -> str:
  number = ord(match[0][0])
  return match[0] if match.groupdict().get('colour') else f'\\x{number:02x}' if number < 256 else f'\\u{number:04x}'


def guard(draws: bool) -> None:
  """Guards standard output and error of this process.

  Args:
    draws: whether what runs draws on the terminal itself, so that what is said goes there as it is.
  """
  for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, 'reconfigure'):
      stream.reconfigure(errors='backslashreplace')
  if not draws:
    sys.stdout, sys.stderr = _guarded(sys.stdout, _OUT), _guarded(sys.stderr, _ERROR)


def _guarded(stream: Any, obeyed: re.Pattern[str]) -> Any:
  return Shown(stream, obeyed) if stream is not None and stream.isatty() else stream


def raw(stream: Any) -> Any:
  """The stream behind a guarded one, for what draws."""
  return stream.stream if isinstance(stream, Shown) else stream
