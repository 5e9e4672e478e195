"""Errors that a user can mend, and how they are shown."""

import argparse
from collections.abc import Iterable
import difflib
import errno
import os
import re
import sys
from typing import Any, NoReturn

from seqio_tasks.errors import UserError, shorten

_LONGEST = 2000  # letters of an error
# How gin says that no file gives a function what it needs.
_LACKING = re.compile(
  r'Required bindings for `(?P<of>[\w.]+)` not provided in config: \[(?P<required>.*?)\]'
  r"|No values supplied by Gin or caller for arguments: \[(?P<caller>.*?)\][\s\S]*?In call to configurable '(?P<by>\w+)'"
)
# How Python writes an error of the system; gin's wrapper has the text alone.
_OF_THE_SYSTEM = re.compile(r"\[Errno (?P<number>\d+)\] (?P<what>.*?): '(?P<file>.*)'", re.DOTALL)
# What to do about one.
_FULL = 'make room there; the same command then goes on'
_CLOSED = 'give a place that this user can write to'
_IN_THE_WAY = 'name another place, or move what is there'
_CURES = {
  errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EFBIG: _FULL, errno.EACCES: _CLOSED, errno.EPERM: _CLOSED, errno.EROFS: _CLOSED,
  errno.EEXIST: _IN_THE_WAY, errno.ENOTDIR: _IN_THE_WAY, errno.EISDIR: _IN_THE_WAY, errno.ENOTEMPTY: _IN_THE_WAY,
  errno.ENOENT: 'name one that exists',
}  # fmt: skip


class UsageError(UserError):
  """A command line or configuration that cannot be used."""


class Parser(argparse.ArgumentParser):
  """Of a command line; what cannot be used is told in one line, as all else that a user can mend."""

  def error(self, message: str) -> NoReturn:
    """Ends the process with status 2."""
    self.exit(2, f'error: {shorten(message, 500)}; `{self.prog} --help` tells more\n')


def check_required(names: dict[str, Any]) -> None:
  """Raises UsageError naming each macro of `names` that is None."""
  missing = [name for name, value in names.items() if value is None]
  if missing:
    flags = ' '.join(f'--{name}=...' for name in missing)
    raise UsageError(f'not set: {", ".join(missing)}; add {flags} or a gin file that sets them')


def report_error(error: Exception) -> int:
  """Prints one line for an error that the user can mend, a file that cannot be used among them; raises any other again.

  Returns:
    The exit status.
  """
  if isinstance(error, BrokenPipeError):  # the reader, such as `head`, has seen enough
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
  lacking = _LACKING.search(str(error)) if isinstance(error, TypeError | RuntimeError) else None
  if lacking:
    arguments, function = (
      lacking.group('caller') or lacking.group('required'),
      lacking.group('by') or lacking.group('of'),
    )
    error = UsageError(
      f'not set: {arguments} of {function}; add --gin.MODULE.{function}.NAME=... or a gin file that sets it'
    )
  if not isinstance(error, UserError | OSError):
    raise error
  # gin appends where in the configuration the call was made.
  text = re.split(r'\s*In call to configurable', str(error))[0]
  named = _OF_THE_SYSTEM.fullmatch(text) if isinstance(error, OSError) else None
  if named:
    text = f'{named["file"]}: {named["what"]}; {_CURES.get(int(named["number"]), "mend that, and start again")}'
  elif isinstance(error, OSError) and error.errno in _CURES and error.filename is None:
    text = f'{error.strerror}, where the output goes or a file is written; {_CURES[error.errno]}'
  print(f'error: {shorten(text, _LONGEST)}', file=sys.stderr)
  return 2


def nearest(name: str, known: Iterable[str]) -> str:
  """A half-sentence that suggests the known name most like this one; empty if none is."""
  if len(name) > _LONGEST:  # the search takes time that grows with its square
    return ''
  close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
  return f'; did you mean {close[0]}?' if close else ''
