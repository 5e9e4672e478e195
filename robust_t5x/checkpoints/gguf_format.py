"""GGUF files, as llama.cpp writes them: metadata, and tensors one at a time, dequantised.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The file is mapped into memory and read strictly: what
its header says must lie within it. Quantised blocks are read by llama.cpp's own package, `gguf`.
"""

from collections.abc import Callable
import functools
import math
import mmap
import os
import struct
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from robust_t5x.checkpoints.checks import CheckpointError
from seqio_tasks.errors import shorten

_MAGIC, _VERSIONS, _ALIGNMENT = b'GGUF', (2, 3), 32
_STRING, _ARRAY = 8, 9
# Type of a value in the metadata -> as numpy reads it.
_NUMBERS = {
  0: '<u1', 1: '<i1', 2: '<u2', 3: '<i2', 4: '<u4', 5: '<i4', 6: '<f4', 7: '?', 10: '<u8', 11: '<i8', 12: '<f8',
}  # fmt: skip
# Types of tensors that are read as they stand; all others are dequantised to float32.
_PLAIN = {'F32': np.dtype('<f4'), 'F16': np.dtype('<f2'), 'BF16': np.dtype(ml_dtypes.bfloat16), 'F64': np.dtype('<f8')}
_MOST_DIMENSIONS = 4
_BLOCK = 1 << 20  # values that are dequantised together


class GGUFError(CheckpointError):
  """A file that is not a readable GGUF file, or holds what is not supported."""


class _Tensor(NamedTuple):
  """Where a tensor is.

  Attributes:
    shape: as numpy has it, the last dimension contiguous.
    kind: its type's name, such as 'Q4_1'.
    start: of its first byte in the file.
    row_bytes: of a row, that is of the last dimension.
  """

  shape: tuple[int, ...]
  kind: str
  start: int
  row_bytes: int

  @property
  def rows(self) -> int:
    return math.prod(self.shape[:-1])


class GGUFFile:
  """An open GGUF file.

  Attributes:
    path: where it is.
    metadata: key -> int, float, bool, str, list of str, or an array of numbers.
    shapes: name -> (shape, dtype as read).
    kinds: name -> type of the tensor, such as 'Q4_1'.
  """

  def __init__(self, path: str):
    """Reads metadata and the list of tensors.

    Args:
      path: of a file on the disk.

    Raises:
      GGUFError: if this is no whole GGUF file, or holds a type of tensor that is not supported.
    """
    self.path = path
    self._data, self.metadata, self._tensors = _open(path)
    self.kinds = {name: tensor.kind for name, tensor in self._tensors.items()}
    unsupported = sorted({kind for kind in self.kinds.values() if kind not in _PLAIN and not _readable(kind)})
    if unsupported:
      raise GGUFError(
        f'{path}: tensors of type {", ".join(unsupported)} are not supported; take a file of another type'
      )
    self.shapes = {
      name: (tensor.shape, _PLAIN.get(tensor.kind, np.dtype(np.float32))) for name, tensor in self._tensors.items()
    }

  def read(self, name: str) -> np.ndarray:
    """One tensor, dequantised where need be; blocks of it at a time, so that little more than the result is held."""
    tensor = self._tensors[name]
    size = tensor.rows * tensor.row_bytes
    data = np.frombuffer(self._data, np.uint8, size, tensor.start).reshape(tensor.rows, tensor.row_bytes)
    if tensor.kind in _PLAIN:
      return data.view(_PLAIN[tensor.kind]).reshape(tensor.shape)
    width = tensor.shape[-1]
    out = np.empty((tensor.rows, width), np.float32)
    step = max(_BLOCK // max(width, 1), 1)
    with np.errstate(all='ignore'):  # a damaged scale gives what is not finite, which is told where it is found
      for at in range(0, tensor.rows, step):
        out[at : at + step] = _dequantise(data[at : at + step], tensor.kind)
    return out.reshape(tensor.shape)


def read_metadata(path: str) -> dict[str, Any]:
  """The metadata of a GGUF file, whatever tensors it holds; see GGUFFile.

  Raises:
    GGUFError: if this is no whole GGUF file.
  """
  return _open(path)[1]


def _open(path: str) -> tuple[mmap.mmap, dict[str, Any], dict[str, _Tensor]]:
  """(content, metadata, tensors) of a file."""
  if not os.path.isfile(path):
    raise GGUFError(f'{path}: no such file on the disk; fetch it, or correct its path')
  try:
    with open(path, 'rb') as f:
      data = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
    return data, *_parse(data)
  except (ValueError, OverflowError) as e:
    raise GGUFError(f'{path}: not a whole GGUF file ({shorten(e, 200)}); fetch it again') from e


class _Cursor:
  """Reads a header from its start to its end."""

  def __init__(self, data: mmap.mmap):
    self._data, self.at = data, 0

  def take(self, size: int) -> bytes:
    if size > len(self._data) - self.at:
      raise ValueError('it ends within its header')
    self.at += size
    return self._data[self.at - size : self.at]

  def numbers(self, form: str) -> tuple[int, ...]:
    return struct.unpack(form, self.take(struct.calcsize(form)))

  def text(self) -> str:
    (size,) = self.numbers('<Q')
    return self.take(size).decode()

  def value(self, kind: int) -> Any:
    if kind == _STRING:
      return self.text()
    if kind in _NUMBERS:
      return self._array(kind, 1)[0].item()
    if kind == _ARRAY:
      inner, size = self.numbers('<IQ')
      if inner in _NUMBERS:
        return self._array(inner, size)
      if inner == _STRING:
        return [self.text() for _ in range(size)]
      raise ValueError(f'an array of values of type {inner}')
    raise ValueError(f'a value of type {kind}')

  def _array(self, kind: int, size: int) -> np.ndarray:
    dtype = np.dtype(_NUMBERS[kind])
    return np.frombuffer(self.take(size * dtype.itemsize), dtype)


def _parse(data: mmap.mmap) -> tuple[dict[str, Any], dict[str, _Tensor]]:
  """(metadata, tensors) of a file; ValueError if it is damaged."""
  cursor = _Cursor(data)
  if cursor.take(4) != _MAGIC:
    raise ValueError('it does not begin with GGUF')
  (version,) = cursor.numbers('<I')
  if version not in _VERSIONS:
    raise ValueError(
      f'its version is {version}, not one of {", ".join(map(str, _VERSIONS))}, or it is for a big-endian machine'
    )
  tensors, values = cursor.numbers('<QQ')
  metadata: dict[str, Any] = {}
  for _ in range(values):
    key = cursor.text()
    if key in metadata:
      raise ValueError(f'{shorten(key)} stands twice in its metadata')
    metadata[key] = cursor.value(*cursor.numbers('<I'))
  entries: dict[str, tuple[tuple[int, ...], int, int]] = {}
  for _ in range(tensors):
    name = cursor.text()
    (rank,) = cursor.numbers('<I')
    if name in entries or not 0 < rank <= _MOST_DIMENSIONS:
      raise ValueError(f'tensor {shorten(name)} stands twice, or has {rank} dimensions')
    shape = cursor.numbers(f'<{rank}Q')[::-1]
    kind, offset = cursor.numbers('<IQ')
    entries[name] = shape, kind, offset
  alignment = metadata.get('general.alignment', _ALIGNMENT)
  if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
    raise ValueError(f'general.alignment is {shorten(alignment)}, no power of two')
  start = -(-cursor.at // alignment) * alignment
  return metadata, _placed(entries, start, alignment, len(data))


def _placed(
  entries: dict[str, tuple[tuple[int, ...], int, int]], start: int, alignment: int, length: int
) -> dict[str, _Tensor]:
  """The tensors of a file of so many bytes, whose data begin at `start`; they lie one behind the other."""
  found: dict[str, _Tensor] = {}
  end = 0
  for name, (shape, kind, offset) in sorted(entries.items(), key=lambda item: item[1][2]):
    kind_name, values, size = _type(kind)
    if shape[-1] % values:
      raise ValueError(f'tensor {shorten(name)} has rows of {shape[-1]} values in blocks of {values}')
    row_bytes = shape[-1] // values * size
    if offset % alignment or offset < end:
      raise ValueError(f'tensor {shorten(name)} lies at {offset}, where one should begin behind {end}')
    end = offset + math.prod(shape[:-1]) * row_bytes
    if start + end > length:
      raise ValueError(f'it ends before its tensor {shorten(name)} does, {start + end - length} bytes short')
    found[name] = _Tensor(shape, kind_name, start + offset, row_bytes)
  return {name: found[name] for name in entries}


def _type(number: int) -> tuple[str, int, int]:
  """(name, values in a block, bytes of a block) of a type of tensor; ValueError if there is none of that number."""
  import gguf

  kind = gguf.GGMLQuantizationType(number)
  return (kind.name, *gguf.GGML_QUANT_SIZES[kind])


def _dequantise(data: np.ndarray, kind: str) -> np.ndarray:
  import gguf

  made: Callable[..., np.ndarray] = gguf.quants.dequantize
  return made(data, gguf.GGMLQuantizationType[kind])


@functools.cache
def _readable(kind: str) -> bool:
  """Whether the package dequantises a type."""
  import gguf

  size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]][1]
  try:
    _dequantise(np.zeros((1, size), np.uint8), kind)
  except NotImplementedError:
    return False
  return True
