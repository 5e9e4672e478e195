"""What families share: how branches lie in one row, and masks."""

import jax.numpy as jnp
import numpy as np
import pytest

from robust_t5x.models import layers


def test_two_branches_in_one_row_by_hand():
  """The start, then two places of each branch: a place sees the start, what is before it in its branch, and itself."""
  positions, visible = layers.branch_layout(2, 3)
  np.testing.assert_array_equal(positions, [0, 1, 2, 1, 2])
  np.testing.assert_array_equal(
    visible,
    [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 0, 0, 1, 0], [1, 0, 0, 1, 1]],
  )


@pytest.mark.parametrize('length', [1, 2, 5])
def test_one_branch_is_an_ordinary_row(length):
  positions, visible = layers.branch_layout(1, length)
  np.testing.assert_array_equal(positions, np.arange(length))
  np.testing.assert_array_equal(visible, np.tri(length))


def test_a_mask_takes_all_weight_off_what_is_hidden_and_stays_finite():
  bias = layers.mask_bias(jnp.array([[1, 1, 0], [0, 0, 0]]), jnp.float32)
  assert bias.shape == (2, 1, 1, 3)
  np.testing.assert_array_equal(bias[0, 0, 0], [0, 0, layers.MASKED])
  assert np.isfinite(bias).all()
