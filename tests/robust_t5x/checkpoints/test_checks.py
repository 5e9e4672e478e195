"""Numbers that are not finite, or become so, and parameters that are missing."""

import ml_dtypes
import numpy as np
import pytest

from robust_t5x.checkpoints import checks


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_named_with_its_place(dtype, value):
  array = np.zeros((3, 500_000), dtype)
  checks.check_finite(array, 'p', 'n')
  array[2, 499_999] = value
  with pytest.raises(checks.CheckpointError, match=rf'p: n holds {value} at \[2, 499999\], no finite number'):
    checks.check_finite(array, 'p', 'n')


def test_a_value_too_large_for_a_dtype_is_refused():
  array = np.array([1.0, 65504.0, 1e-9], np.float32)
  assert checks.cast(array, np.float16, 'p', 'n').dtype == np.float16
  assert checks.cast(array, np.float32, 'p', 'n') is array
  for value, dtype, name in ((1e6, np.float16, 'float16'), (3.4e38, ml_dtypes.bfloat16, 'bfloat16')):
    array[1] = value
    with pytest.raises(checks.CheckpointError, match=rf'p: n holds .*, too large for {name}; choose float32'):
      checks.cast(array, dtype, 'p', 'n')
  with pytest.raises(checks.CheckpointError, match='too large for float32'):
    checks.cast(np.array([1e300]), np.float32, 'p', 'n')


def test_parameters_that_are_missing_or_of_another_kind_are_named():
  found = {'a': ((2,), np.dtype(np.float32)), 'b': ((3,), np.dtype(np.int32))}
  checks.check_parameters('p', found, {'a': (2,)}, 'a T5')
  with pytest.raises(
    checks.CheckpointError,
    match=r'p: does not hold the whole of a T5: a: \[2\] in the checkpoint, \[4\] in its network; b: of dtype int32.*; c: not',
  ):
    checks.check_parameters('p', found, {'a': (4,), 'b': (3,), 'c': ()}, 'a T5')
