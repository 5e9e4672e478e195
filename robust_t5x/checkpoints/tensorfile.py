"""Safetensors files, one tensor at a time, from any file system that fsspec knows.

The safetensors package wants a whole file, on disk or in memory; a backbone of 44 GB in a bucket is neither. The format:
https://github.com/huggingface/safetensors#format
"""

from collections.abc import Iterable, Mapping
import json
import math
import os
import struct
from typing import Any

import fsspec
import ml_dtypes
import numpy as np

from seqio_tasks.errors import UserError

_DTYPES = {
  'F64': np.dtype('<f8'), 'F32': np.dtype('<f4'), 'F16': np.dtype('<f2'), 'BF16': np.dtype(ml_dtypes.bfloat16),
  'I64': np.dtype('<i8'), 'I32': np.dtype('<i4'),
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class TensorFileError(UserError):
  """A file that is not a readable safetensors file."""


class TensorFile:
  """An open safetensors file.

  Attributes:
    metadata: the header's texts.
    shapes: name -> (shape, dtype).
  """

  def __init__(self, path: str):
    """Reads the header.

    Raises:
      TensorFileError: if this is no safetensors file, or holds a dtype that T5 does not need.
    """
    self._path = path
    with fsspec.open(path, 'rb') as f:
      head = f.read(8)
      try:
        size = struct.unpack('<Q', head)[0]
        if size > 100_000_000:
          raise UserError('its header would be larger than 100 MB')
        header = json.loads(f.read(size))
      except (ValueError, struct.error) as e:
        raise TensorFileError(f'{path}: not a safetensors file ({e}); fetch it again') from e
    self.metadata: dict[str, str] = header.pop('__metadata__', {})
    self._start = 8 + size
    self._entries = header
    unknown = sorted({e['dtype'] for e in header.values()} - set(_DTYPES))
    if unknown:
      raise TensorFileError(f'{path}: tensors of dtype {", ".join(unknown)} are not supported; save it as float32')
    self.shapes = {name: (tuple(e['shape']), _DTYPES[e['dtype']]) for name, e in header.items()}

  def read(self, name: str) -> np.ndarray:
    """One tensor.

    Raises:
      TensorFileError: if the file ends before the tensor does.
    """
    begin, end = self._entries[name]['data_offsets']
    shape, dtype = self.shapes[name]
    with fsspec.open(self._path, 'rb') as f:
      f.seek(self._start + begin)
      data = f.read(end - begin)
    if len(data) != math.prod(shape) * dtype.itemsize:
      raise TensorFileError(f'{self._path}: ends within tensor {name}; fetch it again')
    return np.frombuffer(data, dtype).reshape(shape)


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
  temporary = f'{path}.{os.getpid()}.tmp'
  with open(temporary, 'wb') as f:
    f.write(struct.pack('<Q', len(text)))
    f.write(text)
    for (name, array), (expected, (shape, dtype)) in zip(tensors, shapes.items(), strict=True):
      if name != expected or array.shape != tuple(shape):
        raise UserError(f'tensor {name} {array.shape} where {expected} {tuple(shape)} was announced')
      f.write(np.ascontiguousarray(array.astype(dtype, copy=False)).tobytes())
  os.replace(temporary, path)
