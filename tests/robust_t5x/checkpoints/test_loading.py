"""A loaded model, whatever the format of its checkpoint."""

import numpy as np
import pytest

from robust_t5x import __main__ as command
from robust_t5x.checkpoints import adapter_files, backbones, hf_config, loading
from seqio_tasks.errors import UserError


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


def test_a_soft_prompt_of_another_place_is_refused(tiny_checkpoint, tmp_path):
  path, backbone = str(tmp_path / 'a.safetensors'), str(tiny_checkpoint)
  metadata = {'backbone': {'path': backbone, 'sha256': backbones.backbone_hash(backbone)}, 'prompt_position': 5}
  adapter_files.save(path, {'embedding': np.ones((2, 16), np.float32)}, metadata)
  with pytest.raises(
    UserError, match='stands behind 5 tokens of the input, and this model has 0 in front of its place'
  ):
    loading.load(backbone, path)
