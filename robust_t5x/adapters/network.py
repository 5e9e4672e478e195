"""The soft prompt in the network: what is trained while the backbone is frozen.

Places for trainable values, usable together:
- a soft prompt, P vectors of the model's width before the encoder's embedded tokens (Lester et al. 2021);
- a per-layer prefix, P key-value pairs per attention layer (Li & Liang 2021), attended to in a softmax of its own and
  added through a gate that starts at zero (Zhang et al. 2023), so that an untrained prefix changes nothing;
- values of the encoder's prefix that are made from the input itself, by a small network from its pooled embeddings (Wu et
  al. 2022, arXiv 2204.04497), whose last matrix starts at zero;
- low-rank additions to projections of the attentions and the MLPs (LoRA, Hu et al. 2021), whose second factor starts at
  zero.

Shape letters: N rows, P prompt length, T input tokens, Q queries, D model width, H heads, F head width, M inner width of
the MLP, R rank.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from flax import linen as nn
from flax.linen import partitioning
import jax
import jax.numpy as jnp

from robust_t5x.adapters import config as config_lib
from robust_t5x.adapters import low_rank as low_rank_lib
from robust_t5x.adapters import prefix as prefix_lib


class LayerAdapter(NamedTuple):
  """What is added to an attention, and to the MLP behind it; of one layer, or stacked for all with a leading axis."""

  prefix: prefix_lib.Prefix | None = None
  low_rank: Mapping[str, low_rank_lib.LowRank] = {}  # by the projection's name


NO_ADDITION = LayerAdapter()


class Adapter(nn.Module):
  """The adapter's parameters, see `parameters`."""

  config: config_lib.AdapterConfig
  network: Any  # network.T5Config

  def setup(self):
    self.arrays = {
      name: partitioning.param_with_axes(name, p.init, p.shape, jnp.float32, axes=p.axes)
      for name, p in config_lib.parameters(self.config, self.network).items()
    }

  def prepend(self, embedded: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Puts the soft prompt before the embedded tokens.

    Args:
      embedded: [N, T, D].
      mask: int [N, T].

    Returns:
      ([N, P + T, D], int [N, P + T]); every row may attend to the adapter, whatever its padding.
    """
    if not self.config.length:
      return embedded, mask
    rows, vectors = embedded.shape[0], self.arrays['embedding']
    adapter = jnp.broadcast_to(vectors.astype(embedded.dtype), (rows, *vectors.shape))
    ones = jnp.ones((rows, self.config.length), mask.dtype)
    return jnp.concatenate([adapter, embedded], axis=1), jnp.concatenate([ones, mask], axis=1)

  def layers(self, stack: str, embedded: jax.Array | None = None, mask: jax.Array | None = None) -> LayerAdapter:
    """What is added in one of STACKS, all layers stacked on axis 0.

    Args:
      stack: one of STACKS.
      embedded: the input's embedded tokens [N, T, D], for the encoder; what is generated is made from them.
      mask: int [N, T], for the encoder.
    """
    prefix = None
    if self.config.prefix_lengths[stack]:
      prefix = prefix_lib.Prefix(*(self.arrays[f'{stack}_{name}'] for name in prefix_lib.Prefix._fields))
    if stack == 'encoder' and self.config.generator_dim:
      added = jnp.einsum('nr,lrphf->lnphf', self._pooled(embedded, mask), self.arrays['generator_up'])
      prefix = prefix._replace(value=prefix.value[:, None] + added)
    projections = (
      config_lib.projections(self.config.lora_projections, self.network, stack) if self.config.lora_rank else ()
    )
    low_rank = {
      name: low_rank_lib.LowRank(*(self.arrays[f'{stack}_lora_{name}_{part}'] for part in low_rank_lib.LowRank._fields))
      for name in projections
    }
    return LayerAdapter(prefix, low_rank)

  def _pooled(self, embedded: jax.Array, mask: jax.Array) -> jax.Array:
    """The generator's inner state, float32 [N, R]: from the tokens' mean, weighed by how well they match `pool`."""
    x = embedded.astype(jnp.float32)
    x = x * jax.lax.rsqrt(jnp.square(x).mean(axis=-1, keepdims=True) + 1e-6)  # embeddings of any scale
    match = jnp.where(mask > 0, x @ self.arrays['generator_pool'], -1e10)
    context = jnp.einsum('nt,ntd->nd', jax.nn.softmax(match, axis=-1), x)
    return jax.nn.gelu(context @ self.arrays['generator_down'])


def layer(stacked: LayerAdapter, index: int) -> LayerAdapter:
  """What is added in one layer, out of the stacked ones."""
  return jax.tree.map(lambda x: x[index], stacked)
