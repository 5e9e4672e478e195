"""The bundled model: what it is made of, and that it does what is said of it."""

import hashlib
import json
import pathlib

import numpy as np
import pytest

import robust_t5x
from seqio_tasks import answers
from seqio_tasks.bank import reading, templates
from seqio_tasks.mini import suite

ROOT = pathlib.Path(__file__).resolve().parents[3]
MINI = ROOT / 'robust_t5x/mini'


@pytest.fixture(scope='module')
def bundled():
  return robust_t5x.load('bundled', adapter=None)


def test_what_is_shipped_is_small_and_has_its_hashes():
  files = list(MINI.iterdir())
  assert sum(path.stat().st_size for path in files) < 16e6
  recorded = json.loads((MINI / 'provenance.json').read_text())['sha256']
  assert {'model.safetensors', 'spiece.model', 'adapter.safetensors', 'config.json'} <= {
    pathlib.Path(name).name for name in recorded
  }
  for name, digest in recorded.items():
    assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() == digest, name


def test_observed_phrasings_of_fresh_examples(bundled):
  """At least 95% on examples and phrasings drawn at random; 560 answers, so that 93% allows for chance."""
  model, params = bundled
  rng = np.random.default_rng(0)
  inputs, golds = [], []
  observed = reading.Bank.from_package('mini')
  for task in suite.TASKS:
    phrasings = list(observed.select(task, collections=['mini_tuning']))
    for example in suite.generate(task, 'test', 40):
      template = phrasings[rng.integers(len(phrasings))].template
      inputs.append(templates.render(template, example['fields']))
      golds.append(example['gold'])
  outputs = model.generate(params, inputs, max_output=8)
  right = [answers.exact_match(output, answers.AnswerKey((gold,))) for output, gold in zip(outputs, golds, strict=True)]
  assert np.mean(right) > 0.93


def test_scores_are_likelihoods_of_options(bundled):
  model, params = bundled
  (scores,) = model.score(params, ['Which number is larger, 12 or 812?'], [['12', '812', '']])
  assert scores.shape == (3,)
  assert (scores <= 0).all()
  assert scores[1] == scores.max()
  vocabulary = model.output_vocabulary
  tokens = np.array([[*model.input_vocabulary.encode('Which number is larger, 12 or 812?'), 1]])
  target = [*vocabulary.encode('812'), 1]
  logits = model.logits(params, tokens, np.array([[0, *target[:-1]]]))
  log_p = np.asarray(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))[0]
  assert log_p[np.arange(len(target)), target].sum() == pytest.approx(scores[1], abs=1e-4)


def test_the_bundled_adapter_loads_with_its_model_and_no_other(bundled, tiny_checkpoint):
  model, params = robust_t5x.load('bundled', adapter='bundled')
  assert 'adapter' in params
  assert model.generate(params, ['What is the first letter of garden?']) == ['g']
  with pytest.raises(ValueError, match='does not fit this model|another backbone'):
    robust_t5x.load(str(tiny_checkpoint), adapter='bundled')
