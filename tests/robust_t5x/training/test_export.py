"""What a finished run leaves: an adapter's file, and a whole model where the backbone trained, that loads as any other."""

import json
import pathlib

from helpers import evaluate, run
import hf_llama
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import numpy as safetensors
from tiny_adapters import CONFIG

from robust_t5x import adapters
from robust_t5x.checkpoints import adapter_files, backbones
from robust_t5x.models import robust
from robust_t5x.training import export


def test_a_whole_model_trains_and_loads(tiny_checkpoint, tmp_path):
  assert run(
    'train', '--gin_file=gin/recipes/train/tune_mini.gin', f"--gin.INITIAL_CHECKPOINT_PATH='{tiny_checkpoint}'",
    f"--gin.MODEL_DIR='{tmp_path}'", '--gin.TRAIN_STEPS=2', '--gin.BATCH_SIZE=8',
    '--gin.NUM_TRAIN_EXAMPLES=40',
  ) == 0  # fmt: skip
  before = safetensors.load_file(tiny_checkpoint / 'model.safetensors')
  after = safetensors.load_file(tmp_path / 'model/model.safetensors')
  assert before.keys() == after.keys()
  assert all(np.abs(after[name] - value).max() > 0 for name, value in before.items())
  assert evaluate(tmp_path / 'model', tmp_path / 'eval') == 0


class _Vocabulary:
  pad_id, eos_id, prompt_position = 0, 1, 2

  def save(self, directory):
    """Writes nothing."""


def test_a_whole_decoder_keeps_what_other_programs_need(tmp_path):
  network, params, _ = hf_llama.read('llama')
  model = robust.RobustModel(network, _Vocabulary(), _Vocabulary())
  source = hf_llama.HF / 'llama'
  path = export.write(model, str(tmp_path), params, {}, {'backbone': {'path': str(source), 'sha256': 'x'}})
  written, theirs = (json.loads((pathlib.Path(p) / 'config.json').read_text()) for p in (path, source))
  names = ('max_position_embeddings', 'bos_token_id', 'eos_token_id')
  assert [written[name] for name in names] == [theirs[name] for name in names]


def test_an_adapter_that_trained_with_the_backbone_belongs_to_what_that_became(tmp_path):
  network, params, _ = hf_llama.read('llama')
  model = robust.RobustModel(network, _Vocabulary(), _Vocabulary())
  source = str(hf_llama.HF / 'llama')
  record = dict.fromkeys(('gin_config', 'seed', 'versions'))
  record |= {'backbone': {'path': source, 'sha256': backbones.backbone_hash(source)}}
  moved = {**jax.tree.map(lambda x: x + 1, params), 'adapter': {'embedding': jnp.ones((3, 8))}}
  path = export.write(model, str(tmp_path), moved, {}, record)
  kept = adapter_files.load(str(tmp_path / 'adapter.safetensors'))[1]
  assert kept['backbone']['path'] == path == str(tmp_path / 'model')
  adapter_files.check_backbone(kept, 'a', backbones.backbone_hash(path))
  with pytest.raises(adapters.AdapterError, match='another backbone'):
    adapter_files.check_backbone(kept, 'a', backbones.backbone_hash(source))


@pytest.mark.parametrize(('asked', 'kept'), [(None, 2), (0, 0)])
def test_an_adapters_file_says_where_its_soft_prompt_stands(asked, kept, tmp_path):
  module = CONFIG.network(adapters.AdapterConfig(length=3, prompt_position=asked))
  model = robust.RobustModel(module, _Vocabulary(), _Vocabulary())
  moving = {'adapter': {'embedding': jnp.ones((3, CONFIG.emb_dim))}}
  path = export.write(model, str(tmp_path), moving, {}, dict.fromkeys(('gin_config', 'seed', 'versions', 'backbone')))
  assert adapter_files.load(path)[1]['prompt_position'] == kept
