"""A loaded model, whatever the format of its checkpoint."""

import numpy as np

from robust_t5x import __main__ as command
from robust_t5x.checkpoints import hf_config, loading


def test_a_loaded_model_is_the_same_from_both_formats(tiny_checkpoint, tmp_path, capsys):
  assert command.main(['convert', str(tiny_checkpoint), str(tmp_path / 't5x'), '--to', 't5x']) == 0
  rows = hf_config.load_config(str(tiny_checkpoint)).vocab_size
  assert f'token_embedder/embedding  {rows}x16' in capsys.readouterr().out
  inputs, options = ['which is the animal'], [['dog', 'bed', 'peach']]
  scores = []
  for path in (tiny_checkpoint, tmp_path / 't5x'):
    model, params = loading.load(str(path))
    scores.append(model.score(params, inputs, options)[0])
  np.testing.assert_array_equal(*scores)
