"""The soft prompt in the network: what is trained while the backbone is frozen.

Places for trainable values, usable together:
- an input prompt, P vectors of the model's width before the encoder's embedded tokens (Lester et al. 2021);
- a per-layer prefix, P key-value pairs per attention layer (Li & Liang 2021), attended to in a softmax of its own and
  added through a gate that starts at zero (Zhang et al. 2023), so that an untrained prefix changes nothing;
- values of the encoder's prefix that are made from the input itself, by a small network from its pooled embeddings (Wu et
  al. 2022, arXiv 2204.04497), whose last matrix starts at zero;
- low-rank additions to projections of the attentions and the MLPs (LoRA, Hu et al. 2021), whose second factor starts at
  zero.

Shape letters: N rows, P prompt length, T input tokens, Q queries, D model width, H heads, F head width, M inner width of
the MLP, R rank.
"""

from collections.abc import Callable, Mapping
import dataclasses
import math
from typing import Any, NamedTuple

from flax import linen as nn
from flax.linen import partitioning
import jax
import jax.numpy as jnp


class Prefix(NamedTuple):
  """Trainable key-value pairs of one layer, or stacked for all layers with a leading axis."""

  key: jax.Array  # [P, H, F]
  value: jax.Array  # [P, H, F], or [N, P, H, F] where it is made from each row's input
  gate: jax.Array  # [H]


class LowRank(NamedTuple):
  """A low-rank addition to a projection; of one layer, or stacked as above. Inputs and outputs are D, M or [H, F]."""

  down: jax.Array  # [inputs..., R]
  up: jax.Array  # [R, outputs...]


class LayerPrompt(NamedTuple):
  """What is added to an attention, and to the MLP behind it; of one layer, or stacked for all with a leading axis."""

  prefix: Prefix | None = None
  low_rank: Mapping[str, LowRank] = {}  # by the projection's name


NO_ADDITION = LayerPrompt()


class PromptError(ValueError):
  """A prompt that cannot be built, read or used with this model."""


@dataclasses.dataclass(frozen=True)
class PromptConfig:
  """Where trainable values sit.

  Attributes:
    length: vectors P before the encoder's input; 0 for none.
    encoder_prefix_length: key-value pairs per encoder layer; 0 for none.
    decoder_prefix_length: key-value pairs per decoder self-attention layer; 0 for none.
    cross_prefix_length: key-value pairs per attention of the decoder to the encoding; 0 for none.
    lora_rank: rank R of the additions to projections; 0 for none. They are not scaled: α of the source is R.
    lora_projections: which projections, of all layers: names of PROJECTIONS.
    generator_dim: width R of the network that makes additions to the values of the encoder's prefix from each input; 0
      for none.
    init_range: the random initialisation of vectors, keys and values is uniform in [-init_range, init_range].
  """

  length: int = 0
  encoder_prefix_length: int = 0
  decoder_prefix_length: int = 0
  cross_prefix_length: int = 0
  lora_rank: int = 0
  lora_projections: tuple[str, ...] = ('query', 'value')
  generator_dim: int = 0
  init_range: float = 0.5

  def __post_init__(self):
    if self.generator_dim and not self.encoder_prefix_length:
      raise PromptError('PromptConfig.generator_dim is set without a prefix; set encoder_prefix_length above 0 too')
    object.__setattr__(self, 'lora_projections', tuple(self.lora_projections))  # gin also gives lists
    unknown = [name for name in self.lora_projections if name not in PROJECTIONS]
    if unknown or not self.lora_projections:
      raise PromptError(
        f'PromptConfig.lora_projections is {self.lora_projections}; name at least one of {", ".join(PROJECTIONS)}'
      )

  @property
  def is_empty(self) -> bool:
    return not (self.length or self.lora_rank or any(self.prefix_lengths.values()))

  @property
  def prefix_lengths(self) -> dict[str, int]:
    """Length of each stack's prefix."""
    return {stack: getattr(self, f'{stack}_prefix_length') for stack in STACKS}


# The attentions of a network: the encoder's, the decoder's to itself, and the decoder's to the encoding.
STACKS = ('encoder', 'decoder', 'cross')
# What low-rank additions can be made to: an attention's projections, and an MLP's to its inner width and back.
PROJECTIONS = ('query', 'key', 'value', 'out', 'wi', 'wo')


class Parameter(NamedTuple):
  """One array of a prompt."""

  shape: tuple[int, ...]
  axes: tuple[str | None, ...]  # logical
  init: Callable[..., jax.Array]


def parameters(config: PromptConfig, network: Any) -> dict[str, Parameter]:
  """All arrays of a prompt by name: what the network makes, a file holds and a model must fit.

  They are `embedding`, `{encoder,decoder,cross}_{key,value,gate}`, `generator_{pool,down,up}`,
  `{encoder,decoder,cross}_lora_{query,key,value,out}_{down,up}` and `{encoder,decoder}_lora_{wi,wi_0,wi_1,wo}_{down,up}`.

  Args:
    config: where trainable values sit.
    network: a network.T5Config; untyped, since network.py imports this module.
  """
  net, random = network, _uniform(config.init_range)
  made = {}
  if config.length:
    made['embedding'] = Parameter((config.length, net.emb_dim), ('prompt', 'embed'), random)
  layers = {'encoder': net.num_encoder_layers, 'decoder': net.num_decoder_layers, 'cross': net.num_decoder_layers}
  heads = (net.num_heads, net.head_dim)
  for stack, length in config.prefix_lengths.items():
    if length:
      for name in ('key', 'value'):
        axes = ('layers', 'prompt', 'heads', 'kv')
        made[f'{stack}_{name}'] = Parameter((layers[stack], length, *heads), axes, random)
      made[f'{stack}_gate'] = Parameter((layers[stack], net.num_heads), ('layers', 'heads'), nn.initializers.zeros)
  if config.generator_dim:
    width, shape = config.generator_dim, made['encoder_value'].shape
    made['generator_pool'] = Parameter((net.emb_dim,), ('embed',), nn.initializers.zeros)
    made['generator_down'] = Parameter(
      (net.emb_dim, width), ('embed', 'prompt'), nn.initializers.normal(net.emb_dim**-0.5)
    )
    made['generator_up'] = Parameter(
      (shape[0], width, *shape[1:]), ('layers', None, 'prompt', 'heads', 'kv'), nn.initializers.zeros
    )
  if config.lora_rank:
    for stack in STACKS:
      for name, (source, target) in _projections(config.lora_projections, net, stack).items():
        lora, rank = f'{stack}_lora_{name}', config.lora_rank
        made[f'{lora}_down'] = Parameter(
          (layers[stack], *source.shape, rank),
          ('layers', *source.axes, 'prompt'),
          nn.initializers.normal(math.prod(source.shape) ** -0.5),
        )
        made[f'{lora}_up'] = Parameter(
          (layers[stack], rank, *target.shape), ('layers', 'prompt', *target.axes), nn.initializers.zeros
        )
  return made


class _Side(NamedTuple):
  """What a projection reads or gives."""

  shape: tuple[int, ...]
  axes: tuple[str, ...]


def _projections(kinds: tuple[str, ...], net: Any, stack: str) -> dict[str, tuple[_Side, _Side]]:
  """The projections of one of STACKS by name, as (what it reads, what it gives); `kinds` are of PROJECTIONS."""
  width, heads = _Side((net.emb_dim,), ('embed',)), _Side((net.num_heads, net.head_dim), ('heads', 'kv'))
  made = {name: (width, heads) for name in ('query', 'key', 'value') if name in kinds}
  if 'out' in kinds:
    made['out'] = (heads, width)
  if stack != 'cross':  # the decoder's MLP is counted with its attention to itself
    inner = _Side((net.mlp_dim,), ('mlp',))
    if 'wi' in kinds:
      made |= {name: (width, inner) for name in net.mlp_inputs}
    if 'wo' in kinds:
      made['wo'] = (inner, width)
  return made


class SoftPrompt(nn.Module):
  """The prompt's parameters, see `parameters`."""

  config: PromptConfig
  network: Any  # network.T5Config

  def setup(self):
    self.arrays = {
      name: partitioning.param_with_axes(name, p.init, p.shape, jnp.float32, axes=p.axes)
      for name, p in parameters(self.config, self.network).items()
    }

  def prepend(self, embedded: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Puts the input prompt before the embedded tokens.

    Args:
      embedded: [N, T, D].
      mask: int [N, T].

    Returns:
      ([N, P + T, D], int [N, P + T]); every row may attend to the prompt, whatever its padding.
    """
    if not self.config.length:
      return embedded, mask
    rows, vectors = embedded.shape[0], self.arrays['embedding']
    prompt = jnp.broadcast_to(vectors.astype(embedded.dtype), (rows, *vectors.shape))
    ones = jnp.ones((rows, self.config.length), mask.dtype)
    return jnp.concatenate([prompt, embedded], axis=1), jnp.concatenate([ones, mask], axis=1)

  def layers(self, stack: str, embedded: jax.Array | None = None, mask: jax.Array | None = None) -> LayerPrompt:
    """What is added in one of STACKS, all layers stacked on axis 0.

    Args:
      stack: one of STACKS.
      embedded: the input's embedded tokens [N, T, D], for the encoder; what is generated is made from them.
      mask: int [N, T], for the encoder.
    """
    prefix = None
    if self.config.prefix_lengths[stack]:
      prefix = Prefix(*(self.arrays[f'{stack}_{name}'] for name in Prefix._fields))
    if stack == 'encoder' and self.config.generator_dim:
      added = jnp.einsum('nr,lrphf->lnphf', self._pooled(embedded, mask), self.arrays['generator_up'])
      prefix = prefix._replace(value=prefix.value[:, None] + added)
    projections = _projections(self.config.lora_projections, self.network, stack) if self.config.lora_rank else ()
    low_rank = {
      name: LowRank(*(self.arrays[f'{stack}_lora_{name}_{part}'] for part in LowRank._fields)) for name in projections
    }
    return LayerPrompt(prefix, low_rank)

  def _pooled(self, embedded: jax.Array, mask: jax.Array) -> jax.Array:
    """The generator's inner state, float32 [N, R]: from the tokens' mean, weighed by how well they match `pool`."""
    x = embedded.astype(jnp.float32)
    x = x * jax.lax.rsqrt(jnp.square(x).mean(axis=-1, keepdims=True) + 1e-6)  # embeddings of any scale
    match = jnp.where(mask > 0, x @ self.arrays['generator_pool'], -1e10)
    context = jnp.einsum('nt,ntd->nd', jax.nn.softmax(match, axis=-1), x)
    return jax.nn.gelu(context @ self.arrays['generator_down'])


def layer(stacked: LayerPrompt, index: int) -> LayerPrompt:
  """What is added in one layer, out of the stacked ones."""
  return jax.tree.map(lambda x: x[index], stacked)


def add_low_rank(projected: jax.Array, inputs: jax.Array, addition: LowRank | None) -> jax.Array:
  """Adds inputs · down · up to a projection [N, Q, outputs...] of inputs [N, Q, inputs...]."""
  if addition is None:
    return projected
  narrow = jnp.tensordot(inputs, addition.down.astype(inputs.dtype), addition.down.ndim - 1)
  return projected + jnp.tensordot(narrow, addition.up.astype(inputs.dtype), 1)


def attend_to_prefix(query: jax.Array, prefix: Prefix) -> jax.Array:
  """Gated attention of every query to the prefix alone.

  Args:
    query: [N, Q, H, F].
    prefix: the layer's key-value pairs.

  Returns:
    [N, Q, H, F], zero where the gate is zero.
  """
  logits = jnp.einsum('nqhf,phf->nhqp', query, prefix.key.astype(query.dtype))
  probabilities = jax.nn.softmax(logits.astype(jnp.float32), axis=-1).astype(query.dtype)
  value = prefix.value.astype(query.dtype)
  rows = 'n' if value.ndim == 4 else ''
  out = jnp.einsum(f'nhqp,{rows}phf->nqhf', probabilities, value)
  return out * jnp.tanh(prefix.gate).astype(query.dtype)[:, None]


def _uniform(scale: float):
  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -scale, scale)

  return init
