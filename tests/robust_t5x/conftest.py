"""A tiny checkpoint with random weights, laid out as a user's own."""

import pathlib
import shutil

import numpy as np
import pytest


@pytest.fixture(scope='session')
def tiny_checkpoint(tiny_vocabulary_path, tmp_path_factory) -> pathlib.Path:
  """Directory of a T5.1.1 with random weights, two layers each, and its vocabulary."""
  import jax

  from robust_t5x.checkpoints import huggingface, vocabularies
  from robust_t5x.models import t5

  vocabulary = vocabularies.vocabulary(tiny_vocabulary_path)
  config = t5.T5Config(
    vocab_size=vocabulary.vocab_size, emb_dim=16, num_heads=2, head_dim=8, num_encoder_layers=2, num_decoder_layers=2,
    mlp_dim=32, mlp_activations=('gelu', 'linear'), logits_via_embedding=True, dropout_rate=0.0, dtype='float32',
  )  # fmt: skip
  tokens = np.ones((1, 4), np.int32)
  params = jax.jit(t5.Transformer(config, None).init)(jax.random.key(0), *[tokens] * 3)['params']
  path = tmp_path_factory.mktemp('checkpoint') / 'tiny'
  huggingface.save(str(path), config, params)
  shutil.copyfile(tiny_vocabulary_path, path / 'spiece.model')
  return path


@pytest.fixture
def as_started_anew():
  """No gin configuration, and no task registered by the test is left to the next."""
  import seqio

  import gin

  gin.clear_config(clear_constants=True)
  yield
  gin.clear_config(clear_constants=True)
  seqio.TaskRegistry.reset()
  seqio.MixtureRegistry.reset()
