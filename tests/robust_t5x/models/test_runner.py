"""Compilations counted; states and scores against those of the model."""

import json
import math
import types

import jax
from letters import Letters
import numpy as np
import pytest
import scipy.special

from robust_t5x import objectives
from robust_t5x.analysis import representation
from robust_t5x.evaluation.scorers import score_task
from robust_t5x.models import batching, robust, t5
from robust_t5x.models import runner as runner_lib
from robust_t5x.results.scorers import SCORERS
from seqio_tasks.errors import UserError


def _questions(count=37, seed=0):
  """Inputs of different lengths, and options of different numbers and lengths."""
  rng = np.random.default_rng(seed)
  inputs = [rng.integers(3, 300, n).astype(np.int32) for n in rng.integers(2, 90, count)]
  letters = [list('ABCD'), ['yes', 'no'], ['a', 'bcd', 'efghij']]
  return inputs, [letters[i % 3] for i in range(count)]


def test_batches_change_no_score(model, params):
  inputs, options = _questions()
  done = []
  runner = runner_lib.Runner(model, params, batch_size=32, max_input=96)
  together = runner.score(inputs, options, done.append)
  assert sum(done) == len(inputs)
  assert [len(scores) for scores in together] == [len(texts) for texts in options]
  pairs = [(tokens, text) for tokens, texts in zip(inputs, options, strict=True) for text in texts]
  rows, targets = np.zeros((len(pairs), 96), np.int32), np.zeros((len(pairs), 7), np.int32)
  for i, (tokens, text) in enumerate(pairs):
    rows[i, : len(tokens)] = tokens
    ids = [*Letters().encode(text), 1]
    targets[i, : len(ids)] = ids
  batch = {
    'encoder_input_tokens': rows,
    'decoder_target_tokens': targets,
    'decoder_input_tokens': np.pad(targets, [(0, 0), (1, 0)])[:, :-1],
  }
  np.testing.assert_allclose(np.concatenate(together), jax.jit(model.score_batch)(params, batch), rtol=1e-4, atol=1e-4)


def test_options_of_several_shapes_run_together(model, params):
  inputs, options = _questions(9)
  runner = runner_lib.Runner(model, params, batch_size=32, max_input=96)
  for ask in (runner.score, runner.score_free_running):
    together = ask(inputs, options)
    for tokens, texts, scores in zip(inputs, options, together, strict=True):
      np.testing.assert_allclose(scores, ask([tokens], [texts])[0], rtol=1e-4, atol=1e-4)


def test_the_same_question_is_asked_once(model, params):
  inputs, options = _questions(4)
  # (input, options): the fifth has other options than the first.
  questions = [(0, 0), (3, 3), (0, 0), (1, 1), (0, 2), (0, 0), (3, 3)]
  runner = runner_lib.Runner(model, params, batch_size=32, max_input=96)
  asked, own, done = [inputs[i] for i, _ in questions], [options[j] for _, j in questions], []
  for ask in (runner.score, runner.score_free_running):
    found = ask(asked, own, done.append)
    for tokens, texts, scores in zip(asked, own, found, strict=True):
      np.testing.assert_allclose(scores, ask([tokens], [texts])[0], rtol=1e-4, atol=1e-4)
  assert sum(done) == 2 * len(questions)
  cost = runner.cost(asked, own)
  assert cost.requests == len(questions) and cost.input_tokens == sum(len(inputs[i]) for i in (0, 3, 1, 0))


def test_paper_logits_fill_the_results_table(model, params):
  inputs, _ = _questions(3)
  rows = [
    {'inputs': tokens, 'targets_pretokenized': 'B', 'options': '["A", "B"]', 'alternatives': '[]',
     'example_id': str(i), 'instruction_id': 'x', 'truncated_tokens': 0}
    for i, tokens in enumerate(inputs)
  ]  # fmt: skip
  runner = runner_lib.Runner(model, params, batch_size=4, max_input=96)
  task = types.SimpleNamespace(dataset='letters', group='unobserved')
  table = score_task(runner, rows, task, SCORERS['paper_logits'], 'tiny')
  expected = runner.score_free_running(inputs, [['A', 'B']] * 3)
  assert set(table['scorer']) == {'paper_logits'} and table['matched_option'].all()
  for found, scores, prediction, score in zip(
    table['option_scores'], expected, table['prediction'], table['score'], strict=True
  ):
    assert list(json.loads(found).values()) == pytest.approx(scores, abs=1e-5)
    assert prediction == 'AB'[scores.argmax()] and score == (prediction == 'B')


@pytest.mark.parametrize('wrong', [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_an_error_and_not_an_answer(wrong, model, params):
  inputs, options = _questions(3)
  broken = jax.tree.map(lambda x: x, params)
  table = np.array(broken['token_embedder']['embedding'])
  table[inputs[1][0]] = wrong
  broken['token_embedder'] = {'embedding': table}
  runner = runner_lib.Runner(model, broken, batch_size=32, max_input=96)
  for ask in (lambda: runner.score(inputs, options), lambda: runner.generate(inputs), lambda: runner.states(inputs)):
    with pytest.raises(UserError, match='numbers that are not finite for'):
      ask()


def test_a_program_is_compiled_once_per_shape(model, params):
  inputs = [np.full(n, 5, np.int32) for n in (3, 90, 7, 41, 88, 5, 44, 2, 8, 42)]
  letters = [['A', 'B']] * len(inputs)
  planned = batching.plan_batches([len(x) for x in inputs], 4, 96, written=8)
  shapes = {(b.rows, b.length) for b in planned}
  program = model.compiled_score()
  for order in (1, -1):  # the second time by another runner, and in another order
    runner_lib.Runner(model, params, batch_size=4, max_input=96).score(inputs[::order], letters)
    assert program._cache_size() == len(shapes) <= len(planned)


def test_states_are_those_of_the_model(tiny_checkpoint):
  from robust_t5x.checkpoints import loading

  model, params = loading.load(str(tiny_checkpoint))
  inputs = [np.array([5, 9, 1]), np.array([7, 8, 6, 4, 1])]
  read, answer, output, layers = runner_lib.Runner(model, params, 4).states(inputs)
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
  assert representation.distance(read[0], read[1], 'cosine') == pytest.approx(expected, abs=1e-5)
  logits = np.asarray(branches.logits[0, :, 0])
  np.testing.assert_allclose(output, logits - scipy.special.logsumexp(logits, axis=-1, keepdims=True), atol=1e-4)
  # The output layer is tied: logits are the states by the embedding, divided by the root of the width.
  embedding = np.asarray(params['token_embedder']['embedding'])
  np.testing.assert_allclose(answer @ embedding.T / math.sqrt(answer.shape[1]), logits, atol=1e-4)
  assert layers.shape == (2, model.module.config.num_encoder_layers, read.shape[1])


def test_the_backbone_without_its_adapter(tiny_checkpoint):
  from robust_t5x import adapters
  from robust_t5x.checkpoints import loading

  model, params = loading.load(str(tiny_checkpoint))
  adapted = robust.RobustModel(
    t5.Transformer(model.module.config, adapters.AdapterConfig(length=2)), model.input_vocabulary, model.output_vocabulary
  )  # fmt: skip
  with_adapter = params | {'adapter': {'embedding': np.ones((2, model.module.config.emb_dim), np.float32)}}
  plain, bare = adapted.without_adapter(with_adapter)
  inputs = [np.array([5, 9, 1])]
  expected = runner_lib.Runner(model, params, 1).states(inputs)
  for a, b in zip(runner_lib.Runner(plain, bare, 1).states(inputs), expected, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-6)
  changed = runner_lib.Runner(adapted, with_adapter, 1).states(inputs)
  assert np.abs(changed[1] - expected[1]).max() > 1e-3


def test_cost(model, params):
  """An input is read once, whatever is ranked behind it; generated outputs may fill their room."""
  found = runner_lib.Runner(model, params, max_output=7)
  inputs = [np.array([5, 6, 1]), np.array([5, 1])]
  assert found.cost(inputs, []) == (2, 0, 5, 14, 0, 0, 0)
  options = [['a', 'b'], ['c']]
  assert found.cost(inputs, options) == (2, 0, 5, sum(sum(row) for row in found.count_tokens(options)), 0, 0, 0)
