"""The T5 encoder-decoder in flax.linen, with a place for trainable adapters.

Covers T5.1.1 (gated GELU, separate output layer) and T5 1.0 (ReLU, tied output layer) by configuration. Parameter
names, shapes and logical axes are those of T5X's checkpoints, so that a published checkpoint loads without renaming.
Adapter parameters stand apart, under `adapter`, and take part only where they exist.

Shape letters: N rows (batch × phrasings), P prompt length, T input tokens, S = P + T, L target tokens, D model width,
H heads, F head width, V vocabulary.
"""

import dataclasses
import math

from flax import linen as nn
from flax import traverse_util
from flax.linen import partitioning
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float, Int
import numpy as np

from robust_t5x import adapters
from robust_t5x.adapters import AdapterConfig, LayerAdapter, Projection, Side, Site
from robust_t5x.models.layers import MASKED, MLP, Dense, Embedder, LayerNorm, branch_layout, mask_bias, run_layers
from robust_t5x.models.protocol import ADAPTER, Answer, Context, Params, Work


@dataclasses.dataclass(frozen=True)
class T5Config:
  """Shape and numerics of a T5 network.

  Attributes:
    vocab_size: rows of the embedding table V; at least the vocabulary's size.
    emb_dim: model width D.
    num_heads: attention heads H.
    head_dim: width of a head F.
    num_encoder_layers: encoder layers.
    num_decoder_layers: decoder layers.
    mlp_dim: inner width of the MLP.
    mlp_activations: ('gelu', 'linear') for T5.1.1's gated unit, ('relu',) for T5 1.0.
    logits_via_embedding: output layer tied to the embedding (T5 1.0) or separate (T5.1.1).
    dropout_rate: dropout probability, applied only where a call asks for it.
    dtype: dtype of activations, 'float32' or 'bfloat16'; parameters keep the dtype they are stored in.
    remat: recompute each layer's activations in the backward pass instead of keeping them.
    scan_layers: run the layers as one loop, which compiles in the time of one but copies their weights; see layers.run_layers.
    relpos_buckets: buckets of the relative position bias.
    relpos_max_distance: distance from which on all positions share the last bucket.
  """

  vocab_size: int
  emb_dim: int
  num_heads: int
  head_dim: int
  num_encoder_layers: int
  num_decoder_layers: int
  mlp_dim: int
  mlp_activations: tuple[str, ...] = ('gelu', 'linear')
  logits_via_embedding: bool = False
  dropout_rate: float = 0.0
  dtype: str = 'float32'
  remat: bool = False
  scan_layers: bool = False
  relpos_buckets: int = 32
  relpos_max_distance: int = 128

  @property
  def mlp_inputs(self) -> tuple[str, ...]:
    """Names of the MLP's projections to its inner width."""
    gated = len(self.mlp_activations) > 1
    return tuple(f'wi_{i}' if gated else 'wi' for i in range(len(self.mlp_activations)))

  def mlp(self) -> MLP:
    """The MLP of a layer."""
    return MLP(
      self.mlp_dim,
      dict(zip(self.mlp_inputs, self.mlp_activations, strict=True)),
      self.dtype,
      self.dropout_rate,
      name='mlp',
    )

  @property
  def num_kv_heads(self) -> int:
    """See protocol.NetworkConfig."""
    return self.num_heads

  @property
  def sites(self) -> tuple[Site, ...]:
    """The encoder's attention, the decoder's to itself, and the decoder's to the encoding; MLPs go with the first two."""
    width, heads = Side((self.emb_dim,), ('embed',)), Side((self.num_heads, self.head_dim), ('heads', 'kv'))
    inner = Side((self.mlp_dim,), ('mlp',))
    attention = tuple(Projection(name, width, heads) for name in ('query', 'key', 'value'))
    attention += (Projection('out', heads, width),)
    mlp = (*(Projection(name, width, inner) for name in self.mlp_inputs), Projection('wo', inner, width))
    shape = (self.num_heads, self.head_dim)
    return (
      Site('encoder', self.num_encoder_layers, *shape, attention + mlp, reads=True),
      Site('decoder', self.num_decoder_layers, *shape, attention + mlp),
      Site('cross', self.num_decoder_layers, *shape, attention),
    )

  def network(self, adapter: AdapterConfig | None = None) -> 'Transformer':
    """See protocol.NetworkConfig."""
    return Transformer(self, adapter)

  def work(self, shapes: Params, positions: int, targets: int, adapter: AdapterConfig) -> Work:
    """See protocol.NetworkConfig."""
    per_input = per_target = 0
    for path, x in traverse_util.flatten_dict(dict(shapes), sep='/').items():
      if path.endswith('/kernel'):
        # The decoder computes the keys and values of the encoding once for every encoder position.
        of_encoding = path.startswith('encoder/') or path.endswith(
          ('encoder_decoder_attention/key/kernel', 'encoder_decoder_attention/value/kernel')
        )
        per_input += math.prod(x.shape) * of_encoding
        per_target += math.prod(x.shape) * (not of_encoding)
    if self.logits_via_embedding:
      per_target += self.vocab_size * self.emb_dim
    prefix = {site.name: adapter.prefix_length(site) for site in self.sites}
    pairs = self.num_encoder_layers * positions * (positions + prefix['encoder'])
    pairs += self.num_decoder_layers * targets * (targets + positions + prefix['decoder'])
    return Work(per_input, per_target, 4 * pairs * self.num_heads * self.head_dim)


def relative_position_buckets(
  query_length: int, key_length: int, bidirectional: bool, num_buckets: int, max_distance: int
) -> np.ndarray:
  """Bucket of every (query, key) pair: exact for near positions, logarithmic further away.

  Args:
    query_length: number of query positions.
    key_length: number of key positions.
    bidirectional: whether keys after the query get buckets of their own (encoder) or share bucket 0 (decoder).
    num_buckets: buckets in all.
    max_distance: distance from which on the last bucket is used.

  Returns:
    int32 [query_length, key_length], values in [0, num_buckets).

  Source: Raffel et al. 2020, section 2.1.
  """
  offset = np.arange(key_length)[None, :] - np.arange(query_length)[:, None]
  first = np.zeros_like(offset)
  if bidirectional:
    num_buckets //= 2
    first = np.where(offset > 0, num_buckets, 0)
    distance = np.abs(offset)
  else:
    distance = np.maximum(-offset, 0)
  exact = num_buckets // 2
  # float32 as in the reference, since a bucket boundary can fall on a power of two.
  ratio = np.maximum(distance, 1).astype(np.float32) / np.float32(exact)
  far = exact + (
    np.log(ratio + np.finfo(np.float32).eps) / np.log(max_distance / exact) * (num_buckets - exact)
  ).astype(np.int32)
  bucket = np.where(distance < exact, distance, np.minimum(far, num_buckets - 1))
  return (first + bucket).astype(np.int32)


class RelativePositionBias(nn.Module):
  """One learned bias per head and bucket, added to the attention logits."""

  config: T5Config
  bidirectional: bool

  @nn.compact
  def __call__(self, positions: np.ndarray, before: int = 0) -> jax.Array:
    """Returns the bias between `positions` [Q], [1, H, Q, before + Q]; the first keys stand before position 0."""
    cfg = self.config
    table = partitioning.param_with_axes(
      'rel_embedding',
      nn.initializers.variance_scaling(1.0, 'fan_avg', 'uniform'),
      (cfg.num_heads, cfg.relpos_buckets),
      jnp.float32,
      axes=('heads', 'relpos_buckets'),
    )
    places = before + positions
    length = int(places.max()) + 1
    buckets = relative_position_buckets(length, length, self.bidirectional, cfg.relpos_buckets, cfg.relpos_max_distance)
    buckets = buckets[np.ix_(places, np.concatenate([np.arange(before), places]))]
    return jnp.asarray(table, cfg.dtype)[:, buckets][None]


class Attention(nn.Module):
  """Multi-head dot-product attention, T5's way: no scaling by the head's width, no bias terms."""

  config: T5Config

  @nn.compact
  def __call__(
    self,
    queries: jax.Array,
    keys: jax.Array,
    bias: jax.Array | None,
    *,
    adapter: LayerAdapter = adapters.NO_ADDITION,
    cache: str | None = None,
    cache_length: int = 0,
    deterministic: bool = True,
  ) -> jax.Array:
    """Attends.

    Args:
      queries: [N, Q, D].
      keys: [N, K, D], also the values' source.
      bias: additive mask and position bias, broadcastable to [N, H, Q, K], or None.
      adapter: trainable key-value pairs that every query may attend to besides, and additions to projections.
      cache: None; 'self' to append this one position to the cached keys; 'cross' to compute the keys once and keep
        them.
      cache_length: room of the 'self' cache.
      deterministic: no dropout.

    Returns:
      [N, Q, D].
    """
    cfg = self.config

    def project(inputs, name, scale=1.0):
      width = cfg.num_heads * cfg.head_dim
      out = Dense(width, ('embed', 'joined_kv'), cfg.dtype, scale, name=name)(inputs)
      out = out.reshape(*out.shape[:-1], cfg.num_heads, cfg.head_dim)
      return adapters.add_low_rank(out, inputs, adapter.low_rank.get(name))

    # T5 folds the division by sqrt(F) into the initialisation of the query projection.
    query = project(queries, 'query', 1.0 / cfg.head_dim)
    key: jax.Array
    value: jax.Array
    if cache == 'cross' and self.has_variable('cache', 'cross_key'):
      key = self.get_variable('cache', 'cross_key')
      value = self.get_variable('cache', 'cross_value')
    else:
      key = project(keys, 'key')
      value = project(keys, 'value')
      if cache == 'cross':
        self.put_variable('cache', 'cross_key', key)
        self.put_variable('cache', 'cross_value', value)
      elif cache == 'self':
        key, value, bias = self._append_to_cache(key, value, bias, cache_length)

    key, value = adapters.join_prefix(adapter.prefix, key, value)
    logits = jnp.einsum('nqhf,nkhf->nhqk', query, key)
    if bias is not None:
      logits = logits + bias
    # The softmax is divided by its sum after the product with the values, not before, which both ways saves a pass over
    # all pairs of positions.
    logits = logits.astype(jnp.float32)
    raised = jnp.exp(logits - lax.stop_gradient(logits.max(axis=-1, keepdims=True)))
    total = raised.sum(axis=-1).swapaxes(1, 2)[..., None]  # [N, Q, H, 1]
    raised = nn.Dropout(cfg.dropout_rate, broadcast_dims=(-2,))(raised.astype(cfg.dtype), deterministic=deterministic)
    out = (jnp.einsum('nhqk,nkhf->nqhf', raised, value) / total).astype(cfg.dtype)
    if adapter.prefix is not None and adapter.prefix.gate is not None:
      out = out + adapters.attend_to_prefix(query, adapter.prefix)
    joined = out.reshape(*out.shape[:-2], cfg.num_heads * cfg.head_dim)
    projected = Dense(queries.shape[-1], ('joined_kv', 'embed'), cfg.dtype, name='out')(joined)
    return adapters.add_low_rank(projected, out, adapter.low_rank.get('out'))

  def _append_to_cache(self, key, value, bias, length):
    """Writes one position into the cache; returns all cached keys, values, and the bias of this position's row."""
    initialised = self.has_variable('cache', 'cached_key')
    shape = (key.shape[0], length, *key.shape[2:])
    cached_key = self.variable('cache', 'cached_key', jnp.zeros, shape, key.dtype)
    cached_value = self.variable('cache', 'cached_value', jnp.zeros, shape, value.dtype)
    index = self.variable('cache', 'cache_index', lambda: jnp.zeros((), jnp.int32))
    if not initialised:
      return key, value, None
    position = index.value
    cached_key.value = lax.dynamic_update_slice_in_dim(cached_key.value, key, position, axis=1)
    cached_value.value = lax.dynamic_update_slice_in_dim(cached_value.value, value, position, axis=1)
    index.value = position + 1
    row = lax.dynamic_slice_in_dim(bias, position, 1, axis=2)
    return cached_key.value, cached_value.value, row


def _prefixed_bias(mask: jax.Array, before: int, dtype: str) -> jax.Array:
  """The additive bias [N, 1, 1, before + S] of a mask [N, S] behind `before` places that everything may attend to."""
  return mask_bias(jnp.pad(mask, [(0, 0), (before, 0)], constant_values=1), dtype)


class EncoderLayer(nn.Module):
  """Self-attention and MLP, each behind a norm and added to its input."""

  config: T5Config

  @nn.compact
  def __call__(self, x, adapter, bias, deterministic):
    """x [N, S, D] -> (x, nothing besides)."""
    cfg = self.config
    drop = nn.Dropout(cfg.dropout_rate, broadcast_dims=(-2,))
    y = LayerNorm(cfg.dtype, name='pre_attention_layer_norm')(x)
    y = Attention(cfg, name='attention')(y, y, bias, adapter=adapter, deterministic=deterministic)
    x = x + drop(y, deterministic=deterministic)
    y = LayerNorm(cfg.dtype, name='pre_mlp_layer_norm')(x)
    y = cfg.mlp()(y, adapter.low_rank, deterministic)
    return x + drop(y, deterministic=deterministic), ()


class DecoderLayer(nn.Module):
  """Causal self-attention, attention to the encoding, and MLP."""

  config: T5Config
  cached: bool = False
  cache_length: int = 0

  @nn.compact
  def __call__(self, x, added, encoded, self_bias, cross_bias, deterministic):
    """x [N, L, D], what is added to the attention to itself and to the encoding -> (x, nothing besides)."""
    cfg = self.config
    adapter, cross_adapter = added
    drop = nn.Dropout(cfg.dropout_rate, broadcast_dims=(-2,))
    y = LayerNorm(cfg.dtype, name='pre_self_attention_layer_norm')(x)
    y = Attention(cfg, name='self_attention')(
      y,
      y,
      self_bias,
      adapter=adapter,
      cache='self' if self.cached else None,
      cache_length=self.cache_length,
      deterministic=deterministic,
    )
    x = x + drop(y, deterministic=deterministic)
    y = LayerNorm(cfg.dtype, name='pre_cross_attention_layer_norm')(x)
    y = Attention(cfg, name='encoder_decoder_attention')(
      y,
      encoded,
      cross_bias,
      adapter=cross_adapter,
      cache='cross' if self.cached else None,
      deterministic=deterministic,
    )
    x = x + drop(y, deterministic=deterministic)
    y = LayerNorm(cfg.dtype, name='pre_mlp_layer_norm')(x)
    y = cfg.mlp()(y, adapter.low_rank, deterministic)
    return x + drop(y, deterministic=deterministic), ()


class Encoder(nn.Module):
  """The encoder's stack."""

  config: T5Config

  @nn.compact
  def __call__(self, x, mask, adapter, deterministic):
    """x [N, S, D], mask [N, S] (1 = attend) -> [N, S, D]."""
    cfg = self.config
    drop = nn.Dropout(cfg.dropout_rate, broadcast_dims=(-2,))
    before = adapters.joined_length(adapter)
    bias = RelativePositionBias(cfg, True, name='relpos_bias')(np.arange(x.shape[1]), before)
    bias = bias + _prefixed_bias(mask, before, cfg.dtype)
    x = drop(x, deterministic=deterministic)
    x, _ = run_layers(self, EncoderLayer, (cfg,), cfg.num_encoder_layers, x, adapter, (bias,), deterministic)
    x = LayerNorm(cfg.dtype, name='encoder_norm')(x)
    return drop(x, deterministic=deterministic)


class Decoder(nn.Module):
  """The decoder's stack and the output layer where it is not tied."""

  config: T5Config

  @nn.compact
  def __call__(self, x, encoded, encoded_mask, adapter, cross_adapter, deterministic, cached, cache_length, branches=1):
    """x [N, L, D], encoded [N, S, D], encoded_mask [N, S] -> logits [N, L, V], None where tied, and states [N, L, D]."""
    cfg = self.config
    drop = nn.Dropout(cfg.dropout_rate, broadcast_dims=(-2,))
    length = cache_length if cached else 1 + (x.shape[1] - 1) // branches
    positions, visible = branch_layout(branches, length)
    before = adapters.joined_length(adapter)
    bias = RelativePositionBias(cfg, False, name='relpos_bias')(positions, before)
    visible = np.pad(visible, [(0, 0), (before, 0)], constant_values=True)
    bias = bias + jnp.where(visible, 0.0, MASKED).astype(cfg.dtype)
    cross_bias = _prefixed_bias(encoded_mask, adapters.joined_length(cross_adapter), cfg.dtype)
    x = drop(x, deterministic=deterministic)
    own, added, shared = (cfg, cached, cache_length), (adapter, cross_adapter), (encoded, bias, cross_bias)
    x, _ = run_layers(self, DecoderLayer, own, cfg.num_decoder_layers, x, added, shared, deterministic, cached)
    x = LayerNorm(cfg.dtype, name='decoder_norm')(x)
    x = drop(x, deterministic=deterministic)
    if cfg.logits_via_embedding:
      return None, x
    # float32 logits whatever the activations' dtype, for a stable softmax.
    return Dense(cfg.vocab_size, ('embed', 'vocab'), jnp.float32, name='logits_dense')(x), x


class Transformer(nn.Module):
  """T5 with an optional adapter, as models.protocol asks for it.

  Attributes:
    config: shape and numerics of the backbone.
    adapter: what trains beside it, or None for the plain network.
  """

  config: T5Config
  adapter: AdapterConfig | None = None

  def setup(self):
    cfg = self.config
    self.token_embedder = Embedder(cfg.vocab_size, cfg.emb_dim, cfg.dtype)
    self.encoder = Encoder(cfg)
    self.decoder = Decoder(cfg)
    if self.adapter is not None and not self.adapter.is_empty:
      self.adapter_module = adapters.Adapter(self.adapter, cfg, name=ADAPTER)
    else:
      self.adapter_module = None

  @property
  def least_shared(self) -> None:
    """Nothing is shared: an encoder's states, the first one's too, depend on all that follows; see protocol.Network."""

  def read(self, tokens: Int[jax.Array, 'N T'], mask: Int[jax.Array, 'N T'], *, deterministic: bool = True) -> Context:
    """Encodes; a soft prompt takes P of the context's S positions."""
    x = self.token_embedder(tokens)
    added = self._added('encoder', x, mask)
    if self.adapter_module is not None:
      x, mask = self.adapter_module.insert(x, mask)
    return Context(self.encoder(x, mask, added, deterministic), mask, mask)

  def answer(
    self,
    context: Context,
    tokens: Int[jax.Array, 'N L'],
    *,
    deterministic: bool = True,
    branches: int = 1,
  ) -> Answer:
    """Decodes teacher-forced: logits and states at every token."""
    return self._decode(context, tokens, deterministic, branches=branches)

  def step(self, context: Context, token: Int[jax.Array, 'N 1'], *, cache_length: int) -> Float[jax.Array, 'N 1 V']:
    """Decodes one cached position."""
    return self._decode(context, token, True, cached=True, cache_length=cache_length).logits

  def _decode(self, context, tokens, deterministic, cached=False, cache_length=0, branches=1) -> Answer:
    x = self.token_embedder(tokens)
    own, cross = self._added('decoder'), self._added('cross')
    logits, states = self.decoder(
      x, context.states, context.mask, own, cross, deterministic, cached, cache_length, branches
    )
    return Answer(self.token_embedder.attend(states) if logits is None else logits, states)

  def _added(self, site: str, *inputs: jax.Array) -> LayerAdapter:
    return adapters.NO_ADDITION if self.adapter_module is None else self.adapter_module.layers(site, *inputs)

  def __call__(self, tokens: jax.Array, mask: jax.Array, answer_tokens: jax.Array) -> Answer:
    """Reads and answers; makes the parameters."""
    return self.answer(self.read(tokens, mask), answer_tokens)
