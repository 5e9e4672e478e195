"""The adapter in the network: the module that holds all that is trained while the backbone is frozen.

Places for trainable values, usable together:
- a soft prompt, P vectors of the model's width among the embedded input (Lester et al. 2021);
- a per-layer prefix, P key-value pairs per attention layer (Li & Liang 2021): either attended to in a softmax of its own and
  added through a gate that starts at zero (Zhang et al. 2023), so that an untrained prefix changes nothing, or joined to the
  attention's own pairs;
- values of the reading site's prefix that are made from the input itself, by a small network from its pooled embeddings (Wu
  et al. 2022, arXiv 2204.04497), whose last matrix starts at zero;
- low-rank additions to projections of the attentions and the MLPs (LoRA, Hu et al. 2021), whose second factor starts at
  zero.

Shape letters: N rows, P length of a prompt or prefix, T input tokens, Q queries, D model width, H heads, F head width, M
inner width of the MLP, R rank.
"""

from collections.abc import Mapping
from typing import NamedTuple

from flax import linen as nn
from flax.linen import partitioning
import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from robust_t5x.adapters.config import AdapterConfig, Network, parameters
from robust_t5x.adapters.low_rank import LowRank
from robust_t5x.adapters.prefix import Prefix
from robust_t5x.adapters.soft_prompt import insert


class LayerAdapter(NamedTuple):
  """What is added to an attention, and to the MLP behind it; of one layer, or stacked for all with a leading axis."""

  prefix: Prefix | None = None
  low_rank: Mapping[str, LowRank] = {}  # by the projection's name


NO_ADDITION = LayerAdapter()


class Adapter(nn.Module):
  """The adapter's arrays, see `parameters`, and what they add to a network.

  Attributes:
    config: where trainable values sit.
    network: the configuration of the network.
  """

  config: AdapterConfig
  network: Network

  def setup(self):
    self.arrays = {
      name: partitioning.param_with_axes(name, p.init, p.shape, jnp.float32, axes=p.axes)
      for name, p in parameters(self.config, self.network).items()
    }

  def insert(
    self, embedded: Float[jax.Array, 'N T D'], mask: Int[jax.Array, 'N T']
  ) -> tuple[Float[jax.Array, 'N S D'], Int[jax.Array, 'N S']]:
    """Puts the soft prompt into the embedded tokens: S = P + T. Every row may attend to it, whatever its padding."""
    if not self.config.length:
      return embedded, mask
    return insert(self.arrays['embedding'], embedded, mask, self.config.prompt_position or 0)

  def around_prompt(self, mask: Int[jax.Array, 'N T']) -> Int[jax.Array, 'N S']:
    """The mask of tokens where `insert` puts them: 0 in the soft prompt's places."""
    nothing = jnp.zeros((self.config.length, 1), mask.dtype)
    return insert(nothing, mask[..., None], mask, self.config.prompt_position or 0)[0][..., 0]

  def layers(
    self,
    name: str,
    embedded: Float[jax.Array, 'N T D'] | None = None,
    mask: Int[jax.Array, 'N T'] | None = None,
  ) -> LayerAdapter:
    """What is added in a site, all layers stacked on axis 0.

    Args:
      name: the site's.
      embedded: the input's embedded tokens, for the site that reads and for no other; what is generated is made from
        them.
      mask: which of them may be attended to, for that site.
    """
    site = next(site for site in self.network.sites if site.name == name)
    prefix = None
    if self.config.prefix_length(site):
      prefix = Prefix(*(self.arrays.get(f'{name}_{part}') for part in Prefix._fields))
    if prefix is not None and embedded is not None and mask is not None and self.config.generator_dim:
      added = jnp.einsum('nr,lrphf->lnphf', self._pooled(embedded, mask), self.arrays['generator_up'])
      prefix = prefix._replace(value=prefix.value[:, None] + added)
    low_rank = {
      p.name: LowRank(*(self.arrays[f'{name}_lora_{p.name}_{part}'] for part in LowRank._fields))
      for p in self.config.projections(site)
    }
    return LayerAdapter(prefix, low_rank)

  def _pooled(self, embedded: jax.Array, mask: jax.Array) -> jax.Array:
    """The generator's inner state, float32 [N, R]: from the tokens' mean, weighed by how well they match `pool`."""
    x = embedded.astype(jnp.float32)
    x = x * jax.lax.rsqrt(jnp.square(x).mean(axis=-1, keepdims=True) + 1e-6)  # embeddings of any scale
    match = jnp.where(mask > 0, x @ self.arrays['generator_pool'], -1e10)
    context = jnp.einsum('nt,ntd->nd', jax.nn.softmax(match, axis=-1), x)
    return jax.nn.gelu(context @ self.arrays['generator_down'])


def joined_length(stacked: LayerAdapter) -> int:
  """Places P that a joined prefix takes before a site's first one; 0 where there is none, or a gated one."""
  prefix = stacked.prefix
  return 0 if prefix is None or prefix.gate is not None else prefix.key.shape[1]
