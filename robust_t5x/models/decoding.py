"""Scores of given options, greedy outputs, states: what a network computes in evaluation, for jit.

Shape letters: B batch, T input tokens, L target tokens, C options, D model width, V vocabulary.
"""

from collections.abc import Callable

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float, Int

from robust_t5x.models import protocol
from robust_t5x.models.protocol import Context, Network, Params, SpecialIds

# The most steps of the greedy decode that `score_free_running` reads, as in InstructionEval's code.
FREE_RUNNING_STEPS = 32


def score_options(
  network: Network,
  params: Params,
  inputs: Int[jax.Array, 'B T'],
  options: Int[jax.Array, 'B C L'],
  ids: SpecialIds,
  begun: Context | None = None,
) -> Float[jax.Array, 'B C']:
  """Log-likelihood of every option of every input.

  Each input is read once, and so is the first step of the answer, which all options share; the options follow it side by
  side in one row.

  Args:
    network: the network.
    params: all parameters.
    inputs: tokens, padded.
    options: each option's tokens with its end token, padded.
    ids: the special ids.
    begun: the context of what all inputs begin with, of one row, which `inputs` then lack; None for whole inputs.

  Returns:
    Sums over the options' tokens, float32, in nats; 0 for an option that is all padding.
  """
  return _score(_option_logits(network, params, inputs, options, ids, begun), options, ids)


def score_continuations(
  network: Network,
  params: Params,
  inputs: Int[jax.Array, 'B T'],
  options: Int[jax.Array, 'B C L'],
  ids: SpecialIds,
  begun: Context | None = None,
) -> Float[jax.Array, 'B C 2']:
  """As `score_options`, with 1 beside the score of what a greedy decode would begin with, and 0 beside the others."""
  logits = _option_logits(network, params, inputs, options, ids, begun)
  examples, choices, length = options.shape
  guesses = logits.argmax(axis=-1)
  first, rest = guesses[:, :1, None], guesses[:, 1:].reshape(examples, choices, length - 1)
  guesses = jnp.concatenate([jnp.broadcast_to(first, (examples, choices, 1)), rest], axis=-1)
  greedy = ((guesses == options) | (options == ids.pad)).all(axis=-1)
  return jnp.stack([_score(logits, options, ids), greedy.astype(jnp.float32)], axis=-1)


def _option_logits(
  network: Network, params: Params, inputs: jax.Array, options: jax.Array, ids: SpecialIds, begun: Context | None
) -> Float[jax.Array, 'B S V']:
  """Logits of the first step, which all options share, and of the further steps of each: S is 1 + C (L - 1)."""
  examples, choices, _ = options.shape
  context = protocol.read_behind(network, params, begun, inputs, ids.pad)
  fed = jnp.pad(options[:, :, :-1].reshape(examples, -1), [(0, 0), (1, 0)], constant_values=ids.begin)
  return protocol.answer(network, params, context, fed, branches=choices).logits


def _score(logits: jax.Array, options: jax.Array, ids: SpecialIds) -> Float[jax.Array, 'B C']:
  totals = jax.nn.logsumexp(logits, axis=-1)
  first, rest = options[:, :, 0], options[:, :, 1:]
  first_scores = jnp.take_along_axis(logits[:, 0], first, axis=-1) - totals[:, :1]
  rest_scores = jnp.take_along_axis(logits[:, 1:], rest.reshape(len(options), -1, 1), axis=-1)[..., 0] - totals[:, 1:]
  return first_scores * (first != ids.pad) + (rest_scores.reshape(rest.shape) * (rest != ids.pad)).sum(axis=-1)


def score_free_running(
  network: Network,
  params: Params,
  inputs: Int[jax.Array, 'B T'],
  options: Int[jax.Array, 'B C L'],
  ids: SpecialIds,
  begun: Context | None = None,
) -> Float[jax.Array, 'B C']:
  """Log of the product of the options' probabilities along the model's own greedy output; not a likelihood.

  The number of InstructionEval's code (Sun et al. 2024): the softmax of each step of a greedy decode is read at the
  option's token of that position, and multiplied over the positions of the input's shortest option, its end token
  included, at most 32. The step after a wrong token is conditioned on that token, and after the end on padding. That
  code stops once every output of a batch has ended, even before that position; here every position counts.

  Args:
    network: the network.
    params: all parameters.
    inputs: tokens, padded.
    options: each option's tokens with its end token, padded; all padding where there is none.
    ids: the special ids.
    begun: see `score_options`.

  Returns:
    float32, in nats: the logarithm tells products apart that float32 rounds to 0.
  """
  length = min(options.shape[-1], FREE_RUNNING_STEPS)
  lengths = (options != ids.pad).sum(axis=-1)
  shortest = jnp.where(lengths > 0, lengths, length).min(axis=1)  # [B]

  def look(scores, position, logits, ended):
    del ended
    tokens = lax.dynamic_index_in_dim(options, position, axis=2, keepdims=False)
    log_p = jnp.take_along_axis(logits, tokens, axis=-1) - jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    return scores + jnp.where(position < shortest[:, None], log_p, 0.0)

  scores = jnp.zeros(options.shape[:2], jnp.float32)
  steps = shortest.max()
  return _decode(network, params, inputs, length, ids, begun, lambda position, _: position < steps, look, scores)[1]


def decode_greedily(
  network: Network,
  params: Params,
  inputs: Int[jax.Array, 'B T'],
  max_length: int,
  ids: SpecialIds,
  begun: Context | None = None,
) -> tuple[Int[jax.Array, 'B L'], Float[jax.Array, ' B']]:
  """Decodes greedily with a cache, stopping when every row has ended.

  Args:
    network: the network.
    params: all parameters.
    inputs: tokens, padded.
    max_length: most tokens L of an output, the end token included.
    ids: the special ids.
    begun: see `score_options`.

  Returns:
    (tokens, padding after the one that ended the output; the outputs' log-likelihood, float32, in nats).
  """

  def look(scores, position, logits, ended):
    del position
    return scores + jnp.where(ended, 0.0, logits.max(axis=-1) - jax.nn.logsumexp(logits, axis=-1))

  scores = jnp.zeros(inputs.shape[:1], jnp.float32)
  return _decode(network, params, inputs, max_length, ids, begun, lambda _, ended: ~ended.all(), look, scores)


def read_states(
  network: Network, params: Params, inputs: Int[jax.Array, 'B T'], ids: SpecialIds
) -> tuple[Float[jax.Array, 'B D'], Float[jax.Array, 'B D'], Float[jax.Array, 'B V'], Float[jax.Array, 'B layers D']]:
  """What a network makes of inputs, float32.

  Returns:
    (mean over the states that were read; the state of the answer's first position; log-probabilities of its first token; the
    mean behind each layer).
  """
  context, layers = protocol.read_layers(network, params, inputs, ids.pad)
  weights = context.pooled.astype(jnp.float32)
  weights = weights / jnp.maximum(weights.sum(axis=1, keepdims=True), 1.0)
  mean = jnp.einsum('ns,nsd->nd', weights, context.states.astype(jnp.float32))
  by_layer = jnp.einsum('ns,nlsd->nld', weights, layers.astype(jnp.float32))
  first = protocol.answer(network, params, context, jnp.full((len(inputs), 1), ids.begin, jnp.int32))
  return mean, first.states[:, 0].astype(jnp.float32), jax.nn.log_softmax(first.logits[:, 0], axis=-1), by_layer


def _decode(
  network: Network,
  params: Params,
  inputs: jax.Array,
  max_length: int,
  ids: SpecialIds,
  begun: Context | None,
  go_on: Callable[[jax.Array, jax.Array], jax.Array],
  look: Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array],
  found: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """A greedy decode of at most `max_length` steps, while `go_on(position, ended)`; a row that has ended gets padding.

  `look(found, position, logits, ended)` takes what is asked for from each step's logits [B, V]. Returns the tokens
  [B, max_length] and what was found.
  """
  rows = inputs.shape[0]
  context = protocol.read_behind(network, params, begun, inputs, ids.pad)

  def unfinished(state):
    position, _, _, _, ended, _ = state
    return (position < max_length) & go_on(position, ended)

  def advance(state):
    position, token, tokens, found, ended, cache = state
    logits, cache = protocol.step(network, params, context, cache, token[:, None], max_length)
    found = look(found, position, logits, ended)
    token = jnp.where(ended, ids.pad, logits.argmax(axis=-1).astype(jnp.int32))
    tokens = lax.dynamic_update_slice_in_dim(tokens, token[:, None], position, axis=1)
    return position + 1, token, tokens, found, ended | ids.ends(token), cache

  start = jnp.full((rows,), ids.begin, jnp.int32)
  cache = protocol.begin(network, params, context, max_length, ids)
  tokens = jnp.full((rows, max_length), ids.pad, jnp.int32)
  state = (0, start, tokens, found, jnp.zeros((rows,), bool), cache)
  _, _, tokens, found, _, _ = lax.while_loop(unfinished, advance, state)
  return tokens, found
