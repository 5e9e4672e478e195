"""Greedy outputs and scores of options: against Hugging Face's, and what they cost."""

import pathlib

import hf_t5
from hf_t5 import KINDS
import jax
import jax.numpy as jnp
from letters import Letters
import numpy as np
import pytest

from robust_t5x.checkpoints import hf_config, huggingface
from robust_t5x.models import robust, t5, trainable

DATA = pathlib.Path(__file__).parents[2] / 'data'


class Vocabulary:
  pad_id, eos_id = 0, 1


@pytest.fixture(params=KINDS)
def reference(request):
  return hf_t5.reference(request.param)


def test_greedy_decoding_agrees_up_to_the_end_token(reference):
  module, params, expected = reference
  model = robust.RobustModel(module, Vocabulary, Vocabulary)
  steps = expected['greedy'].shape[1]
  tokens, scores = jax.jit(model.decode_greedily, static_argnames='max_length')(
    params, expected['inputs'], max_length=steps
  )
  for ours, theirs, score, logits in zip(
    np.asarray(tokens), expected['greedy'], np.asarray(scores), expected['step_logits'], strict=True
  ):
    end = np.flatnonzero(theirs == Vocabulary.eos_id)
    length = end[0] + 1 if len(end) else steps
    np.testing.assert_array_equal(ours[:length], theirs[:length])
    assert not ours[length:].any()
    log_p = jax.nn.log_softmax(jnp.asarray(logits[:length]), axis=-1).max(-1).sum()
    assert score == pytest.approx(float(log_p), abs=1e-4)


@pytest.mark.parametrize('kind', ['v1_1', 'v1_0'])
def test_free_running_scores_are_those_of_generate(kind):
  source = huggingface.HuggingFaceBackbone(str(DATA / 'hf_t5' / kind))
  weights = trainable.unflatten({name: source.read(name) for name in source.shapes})
  expected = np.load(DATA / 'hf_generate' / f'{kind}.npz')
  vocabulary = Letters(int(expected['end']))
  reader = robust.RobustModel(t5.Transformer(hf_config.load_config(DATA / 'hf_t5' / kind)), vocabulary, vocabulary)
  found = reader.compiled_score_free_running()(weights, expected['inputs'], expected['options'])
  np.testing.assert_allclose(found, np.log(expected['products']), rtol=2e-4, atol=2e-4)
  # Options beyond those of an input, and longer padding, change nothing.
  wider = np.pad(expected['options'], [(0, 0), (0, 2), (0, 3)])
  again = reader.compiled_score_free_running()(weights, expected['inputs'], wider)
  np.testing.assert_allclose(again[:, : found.shape[1]], found, rtol=1e-5, atol=1e-5)


def test_free_running_scores_stop_reading_after_32_steps(model, params):
  options = np.random.default_rng(0).integers(3, 300, (2, 2, 34)).astype(np.int32)
  inputs = np.full((2, 8), 5, np.int32)
  whole, first, fewer = (model.compiled_score_free_running()(params, inputs, options[:, :, :n]) for n in (34, 32, 31))
  np.testing.assert_allclose(first, whole, rtol=1e-5)
  assert (fewer > whole).all()


def test_options_cost_one_encoding_and_one_first_step(model, params):
  """FLOPs of the compiled program against the arithmetic that is needed."""
  examples, length, choices = 8, 64, 4
  shapes = (
    jax.ShapeDtypeStruct((examples, length), jnp.int32),
    jax.ShapeDtypeStruct((examples, choices, 2), jnp.int32),
  )
  compiled = model.compiled_score().lower(params, *shapes).compile()
  width, inner, hidden, vocabulary, layers = 32, 32, 64, 300, 2
  positions = 1 + choices  # the start, and each option's letter
  encoder = layers * length * (4 * width * inner + 3 * width * hidden + 2 * length * inner)
  keys_and_values = layers * length * 2 * width * inner
  decoder = layers * positions * (6 * width * inner + 3 * width * hidden + 2 * (length + positions) * inner)
  needed = 2 * examples * (encoder + keys_and_values + decoder + positions * width * vocabulary)
  # XLA also counts softmax, norms and the like, which weigh much at this size.
  assert needed < compiled.cost_analysis()['flops'] < 1.25 * needed
