"""Scaled dot-product attention in which several heads of queries share one of keys and values, and rows may share keys besides.

What all rows of a batch have before them, such as the examples of a few-shot prompt, has its keys and values once. No copies are
made for the rows: their queries stand side by side in one product with the shared keys. The softmax over both parts is put
together from each part's own greatest logit and sum, so that neither part is moved.

Shape letters: N rows, Q queries, K own keys, S shared keys, G heads of keys and values, R heads of queries to each, F head width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from robust_t5x.models.layers import MASKED
from robust_t5x.models.products import batch_product


class Pairs(NamedTuple):
  """Keys and values with what is added to the logits of their keys."""

  key: Float[jax.Array, 'N K G F']
  value: Float[jax.Array, 'N K G F']
  bias: Float[jax.Array, 'N Q K']


def attend(query: Float[jax.Array, 'N Q H F'], own: Pairs, shared: Pairs | None = None) -> Float[jax.Array, 'N Q H F']:
  """Attends to each row's own keys, and to the shared ones where there are any.

  Args:
    query: rotated queries; H is G · R, and R neighbours share a head of keys.
    own: of the rows.
    shared: of one row, for all; the bias may have 1 for N and for Q.

  Returns:
    What the heads read, in the queries' dtype.
  """
  rows, asked, heads, width = query.shape
  groups = own.key.shape[2]
  scale = width**-0.5
  grouped = query.reshape(rows, asked, groups, -1, width).transpose(0, 2, 3, 1, 4)
  side_by_side = grouped.reshape(rows, groups, -1, width)  # queries of all heads that share keys
  logits = batch_product(side_by_side, own.key.transpose(0, 2, 3, 1)).reshape(*grouped.shape[:-1], -1)
  logits = logits * scale + own.bias[:, None, None]
  value = own.value.transpose(0, 2, 1, 3)
  if shared is None:
    weights = jax.nn.softmax(logits, axis=-1).astype(query.dtype)
    out = batch_product(weights.reshape(*side_by_side.shape[:-1], -1), value)
  else:
    folded = grouped.swapaxes(0, 1)  # [G, N, R, Q, F]
    queries = folded.reshape(groups, -1, width)
    common = batch_product(queries, shared.key[0].transpose(1, 2, 0)).reshape(*folded.shape[:-1], -1)
    common = common * scale + shared.bias[None, :, None]
    top = jnp.maximum(logits.max(axis=-1), common.max(axis=-1).swapaxes(0, 1))[..., None]  # [N, G, R, Q, 1]
    weights, common = jnp.exp(logits - top), jnp.exp(common - top.swapaxes(0, 1))
    total = weights.sum(axis=-1, keepdims=True) + common.sum(axis=-1, keepdims=True).swapaxes(0, 1)
    read = batch_product(
      common.astype(query.dtype).reshape(groups, queries.shape[1], -1), shared.value[0].swapaxes(0, 1)
    )
    out = batch_product(weights.astype(query.dtype).reshape(*side_by_side.shape[:-1], -1), value)
    out = (out.reshape(grouped.shape) + read.reshape(folded.shape).swapaxes(0, 1)) / total
  return out.astype(query.dtype).reshape(grouped.shape).transpose(0, 3, 1, 2, 4).reshape(rows, asked, heads, width)


def biases_of(
  positions: Int[jax.Array, 'N Q'],
  key_positions: Int[jax.Array, '#N K'],
  visible: Bool[jax.Array, '#N #Q K'],
  windows: Sequence[int],
  before: int = 0,
) -> Float[jax.Array, 'windows ... P+K']:
  """What is added to the logits of keys, for each of the windows: with 1 for N and Q where it is the same for all.

  Args:
    positions: of the queries.
    key_positions: of the keys.
    visible: whether a query may attend to a key, windows aside.
    windows: how many positions a query sees, its own included; 0 for all.
    before: places P of a joined prefix, which stand before the keys.
  """
  visible = jnp.pad(visible, [(0, 0), (0, 0), (before, 0)], constant_values=True)
  first = jnp.broadcast_to(jnp.arange(before), (len(key_positions), before))
  key_positions = jnp.concatenate([first, key_positions], axis=1)
  distance = positions[:, :, None] - key_positions[:, None, :]
  seen = [visible & (distance < w) if w else visible for w in windows]
  return jnp.stack(jnp.broadcast_arrays(*(jnp.where(each, 0.0, MASKED) for each in seen)))
