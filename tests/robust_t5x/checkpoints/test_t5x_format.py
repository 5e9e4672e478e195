"""T5X's layouts: where its arrays are, and what orbax writes for it."""

import dataclasses
import shutil

from flax import serialization
import numpy as np
import pytest
from tiny_backbones import CONFIG, assert_holds, params_of, write

from robust_t5x.checkpoints import adapter_files, backbones, t5x_format


@pytest.mark.parametrize(
  ('path', 'expected'),
  [
    ('gs://bucket/a/checkpoint_1', {'driver': 'gcs', 'bucket': 'bucket', 'path': 'a/checkpoint_1/'}),
    ('/disk/checkpoint_1', {'driver': 'file', 'path': '/disk/checkpoint_1/'}),
  ],
)
def test_tensorstore_finds_buckets_and_disks(path, expected):
  assert t5x_format.kvstore(path) == expected


def test_orbax_as_t5x_writes_it(tmp_path):
  import jax
  import orbax.checkpoint as ocp

  from robust_t5x.models import trainable

  flat = params_of(CONFIG) | {'adapter/embedding': np.ones((3, 16), np.float32)}
  state = {'target': trainable.unflatten(flat), 'state': {'step': np.asarray(7), 'param_states': {'mu': np.ones(3)}}}
  path = tmp_path / 'checkpoint_7'
  ocp.PyTreeCheckpointer().save(path / 'state', jax.tree.map(jax.numpy.asarray, state))
  source = assert_holds(path, flat, 'orbax')
  assert source.config == CONFIG
  arrays, metadata = adapter_files.read_any(str(path))
  np.testing.assert_array_equal(arrays['embedding'], np.ones((3, 16)))
  assert metadata['backbone']['sha256'] == backbones.backbone_hash(str(path))
  # The adapter is no part of the backbone's identity.
  without = write(tmp_path / 'without', {n: x for n, x in flat.items() if not n.startswith('adapter/')})
  assert backbones.backbone_hash(without) == metadata['backbone']['sha256']


@pytest.fixture
def published(tmp_path):
  """A checkpoint in the published layout, its adapter's gate all zeros."""
  flat = params_of(CONFIG) | {'adapter/encoder_gate': np.zeros((2, 2), np.float32)}
  t5x_format.write(str(tmp_path / 'c'), flat.__getitem__, {name: x.shape for name, x in flat.items()}, 'float32')
  return tmp_path / 'c'


@pytest.mark.parametrize(
  ('remove', 'message'),
  [
    (
      'target.encoder.encoder_norm.scale/0',
      'encoder/encoder_norm/scale cannot be read .*is missing.*; the checkpoint is not whole',
    ),
    ('target.encoder.encoder_norm.scale/.zarray', 'encoder/encoder_norm/scale cannot be read .*does not exist'),
    ('target.encoder.encoder_norm.scale', 'encoder/encoder_norm/scale cannot be read .*does not exist'),
    ('checkpoint', 'is no checkpoint'),
  ],
)
def test_what_an_interrupted_copy_lacks_is_named(published, remove, message):
  place = published / remove
  shutil.rmtree(place) if place.is_dir() else place.unlink()
  with pytest.raises(backbones.CheckpointError, match=message):
    backbones.backbone_hash(str(published))


def test_zeros_are_written_so_that_a_missing_chunk_is_told_from_them(published):
  flat = params_of(CONFIG)
  flat['encoder/encoder_norm/scale'] = np.zeros(16, np.float32)
  where = published.parent / 'zeros'
  t5x_format.write(str(where), flat.__getitem__, {name: x.shape for name, x in flat.items()}, 'float32')
  assert_holds(where, flat, 't5x')
  # The gate of an untrained adapter is zero, and tensorstore by itself writes no chunk of zeros.
  (published / 'target.adapter.encoder_gate' / '0.0').unlink()
  assert not backbones.open_backbone(str(published)).read('adapter/encoder_gate').any()


def test_a_large_array_lies_in_chunks_of_rows(published, monkeypatch):
  monkeypatch.setattr(t5x_format, '_CHUNK', 300)
  flat = params_of(CONFIG) | {'adapter/scalar': np.float32(3)}
  where = published.parent / 'chunks'
  t5x_format.write(str(where), flat.__getitem__, {name: x.shape for name, x in flat.items()}, 'float32')
  assert_holds(where, flat, 't5x')
  chunks = [p.name for p in (where / 'target.token_embedder.embedding').iterdir() if not p.name.startswith('.')]
  assert sorted(chunks) == ['0.0', '1.0', '2.0']  # 50 rows of 16 values, 18 rows each
  (where / 'target.token_embedder.embedding' / '1.0').unlink()
  backbones.open_backbone.cache_clear()
  with pytest.raises(backbones.CheckpointError, match='token_embedder/embedding cannot be read'):
    backbones.backbone_hash(str(where))


def test_a_damaged_chunk_and_numbers_that_are_not_finite_are_named(published):
  chunk = published / 'target.encoder.encoder_norm.scale' / '0'
  whole = chunk.read_bytes()
  chunk.write_bytes(whole[: len(whole) // 2])
  with pytest.raises(backbones.CheckpointError, match='encoder/encoder_norm/scale cannot be read'):
    backbones.backbone_hash(str(published))
  flat = params_of(CONFIG)
  flat['encoder/encoder_norm/scale'] = np.full(16, np.inf, np.float32)
  where = published.parent / 'infinite'
  t5x_format.write(str(where), flat.__getitem__, {name: x.shape for name, x in flat.items()}, 'float32')
  with pytest.raises(backbones.CheckpointError, match=r'encoder/encoder_norm/scale holds inf at \[0\]'):
    backbones.backbone_hash(str(where))


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda target: target['encoder'].pop('layers_0'), 'has no parameter encoder/layers_0'),
    (
      lambda target: target['encoder']['layers_1'].pop('attention'),
      'encoder/layers_1/attention/query/kernel: not in the',
    ),
    (
      lambda target: target['encoder'].update(layers_7=target['encoder']['layers_0']),
      'has no parameter encoder/layers_2',
    ),
    (
      lambda target: target['encoder'].update(encoder=target['encoder'].pop('layers_0')),
      'stacks the layers of a network',
    ),
    (
      lambda target: target['token_embedder']['embedding']['kvstore'].update(path='../../elsewhere/..'),
      'says of token_embedder/embedding .*which is no array beside it',
    ),
    (lambda target: target['token_embedder']['embedding'].update(driver='json'), 'which is no array beside it'),
    (lambda target: target['token_embedder'].update(embedding='x'), "token_embedder/embedding is 'x', not an array"),
    (lambda target: target.update(more=np.full(3, 1, np.float32)), ''),
  ],
)
def test_a_list_of_arrays_that_is_damaged_is_refused(published, change, message, capsys):
  place = published / 'checkpoint'
  content = serialization.msgpack_restore(place.read_bytes())
  change(content['optimizer']['target'])
  place.write_bytes(serialization.msgpack_serialize(content))
  if not message:
    backbones.open_backbone(str(published))
    assert '1 arrays are no part of a T5 and not used: more' in capsys.readouterr().err
    return
  with pytest.raises(backbones.CheckpointError, match=message):
    backbones.open_backbone(str(published))


@pytest.mark.parametrize(
  'content', [b'', b'\xff' * 20, b'\x81\xa1a', serialization.msgpack_serialize({'optimizer': 3})]
)
def test_a_file_that_is_no_list_of_arrays_is_named(published, content):
  (published / 'checkpoint').write_bytes(content)
  with pytest.raises(backbones.CheckpointError, match='c/checkpoint: '):
    backbones.open_backbone(str(published))


def test_of_a_run_what_arrays_do_not_tell_stands_above_its_checkpoints(tmp_path):
  config = dataclasses.replace(CONFIG, relpos_max_distance=64)
  flat = params_of(CONFIG) | {'adapter/embedding': np.ones((3, 16), np.float32)}
  shapes = {name: x.shape for name, x in flat.items()}
  for name in ('checkpoint_7', 'copied'):
    t5x_format.write(str(tmp_path / name), flat.__getitem__, shapes, 'float32')
  t5x_format.write_beside(str(tmp_path), config, {}, 'float32', 5)
  assert backbones.open_backbone(str(tmp_path / 'checkpoint_7')).config == config
  assert adapter_files.read_any(str(tmp_path / 'checkpoint_7'))[1]['prompt_position'] == 5
  assert backbones.open_backbone(str(tmp_path / 'copied')).config == CONFIG
  assert 'prompt_position' not in adapter_files.read_any(str(tmp_path / 'copied'))[1]
  (tmp_path / 'adapter.json').write_text('{"prompt_position": "5"}')
  with pytest.raises(backbones.CheckpointError, match="adapter.json: prompt_position is '5', not int; copy it from"):
    adapter_files.read_any(str(tmp_path / 'checkpoint_7'))
