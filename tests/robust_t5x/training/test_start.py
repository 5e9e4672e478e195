"""What a run starts from: the adapter's first values."""

import pathlib
import types

import jax
import numpy as np
import pytest

from robust_t5x.checkpoints import backbones
from robust_t5x.models.protocol import EMBEDDING
from robust_t5x.runtime.errors import UsageError
from robust_t5x.training import start

BACKBONE = str(pathlib.Path(__file__).parents[2] / 'data/hf_t5/v1_1')


def _model(**adapter):
  """Stands in for a model whose adapter has parameters of these shapes."""
  words = types.SimpleNamespace(vocab_size=40, extra_ids=0)
  return types.SimpleNamespace(
    initialise=lambda key: {
      'params': {'adapter': {name: jax.random.uniform(key, shape) for name, shape in adapter.items()}}
    },
    input_vocabulary=words,
  )


def test_uniform_is_as_the_network_has_it_and_by_the_seed():
  first, again, other = (
    start.initial_adapter(_model(embedding=(3, 4)), None, 'uniform', seed)['embedding'] for seed in (1, 1, 2)
  )
  np.testing.assert_array_equal(first, again)
  assert first.shape == (3, 4) and np.abs(first - other).max() > 0


def test_words_are_embedded_by_the_backbone_and_the_rest_stays():
  table = backbones.open_backbone(BACKBONE).read(EMBEDDING).astype(np.float32)
  model = _model(embedding=(3, table.shape[1]), encoder_key=(2, 2))
  plain, made = (start.initial_adapter(model, BACKBONE, method, 1) for method in ('uniform', 'vocabulary'))
  for row in made['embedding']:
    assert (table == row).all(axis=1).any()
  np.testing.assert_array_equal(made['encoder_key'], plain['encoder_key'])


def test_words_without_a_backbone_are_refused():
  with pytest.raises(UsageError, match=r"PROMPT_INIT: 'text:yes' needs a model .*; set INITIAL_CHECKPOINT_PATH"):
    start.initial_adapter(_model(embedding=(3, 4)), None, 'text:yes', 1)
  assert set(start.initial_adapter(_model(encoder_key=(2, 2)), None, 'text:yes', 1)) == {'encoder_key'}
