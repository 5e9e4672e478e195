"""Prefixes: gated attention to them alone, by hand."""

import jax.numpy as jnp
import numpy as np

from robust_t5x import adapters
from robust_t5x.adapters.prefix import Prefix, join_prefix

QUERY = jnp.array([[[[1.0, 0.0]], [[0.0, 2.0]]]])  # 1 row, 2 queries, 1 head of width 2
KEY = jnp.array([[[np.log(3.0), 0.0]], [[0.0, 0.0]]])  # 2 pairs
VALUE = jnp.array([[[4.0, 0.0]], [[0.0, 8.0]]])


def test_attention_to_a_prefix_by_hand():
  """The first query weighs the pairs 3 to 1, the second alike; the gate is 1/2."""
  added = adapters.attend_to_prefix(QUERY, Prefix(KEY, VALUE, jnp.arctanh(jnp.array([0.5]))))
  np.testing.assert_allclose(added[0, :, 0], [[1.5, 1.0], [1.0, 2.0]], rtol=1e-6)


def test_a_closed_gate_adds_nothing():
  assert not adapters.attend_to_prefix(QUERY, Prefix(KEY, VALUE, jnp.zeros(1))).any()


def test_values_may_be_a_rows_own():
  query, gate = jnp.repeat(QUERY, 2, axis=0), jnp.ones(1)
  added = adapters.attend_to_prefix(query, Prefix(KEY, jnp.stack([VALUE, 3 * VALUE]), gate))
  shared = adapters.attend_to_prefix(QUERY, Prefix(KEY, VALUE, gate))[0]
  np.testing.assert_allclose(added, jnp.stack([shared, 3 * shared]), rtol=1e-6)


def test_a_joined_prefix_stands_before_every_rows_own_pairs():
  own_key, own_value = jnp.full((3, 1, 1, 2), 5.0, jnp.bfloat16), jnp.full((3, 1, 1, 2), 7.0, jnp.bfloat16)
  key, value = join_prefix(Prefix(jnp.ones((2, 1, 2)), VALUE), own_key, own_value)
  assert key.dtype == value.dtype == jnp.bfloat16
  for row in range(3):
    assert key[row, :, 0].tolist() == [[1, 1], [1, 1], [5, 5]]
    assert value[row, :, 0].tolist() == [[4, 0], [0, 8], [7, 7]]


def test_what_is_not_joined_leaves_the_pairs_as_they_are():
  for prefix in (None, Prefix(KEY, VALUE, jnp.ones(1))):
    key, value = join_prefix(prefix, QUERY, 2 * QUERY)
    assert key is QUERY and (value == 2 * QUERY).all()
