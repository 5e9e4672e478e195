"""Reads the files of somebody else's repository: only plain files below its root, and every fault as one error."""

from __future__ import annotations

import ast
import pathlib
from typing import Any

from seqio_tasks import tables
from seqio_tasks.errors import UserError, shorten
from seqio_tasks.importers import SourceError

_MOST_BYTES = 64 << 20


def check_file(root: pathlib.Path, path: pathlib.Path) -> None:
  """SourceError unless a path names a plain file of bearable size below a root, links followed."""
  try:
    inside = path.resolve().is_relative_to(root.resolve())
    fault = '' if inside else f'lies outside of {root}'
    if inside and not path.is_file():
      fault = 'cannot be read (there is no such file)'
    elif inside and path.stat().st_size > _MOST_BYTES:
      fault = f'has more than {_MOST_BYTES} bytes'
  except (OSError, ValueError, RuntimeError) as e:  # a NUL, a name that is too long, links in a circle
    fault = f'cannot be read ({shorten(e)})'
  if fault:
    raise SourceError(f'{shorten(path, 300)}: {fault}; fetch the repository anew')


def read_text(root: pathlib.Path, path: pathlib.Path) -> str:
  """The text of a file below a root; SourceError if it cannot be read."""
  check_file(root, path)
  try:
    return tables.read_text(path)
  except tables.TableError as e:
    raise SourceError(str(e)) from e


def read_json(root: pathlib.Path, path: pathlib.Path) -> Any:
  """The value of a JSON file below a root; SourceError if it cannot be read."""
  try:
    return tables.parse_json(read_text(root, path))
  except UserError:
    raise
  except ValueError as e:
    raise SourceError(f'{path}: is not JSON ({shorten(e)}); fetch the repository anew') from e


def read_python(root: pathlib.Path, path: pathlib.Path) -> ast.Module:
  """The syntax tree of a Python file below a root, of which nothing is executed; SourceError if it has none."""
  text = read_text(root, path)
  try:
    return ast.parse(text)
  except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
    raise SourceError(f'{path}: is not Python ({shorten(e, 200)}); fetch the repository anew') from e
