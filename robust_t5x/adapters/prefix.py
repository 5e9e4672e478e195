"""Prefixes: trainable key-value pairs of a layer that every query may attend to besides.

A gated one has a softmax of its own and no position (Zhang et al. 2023, arXiv 2303.16199). A joined one stands among the
attention's own pairs, in the P places before the first (Li & Liang 2021, arXiv 2101.00190); its keys are taken as they are, and not
rotated.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float


class Prefix(NamedTuple):
  """Trainable key-value pairs of one layer, or stacked for all layers with a leading axis."""

  key: jax.Array  # [P, H, F]; of a joined one, H are the heads of keys and values
  value: jax.Array  # [P, H, F], or [N, P, H, F] where it is made from each row's input
  gate: jax.Array | None = None  # [H]; None where it is joined


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
  assert prefix.gate is not None
  return out * jnp.tanh(prefix.gate).astype(query.dtype)[:, None]


def join_prefix(
  prefix: Prefix | None, key: Float[jax.Array, 'N K H F'], value: Float[jax.Array, 'N K H F']
) -> tuple[Float[jax.Array, 'N S H F'], Float[jax.Array, 'N S H F']]:
  """Puts a joined prefix before an attention's own keys and values, S = P + K; any other leaves them as they are."""
  if prefix is None or prefix.gate is not None:
    return key, value

  def before(pairs, own):
    rows = jnp.broadcast_to(pairs.astype(own.dtype), (len(own), *pairs.shape))
    return jnp.concatenate([rows, own], axis=1)

  return before(prefix.key, key), before(prefix.value, value)
