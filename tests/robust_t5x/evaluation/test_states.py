"""States of a model under many inputs: those of the network itself, with its adapter and without."""

import math

import numpy as np
import pytest
import scipy.special

from robust_t5x import objectives
from robust_t5x.analysis.representation import distance
from robust_t5x.evaluation.states import Runner, without_adapter


def test_states_are_those_of_the_model(tiny_checkpoint):
  from robust_t5x.checkpoints import loading

  model, params = loading.load(str(tiny_checkpoint))
  inputs = [np.array([5, 9, 1]), np.array([7, 8, 6, 4, 1])]
  encoder, decoder, output = Runner(model, params, 4)(inputs)
  tokens = np.zeros((1, 2, 5), np.int32)
  for row, ids in zip(tokens[0], inputs, strict=True):
    row[: len(ids)] = ids
  batch = {
    'encoder_input_tokens': tokens,
    'decoder_input_tokens': np.zeros((1, 1), np.int32),
    'decoder_target_tokens': np.ones((1, 1), np.int32),
  }
  branches = model.branches(params, batch)
  expected = float(objectives.encoder_cosine(branches))
  assert distance(encoder[0], encoder[1], 'cosine') == pytest.approx(expected, abs=1e-5)
  logits = np.asarray(branches.logits[0, :, 0])
  np.testing.assert_allclose(output, logits - scipy.special.logsumexp(logits, axis=-1, keepdims=True), atol=1e-4)
  # The output layer is tied: logits are the states by the embedding, divided by the root of the width.
  embedding = np.asarray(params['token_embedder']['embedding'])
  np.testing.assert_allclose(decoder @ embedding.T / math.sqrt(decoder.shape[1]), logits, atol=1e-4)


def test_the_backbone_without_its_adapter(tiny_checkpoint):
  from robust_t5x.adapters import config
  from robust_t5x.checkpoints import loading
  from robust_t5x.models import robust, t5

  model, params = loading.load(str(tiny_checkpoint))
  adaptered = robust.RobustModel(
    t5.Transformer(model.module.config, config.AdapterConfig(length=2)), model.input_vocabulary, model.output_vocabulary
  )  # fmt: skip
  with_adapter = params | {'adapter': {'embedding': np.ones((2, model.module.config.emb_dim), np.float32)}}
  plain, bare = without_adapter(adaptered, with_adapter)
  inputs = [np.array([5, 9, 1])]
  expected = Runner(model, params, 1)(inputs)
  for a, b in zip(Runner(plain, bare, 1)(inputs), expected, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-6)
  changed = Runner(adaptered, with_adapter, 1)(inputs)
  assert np.abs(changed[1] - expected[1]).max() > 1e-3
