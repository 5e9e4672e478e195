"""Soft prompts: where they go, and that they are as tokens are."""

import hf_llama
import jax
import numpy as np
import pytest
from tiny_adapters import CONFIG, INPUTS, OUTPUTS, build, logits_of

from robust_t5x import adapters
from robust_t5x.models import protocol, robust, t5, trainable
from seqio_tasks.errors import UserError


def test_a_soft_prompt_keeps_padding_hidden():
  """The adapter is seen by every row; what stands in the padding and how much of it there is changes nothing."""
  module, params = build('input')
  encoded, mask, *_ = protocol.read(module, params, INPUTS, 0)
  assert encoded.shape == (2, 7, 8)
  np.testing.assert_array_equal(mask, [[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0]])
  longer = np.pad(INPUTS, [(0, 0), (0, 5)])
  np.testing.assert_allclose(logits_of(module, params, longer), logits_of(module, params), atol=1e-5)


def test_the_adapter_is_what_the_tokens_of_the_same_vectors_would_be():
  """An adapter of the embeddings of three tokens acts as these tokens, its positions included."""
  module, params = build('input')
  tokens = np.array([20, 21, 22])
  flat = trainable.flatten(params)
  flat['adapter/embedding'] = flat['token_embedder/embedding'][tokens]
  with_adapter = logits_of(module, trainable.unflatten(flat))
  plain = t5.Transformer(CONFIG)
  del flat['adapter/embedding']
  inputs = np.concatenate([np.tile(tokens, (2, 1)), INPUTS], axis=1)
  np.testing.assert_allclose(with_adapter, logits_of(plain, trainable.unflatten(flat), inputs), atol=1e-6)


class _Vocabulary:
  """As special ids and places go; no text."""

  pad_id, eos_id, prompt_position = 0, 1, 2


def _tokens_within(inputs, tokens, position):
  rows = np.tile(tokens, (len(inputs), 1))
  return np.concatenate([inputs[:, :position], rows, inputs[:, position:]], axis=1)


@pytest.mark.parametrize('kind', ['t5', 'decoder'])
@pytest.mark.parametrize(('asked', 'position'), [(None, 2), (0, 0)])
def test_the_prompt_stands_where_the_vocabulary_says_or_first(kind, asked, position):
  """Vectors of three tokens act as these tokens at that place, in rows with padding too."""
  if kind == 't5':
    config, params = CONFIG, build('input')[1]
    params = {name: value for name, value in params.items() if name != 'adapter'}
  else:
    network, params, _ = hf_llama.read('qwen2')
    config = network.config
  tokens = np.array([20, 21, 22])
  embedding = np.asarray(params['token_embedder']['embedding'])[tokens]
  model = robust.RobustModel(
    config.network(adapters.AdapterConfig(length=3, prompt_position=asked)), _Vocabulary(), _Vocabulary()
  )
  found = jax.jit(model.logits)({**params, 'adapter': {'embedding': embedding}}, INPUTS, OUTPUTS)
  plain = jax.jit(lambda p, x: protocol.logits(config.network(), p, x, OUTPUTS, 0))
  expected = plain(params, _tokens_within(INPUTS, tokens, position))
  np.testing.assert_allclose(found, expected, atol=1e-5)
  other = plain(params, _tokens_within(INPUTS, tokens, 1))
  assert np.abs(expected - other).max() > 1e-3  # the place matters


def test_a_row_without_the_system_turn_has_the_prompt_behind_it():
  network, params, _ = hf_llama.read('qwen2')
  tokens = np.array([20, 21, 22])
  adapter = {'embedding': np.asarray(params['token_embedder']['embedding'])[tokens]}
  adapted = network.clone(adapter=adapters.AdapterConfig(length=3, prompt_position=2))

  def logits(network, params, row):
    return jax.jit(lambda p: protocol.logits(network, p, np.array([row]), OUTPUTS[:1], 0))(params)

  found = logits(adapted, {**params, 'adapter': adapter}, [5, 0, 0, 0])
  expected = logits(network, params, [5, 20, 21, 22])
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_place_that_is_not_the_models_is_refused():
  module = CONFIG.network(adapters.AdapterConfig(length=3, prompt_position=7))
  with pytest.raises(
    UserError, match='stands behind 7 tokens of the input, and this model has 2 in front of its place'
  ):
    robust.RobustModel(module, _Vocabulary(), _Vocabulary())
