"""Adapters on disk: our own file, arrays and PEFT's layout."""

import json

import numpy as np
import pytest
from safetensors import numpy as safetensors
from tiny_adapters import CONFIG, KINDS

from robust_t5x import __main__ as command
from robust_t5x import adapters
from robust_t5x.checkpoints import adapter_files, backbones, loading


@pytest.mark.parametrize('kind', KINDS)
def test_round_trip(kind, tmp_path):
  rng = np.random.default_rng(0)
  shapes = {name: made.shape for name, made in adapters.parameters(KINDS[kind], CONFIG).items()}
  values = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
  path = str(tmp_path / 'new' / 'adapter.safetensors')
  digest = adapter_files.save(path, values, {'seed': 3})
  arrays, metadata = adapter_files.load(path)
  assert len(digest) == 64
  assert metadata == {'seed': 3}
  assert adapters.config_of(arrays) == KINDS[kind]
  for name, value in values.items():
    np.testing.assert_array_equal(arrays[name], value)
  adapters.check_fits(arrays, CONFIG, path)


@pytest.mark.parametrize(('content', 'message'), [(None, 'no file'), (b'not safetensors', 'not a safetensors file')])
def test_unreadable_files(tmp_path, content, message):
  path = tmp_path / 'adapter.safetensors'
  if content:
    path.write_bytes(content)
  with pytest.raises(adapters.AdapterError, match=message):
    adapter_files.load(str(path))


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


def _peft(directory, tensors, config):
  directory.mkdir()
  safetensors.save_file(tensors, directory / 'adapter_model.safetensors')
  if config is not None:
    (directory / 'adapter_config.json').write_text(json.dumps(config))
  return str(directory)


_GOOD = {'peft_type': 'PROMPT_TUNING', 'num_virtual_tokens': 4, 'token_dim': 8}
_VECTORS = {'prompt_embeddings': np.ones((4, 8), np.float32)}


@pytest.mark.parametrize(
  ('tensors', 'config', 'message'),
  [
    (_VECTORS, None, 'no adapter_config.json'),
    (_VECTORS, {}, 'adapter_config.json: it has no peft_type'),
    (_VECTORS, [], r'adapter_config.json: it is \[\], not dict'),
    (_VECTORS, {'peft_type': 'PROMPT_TUNING'}, 'adapter_config.json: it has no num_virtual_tokens'),
    (_VECTORS, _GOOD | {'num_virtual_tokens': '4'}, "num_virtual_tokens is '4', not int"),
    (_VECTORS, _GOOD | {'peft_type': 'LOHA'}, "peft_type is 'LOHA'; supported are LORA"),
    (_VECTORS, _GOOD | {'num_virtual_tokens': 2}, 'holds 4 vectors for 2 virtual tokens'),
    (_VECTORS, _GOOD | {'token_dim': 9}, r'has the shape \[4, 8\], by adapter_config.json it should be \[4, 9\]'),
    ({'prompt_embeddings': np.ones(4, np.float32)}, _GOOD, r'has the shape \[4\]'),
    ({'other': np.ones((4, 8), np.float32)}, _GOOD, 'holds other, where there should be prompt_embeddings alone'),
    (_VECTORS | {'other': np.ones(2, np.float32)}, _GOOD, 'holds other, prompt_embeddings, where'),
    ({'prompt_embeddings': np.ones((4, 8), np.int32)}, _GOOD, 'is of dtype int32'),
    ({'prompt_embeddings': np.full((4, 8), np.nan, np.float32)}, _GOOD, 'prompt_embeddings holds nan'),
  ],
)
def test_a_directory_of_peft_that_lacks_something_is_named(tmp_path, tensors, config, message):
  with pytest.raises(adapters.AdapterError, match=message):
    adapter_files.read_any(_peft(tmp_path / 'peft', tensors, config))


@pytest.mark.parametrize(
  ('arrays', 'metadata', 'message'),
  [
    ({'embedding': np.full((2, 3), np.inf, np.float32)}, '{}', r'embedding holds inf at \[0, 0\]'),
    ({'embedding': np.ones((2, 3), np.int64)}, '{}', 'embedding is of dtype int64'),
    ({}, '{}', 'holds no array'),
    ({'embedding': np.ones((2, 3))}, '{', 'its metadata are damaged .it is not JSON'),
    ({'embedding': np.ones((2, 3))}, '{"backbone": "x"}', "its metadata are damaged .backbone is 'x'"),
    ({'embedding': np.ones((2, 3))}, '{"backbone": {}}', 'its metadata are damaged'),
  ],
)
def test_an_adapter_that_is_damaged_is_named(tmp_path, arrays, metadata, message):
  path = tmp_path / 'a.safetensors'
  safetensors.save_file(arrays, path, {'robust_t5x': metadata})
  with pytest.raises(adapters.AdapterError, match=f'ADAPTER: {path}.*{message}'):
    adapter_files.load(str(path))


def test_arrays_with_too_few_axes_are_named():
  for name in ('embedding', 'encoder_key', 'encoder_lora_query_down', 'generator_down'):
    with pytest.raises(
      adapters.AdapterError, match=rf'ADAPTER: p: .*{name} has the shape \[\], which has too few axes'
    ):
      adapters.check_fits({name: np.float32(0)}, CONFIG, 'p')
