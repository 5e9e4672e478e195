"""Layers that families of networks share."""

from collections.abc import Callable, Mapping, Sequence
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


def run_layers(
  module: nn.Module,
  kind: Callable[..., nn.Module],
  arguments: Sequence[Any],
  count: int,
  x: Any,
  of_each: Any,
  shared: Sequence[Any],
  deterministic: bool,
  cached: bool = False,
) -> tuple[Any, Any]:
  """Runs the layers `layers_0`, `layers_1`, ... of a stack, and keeps the states behind each (see `keep_states`).

  Where the configuration says `scan_layers`, they run on a CPU as one loop, which compiles in the time of one layer: their parameters,
  which are those of separate layers, are stacked inside the program, at the cost of a copy. Layers with a cache never do.

  Args:
    module: the stack, in its `__call__`.
    kind: the layers' class; called with (x, of_each, *shared, deterministic) a layer returns (x, what it made).
    arguments: of the class, the configuration first.
    count: of layers.
    x: what goes through them.
    of_each: arrays whose first axis is the layers'.
    shared: what all layers get.
    deterministic: no dropout.
    cached: whether they have a cache.

  Returns:
    (x behind the last layer, what the layers made, stacked).
  """
  config = arguments[0]
  if config.scan_layers and jax.default_backend() == 'cpu' and not cached and not module.is_initializing():
    x, (made, states) = _scan(module, kind(*arguments, parent=None), count, x, of_each, shared, deterministic)
    if module.is_mutable_collection(LAYER_STATES):
      for state in states:
        keep_states(module, state)
    return x, made
  if config.remat and not cached:
    kind = nn.remat(kind, static_argnums=(3 + len(shared),))
  made = []
  for i in range(count):
    own = jax.tree.map(lambda part, i=i: part[i], of_each)
    x, more = kind(*arguments, name=f'layers_{i}')(x, own, *shared, deterministic)
    keep_states(module, x)
    made.append(more)
  return x, jax.tree.map(lambda *parts: jnp.stack(parts), *made)


def _scan(module, layer, count, x, of_each, shared, deterministic):
  """run_layers as a loop; beside what the layers made are the states behind each."""
  own = [module.variables['params'][f'layers_{i}'] for i in range(count)]
  stacked = jax.tree.map(lambda *parts: jnp.stack(parts), *own)
  keys = None if deterministic else jax.random.split(module.make_rng('dropout'), count)

  def run(x, of_one):
    params, given, key = of_one
    rngs = {} if key is None else {'dropout': key}
    x, made = layer.apply({'params': params}, x, given, *shared, deterministic, rngs=rngs)
    return x, (made, x)

  # A loop writes whatever its backward pass reads to memory. So products alone are kept, and what lies between is made again.
  policy = None if layer.config.remat else jax.checkpoint_policies.dots_saveable
  return lax.scan(jax.checkpoint(run, prevent_cse=False, policy=policy), x, (stacked, of_each, keys))


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
