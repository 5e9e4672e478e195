"""What gin says of a file or setting that it cannot read, as one line that names the place."""

from collections.abc import Mapping
import io
import os
import re
import tokenize
import traceback

from robust_t5x.runtime.errors import UsageError
from seqio_tasks.errors import shorten

_PACKAGES = [
  os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), name) + os.sep
  for name in ('robust_t5x', 'seqio_tasks')
]
_DEEP = 50  # brackets of a line
_SYNTAX = 'write NAME = VALUE, with a value as in Python, %MACRO, or @MODULE.FUNCTION()'


def is_ours(error: BaseException, besides: str) -> bool:
  """Whether an exception comes out of this project's code, but for one file: a fault of ours, not of what was read."""
  frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
  return any(name.startswith(tuple(_PACKAGES)) and name != besides for name in frames)


def told(error: Exception, bindings: Mapping[str, str], texts: Mapping[str, str]) -> UsageError:
  """An error of gin, of Python's tokenizer, or of an import that a gin file asks for.

  Args:
    error: what was raised.
    bindings: name -> value, as they were given to gin after the files, in their order.
    texts: path -> text of the gin files.
  """
  text = str(error)
  line = _line(text, r'In bindings string line (\d+)')
  file = re.search(r'In file "(.+?)", line (\d+)', text)
  said = text.split('\n  In ')[0]
  cure = 'mend the name'
  place = 'the gin files'
  if isinstance(error, SyntaxError):
    said, cure = error.msg, _SYNTAX
    if error.filename in ('<tokenize>', '<string>'):  # of Python 3.11, and of newer ones
      place = _untokenized(texts) or place
    elif error.filename:
      place = f'{error.filename}: line {error.lineno}'
    else:
      line = error.lineno
  elif isinstance(error, tokenize.TokenError):
    said, cure, place = 'a bracket or text in quotes is not closed', 'close it', _untokenized(texts) or place
  elif isinstance(error, ImportError):
    cure = 'install the module, or mend its name'
  elif isinstance(error, RecursionError | MemoryError):
    said, cure, place = 'a value is nested too deep', 'write it flatter', _deep(texts) or place
  if file:
    place = f'{file[1]}: line {file[2]}'
  elif line is not None:
    place = _binding(bindings, line) or place
  return UsageError(f'{place}: {shorten(said.strip() or type(error).__name__, 160)}; {cure}')


def _line(text: str, pattern: str) -> int | None:
  found = re.search(pattern, text)
  return int(found[1]) if found else None


def _binding(bindings: Mapping[str, str], line: int) -> str | None:
  """The setting that stands in a line of what gin was given behind the files."""
  at = 0
  for name, value in bindings.items():
    at += 1 + value.count('\n')
    if line <= at:
      return f'--gin.{name}={shorten(value)}'
  return None


def _untokenized(texts: Mapping[str, str]) -> str | None:
  """File and line of the first that Python's tokenizer cannot read."""
  for path, text in texts.items():
    try:
      for _ in tokenize.generate_tokens(io.StringIO(text).readline):
        pass
    except tokenize.TokenError as e:
      return f'{path}: line {e.args[1][0]}'
    except SyntaxError as e:
      return f'{path}: line {e.lineno}'
  return None


def _deep(texts: Mapping[str, str]) -> str | None:
  for path, text in texts.items():
    for number, line in enumerate(text.split('\n'), 1):
      if sum(map(line.count, '([{')) > _DEEP:
        return f'{path}: line {number}'
  return None


def setting_place(name: str, texts: Mapping[str, str]) -> str:
  """The file and line that set a name, as a message begins; empty if none does."""
  for path, text in texts.items():
    for number, line in enumerate(text.splitlines(), 1):
      if re.match(rf'\s*{re.escape(name)}\s*=', line):
        return f'{path}: line {number}: '
  return ''
