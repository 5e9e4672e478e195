"""Safetensors files, one tensor at a time, from any file system that fsspec knows.

The safetensors package wants a whole file, on disk or in memory; a backbone of 44 GB in a bucket is neither. The format:
https://github.com/huggingface/safetensors#format
"""

from collections.abc import Iterable, Iterator, Mapping
import json
import math
import struct
from typing import IO, Any, TypedDict

import fsspec
import ml_dtypes
import numpy as np

from robust_t5x.checkpoints.checks import CheckpointError, cast, row_blocks
from robust_t5x.runtime import files, records
from seqio_tasks.errors import shorten

_DTYPES = {
  'F64': np.dtype('<f8'), 'F32': np.dtype('<f4'), 'F16': np.dtype('<f2'), 'BF16': np.dtype(ml_dtypes.bfloat16),
  'I64': np.dtype('<i8'), 'I32': np.dtype('<i4'),
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class TensorFileError(CheckpointError):
  """A file that is not a readable safetensors file."""


class TensorFile:
  """An open safetensors file.

  Attributes:
    path: where it is.
    metadata: the header's texts.
    shapes: name -> (shape, dtype).
  """

  def __init__(self, path: str):
    """Reads the header.

    Raises:
      TensorFileError: if this is no whole safetensors file, or holds a dtype that T5 does not need.
    """
    self.path = path
    storage, place = fsspec.core.url_to_fs(path)
    if not storage.isfile(place):
      raise TensorFileError(f'{path}: no such file; fetch the whole checkpoint')
    total = storage.size(place)
    with storage.open(place, 'rb') as f:
      head = f.read(8)
      try:
        size = struct.unpack('<Q', head)[0]
        if size > min(total - 8, 100_000_000):
          raise ValueError(
            'its header would be larger than the file' if size > total - 8 else 'its header is over 100 MB'
          )
        header = _parse_header(f.read(size))
        fault = _fault(header, total - 8 - size)
        if fault:
          raise ValueError(fault)
      except (ValueError, struct.error, RecursionError) as e:
        raise TensorFileError(f'{path}: not a safetensors file ({shorten(e, 200)}); fetch it again') from e
    self.metadata: dict[str, str] = header.pop('__metadata__', {})
    self._start = 8 + size
    self._entries = header
    unknown = sorted({e['dtype'] for e in header.values()} - set(_DTYPES))
    if unknown:
      raise TensorFileError(
        f'{path}: tensors of dtype {shorten(", ".join(unknown))} are not supported; save it as float32'
      )
    self.shapes = {name: (tuple(e['shape']), _DTYPES[e['dtype']]) for name, e in header.items()}

  def read(self, name: str) -> np.ndarray:
    """One tensor.

    Raises:
      TensorFileError: if the file ends before the tensor does.
    """
    begin, end = self._entries[name]['data_offsets']
    shape, dtype = self.shapes[name]
    with fsspec.open(self.path, 'rb') as f:
      f.seek(self._start + begin)
      data = f.read(end - begin)
    if len(data) != end - begin:
      raise TensorFileError(f'{self.path}: ends within tensor {name}; fetch it again')
    return np.frombuffer(data, dtype).reshape(shape)

  def blocks(self, name: str, values: int = 1 << 20) -> Iterator[np.ndarray]:
    """One tensor, flat, so many values at a time.

    Raises:
      TensorFileError: if the file ends before the tensor does.
    """
    begin, end = self._entries[name]['data_offsets']
    dtype = self.shapes[name][1]
    with fsspec.open(self.path, 'rb') as f:
      f.seek(self._start + begin)
      while begin < end:
        data = f.read(min(values * dtype.itemsize, end - begin))
        if not data or len(data) % dtype.itemsize:
          raise TensorFileError(f'{self.path}: ends within tensor {name}; fetch it again')
        begin += len(data)
        yield np.frombuffer(data, dtype)


class _Entry(TypedDict):
  dtype: str
  shape: list[int]
  data_offsets: list[int]


def _parse_header(data: bytes) -> dict[str, Any]:
  """The header; ValueError if it is no JSON object, or a key stands twice in one."""

  def once(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
      raise ValueError(f'its header names {max(names, key=names.count)} twice')
    return dict(pairs)

  header = json.loads(data.decode(), object_pairs_hook=once)
  if not isinstance(header, dict):
    raise ValueError('its header is no JSON object')
  return header


def _fault(header: Mapping[str, Any], length: int) -> str:
  """What is wrong with a header before so many bytes of data; empty if nothing is.

  As the format asks: tensors lie one behind the other, without overlap or gap, from the first byte to the last.
  """
  entries = {name: entry for name, entry in header.items() if name != '__metadata__'}
  fault = records.fault(header.get('__metadata__', {}), dict[str, str], '__metadata__')
  fault = fault or records.fault(entries, dict[str, _Entry], 'header')
  if fault:
    return fault
  end = 0
  for name, entry in sorted(entries.items(), key=lambda item: item[1]['data_offsets']):
    offsets, shape = entry['data_offsets'], entry['shape']
    if len(offsets) != 2 or min((*shape, 0)) < 0 or len(shape) > 32:
      return f'tensor {name} has the shape {shorten(shape)} and the offsets {offsets}'
    if offsets[0] != end or offsets[1] < offsets[0]:
      return f'tensor {name} lies at {offsets}, where one should begin at {end}'
    dtype = _DTYPES.get(entry['dtype'])
    if dtype is not None and math.prod(shape) * dtype.itemsize != offsets[1] - offsets[0]:
      return f'tensor {name} of shape {shape} and {entry["dtype"]} lies at {offsets}, which is another length'
    end = offsets[1]
  if end != length:
    return (
      f'its tensors end at byte {end} of {length}'
      if end < length
      else f'it ends before its tensors do, {end - length} bytes short'
    )
  return ''


def write(
  path: str,
  shapes: Mapping[str, tuple[tuple[int, ...], Any]],
  tensors: Iterable[tuple[str, np.ndarray]],
  metadata: Mapping[str, str],
) -> None:
  """Writes a file atomically, holding one tensor at a time.

  Args:
    path: where to, on the local disk.
    shapes: name -> (shape, dtype) of all tensors.
    tensors: (name, array), in the order of `shapes`.
    metadata: texts for the header.
  """
  header: dict[str, Any] = {'__metadata__': dict(metadata)}
  offset = 0
  for name, (shape, dtype) in shapes.items():
    end = offset + math.prod(shape) * np.dtype(dtype).itemsize
    header[name] = {'dtype': _NAMES[np.dtype(dtype)], 'shape': list(shape), 'data_offsets': [offset, end]}
    offset = end
  text = json.dumps(header, separators=(',', ':')).encode()
  text += b' ' * (-len(text) % 8)
  with files.written_whole(path) as f:
    f.write(struct.pack('<Q', len(text)))
    f.write(text)
    waiting = iter(shapes.items())
    for name, array in tensors:  # zip would keep each until it has the next
      expected, (shape, dtype) = next(waiting)
      if name != expected or array.shape != tuple(shape):
        raise AssertionError(f'tensor {name} {array.shape} where {expected} {tuple(shape)} was announced')
      _write_blocks(f, array, dtype, path, name)
      del array
    if any(True for _ in waiting):
      raise AssertionError(f'{path}: fewer tensors than were announced')


def _write_blocks(f: IO[bytes], array: np.ndarray, dtype: Any, path: str, name: str) -> None:
  for block in row_blocks(array):
    f.write(cast(block, dtype, path, name).tobytes())
