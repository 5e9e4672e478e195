"""What a family of models must give: a network that reads an input, answers behind it, and names its sites for adapters.

A family is a configuration (`NetworkConfig`) and a flax module (`Network`) with three methods:

  read(tokens, mask) -> Context          what the network makes of the input, whatever is asked for behind it
  answer(context, tokens) -> Answer      logits and states of answers, teacher-forced, several behind one context
  step(context, token) -> logits         the same, one position at a time, with a cache that flax holds

and, where what several inputs begin with can be read once for all of them (`least_shared`), a fourth:

  read_behind(begun, tokens, mask) -> Context    reads each row's rest behind the context of what all rows begin with

Decoding, scorers, objectives, representations and adapters use these and nothing else of a family, through the functions
here, which apply a network to parameters.

An answer's tokens come shifted right behind one place, as T5X's features have them. A decoder that attends to an encoding
is fed the padding token there; one that continues the input ignores it, since its first logits are those of the input's
last token.

Shape letters: N rows, T input tokens, S positions of a context (those of a soft prompt included), L answer tokens, D model
width, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
from jaxtyping import Float, Int
import numpy as np

from robust_t5x.adapters import AdapterConfig, Site
from robust_t5x.models.layers import LAYER_STATES

Params = Mapping[str, Any]  # nested parameters; the adapter's stand under ADAPTER
Cache = Mapping[str, Any]  # flax's collection of that name

ADAPTER = 'adapter'
# Where every family keeps its embedding table [V, D].
EMBEDDING = 'token_embedder/embedding'


class Vocabulary(Protocol):
  """What is used of a seqio vocabulary."""

  @property
  def pad_id(self) -> int: ...

  @property
  def eos_id(self) -> int | None: ...

  @property
  def vocab_size(self) -> int: ...

  @property
  def extra_ids(self) -> int: ...

  def encode(self, s: Any) -> Sequence[int]: ...

  def decode(self, ids: Any) -> str: ...


class SpecialIds(NamedTuple):
  """Ids that mean something to the machinery, as the vocabulary has them.

  Attributes:
    pad: padding, which no input and no answer holds.
    end: what answers end with.
    stops: what else ends an output.
  """

  pad: int
  end: int
  stops: tuple[int, ...] = ()

  def ends(self, token: jax.Array) -> jax.Array:
    """Whether a token ends an output, elementwise."""
    ended = token == self.end
    for stop in self.stops:
      ended = ended | (token == stop)
    return ended

  @property
  def begin(self) -> int:
    """What is fed before the first token of an answer; see the module."""
    return self.pad


def special_ids(vocabulary: Vocabulary) -> SpecialIds:
  """The special ids of a vocabulary; -1 as the end, which no token has, where it has none."""
  end = -1 if vocabulary.eos_id is None else vocabulary.eos_id
  return SpecialIds(vocabulary.pad_id, end, tuple(getattr(vocabulary, 'stop_ids', ())))


class Context(NamedTuple):
  """What a network made of its input.

  Attributes:
    states: of the input's positions, after the last norm.
    mask: 1 for what may be attended to.
    pooled: 1 for what a mean over the input is taken of.
    kept: what else the family keeps of the input, such as keys and values.
  """

  states: Float[jax.Array, 'N S D']
  mask: Int[jax.Array, 'N S']
  pooled: Int[jax.Array, 'N S']
  kept: Any = ()


class Answer(NamedTuple):
  """What a network gives behind a context.

  Attributes:
    logits: float32, of the token that follows each position.
    states: the last ones before the output layer.
  """

  logits: Float[jax.Array, 'N L V']
  states: Float[jax.Array, 'N L D']


class Work(NamedTuple):
  """What a forward pass over one row must compute; see training.arithmetic.

  Attributes:
    per_input: weights that each input position is multiplied by.
    per_target: weights that each target position is multiplied by.
    attention: operations of the products of queries, keys and values.
  """

  per_input: int
  per_target: int
  attention: float


class NetworkConfig(Protocol):
  """Shape and numerics of a network; a frozen dataclass."""

  @property
  def vocab_size(self) -> int: ...

  @property
  def emb_dim(self) -> int: ...

  @property
  def num_heads(self) -> int: ...

  @property
  def num_kv_heads(self) -> int:
    """Heads of keys and values; `num_heads` unless several queries share one."""
    ...

  @property
  def dropout_rate(self) -> float: ...

  @property
  def dtype(self) -> str: ...

  @property
  def remat(self) -> bool: ...

  @property
  def scan_layers(self) -> bool: ...

  @property
  def sites(self) -> tuple[Site, ...]:
    """Where adapters attach."""
    ...

  def network(self, adapter: AdapterConfig | None = None) -> 'Network':
    """The network of this configuration, with an adapter if given."""
    ...

  def work(self, shapes: Params, positions: int, targets: int, adapter: AdapterConfig) -> Work:
    """What a forward pass over one row of `positions` input and `targets` answer positions must compute.

    Args:
      shapes: parameters, or their shapes, nested.
      positions: of the input, a soft prompt's included.
      targets: of the answer.
      adapter: what is attended to besides.
    """
    ...


class Network(Protocol):
  """A flax module that keeps to the protocol; its parameters are made by `init(key, tokens, mask, answer tokens)`."""

  @property
  def config(self) -> NetworkConfig: ...

  @property
  def adapter(self) -> AdapterConfig | None: ...

  @property
  def least_shared(self) -> int | None:
    """The fewest tokens that can be read once for all rows that begin with them; None where each row must be read whole.

    A network with a number has `read_behind(begun, tokens, mask)`, where `begun` is the context of one row.
    """
    ...

  def init(self, rngs: jax.Array, *args: Any) -> Any: ...

  def apply(self, variables: Any, *args: Any, **kwargs: Any) -> Any: ...

  def clone(self, *, adapter: AdapterConfig | None) -> 'Network': ...

  def read(self, tokens: jax.Array, mask: jax.Array, *, deterministic: bool = True) -> Context:
    """Reads inputs [N, T]; the mask is 1 for tokens, 0 for padding."""
    ...

  def answer(self, context: Context, tokens: jax.Array, *, deterministic: bool = True, branches: int = 1) -> Answer:
    """Answers teacher-forced; `branches` continuations lie in a row as layers.branch_layout says."""
    ...

  def step(self, context: Context, token: jax.Array, *, cache_length: int) -> jax.Array:
    """Logits [N, 1, V] behind one token [N, 1].

    The first call creates the collection 'cache', with room for `cache_length` positions, and its logits mean nothing;
    every further one consumes a token.
    """
    ...


def build(config: NetworkConfig, adapter: AdapterConfig | None = None) -> Network:
  """The network of a configuration, with an adapter if given: what gin files bind, whatever the family."""
  return config.network(adapter)


def mask_of(tokens: Int[jax.Array, '*b T'] | np.ndarray, pad: int) -> jax.Array:
  """1 for tokens, 0 for padding, int32."""
  return (tokens != pad).astype('int32')


def _dropout(rng: jax.Array | None) -> dict[str, Any]:
  """How a network is applied with dropout, or without where there is no key."""
  return {'deterministic': rng is None, 'rngs': {} if rng is None else {'dropout': rng}}


def read(
  network: Network, params: Params, tokens: jax.Array, pad: int, dropout_rng: jax.Array | None = None
) -> Context:
  """Reads inputs [N, T], padded with the id `pad`; with dropout where a key is given."""
  return network.apply(
    {'params': params},
    tokens,
    mask_of(tokens, pad),
    **_dropout(dropout_rng),
    method='read',
  )


def read_behind(
  network: Network, params: Params, begun: Context | None, tokens: Int[jax.Array, 'N T'], pad: int
) -> Context:
  """Reads inputs of which `begun`, the context of one row, is read already; whole ones where it is None."""
  if begun is None:
    return read(network, params, tokens, pad)
  return network.apply({'params': params}, begun, tokens, mask_of(tokens, pad), method='read_behind')


def read_layers(
  network: Network, params: Params, tokens: jax.Array, pad: int, dropout_rng: jax.Array | None = None
) -> tuple[Context, Float[jax.Array, 'N layers S D']]:
  """As `read`, and gives besides the states behind each layer, the first one first, before the last norm.

  None for a family whose layers do not call layers.keep_states.
  """
  context, kept = network.apply(
    {'params': params},
    tokens,
    mask_of(tokens, pad),
    **_dropout(dropout_rng),
    mutable=[LAYER_STATES],
    method='read',
  )
  states = jax.tree.leaves(kept)
  return context, jax.numpy.stack(states, axis=1) if states else context.states[:, None][:, :0]


def answer(
  network: Network,
  params: Params,
  context: Context,
  tokens: jax.Array,
  branches: int = 1,
  dropout_rng: jax.Array | None = None,
) -> Answer:
  """Answers teacher-forced: tokens [N, L], shifted right; see Network.answer."""
  return network.apply(
    {'params': params},
    context,
    tokens,
    branches=branches,
    **_dropout(dropout_rng),
    method='answer',
  )


def logits(network: Network, params: Params, tokens: jax.Array, answer_tokens: jax.Array, pad: int) -> jax.Array:
  """Teacher-forced logits [N, L, V] of answers [N, L], shifted right, to inputs [N, T]."""
  return answer(network, params, read(network, params, tokens, pad), answer_tokens).logits


def begin(network: Network, params: Params, context: Context, max_length: int, ids: SpecialIds) -> Cache:
  """The cache before the first token of answers of at most `max_length` tokens."""
  start = jax.numpy.full((len(context.mask), 1), ids.begin, 'int32')
  return step(network, params, context, {}, start, max_length)[1]


def step(
  network: Network, params: Params, context: Context, cache: Cache, token: jax.Array, max_length: int
) -> tuple[jax.Array, Cache]:
  """Logits [N, V] behind a token [N, 1], and the cache with it."""
  logits, cache = network.apply(
    {'params': params, **cache}, context, token, cache_length=max_length, mutable=['cache'], method='step'
  )
  return logits[:, 0], cache
