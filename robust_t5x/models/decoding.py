"""Scores of given options and greedy outputs: what a network computes in evaluation, for jit.

Shape letters: B batch, T input tokens, L target tokens, C options, V vocabulary.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from robust_t5x.models import t5

# The most steps of the greedy decode that `score_free_running` reads, as in InstructionEval's code.
FREE_RUNNING_STEPS = 32


def score_options(module: t5.Transformer, params: Mapping[str, Any], inputs: jax.Array, options: jax.Array):
  """Log-likelihood of every option of every input.

  Each input is encoded once, its keys and values for the decoder are computed once, and so is the first decoder step,
  which all options share; the options follow it side by side in one row.

  Args:
    module: the network.
    params: all parameters.
    inputs: int [B, T].
    options: int [B, C, L], each option's tokens with its end token, 0 after it.

  Returns:
    float32 [B, C], summed over tokens, in nats; 0 for an option that is all padding.
  """
  examples, choices, _ = options.shape
  variables = {'params': params}
  encoded, mask = module.apply(variables, inputs, method=module.encode)
  fed = jnp.pad(options[:, :, :-1].reshape(examples, -1), [(0, 0), (1, 0)])
  logits = module.apply(variables, encoded, mask, fed, branches=choices, method=module.decode)
  totals = jax.nn.logsumexp(logits, axis=-1)  # [B, 1 + C (L - 1)]
  first, rest = options[:, :, 0], options[:, :, 1:]
  first_scores = jnp.take_along_axis(logits[:, 0], first, axis=-1) - totals[:, :1]
  rest_scores = jnp.take_along_axis(logits[:, 1:], rest.reshape(examples, -1, 1), axis=-1)[..., 0] - totals[:, 1:]
  return first_scores * (first > 0) + (rest_scores.reshape(rest.shape) * (rest > 0)).sum(axis=-1)


def score_free_running(
  module: t5.Transformer, params: Mapping[str, Any], inputs: jax.Array, options: jax.Array, eos: int
) -> jax.Array:
  """Log of the product of the options' probabilities along the model's own greedy output; not a likelihood.

  The number of InstructionEval's code (Sun et al. 2024): the softmax of each step of a greedy decode is read at the
  option's token of that position, and multiplied over the positions of the input's shortest option, its end token
  included, at most 32. The step after a wrong token is conditioned on that token, and after the end on padding. That
  code stops once every output of a batch has ended, even before that position; here every position counts.

  Args:
    module: the network.
    params: all parameters.
    inputs: int [B, T].
    options: int [B, C, L], each option's tokens with its end token, 0 after it; all 0 where there is none.
    eos: the end token.

  Returns:
    float32 [B, C], in nats: the logarithm tells products apart that float32 rounds to 0.
  """
  length = min(options.shape[-1], FREE_RUNNING_STEPS)
  lengths = (options > 0).sum(axis=-1)
  shortest = jnp.where(lengths > 0, lengths, length).min(axis=1)  # [B]

  def read(scores, position, logits, ended):
    del ended
    tokens = lax.dynamic_index_in_dim(options, position, axis=2, keepdims=False)
    log_p = jnp.take_along_axis(logits, tokens, axis=-1) - jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    return scores + jnp.where(position < shortest[:, None], log_p, 0.0)

  scores = jnp.zeros(options.shape[:2], jnp.float32)
  steps = shortest.max()
  return _decode(module, params, inputs, length, eos, lambda position, _: position < steps, read, scores)[1]


def decode_greedily(
  module: t5.Transformer, params: Mapping[str, Any], inputs: jax.Array, max_length: int, eos: int
) -> tuple[jax.Array, jax.Array]:
  """Decodes greedily with cached keys and values, stopping when every row has ended.

  Args:
    module: the network.
    params: all parameters.
    inputs: int [B, T].
    max_length: most tokens of an output, the end token included.
    eos: the end token.

  Returns:
    (int [B, max_length], 0 after the end token; float32 [B], the outputs' log-likelihood in nats).
  """

  def read(scores, position, logits, ended):
    del position
    return scores + jnp.where(ended, 0.0, logits.max(axis=-1) - jax.nn.logsumexp(logits, axis=-1))

  scores = jnp.zeros(inputs.shape[:1], jnp.float32)
  return _decode(module, params, inputs, max_length, eos, lambda _, ended: ~ended.all(), read, scores)


def _decode(
  module: t5.Transformer,
  params: Mapping[str, Any],
  inputs: jax.Array,
  max_length: int,
  eos: int,
  go_on: Callable[[jax.Array, jax.Array], jax.Array],
  read: Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array],
  found: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """A greedy decode of at most `max_length` steps, while `go_on(position, ended)`; a row that has ended gets padding.

  `read(found, position, logits, ended)` takes what is asked for from each step's logits [B, V]. Returns the tokens
  [B, max_length] and what was found.
  """
  rows = inputs.shape[0]
  variables = {'params': params}
  encoded, mask = module.apply(variables, inputs, method=module.encode)

  def step(cache, token):
    return module.apply(
      {**variables, **cache},
      encoded,
      mask,
      token[:, None],
      cached=True,
      cache_length=max_length,
      mutable=['cache'],
      method=module.decode,
    )

  def unfinished(state):
    position, _, _, _, ended, _ = state
    return (position < max_length) & go_on(position, ended)

  def advance(state):
    position, token, tokens, found, ended, cache = state
    logits, cache = step(cache, token)
    logits = logits[:, 0]
    found = read(found, position, logits, ended)
    token = jnp.where(ended, 0, logits.argmax(axis=-1).astype(jnp.int32))
    tokens = lax.dynamic_update_slice_in_dim(tokens, token[:, None], position, axis=1)
    return position + 1, token, tokens, found, ended | (token == eos), cache

  start = jnp.zeros((rows,), jnp.int32)
  _, cache = step({}, start)
  state = (0, start, jnp.zeros((rows, max_length), jnp.int32), found, jnp.zeros((rows,), bool), cache)
  _, _, tokens, found, _, _ = lax.while_loop(unfinished, advance, state)
  return tokens, found
