"""Reading backbones of every format, and converting them and adapters."""

import json
import os
import pathlib
import subprocess
import sys

import fsspec
import ml_dtypes
import numpy as np
import pytest
from safetensors import numpy as safetensors

from robust_t5x import __main__ as command
from robust_t5x import adapters, convert
from robust_t5x.checkpoints import adapter_files, backbones, huggingface, loading, t5x_format, tensorfile
from robust_t5x.models import t5

CONFIG = t5.T5Config(
  vocab_size=50, emb_dim=16, num_heads=2, head_dim=8, num_encoder_layers=2, num_decoder_layers=3, mlp_dim=24
)
FAMILIES = {
  'v1_1': CONFIG,
  'v1_0': t5.T5Config(
    vocab_size=50, emb_dim=16, num_heads=4, head_dim=8, num_encoder_layers=2, num_decoder_layers=2, mlp_dim=24,
    mlp_activations=('relu',), logits_via_embedding=True,
  ),
}  # fmt: skip


def _params(config, seed=0):
  """Name -> float32 array of a network."""
  import jax

  from robust_t5x.models import trainable

  tokens = np.ones((1, 4), np.int32)
  params = jax.jit(t5.Transformer(config).init)(jax.random.key(seed), *[tokens] * 3)['params']
  return {name: np.asarray(x) for name, x in trainable.flatten(params).items()}


def _write(path, flat, config=CONFIG, **options):
  shapes = {name: x.shape for name, x in flat.items()}
  huggingface.write(str(path), config, flat.__getitem__, shapes, options.pop('dtype', 'float32'), **options)
  return str(path)


@pytest.fixture(params=FAMILIES)
def family(request):
  config = FAMILIES[request.param]
  return config, _params(config)


@pytest.fixture(autouse=True)
def _forget():
  backbones.open_backbone.cache_clear()
  backbones.backbone_hash.cache_clear()


def _assert_holds(path, flat, form):
  source = backbones.open_backbone(str(path))
  assert source.format == form
  assert {name: shape for name, (shape, _) in source.shapes.items()} == {n: x.shape for n, x in flat.items()}
  for name, value in flat.items():
    np.testing.assert_array_equal(source.read(name), value, err_msg=name)
  return source


def test_there_and_back(family, tmp_path):
  config, flat = family
  first = _write(tmp_path / 'a', flat, config)
  convert.convert_backbone(first, str(tmp_path / 'b'), 't5x')
  report = convert.convert_backbone(str(tmp_path / 'b'), str(tmp_path / 'c'), 'huggingface')
  for path, form in ((first, 'huggingface'), (tmp_path / 'b', 't5x'), (tmp_path / 'c', 'huggingface')):
    assert _assert_holds(path, flat, form).config == config
  assert report['parameters'] == {name: list(x.shape) for name, x in flat.items()}
  hashes = {backbones.backbone_hash(str(tmp_path / n)) for n in 'abc'}
  assert hashes == {report['sha256']}


def test_the_safetensors_package_reads_what_we_write(family, tmp_path):
  config, flat = family
  path = _write(tmp_path / 'a', flat, config)
  theirs = safetensors.load_file(f'{path}/model.safetensors')
  np.testing.assert_array_equal(theirs['shared.weight'], flat['token_embedder/embedding'])
  kernel = theirs['encoder.block.1.layer.0.SelfAttention.q.weight']
  np.testing.assert_array_equal(kernel.T, flat['encoder/layers_1/attention/query/kernel'])


def test_shards_with_an_index(tmp_path):
  flat = _params(CONFIG)
  path = _write(tmp_path / 'a', flat, shard_bytes=8000)
  files = sorted(f for f in os.listdir(path) if f.endswith('.safetensors'))
  assert len(files) > 2 and files[0] == f'model-00001-of-{len(files):05d}.safetensors'
  index = json.loads((tmp_path / 'a' / 'model.safetensors.index.json').read_text())
  assert index['metadata']['total_size'] == sum(x.size for x in flat.values()) * 4
  assert set(index['weight_map'].values()) == set(files)
  _assert_holds(path, flat, 'huggingface')
  os.remove(f'{path}/{files[1]}')
  backbones.open_backbone.cache_clear()
  with pytest.raises(ValueError, match=f'no {files[1]}; fetch the whole checkpoint'):
    backbones.open_backbone(path)


@pytest.mark.parametrize('to', ['huggingface', 't5x'])
def test_bfloat16_keeps_what_it_can(to, tmp_path):
  flat = _params(CONFIG)
  source = _write(tmp_path / 'a', flat)
  convert.convert_backbone(source, str(tmp_path / 'b'), to, dtype='bfloat16')
  rounded = {name: x.astype(ml_dtypes.bfloat16) for name, x in flat.items()}
  _assert_holds(tmp_path / 'b', rounded, to)


def test_from_a_place_that_is_no_disk(tmp_path):
  flat = _params(CONFIG)
  source = _write(tmp_path / 'a', flat, shard_bytes=8000)
  remote = fsspec.filesystem('memory')
  remote.put(source + '/', '/bucket/model/', recursive=True)
  _assert_holds('memory://bucket/model', flat, 'huggingface')


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

  flat = _params(CONFIG) | {'adapter/embedding': np.ones((3, 16), np.float32)}
  state = {'target': trainable.unflatten(flat), 'state': {'step': np.asarray(7), 'param_states': {'mu': np.ones(3)}}}
  path = tmp_path / 'checkpoint_7'
  ocp.PyTreeCheckpointer().save(path / 'state', jax.tree.map(jax.numpy.asarray, state))
  source = _assert_holds(path, flat, 'orbax')
  assert source.config == CONFIG
  arrays, metadata = adapter_files.read_any(str(path))
  np.testing.assert_array_equal(arrays['embedding'], np.ones((3, 16)))
  assert metadata['backbone']['sha256'] == backbones.backbone_hash(str(path))
  # The adapter is no part of the backbone's identity.
  without = _write(tmp_path / 'without', {n: x for n, x in flat.items() if not n.startswith('adapter/')})
  assert backbones.backbone_hash(without) == metadata['backbone']['sha256']


@pytest.mark.parametrize(
  ('files', 'message'),
  [
    (['config.json', 'pytorch_model.bin'], 'pytorch_model.bin is a torch pickle, which may run code when it is read'),
    (['config.json'], 'no model.safetensors; fetch the whole checkpoint'),
    (['model.ckpt-1.index', 'model.ckpt-1.meta'], 'is a TensorFlow checkpoint, which is not read'),
    (['checkpoint_100/x', 'checkpoint_90/x'], r'holds several checkpoints; give .*/checkpoint_100'),
    (['README'], 'is no checkpoint'),
  ],
)
def test_what_is_no_checkpoint_is_refused_with_a_cure(files, message, tmp_path):
  _write(tmp_path / 'a', _params(CONFIG))
  for name in files:
    file = tmp_path / 'b' / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text((tmp_path / 'a' / name).read_text() if name == 'config.json' else '')
  with pytest.raises(ValueError, match=message):
    backbones.open_backbone(str(tmp_path / 'b'))


def test_another_architecture_is_refused(tmp_path):
  convert.convert_backbone(_write(tmp_path / 'a', _params(CONFIG)), str(tmp_path / 'b'), 't5x')
  import dataclasses

  from robust_t5x.models import robust
  from robust_t5x.runtime import partitioning

  other = robust.RobustModel(t5.Transformer(dataclasses.replace(CONFIG, mlp_dim=48)), None, None)
  shapes, axes = other.variable_shapes()
  like = partitioning.placed(shapes, partitioning.param_shardings(axes, shapes, partitioning.make_mesh()))
  with pytest.raises(backbones.CheckpointError, match=r'wi_0/kernel: \[16, 24\] in the checkpoint, \[16, 48\]'):
    backbones.load_backbone(str(tmp_path / 'b'), like)


@pytest.mark.parametrize(
  ('content', 'message'),
  [(b'', 'not a safetensors file'), (b'\xff' * 20, 'not a safetensors file'), (b'\x02' + b'\0' * 7 + b'{}', None)],
)
def test_damaged_tensor_files(content, message, tmp_path):
  path = tmp_path / 'x.safetensors'
  path.write_bytes(content)
  if message is None:
    assert tensorfile.TensorFile(str(path)).shapes == {}
    return
  with pytest.raises(tensorfile.TensorFileError, match=message):
    tensorfile.TensorFile(str(path))


def test_a_tensor_file_that_was_cut_off(tmp_path):
  path = tmp_path / 'x.safetensors'
  tensorfile.write(str(path), {'a': ((4,), '<f4')}, [('a', np.arange(4.0))], {})
  path.write_bytes(path.read_bytes()[:-3])
  with pytest.raises(tensorfile.TensorFileError, match='ends within tensor a'):
    tensorfile.TensorFile(str(path)).read('a')


def test_a_loaded_model_is_the_same_from_both_formats(tiny_checkpoint, tmp_path, capsys):
  assert command.main(['convert', str(tiny_checkpoint), str(tmp_path / 't5x'), '--to', 't5x']) == 0
  rows = huggingface.load_config(str(tiny_checkpoint)).vocab_size
  assert f'token_embedder/embedding  {rows}x16' in capsys.readouterr().out
  inputs, options = ['which is the animal'], [['dog', 'bed', 'peach']]
  scores = []
  for path in (tiny_checkpoint, tmp_path / 't5x'):
    model, params = loading.load(str(path))
    scores.append(model.score(params, inputs, options)[0])
  np.testing.assert_array_equal(*scores)


def test_adapters_to_npy_and_peft_and_back(tiny_checkpoint, tmp_path, capsys):
  adapter = {'embedding': np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32)}
  backbone = {'path': str(tiny_checkpoint), 'sha256': backbones.backbone_hash(str(tiny_checkpoint))}
  first = str(tmp_path / 'adapter.safetensors')
  adapter_files.save(first, adapter, {'backbone': backbone})
  for form, name in (('npy', 'adapter.npy'), ('peft', 'peft')):
    there, back = str(tmp_path / name), str(tmp_path / f'{form}.safetensors')
    assert command.main(['convert', first, there, '--to', form]) == 0
    assert command.main(['convert', there, back, '--to', 'adapter']) == 2
    assert 'does not say which backbone it belongs to; add --backbone' in capsys.readouterr().err
    assert command.main(['convert', there, back, '--to', 'adapter', '--backbone', str(tiny_checkpoint)]) == 0
    arrays, metadata = adapter_files.load(back)
    np.testing.assert_array_equal(arrays['embedding'], adapter['embedding'])
    assert metadata['backbone'] == backbone
    loading.load(str(tiny_checkpoint), adapter=back)
  config = json.loads((tmp_path / 'peft' / 'adapter_config.json').read_text())
  assert (config['peft_type'], config['num_virtual_tokens'], config['num_transformer_submodules']) == (
    'PROMPT_TUNING', 5, 1,
  )  # fmt: skip
  theirs = safetensors.load_file(tmp_path / 'peft' / 'adapter_model.safetensors')
  np.testing.assert_array_equal(theirs['prompt_embeddings'], adapter['embedding'])


def test_a_prefix_has_no_place_in_peft(tmp_path, capsys):
  adapter_files.save(str(tmp_path / 'p.safetensors'), {'encoder_key': np.zeros((1, 2, 2, 8))}, {})
  assert command.main(['convert', str(tmp_path / 'p.safetensors'), str(tmp_path / 'x'), '--to', 'peft']) == 2
  assert 'peft has a place for a soft prompt (embedding) only' in capsys.readouterr().err


def test_a_target_that_exists_is_left_alone(tiny_checkpoint, tmp_path, capsys):
  (tmp_path / 'x').mkdir()
  (tmp_path / 'x' / 'precious').write_text('')
  assert command.main(['convert', str(tiny_checkpoint), str(tmp_path / 'x'), '--to', 't5x']) == 2
  assert 'exists and is not empty' in capsys.readouterr().err
  assert os.listdir(tmp_path / 'x') == ['precious']


def test_a_conversion_needs_memory_for_one_tensor_only(tmp_path):
  """A model of 200 MB whose largest tensor has 17 MB."""
  config = t5.T5Config(8192, 512, 8, 64, 8, 8, 4096)
  from robust_t5x.models import robust, trainable

  shapes, _ = robust.RobustModel(t5.Transformer(config), None, None).variable_shapes()

  flat = {name: x.shape for name, x in trainable.flatten(shapes).items()}
  huggingface.write(str(tmp_path / 'a'), config, lambda name: np.zeros(flat[name], np.float32), flat, 'float32')
  size = sum(f.stat().st_size for f in (tmp_path / 'a').iterdir())
  code = """
import resource, sys
from robust_t5x import checkpoints, convert, progress, t5x_checkpoints
import orbax.checkpoint, tensorstore
checkpoints.open_backbone(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
convert.convert_backbone(sys.argv[1], sys.argv[2], sys.argv[3])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""
  for to, source in (('t5x', 'a'), ('huggingface', 't5x')):
    done = subprocess.run(
      [sys.executable, '-c', code, str(tmp_path / source), str(tmp_path / to), to],
      capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert size > 200e6
    assert int(done.stdout) < 0.5 * size, to


def test_logits_with_an_adapter_of_peft_are_those_of_peft():
  from robust_t5x.models import protocol, trainable

  data = pathlib.Path(__file__).parents[2] / 'data'
  backbone = huggingface.HuggingFaceBackbone(str(data / 'hf_t5' / 'v1_1'))
  params = trainable.unflatten({name: backbone.read(name) for name in backbone.shapes})
  params['adapter'], _ = adapter_files.read_any(str(data / 'peft_adapter'))
  module = t5.Transformer(backbone.config, adapters.AdapterConfig(length=4))
  reference = np.load(data / 'hf_t5' / 'v1_1' / 'reference.npz')
  logits = protocol.logits(module, params, reference['inputs'], reference['decoder_inputs'], 0)
  expected = np.load(data / 'peft_adapter' / 'logits.npy')
  np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())
  assert np.abs(expected - reference['logits']).max() > 0.1  # the adapter makes a difference
