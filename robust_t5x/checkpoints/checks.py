"""What every array of a checkpoint must be: there, of the right shape, and finite."""

from collections.abc import Iterator, Mapping
import math
from typing import Any

import ml_dtypes
import numpy as np

from seqio_tasks.errors import UserError

_BLOCK = 1 << 20  # values that are looked at together, so that a check needs next to no memory
FLOATS = frozenset(np.dtype(t) for t in (np.float16, np.float32, np.float64, ml_dtypes.bfloat16))


class CheckpointError(UserError):
  """A checkpoint that is missing, unreadable, damaged, or does not fit the model."""


def check_finite(array: np.ndarray, path: str, name: str) -> None:
  """Raises CheckpointError if a value is NaN or infinite, which would make every result nonsense without a word."""
  flat = array.reshape(-1)
  for start in range(0, flat.size, _BLOCK):
    finite = np.isfinite(flat[start : start + _BLOCK])
    if not finite.all():
      at = start + int(np.argmin(finite))
      place = [int(i) for i in np.unravel_index(at, array.shape)]
      raise CheckpointError(
        f'{path}: {name} holds {float(flat[at])} at {place}, no finite number; the file is damaged or the training that wrote '
        'it diverged: fetch it again, or take an earlier checkpoint'
      )


def row_blocks(array: np.ndarray) -> Iterator[np.ndarray]:
  """Parts of an array along its first dimension, in order, of about a million values each, so that a copy needs little memory."""
  if array.ndim == 0:
    yield array
    return
  step = max(_BLOCK // max(math.prod(array.shape[1:]), 1), 1)
  for at in range(0, len(array), step):
    yield array[at : at + step]


def cast(array: np.ndarray, dtype: Any, path: str, name: str) -> np.ndarray:
  """An array in another dtype.

  Raises:
    CheckpointError: if a finite value is too large for it.
  """
  dtype = np.dtype(dtype)
  if array.dtype == dtype:
    return array
  with np.errstate(over='ignore'):
    made = array.astype(dtype)
  if dtype in FLOATS and dtype.itemsize <= array.dtype.itemsize:
    for before, after in zip(row_blocks(array), row_blocks(made), strict=True):
      lost = ~np.isfinite(after)
      if lost.any():
        value = float(before[lost][0])
        raise CheckpointError(f'{path}: {name} holds {value:g}, too large for {dtype.name}; choose float32')
  return made


def check_range(array: np.ndarray, dtype: Any, path: str, name: str) -> None:
  """Raises CheckpointError if a finite value is too large for another dtype; see `cast`."""
  if np.dtype(dtype).itemsize <= array.dtype.itemsize:
    for block in row_blocks(array):
      cast(block, dtype, path, name)


def check_parameters(
  path: str, found: Mapping[str, tuple[tuple[int, ...], np.dtype]], needed: Mapping[str, tuple[int, ...]], noun: str
) -> None:
  """Raises CheckpointError unless a checkpoint holds every parameter of a network, in its shape, as floating-point numbers.

  Args:
    path: of the checkpoint.
    found: name -> (shape, dtype).
    needed: name -> shape.
    noun: what the network is, for people.
  """
  wrong = []
  for name, shape in needed.items():
    if name not in found:
      wrong.append(f'{name}: not in the checkpoint')
    elif found[name][0] != shape:
      wrong.append(f'{name}: {list(found[name][0])} in the checkpoint, {list(shape)} in its network')
    elif np.dtype(found[name][1]) not in FLOATS:
      wrong.append(f'{name}: of dtype {found[name][1]}, not of floating-point numbers')
  if wrong:
    more = f' and {len(wrong) - 4} more' if len(wrong) > 4 else ''
    raise CheckpointError(
      f'{path}: does not hold the whole of {noun}: {"; ".join(wrong[:4])}{more}; fetch the whole checkpoint'
    )
