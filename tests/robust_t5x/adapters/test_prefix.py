"""Prefixes: gated attention to them alone, by hand."""

import jax.numpy as jnp
import numpy as np

from robust_t5x import adapters
from robust_t5x.adapters.prefix import Prefix

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
