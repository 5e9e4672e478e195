"""Where an adapter sits, and the arrays that follow from it."""

from collections.abc import Callable
import dataclasses
import math
import re
from typing import Any, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from seqio_tasks.errors import UserError


class AdapterError(UserError):
  """An adapter that cannot be built, read or used with this model."""


@dataclasses.dataclass(frozen=True)
class AdapterConfig:
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
      raise AdapterError('AdapterConfig.generator_dim is set without a prefix; set encoder_prefix_length above 0 too')
    object.__setattr__(self, 'lora_projections', tuple(self.lora_projections))  # gin also gives lists
    unknown = [name for name in self.lora_projections if name not in PROJECTIONS]
    if unknown or not self.lora_projections:
      raise AdapterError(
        f'AdapterConfig.lora_projections is {self.lora_projections}; name at least one of {", ".join(PROJECTIONS)}'
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
  """One array of an adapter."""

  shape: tuple[int, ...]
  axes: tuple[str | None, ...]  # logical
  init: Callable[..., jax.Array]


def parameters(config: AdapterConfig, network: Any) -> dict[str, Parameter]:
  """All arrays of an adapter by name: what the network makes, a file holds and a model must fit.

  They are `embedding`, `{encoder,decoder,cross}_{key,value,gate}`, `generator_{pool,down,up}`,
  `{encoder,decoder,cross}_lora_{query,key,value,out}_{down,up}` and `{encoder,decoder}_lora_{wi,wi_0,wi_1,wo}_{down,up}`.

  Args:
    config: where trainable values sit.
    network: a network.T5Config; untyped, since network.py imports this module.
  """
  net, random = network, _uniform(config.init_range)
  made = {}
  if config.length:
    made['embedding'] = Parameter((config.length, net.emb_dim), ('adapter', 'embed'), random)
  layers = {'encoder': net.num_encoder_layers, 'decoder': net.num_decoder_layers, 'cross': net.num_decoder_layers}
  heads = (net.num_heads, net.head_dim)
  for stack, length in config.prefix_lengths.items():
    if length:
      for name in ('key', 'value'):
        axes = ('layers', 'adapter', 'heads', 'kv')
        made[f'{stack}_{name}'] = Parameter((layers[stack], length, *heads), axes, random)
      made[f'{stack}_gate'] = Parameter((layers[stack], net.num_heads), ('layers', 'heads'), nn.initializers.zeros)
  if config.generator_dim:
    width, shape = config.generator_dim, made['encoder_value'].shape
    made['generator_pool'] = Parameter((net.emb_dim,), ('embed',), nn.initializers.zeros)
    made['generator_down'] = Parameter(
      (net.emb_dim, width), ('embed', 'adapter'), nn.initializers.normal(net.emb_dim**-0.5)
    )
    made['generator_up'] = Parameter(
      (shape[0], width, *shape[1:]), ('layers', None, 'adapter', 'heads', 'kv'), nn.initializers.zeros
    )
  if config.lora_rank:
    for stack in STACKS:
      for name, (source, target) in projections(config.lora_projections, net, stack).items():
        lora, rank = f'{stack}_lora_{name}', config.lora_rank
        made[f'{lora}_down'] = Parameter(
          (layers[stack], *source.shape, rank),
          ('layers', *source.axes, 'adapter'),
          nn.initializers.normal(math.prod(source.shape) ** -0.5),
        )
        made[f'{lora}_up'] = Parameter(
          (layers[stack], rank, *target.shape), ('layers', 'adapter', *target.axes), nn.initializers.zeros
        )
  return made


class _Side(NamedTuple):
  """What a projection reads or gives."""

  shape: tuple[int, ...]
  axes: tuple[str, ...]


def projections(kinds: tuple[str, ...], net: Any, stack: str) -> dict[str, tuple[_Side, _Side]]:
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


def _uniform(scale: float):
  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -scale, scale)

  return init


_LOW_RANK = re.compile(f'({"|".join(STACKS)})_lora_({"|".join(PROJECTIONS)})(_[01])?_down')


def config_of(adapter: dict[str, np.ndarray]) -> AdapterConfig:
  """The configuration that an adapter's arrays imply."""

  def size(name, axis):
    return adapter[name].shape[axis] if name in adapter else 0

  prefixes = {f'{stack}_prefix_length': size(f'{stack}_key', 1) for stack in STACKS}
  # 'encoder_lora_wi_0_down' is an addition to a projection of the kind 'wi'.
  low_rank = {name.split('_')[2]: array.shape[-1] for name, array in adapter.items() if _LOW_RANK.fullmatch(name)}
  return AdapterConfig(
    size('embedding', 0),
    **prefixes,
    lora_rank=max(low_rank.values(), default=0),
    lora_projections=tuple(p for p in PROJECTIONS if p in low_rank) or AdapterConfig.lora_projections,
    generator_dim=size('generator_down', 1),
  )


def check_fits(adapter: dict[str, np.ndarray], network: Any, path: str) -> None:
  """Raises AdapterError unless an adapter's arrays are those that a network needs."""
  needed = {name: p.shape for name, p in parameters(config_of(adapter), network).items()}
  unknown, missing = sorted(set(adapter) - set(needed)), sorted(set(needed) - set(adapter))
  if unknown or missing:
    raise AdapterError(
      f'ADAPTER: {path}: {f"holds {unknown[0]}, which no adapter has" if unknown else f"lacks {missing[0]}"}; '
      'train or convert it anew'
    )
  for name, array in adapter.items():
    if array.shape != needed[name]:
      raise AdapterError(
        f'ADAPTER: {path}: {name} has shape {list(array.shape)}, which does not fit this model '
        f'({list(needed[name])}); use an adapter trained on this backbone'
      )
