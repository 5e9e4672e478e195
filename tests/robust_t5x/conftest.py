"""A tiny checkpoint with random weights, laid out as a user's own."""

import pathlib
import shutil
import signal

from helpers import change_record, write_evaluation
import numpy as np
import pytest
import tiny_checkpoint as tiny

from robust_t5x.runtime import launcher


@pytest.fixture
def control_c():
  """SIGINT and SIGHUP as a terminal sends them, also where tests run in a shell's background or under nohup, which ignore them."""
  wanted = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
  before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
  yield
  for number, handler in before.items():
    signal.signal(number, handler)


@pytest.fixture(scope='session')
def tiny_checkpoint(tiny_vocabulary_path, tmp_path_factory) -> pathlib.Path:
  """Directory of a T5.1.1 with random weights, two layers each, and its vocabulary."""
  path = tmp_path_factory.mktemp('checkpoint') / 'tiny'
  tiny.write(path, tiny_vocabulary_path)
  return path


@pytest.fixture(scope='session')
def tiny_decoder_checkpoint(tmp_path_factory) -> pathlib.Path:
  """Directory of a Llama with random weights, two layers, and a tokenizer without a chat template."""
  import jax

  from robust_t5x.checkpoints import backbones, vocabularies
  from robust_t5x.models import llama

  path = tmp_path_factory.mktemp('checkpoint') / 'tiny_decoder'
  path.mkdir()
  for file in (pathlib.Path(__file__).parents[1] / 'data/hf_tokenizers/plain').glob('tokenizer*.json'):
    shutil.copyfile(file, path / file.name)
  vocabulary = vocabularies.vocabulary(str(path / 'tokenizer.json'))
  config = llama.LlamaConfig(
    vocab_size=vocabulary.vocab_size, emb_dim=16, num_heads=2, num_kv_heads=1, head_dim=8, num_layers=2, mlp_dim=32
  )
  tokens = np.ones((1, 4), np.int32)
  params = jax.jit(config.network().init)(jax.random.key(0), *[tokens] * 3)['params']
  backbones.save(str(path), config, params)
  return path


@pytest.fixture(scope='session')
def evaluations(tmp_path_factory):
  """Evaluations with known scores: one without an adapter, and two seeds of one that gains under unobserved phrasings."""
  base = tmp_path_factory.mktemp('evaluations')
  before = write_evaluation(base / 'before', 'no adapter', {'observed': 0.95, 'unobserved': 0.5})
  after = {'observed': 0.95, 'unobserved': 0.8}
  return before, [write_evaluation(base / f'after{seed}', 'aligned', after, seed) for seed in (1, 2)]


@pytest.fixture
def two_evaluations(tmp_path):
  """Evaluations `a` and `b` of the same cells, the second better under unobserved phrasings, with what a record says."""
  for name, unobserved in (('a', 0.4), ('b', 0.8)):
    write_evaluation(tmp_path / name, name, {'observed': 0.95, 'unobserved': unobserved}, seed=ord(name))
    change_record(
      tmp_path / name, fingerprint__scorer='exact_match', fingerprint__split='test', fingerprint__seed=0,
      model__vocabulary='f' * 64,
    )  # fmt: skip
  return tmp_path / 'a', tmp_path / 'b'


@pytest.fixture
def as_started_anew():
  """No gin configuration, and no task registered by the test is left to the next."""
  launcher.forget()
  yield
  launcher.forget()
