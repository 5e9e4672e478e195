"""The decoder-only network of Llama and its like in flax.linen, with the same places for adapters as T5.

One configuration covers Llama 1 to 3, Mistral, Qwen2, Qwen3 and what is built like them: root-mean-square norms, rotary
positions, attention with fewer heads for keys and values than for queries, a gated MLP; and, where a family has them, biases,
norms of queries and keys, windows of attention, an output layer tied to the embedding.

The input is read once, in a pass that keeps each layer's keys and values; every answer attends to those. Inputs are padded
at their ends, and an answer's positions follow directly behind each row's last token. What several inputs begin with can be read once
for all of them: no position sees what follows it.

Shape letters: N rows, P prompt length, T input tokens, S = P + T, L answer tokens, Q queries, D model width, H heads, G heads
of keys and values, F head width, V vocabulary.
"""

from collections.abc import Mapping
import dataclasses
import math
from typing import NamedTuple

from flax import linen as nn
from flax import traverse_util
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float, Int
import numpy as np

from robust_t5x import adapters
from robust_t5x.adapters import AdapterConfig, LayerAdapter, Projection, Side, Site
from robust_t5x.models.attending import Pairs, attend, biases_of
from robust_t5x.models.layers import MLP, Dense, Embedder, LayerNorm, branch_layout, run_layers
from robust_t5x.models.products import wide_product
from robust_t5x.models.protocol import ADAPTER, Answer, Context, Params, Work
from robust_t5x.models.rotary import Rotary, rotate

SITE = 'decoder'


@dataclasses.dataclass(frozen=True)
class LlamaConfig:
  """Shape and numerics of a decoder-only network.

  Attributes:
    vocab_size: rows of the embedding table V.
    emb_dim: model width D.
    num_heads: heads of the queries H.
    num_kv_heads: heads of keys and values G; H is a multiple of it.
    head_dim: width of a head F.
    num_layers: layers.
    mlp_dim: inner width of the MLP.
    rotary: rotary positions.
    norm_epsilon: added to the mean square in norms.
    logits_via_embedding: output layer tied to the embedding, or separate.
    attention_bias: the projections to queries, keys and values that have a bias, and 'out'.
    mlp_bias: whether the MLP's projections have a bias.
    qk_norm: norms over each head's width, of queries and keys.
    windows: of each layer, how many positions a query sees, its own included; 0 for all. Empty: all, in every layer.
    dropout_rate: dropout probability of what a layer adds, applied only where a call asks for it.
    dtype: dtype of activations, 'float32' or 'bfloat16'; parameters keep the dtype they are stored in.
    remat: recompute each layer's activations in the backward pass instead of keeping them.
    scan_layers: run the layers as one loop, which compiles in the time of one but copies their weights; see layers.run_layers.
  """

  vocab_size: int
  emb_dim: int
  num_heads: int
  num_kv_heads: int
  head_dim: int
  num_layers: int
  mlp_dim: int
  rotary: Rotary = Rotary()
  norm_epsilon: float = 1e-6
  logits_via_embedding: bool = False
  attention_bias: tuple[str, ...] = ()
  mlp_bias: bool = False
  qk_norm: bool = False
  windows: tuple[int, ...] = ()
  dropout_rate: float = 0.0
  dtype: str = 'float32'
  remat: bool = False
  scan_layers: bool = False

  @property
  def sites(self) -> tuple[Site, ...]:
    """One site: the attention that reads and answers, with the MLP behind it."""
    width, heads = Side((self.emb_dim,), ('embed',)), Side((self.num_heads, self.head_dim), ('heads', 'kv'))
    # Heads of keys and values may be fewer than the devices that share a copy, so additions to them are not split.
    pairs = Side((self.num_kv_heads, self.head_dim), (None, 'kv'))
    inner = Side((self.mlp_dim,), ('mlp',))
    projections = (
      Projection('query', width, heads),
      Projection('key', width, pairs),
      Projection('value', width, pairs),
      Projection('out', heads, width),
      Projection('wi_0', width, inner),
      Projection('wi_1', width, inner),
      Projection('wo', inner, width),
    )
    few = self.num_kv_heads if self.num_kv_heads < self.num_heads else None
    return (Site(SITE, self.num_layers, self.num_heads, self.head_dim, projections, few, reads=True),)

  def network(self, adapter: AdapterConfig | None = None) -> 'Decoder':
    """See protocol.NetworkConfig."""
    return Decoder(self, adapter)

  def work(self, shapes: Params, positions: int, targets: int, adapter: AdapterConfig) -> Work:
    """See protocol.NetworkConfig. The first answer's logits come from the input's last state."""
    flat = traverse_util.flatten_dict(dict(shapes), sep='/')
    kernels = {path: math.prod(x.shape) for path, x in flat.items() if path.endswith('/kernel')}
    output = kernels.pop('logits_dense/kernel', self.vocab_size * self.emb_dim)
    per_position = sum(kernels.values())
    prefix = adapter.prefix_length(self.sites[0])
    fed = max(targets - 1, 0)
    pairs = self.num_layers * (positions * (positions + prefix) + fed * (fed + positions + prefix))
    # Of `targets` positions one is not fed; its share of the layers is not computed.
    layers = per_position * fed // max(targets, 1)
    return Work(per_position, layers + output, 4 * pairs * self.num_heads * self.head_dim)


LayerPairs = tuple[jax.Array, jax.Array]  # keys, already rotated, and values, of all layers: [layers, N, S, G, F]


class Shared(NamedTuple):
  """What all rows begin with: one row's.

  Attributes:
    pairs: its keys and values, N = 1.
    positions: of its places, int [1, S].
    mask: 1 for what may be attended to, int [1, S].
  """

  pairs: LayerPairs
  positions: jax.Array
  mask: jax.Array


class Kept(NamedTuple):
  """What is kept of an input.

  Attributes:
    pairs: its keys and values.
    positions: of the context's places, int [N, S].
    added: the adapter's additions, all layers stacked; what is generated from the input is made once.
    shared: what stands before the context in all rows, or None.
  """

  pairs: LayerPairs
  positions: jax.Array
  added: LayerAdapter
  shared: Shared | None = None


class Attention(nn.Module):
  """Scaled dot-product attention with rotary positions; several heads of queries share one of keys and values."""

  config: LlamaConfig
  cache_length: int = 0

  @nn.compact
  def __call__(
    self,
    x: Float[jax.Array, 'N Q D'],
    positions: Int[jax.Array, 'N Q'],
    bias: Float[jax.Array, 'N Q K'],
    kept: tuple[jax.Array, jax.Array] | None,
    adapter: LayerAdapter,
    shared: Pairs | None,
  ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Attends to what is shared, to what was kept, then to these positions or, with a cache, to those in it.

    Returns:
      (output [N, Q, D], keys and values of these positions).
    """
    cfg = self.config

    def project(name, heads):
      # Where queries share them, keys and values may have fewer heads than there are devices to split them over.
      axes = ('embed', 'joined_kv' if heads == cfg.num_heads else 'joined_pairs')
      out = Dense(heads * cfg.head_dim, axes, cfg.dtype, bias=name in cfg.attention_bias, name=name)(x)
      out = out.reshape(*out.shape[:-1], heads, cfg.head_dim)
      out = adapters.add_low_rank(out, x, adapter.low_rank.get(name))
      if cfg.qk_norm and name != 'value':
        out = LayerNorm(cfg.dtype, cfg.norm_epsilon, 'kv', name=f'{name}_norm')(out)
      return out

    plain, value = project('query', cfg.num_heads), project('value', cfg.num_kv_heads)
    cos, sin = cfg.rotary.angles(positions, cfg.head_dim)
    query = rotate(plain, cos, sin)
    key = rotate(project('key', cfg.num_kv_heads), cos, sin)
    own = key, value
    if self.cache_length:
      key, value = self._append_to_cache(key, value)
    if kept is not None:
      key, value = (jnp.concatenate(both, axis=1) for both in zip(kept, (key, value), strict=True))
    # A joined prefix stands before the first place of all.
    if shared is None:
      key, value = adapters.join_prefix(adapter.prefix, key, value)
    else:
      shared = Pairs(*adapters.join_prefix(adapter.prefix, shared.key, shared.value), shared.bias)
    out = attend(query, Pairs(key, value, bias), shared)
    if (
      adapter.prefix is not None and adapter.prefix.gate is not None
    ):  # stands at no position: the query is not rotated
      out = out + adapters.attend_to_prefix(plain * cfg.head_dim**-0.5, adapter.prefix)
    joined = out.reshape(*out.shape[:2], -1)
    axes = ('joined_kv', 'embed')
    projected = Dense(x.shape[-1], axes, cfg.dtype, bias='out' in cfg.attention_bias, name='out')(joined)
    return adapters.add_low_rank(projected, out, adapter.low_rank.get('out')), own

  def _append_to_cache(self, key, value):
    """Writes one position into the cache, and returns all of it; the first call only makes it."""
    initialised = self.has_variable('cache', 'cached_key')
    shape = (key.shape[0], self.cache_length, *key.shape[2:])
    cached_key = self.variable('cache', 'cached_key', jnp.zeros, shape, key.dtype)
    cached_value = self.variable('cache', 'cached_value', jnp.zeros, shape, value.dtype)
    index = self.variable('cache', 'cache_index', lambda: jnp.zeros((), jnp.int32))
    if initialised:
      cached_key.value = lax.dynamic_update_slice_in_dim(cached_key.value, key, index.value, axis=1)
      cached_value.value = lax.dynamic_update_slice_in_dim(cached_value.value, value, index.value, axis=1)
      index.value = index.value + 1
    return cached_key.value, cached_value.value


class OfLayer(NamedTuple):
  """What a layer gets that others do not; of one layer, or stacked for all.

  Attributes:
    kept: keys and values to attend to besides.
    shared: those that stand before them in all rows.
    added: the adapter's additions.
    window: which of the windows is its own.
  """

  kept: LayerPairs | None
  shared: LayerPairs | None
  added: LayerAdapter
  window: jax.Array | np.ndarray


class Layer(nn.Module):
  """Attention and MLP, each behind a norm and added to its input."""

  config: LlamaConfig
  cache_length: int = 0

  @nn.compact
  def __call__(self, x, own, positions, biases, common, deterministic):
    """Runs the layer.

    Args:
      x: [N, Q, D].
      own: OfLayer.
      positions: of the queries, [N, Q].
      biases: by window, of own keys, [windows, N, Q, K].
      common: likewise, of shared ones, or None.
      deterministic: no dropout.

    Returns:
      (x, keys and values of these positions).
    """
    cfg = self.config
    shared = None if own.shared is None else Pairs(*own.shared, common[own.window])
    drop = nn.Dropout(cfg.dropout_rate, broadcast_dims=(-2,))
    y = LayerNorm(cfg.dtype, cfg.norm_epsilon, name='pre_attention_layer_norm')(x)
    attention = Attention(cfg, self.cache_length, name='attention')
    y, pair = attention(y, positions, biases[own.window], own.kept, own.added, shared)
    x = x + drop(y, deterministic=deterministic)
    y = LayerNorm(cfg.dtype, cfg.norm_epsilon, name='pre_mlp_layer_norm')(x)
    activations: Mapping[str, str] = {'wi_0': 'silu', 'wi_1': 'linear'}
    mlp = MLP(cfg.mlp_dim, activations, cfg.dtype, cfg.dropout_rate, bias=cfg.mlp_bias, name='mlp')
    return x + drop(mlp(y, own.added.low_rank, deterministic), deterministic=deterministic), pair


class Stack(nn.Module):
  """All layers and the last norm."""

  config: LlamaConfig

  @nn.compact
  def __call__(self, x, positions, key_positions, visible, pairs, added, deterministic, cache_length=0, shared=None):
    """Runs the layers.

    Args:
      x: [N, Q, D].
      positions: of the queries, [N, Q].
      key_positions: of what was kept, then of these or the cache's places, [N, K]; those of a joined prefix, the first ones of
        all, are added here.
      visible: whether a query may attend to a key, windows aside, bool [N, Q, K]; likewise.
      pairs: what was kept; None where nothing was.
      added: the adapter's additions, stacked.
      deterministic: no dropout.
      cache_length: room of the cache; 0 for none.
      shared: what stands before all of that in every row, or None.

    Returns:
      (states after the last norm [N, Q, D], each layer's keys and values of these positions, stacked).
    """
    cfg = self.config
    windows = cfg.windows or (0,) * cfg.num_layers
    kinds = list(dict.fromkeys(windows))
    before = adapters.joined_length(added)
    cfg.rotary.check_length(before + key_positions.shape[1] + (shared.positions.shape[1] if shared else 0))
    biases, common = biases_of(positions, key_positions, visible, kinds, 0 if shared else before), None
    if shared:
      common = biases_of(positions, shared.positions, shared.mask[:, None] > 0, kinds, before)
    window = np.asarray([kinds.index(w) for w in windows])
    of_each = OfLayer(pairs, shared.pairs if shared else None, added, window)
    for_all, cached = (positions, biases, common), bool(cache_length)
    x, made = run_layers(self, Layer, (cfg, cache_length), cfg.num_layers, x, of_each, for_all, deterministic, cached)
    return LayerNorm(cfg.dtype, cfg.norm_epsilon, name='decoder_norm')(x), made


class Decoder(nn.Module):
  """A decoder-only network with an optional adapter, as models.protocol asks for it.

  Attributes:
    config: shape and numerics of the backbone.
    adapter: what trains beside it, or None for the plain network.
  """

  config: LlamaConfig
  adapter: AdapterConfig | None = None

  def setup(self):
    cfg = self.config
    self.token_embedder = Embedder(cfg.vocab_size, cfg.emb_dim, cfg.dtype)
    self.decoder = Stack(cfg)
    if not cfg.logits_via_embedding:
      # float32 logits whatever the activations' dtype, for a stable softmax.
      self.logits_dense = Dense(cfg.vocab_size, ('embed', 'vocab'), jnp.float32)
    if self.adapter is not None and not self.adapter.is_empty:
      self.adapter_module = adapters.Adapter(self.adapter, cfg, name=ADAPTER)
    else:
      self.adapter_module = None

  def read(self, tokens: Int[jax.Array, 'N T'], mask: Int[jax.Array, 'N T'], *, deterministic: bool = True) -> Context:
    """Reads causally; a soft prompt takes P of the context's S positions, a joined prefix those before them."""
    x, own = self.token_embedder(tokens), mask
    added = adapters.NO_ADDITION
    if self.adapter_module is not None:
      added = self.adapter_module.layers(SITE, x, mask)
      # The prompt's states are no part of what a phrasing is read to.
      own = self.adapter_module.around_prompt(mask)
      x, mask = self.adapter_module.insert(x, mask)
    return self._read(x, mask, own, adapters.joined_length(added), added, None, deterministic)

  @property
  def least_shared(self) -> int | None:
    """See protocol.Network: a soft prompt among the tokens is read with what is shared."""
    if self.adapter is None:
      return 1
    return None if self.adapter.generator_dim else max(1, self.adapter.prompt_position or 0)

  def read_behind(self, begun: Context, tokens: Int[jax.Array, 'N T'], mask: Int[jax.Array, 'N T']) -> Context:
    """Reads what follows in each row behind what all begin with; see protocol.Network."""
    shared = Shared(begun.kept.pairs, begun.kept.positions, begun.mask)
    return self._read(self.token_embedder(tokens), mask, mask, _end(begun), begun.kept.added, shared, True)

  def _read(self, x, mask, own, start, added, shared, deterministic):
    """Reads embedded positions causally, the first at position `start`."""
    positions = start + jnp.maximum(jnp.cumsum(mask, axis=1) - 1, 0)
    places = jnp.arange(mask.shape[1])
    visible = (places[None, :] <= places[:, None])[None] & (mask > 0)[:, None, :]
    states, pairs = self.decoder(x, positions, positions, visible, None, added, deterministic, shared=shared)
    return Context(states, mask, own, Kept(pairs, positions, added, shared))

  def answer(
    self, context: Context, tokens: Int[jax.Array, 'N L'], *, deterministic: bool = True, branches: int = 1
  ) -> Answer:
    """Answers teacher-forced. The first token of a row is not read: its place stands for the input's last token."""
    states = _last(context)
    rows, fed = len(tokens), tokens.shape[1] - 1
    if fed:
      places, seen = branch_layout(branches, 1 + fed // branches)
      positions = _end(context) + (places[None, 1:] - 1)
      own = jnp.broadcast_to(jnp.asarray(seen[1:, 1:]), (rows, fed, fed))
      more, _ = self._continue(context, tokens[:, 1:], positions, positions, own, deterministic)
      states = jnp.concatenate([states, more], axis=1)
    return Answer(self._logits(states), states)

  def step(self, context: Context, token: Int[jax.Array, 'N 1'], *, cache_length: int) -> Float[jax.Array, 'N 1 V']:
    """Decodes one cached position; the first token, which stands for the input's last one, is not attended to."""
    rows = len(token)
    position = jnp.zeros((), jnp.int32)
    if self.has_variable('cache', 'index'):
      position = self.get_variable('cache', 'index')
      self.put_variable('cache', 'index', position + 1)
    else:
      self.put_variable('cache', 'index', position)
    start = _end(context) - 1
    places = jnp.arange(cache_length)
    own = jnp.broadcast_to((places > 0) & (places <= position), (rows, 1, cache_length))
    states, _ = self._continue(context, token, start + position, start + places, own, True, cache_length)
    return self._logits(jnp.where(position == 0, _last(context), states))

  def _continue(self, context, tokens, positions, own_positions, own, deterministic, cache_length=0):
    """Runs positions behind a context; `own` says which of their own or the cache's places they see, [N, Q, K]."""
    kept = context.kept
    read = jnp.broadcast_to((context.mask > 0)[:, None], (*tokens.shape, context.mask.shape[1]))
    visible = jnp.concatenate([read, own], axis=2)
    key_positions = jnp.concatenate([kept.positions, own_positions], axis=1)
    x = self.token_embedder(tokens)
    pairs, added = kept.pairs, kept.added
    return self.decoder(x, positions, key_positions, visible, pairs, added, deterministic, cache_length, kept.shared)

  def _logits(self, states: jax.Array) -> jax.Array:
    if not self.config.logits_via_embedding:
      return self.logits_dense(states)
    return wide_product(states, self.token_embedder.embedding.T)

  def __call__(self, tokens: jax.Array, mask: jax.Array, answer_tokens: jax.Array) -> Answer:
    """Reads and answers; makes the parameters."""
    return self.answer(self.read(tokens, mask), answer_tokens)


def _end(context: Context) -> Int[jax.Array, 'N 1']:
  """The position behind each row's last token."""
  shared = context.kept.shared
  before = 0 if shared is None else shared.mask.sum(axis=1)[:, None]
  return adapters.joined_length(context.kept.added) + before + context.mask.sum(axis=1)[:, None]


def _last(context: Context) -> Float[jax.Array, 'N 1 D']:
  """The state of each row's last place that is no padding; a soft prompt may stand behind the padding of a shorter row."""
  last = jnp.argmax(context.mask * jnp.arange(1, context.mask.shape[1] + 1), axis=1)
  return jnp.take_along_axis(context.states, last[:, None, None], axis=1)
