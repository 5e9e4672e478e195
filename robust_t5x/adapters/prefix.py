"""Prefixes: trainable key-value pairs of a layer that every query may attend to besides (Li & Liang 2021)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float


class Prefix(NamedTuple):
  """Trainable key-value pairs of one layer, or stacked for all layers with a leading axis."""

  key: jax.Array  # [P, H, F]
  value: jax.Array  # [P, H, F], or [N, P, H, F] where it is made from each row's input
  gate: jax.Array  # [H]


def attend_to_prefix(query: Float[jax.Array, 'N Q H F'], prefix: Prefix) -> Float[jax.Array, 'N Q H F']:
  """Gated attention of every query to the prefix alone.

  Args:
    query: the attention's own queries.
    prefix: the layer's key-value pairs.

  Returns:
    What is to be added to the attention's output; zero where the gate is zero.
  """
  logits = jnp.einsum('nqhf,phf->nhqp', query, prefix.key.astype(query.dtype))
  probabilities = jax.nn.softmax(logits.astype(jnp.float32), axis=-1).astype(query.dtype)
  value = prefix.value.astype(query.dtype)
  rows = 'n' if value.ndim == 4 else ''
  out = jnp.einsum(f'nhqp,{rows}phf->nqhf', probabilities, value)
  return out * jnp.tanh(prefix.gate).astype(query.dtype)[:, None]
