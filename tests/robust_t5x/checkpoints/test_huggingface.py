"""Hugging Face's layout: configuration, weights, shards, and other places than a disk."""

import dataclasses
import json
import os
import shutil

import fsspec
import hf_t5
from hf_t5 import HF, KINDS
import jax
import numpy as np
import pytest
from safetensors import numpy as safetensors
from tiny_backbones import CONFIG, FAMILIES, assert_holds, params_of, write

from robust_t5x.checkpoints import backbones, hf_config, huggingface

UNUSED = 'decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight'


@pytest.fixture(params=KINDS)
def reference(request):
  return hf_t5.reference(request.param)


def test_configuration_is_read():
  new, old = (hf_config.load_config(HF / kind) for kind in KINDS)
  assert new.mlp_activations == ('gelu', 'linear') and not new.logits_via_embedding
  assert old.mlp_activations == ('relu',) and old.logits_via_embedding
  assert (new.emb_dim, new.num_heads, new.head_dim, new.mlp_dim) == (24, 3, 8, 40)
  assert (new.num_encoder_layers, new.num_decoder_layers, new.relpos_buckets) == (2, 3, 8)


def test_weights_survive_a_round_trip(reference, tmp_path):
  module, params, _ = reference
  huggingface.save(tmp_path, module.config, params)
  again = hf_t5.read(tmp_path)
  assert hf_config.load_config(tmp_path) == module.config
  jax.tree.map(np.testing.assert_array_equal, params, again)


def test_the_safetensors_package_reads_what_we_write(family, tmp_path):
  config, flat = family
  path = write(tmp_path / 'a', flat, config)
  theirs = safetensors.load_file(f'{path}/model.safetensors')
  np.testing.assert_array_equal(theirs['shared.weight'], flat['token_embedder/embedding'])
  kernel = theirs['encoder.block.1.layer.0.SelfAttention.q.weight']
  np.testing.assert_array_equal(kernel.T, flat['encoder/layers_1/attention/query/kernel'])


def test_shards_with_an_index(tmp_path):
  flat = params_of(CONFIG)
  path = write(tmp_path / 'a', flat, shard_bytes=8000)
  files = sorted(f for f in os.listdir(path) if f.endswith('.safetensors'))
  assert len(files) > 2 and files[0] == f'model-00001-of-{len(files):05d}.safetensors'
  index = json.loads((tmp_path / 'a' / 'model.safetensors.index.json').read_text())
  assert index['metadata']['total_size'] == sum(x.size for x in flat.values()) * 4
  assert set(index['weight_map'].values()) == set(files)
  assert_holds(path, flat, 'huggingface')
  os.remove(f'{path}/{files[1]}')
  backbones.open_backbone.cache_clear()
  with pytest.raises(ValueError, match=f'no {files[1]}; fetch the whole checkpoint'):
    backbones.open_backbone(path)


def test_from_a_place_that_is_no_disk(tmp_path):
  flat = params_of(CONFIG)
  source = write(tmp_path / 'a', flat, shard_bytes=8000)
  remote = fsspec.filesystem('memory')
  remote.put(source + '/', '/bucket/model/', recursive=True)
  assert_holds('memory://bucket/model', flat, 'huggingface')


def _changed(directory, change, name='model.safetensors'):
  """Changes the tensors of a file; what is None is taken away."""
  tensors = safetensors.load_file(directory / name) | change
  safetensors.save_file({k: np.ascontiguousarray(v) for k, v in tensors.items() if v is not None}, directory / name)
  backbones.open_backbone.cache_clear()
  backbones.backbone_hash.cache_clear()


def test_an_output_layer_that_is_lost_is_not_the_embedding(tmp_path):
  where = tmp_path / 'a'
  shutil.copytree(HF / 'v1_1', where)
  _changed(where, {'lm_head.weight': None})
  assert 'decoder/logits_dense/kernel' in backbones.open_backbone(str(where)).shapes  # it says that the two are tied
  fields = json.loads((where / 'config.json').read_text()) | {'tie_word_embeddings': False}
  (where / 'config.json').write_text(json.dumps(fields))
  _changed(where, {})
  with pytest.raises(backbones.CheckpointError, match='decoder/logits_dense/kernel: not in the checkpoint'):
    backbones.open_backbone(str(where))


def test_copies_of_the_embedding_may_stand_for_it_and_must_not_differ(tmp_path):
  config = FAMILIES['v1_0']
  flat = params_of(config)
  where = tmp_path / 'a'
  path = write(where, flat, config)
  digest = backbones.backbone_hash(path)
  shared = flat['token_embedder/embedding']
  copies = ('encoder.embed_tokens.weight', 'decoder.embed_tokens.weight', 'lm_head.weight')
  _changed(where, dict.fromkeys(copies, shared) | {'extra': np.ones(3)})
  assert backbones.backbone_hash(path) == digest
  _changed(where, {'shared.weight': None})
  assert backbones.backbone_hash(path) == digest
  _changed(where, {'shared.weight': shared})
  for name in copies:
    other = shared.copy()
    other[-1, -1] += 1
    for value in (other, shared[:-1]):
      _changed(where, {name: value})
      with pytest.raises(backbones.CheckpointError, match=f'model.safetensors: {name} differs from shared.weight'):
        backbones.backbone_hash(path)
    _changed(where, {name: shared})


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'shared.weight': None}, 'token_embedder/embedding: not in the checkpoint'),
    (
      {'encoder.final_layer_norm.weight': np.ones(3, np.float32)},
      r'encoder/encoder_norm/scale: \[3\] in the checkpoint, \[16\]',
    ),
    ({'encoder.final_layer_norm.weight': np.ones(16, np.int32)}, 'encoder/encoder_norm/scale: of dtype int32'),
    (
      {'encoder.block.2.layer.0.layer_norm.weight': np.ones(16, np.float32)},
      'holds encoder.block.2.layer.0.* by config.json',
    ),
  ],
)
def test_weights_that_are_not_those_of_the_configuration_are_named(tmp_path, change, message):
  write(tmp_path / 'a', params_of(CONFIG))
  _changed(tmp_path / 'a', change)
  with pytest.raises(backbones.CheckpointError, match=message):
    backbones.open_backbone(str(tmp_path / 'a'))


def test_weights_that_have_no_place_are_said_and_do_not_count(tmp_path, capsys):
  path = write(tmp_path / 'a', params_of(CONFIG))
  digest = backbones.backbone_hash(path)
  _changed(tmp_path / 'a', {'value_head.weight': np.ones(3), UNUSED: np.ones((8, 2), np.float32)})
  assert backbones.backbone_hash(path) == digest
  assert '1 tensors are no part of a T5 and not used: value_head.weight' in capsys.readouterr().err


def test_a_weight_that_is_not_finite_is_named(tmp_path):
  path = write(tmp_path / 'a', params_of(CONFIG))
  scale = np.ones(16, np.float32)
  scale[3] = np.nan
  _changed(tmp_path / 'a', {'encoder.final_layer_norm.weight': scale})
  with pytest.raises(
    backbones.CheckpointError, match=r'model.safetensors: encoder.final_layer_norm.weight holds nan at \[3\]'
  ):
    backbones.backbone_hash(path)


def test_the_hash_tells_settings_apart_that_shapes_do_not(tmp_path):
  flat = params_of(CONFIG)
  changed = dataclasses.replace(CONFIG, relpos_max_distance=64)
  gated = dataclasses.replace(CONFIG, mlp_activations=('relu', 'linear'))
  paths = [write(tmp_path / str(i), flat, config) for i, config in enumerate((CONFIG, changed, gated))]
  assert len({backbones.backbone_hash(path) for path in paths}) == 3


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (
      lambda index, files: index['weight_map'].update({'shared.weight': '../x.safetensors'}),
      'names the file ../x.safetensors',
    ),
    (lambda index, files: index['weight_map'].update({'shared.weight': '/etc/passwd'}), 'names the file /etc/passwd'),
    (
      lambda index, files: index['weight_map'].update({'shared.weight': files[-1]}),
      'shared.weight should be in .* and is not',
    ),
    (lambda index, files: index['weight_map'].pop('shared.weight'), 'shared.weight is in .*, by the index nowhere'),
    (lambda index, files: index['weight_map'].update({'more': files[0]}), 'more should be in .* and is not'),
    (lambda index, files: index['weight_map'].update({'shared.weight': 3}), 'weight_map.shared.weight is 3, not str'),
    (lambda index, files: index.pop('weight_map'), 'it has no weight_map'),
  ],
)
def test_an_index_of_other_files_is_refused(tmp_path, change, message):
  path = write(tmp_path / 'a', params_of(CONFIG), shard_bytes=8000)
  place = tmp_path / 'a' / 'model.safetensors.index.json'
  index = json.loads(place.read_text())
  change(index, sorted(set(index['weight_map'].values())))
  place.write_text(json.dumps(index))
  with pytest.raises(backbones.CheckpointError, match=f'model.safetensors.index.json: {message}'):
    backbones.open_backbone(path)


def test_a_tensor_in_two_files_and_two_sets_of_files_are_refused(tmp_path):
  path = write(tmp_path / 'a', params_of(CONFIG), shard_bytes=8000)
  names = sorted(f.name for f in (tmp_path / 'a').glob('*.safetensors'))
  first = tmp_path / 'a' / names[0]
  before = first.read_bytes()
  (tensor,) = list(safetensors.load_file(tmp_path / 'a' / names[-1]))[:1]
  _changed(tmp_path / 'a', {tensor: np.ones(3)}, names[0])
  with pytest.raises(backbones.CheckpointError, match=f'{tensor} is in {names[0]}, by the index in {names[-1]}'):
    backbones.open_backbone(path)
  first.write_bytes(before)
  shutil.copyfile(first, tmp_path / 'a' / 'model.safetensors')
  with pytest.raises(backbones.CheckpointError, match='holds model.safetensors and an index of other files'):
    backbones.open_backbone(path)
