"""What stands at the head of a GGUF file: names and values. PyPI's `gguf` takes a minute for the words of a large vocabulary."""

from collections.abc import Callable
import mmap
import struct
from typing import Any

from robust_t5x.checkpoints.checks import CheckpointError
from seqio_tasks.errors import shorten

_FORMATS = {0: 'B', 1: 'b', 2: 'H', 3: 'h', 4: 'I', 5: 'i', 6: 'f', 7: '?', 10: 'Q', 11: 'q', 12: 'd'}
_TEXT, _ARRAY = 8, 9
_VERSIONS = (2, 3)


def read(path: str, wanted: Callable[[str], bool]) -> dict[str, Any]:
  """The metadata of a GGUF file, little-endian.

  Args:
    path: the file.
    wanted: which names are returned.

  Raises:
    CheckpointError: if it is none, or ends too early.
  """
  try:
    with open(path, 'rb') as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
      return _read(data, wanted)
  except (OSError, ValueError, KeyError, struct.error, OverflowError, RecursionError) as e:
    raise CheckpointError(f'{path}: no GGUF file that can be read ({shorten(e)}); fetch it again') from e


def _read(data: mmap.mmap, wanted: Callable[[str], bool]) -> dict[str, Any]:
  magic, version, _, count = struct.unpack_from('<4sIQQ', data)
  if magic != b'GGUF' or version not in _VERSIONS:
    raise ValueError(f'it begins with {magic!r} and version {version}')
  place, found = 24, {}
  for _ in range(count):
    name, place = _value(data, place, _TEXT)
    (kind,) = struct.unpack_from('<I', data, place)
    value, place = _value(data, place + 4, kind)
    if wanted(name):
      found[name] = value
  return found


def _value(data: mmap.mmap, place: int, kind: int) -> tuple[Any, int]:
  """(value, where the next thing stands)."""
  if kind == _TEXT:
    (length,) = struct.unpack_from('<Q', data, place)
    end = place + 8 + length
    if end > len(data):
      raise ValueError('it ends in the middle of a text')
    return data[place + 8 : end].decode('utf-8'), end
  if kind == _ARRAY:
    inner, count = struct.unpack_from('<IQ', data, place)
    place += 12
    if inner in _FORMATS:
      form = f'<{count}{_FORMATS[inner]}'
      if place + struct.calcsize(form) > len(data):
        raise ValueError('it ends in the middle of a list')
      return list(struct.unpack_from(form, data, place)), place + struct.calcsize(form)
    values = []
    for _ in range(count):
      value, place = _value(data, place, inner)
      values.append(value)
    return values, place
  form = f'<{_FORMATS[kind]}'
  return struct.unpack_from(form, data, place)[0], place + struct.calcsize(form)
