"""Where an adapter sits, and the arrays that follow from it."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import math
import re
from typing import NamedTuple, Protocol

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from robust_t5x.adapters.sites import PROJECTIONS, Projection, Site
from seqio_tasks.errors import UserError

READING, ALL = 'reading', 'all'  # sites by what they are for, whatever a family calls them


class AdapterError(UserError):
  """An adapter that cannot be built, read or used with this model."""


@dataclasses.dataclass(frozen=True)
class AdapterConfig:
  """Where trainable values sit.

  Attributes:
    length: vectors P of the soft prompt; 0 for none.
    prefix_lengths: key-value pairs per layer for each site: a mapping from a site's name, READING (where the network
      reads its input) or ALL, to a length; kept as sorted pairs.
    lora_rank: rank R of the additions to projections; 0 for none. They are not scaled: α of the source is R.
    lora_projections: which projections, of all sites: names of PROJECTIONS.
    generator_dim: width R of the network that makes additions to the values of the reading site's prefix from each
      input; 0 for none.
    init_range: the random initialisation of vectors, keys and values is uniform in [-init_range, init_range].
    prompt_position: tokens of the input that stand before the soft prompt; None for the vocabulary's place, which is behind
      the system turn of a chat, and before the first token where there is none.
    prefix_gated: whether prefixes have a softmax of their own and a gate that starts at zero, or are joined to the
      attention's own keys and values; see adapters.prefix.
  """

  length: int = 0
  prefix_lengths: Mapping[str, int] | Sequence[tuple[str, int]] = ()
  lora_rank: int = 0
  lora_projections: Sequence[str] = ('query', 'value')
  generator_dim: int = 0
  init_range: float = 0.5
  prompt_position: int | None = None
  prefix_gated: bool = True

  def __post_init__(self):
    # A network that holds this must be hashable, and gin gives lists for tuples.
    lengths = tuple(sorted((site, length) for site, length in dict(self.prefix_lengths).items() if length))
    object.__setattr__(self, 'prefix_lengths', lengths)
    object.__setattr__(self, 'lora_projections', tuple(self.lora_projections))
    if self.generator_dim and not lengths:
      raise AdapterError(
        'AdapterConfig.generator_dim is set without a prefix where the input is read; add '
        f'prefix_lengths={{{READING!r}: LENGTH}}'
      )
    if self.generator_dim and not self.prefix_gated:
      raise AdapterError('AdapterConfig.generator_dim is set with a joined prefix; it needs prefix_gated=True')
    unknown = [name for name in self.lora_projections if name not in PROJECTIONS]
    if unknown or not self.lora_projections:
      raise AdapterError(
        f'AdapterConfig.lora_projections is {self.lora_projections}; name at least one of {", ".join(PROJECTIONS)}'
      )

  @property
  def is_empty(self) -> bool:
    """Whether there is nothing to train."""
    return not (self.length or self.lora_rank or self.prefix_lengths)

  def prefix_length(self, site: Site) -> int:
    """Key-value pairs in each layer of a site."""
    lengths = dict(self.prefix_lengths)
    own = lengths.get(site.name, lengths.get(READING, 0) if site.reads else 0)
    return own or lengths.get(ALL, 0)

  def projections(self, site: Site) -> tuple[Projection, ...]:
    """The projections of a site that have low-rank additions."""
    return tuple(p for p in site.projections if self.lora_rank and p.kind in self.lora_projections)


class Parameter(NamedTuple):
  """One array of an adapter."""

  shape: tuple[int, ...]
  axes: tuple[str | None, ...]  # logical
  init: Callable[..., jax.Array]


class Network(Protocol):
  """What an adapter must know of a network: its sites, and its width D; see models.protocol for the rest."""

  @property
  def sites(self) -> tuple[Site, ...]: ...

  @property
  def emb_dim(self) -> int: ...


def parameters(config: AdapterConfig, network: Network) -> dict[str, Parameter]:
  """All arrays of an adapter by name: what the network makes, a file holds and a model must fit.

  They are `embedding`, `SITE_{key,value,gate}` (no gate where prefixes are joined), `generator_{pool,down,up}` and
  `SITE_lora_PROJECTION_{down,up}`.

  Args:
    config: where trainable values sit.
    network: the configuration of a network.

  Raises:
    AdapterError: if the configuration names a site that the network does not have.
  """
  names = [site.name for site in network.sites]
  for name in dict(config.prefix_lengths):
    if name not in (*names, READING, ALL):
      raise AdapterError(f'AdapterConfig.prefix_lengths: this model has no site {name!r}; it has {", ".join(names)}')
  random = _uniform(config.init_range)
  made = {}
  if config.length:
    made['embedding'] = Parameter((config.length, network.emb_dim), ('adapter', 'embed'), random)
  for site in network.sites:
    length = config.prefix_length(site)
    if length:
      # Heads of keys and values may be fewer than the devices that share a copy, so they are not split.
      few = None if config.prefix_gated else site.kv_heads
      axes = ('layers', 'adapter', 'heads' if few is None else None, 'kv')
      for name in ('key', 'value'):
        made[f'{site.name}_{name}'] = Parameter((site.layers, length, few or site.heads, site.head_dim), axes, random)
      if config.prefix_gated:
        gate = Parameter((site.layers, site.heads), ('layers', 'heads'), nn.initializers.zeros)
        made[f'{site.name}_gate'] = gate
  if config.generator_dim:
    made |= _generator(config, network)
  for site in network.sites:
    for name, source, target in config.projections(site):
      lora, rank = f'{site.name}_lora_{name}', config.lora_rank
      made[f'{lora}_down'] = Parameter(
        (site.layers, *source.shape, rank),
        ('layers', *source.axes, 'adapter'),
        nn.initializers.normal(math.prod(source.shape) ** -0.5),
      )
      made[f'{lora}_up'] = Parameter(
        (site.layers, rank, *target.shape), ('layers', 'adapter', *target.axes), nn.initializers.zeros
      )
  return made


def _generator(config: AdapterConfig, network: Network) -> dict[str, Parameter]:
  """The arrays of the network that makes additions to the reading site's prefix."""
  site = next(site for site in network.sites if site.reads)
  length = config.prefix_length(site)
  if not length:
    raise AdapterError(
      f'AdapterConfig.generator_dim is set without a prefix in the site {site.name!r}; add '
      f'prefix_lengths={{{READING!r}: LENGTH}}'
    )
  width, emb_dim = config.generator_dim, network.emb_dim
  axes = ('layers', None, 'adapter', 'heads', 'kv')
  shape = (site.layers, width, length, site.heads, site.head_dim)
  return {
    'generator_pool': Parameter((emb_dim,), ('embed',), nn.initializers.zeros),
    'generator_down': Parameter((emb_dim, width), ('embed', 'adapter'), nn.initializers.normal(emb_dim**-0.5)),
    'generator_up': Parameter(shape, axes, nn.initializers.zeros),
  }


_PREFIX = re.compile('(.+)_key')
_LOW_RANK = re.compile(f'.+_lora_({"|".join(PROJECTIONS)})(_[0-9])?_down')


def config_of(adapter: Mapping[str, np.ndarray]) -> AdapterConfig:
  """The configuration that an adapter's arrays imply; they do not tell where a soft prompt stands.

  Raises:
    AdapterError: if an array has fewer axes than it should.
  """

  def size(name: str, axis: int) -> int:
    shape = adapter[name].shape
    if not -len(shape) <= axis < len(shape):
      raise AdapterError(f'{name} has the shape {list(shape)}, which has too few axes')
    return shape[axis]

  prefixes = {m[1]: size(m[0], 1) for m in map(_PREFIX.fullmatch, adapter) if m}
  # 'encoder_lora_wi_0_down' is an addition to a projection of the kind 'wi'.
  ranks = {m[1]: size(m[0], -1) for m in map(_LOW_RANK.fullmatch, adapter) if m}
  return AdapterConfig(
    size('embedding', 0) if 'embedding' in adapter else 0,
    prefixes,
    lora_rank=max(ranks.values(), default=0),
    lora_projections=tuple(p for p in PROJECTIONS if p in ranks) or AdapterConfig.lora_projections,
    generator_dim=size('generator_down', 1) if 'generator_down' in adapter else 0,
    prefix_gated=not prefixes or any(f'{name}_gate' in adapter for name in prefixes),
  )


def check_fits(adapter: Mapping[str, np.ndarray], network: Network, path: str) -> None:
  """Raises AdapterError unless an adapter's arrays are those that a network needs."""
  try:
    needed = {name: p.shape for name, p in parameters(config_of(adapter), network).items()}
  except AdapterError as e:
    raise AdapterError(
      f'ADAPTER: {path}: does not fit this model ({e}); use an adapter trained on this backbone'
    ) from e
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


def _uniform(scale: float) -> Callable[..., jax.Array]:
  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -scale, scale)

  return init
