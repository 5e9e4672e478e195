"""Layers that families of networks share."""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn
from flax.linen import partitioning
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float, Int
import numpy as np

from robust_t5x.adapters import LowRank, add_low_rank
from robust_t5x.models.products import product

# Added to the attention logits of masked positions; finite, so that a row without any token stays finite too.
MASKED = -1e10
# Flax's collection of the states behind each layer that reads the input.
LAYER_STATES = 'layer_states'


def keep_states(module: nn.Module, states: Float[jax.Array, 'N S D']) -> None:
  """Gives the states behind a layer to a caller that asks for the collection LAYER_STATES, and to no other."""
  if not module.is_initializing():
    module.sow(LAYER_STATES, 'states', states)


def branch_layout(branches: int, length: int) -> tuple[np.ndarray, np.ndarray]:
  """How several continuations of one start token lie in one row, so that what they share is computed once.

  The row holds the start, then positions 1 to length - 1 of each branch: Q = 1 + branches · (length - 1) in all.

  Args:
    branches: number of continuations; 1 is an ordinary row.
    length: positions of each with the start.

  Returns:
    (position of each in its sequence, int [Q]; bool [Q, Q], whether a query sees a key: what stands before it in its
    own branch, itself, and the start).
  """
  positions = np.concatenate([[0], np.tile(np.arange(1, length), branches)])
  branch = np.concatenate([[-1], np.repeat(np.arange(branches), length - 1)])
  own = (branch[None, :] == branch[:, None]) | (branch[None, :] == -1)
  return positions, own & (positions[None, :] <= positions[:, None])


class Dense(nn.Module):
  """Linear map of the last axis."""

  features: int
  axes: tuple[str, str]
  dtype: Any
  init_scale: float = 1.0
  bias: bool = False

  @nn.compact
  def __call__(self, inputs: jax.Array) -> jax.Array:
    """[..., in] -> [..., features]."""
    kernel = partitioning.param_with_axes(
      'kernel',
      nn.initializers.variance_scaling(self.init_scale, 'fan_in', 'truncated_normal'),
      (inputs.shape[-1], self.features),
      jnp.float32,
      axes=self.axes,
    )
    out = product(inputs.astype(self.dtype), jnp.asarray(kernel, self.dtype))
    if self.bias:
      bias = partitioning.param_with_axes(
        'bias', nn.initializers.zeros, (self.features,), jnp.float32, axes=self.axes[1:]
      )
      out = out + jnp.asarray(bias, self.dtype)
    return out


class LayerNorm(nn.Module):
  """Root-mean-square normalisation with a scale, computed in float32."""

  dtype: Any
  epsilon: float = 1e-6
  axis: str = 'embed'

  @nn.compact
  def __call__(self, inputs: jax.Array) -> jax.Array:
    """[..., D] -> [..., D]."""
    x = inputs.astype(jnp.float32)
    scale = partitioning.param_with_axes('scale', nn.initializers.ones, (x.shape[-1],), jnp.float32, axes=(self.axis,))
    x = x * lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + self.epsilon)
    return (x * scale).astype(self.dtype)


class MLP(nn.Module):
  """The position-wise MLP: products of its activations' outputs where there are several (gated units).

  Attributes:
    features: inner width M.
    inputs: name of each projection to the inner width -> its activation, 'linear' or one of flax.linen.
    dtype: of the activations.
    dropout_rate: of the inner states.
    bias: whether its projections have a bias.
  """

  features: int
  inputs: Mapping[str, str]
  dtype: Any
  dropout_rate: float = 0.0
  bias: bool = False

  @nn.compact
  def __call__(
    self, inputs: Float[jax.Array, 'N L D'], low_rank: Mapping[str, LowRank], deterministic: bool
  ) -> Float[jax.Array, 'N L D']:
    """Maps every position; `low_rank` has additions to projections by their names."""
    hidden = None
    for name, activation in self.inputs.items():
      x = Dense(self.features, ('embed', 'mlp'), self.dtype, bias=self.bias, name=name)(inputs)
      x = add_low_rank(x, inputs, low_rank.get(name))
      x = x if activation == 'linear' else getattr(nn, activation)(x)
      hidden = x if hidden is None else hidden * x
    hidden = nn.Dropout(self.dropout_rate, broadcast_dims=(-2,))(hidden, deterministic=deterministic)
    out = Dense(inputs.shape[-1], ('mlp', 'embed'), self.dtype, bias=self.bias, name='wo')(hidden)
    return add_low_rank(out, hidden, low_rank.get('wo'))


class Embedder(nn.Module):
  """The embedding table [V, D], and the output layer where it is tied to it."""

  vocab_size: int
  emb_dim: int
  dtype: Any

  def setup(self):
    self.embedding = partitioning.param_with_axes(
      'embedding',
      nn.initializers.normal(1.0),
      (self.vocab_size, self.emb_dim),
      jnp.float32,
      axes=('vocab', 'embed'),
    )

  def __call__(self, tokens: Int[jax.Array, 'N L']) -> Float[jax.Array, 'N L D']:
    """Looks tokens up."""
    return jnp.asarray(self.embedding, self.dtype)[tokens]

  def attend(self, x: Float[jax.Array, 'N L D']) -> Float[jax.Array, 'N L V']:
    """Tied output layer: float32 logits, scaled by 1 / sqrt(D)."""
    x = x.astype(jnp.float32) / np.sqrt(x.shape[-1])
    return jnp.dot(x, self.embedding.astype(jnp.float32).T)


def mask_bias(mask: jax.Array, dtype) -> jax.Array:
  """[N, S] of 0/1 -> additive [N, 1, 1, S]."""
  return jnp.where(mask > 0, 0.0, MASKED).astype(dtype)[:, None, None, :]
