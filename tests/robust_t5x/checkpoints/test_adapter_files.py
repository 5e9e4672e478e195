"""Adapters on disk: our own file, arrays and PEFT's layout."""

import json
import pathlib

import numpy as np
import pytest
from safetensors import numpy as safetensors
from tiny_adapters import CONFIG, KINDS, build

from robust_t5x import __main__ as command
from robust_t5x import adapters
from robust_t5x.checkpoints import adapter_files, backbones, huggingface, loading
from robust_t5x.models import protocol, t5, trainable


@pytest.mark.parametrize('kind', KINDS)
def test_round_trip(kind, tmp_path):
  _, params = build(kind)
  path = str(tmp_path / 'new' / 'adapter.safetensors')
  digest = adapter_files.save(path, params['adapter'], {'seed': 3})
  arrays, metadata = adapter_files.load(path)
  assert len(digest) == 64
  assert metadata == {'seed': 3}
  assert adapters.config_of(arrays) == KINDS[kind]
  for name, value in params['adapter'].items():
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


def test_a_prefix_has_no_place_in_peft(tmp_path, capsys):
  adapter_files.save(str(tmp_path / 'p.safetensors'), {'encoder_key': np.zeros((1, 2, 2, 8))}, {})
  assert command.main(['convert', str(tmp_path / 'p.safetensors'), str(tmp_path / 'x'), '--to', 'peft']) == 2
  assert 'peft has a place for a soft prompt (embedding) only' in capsys.readouterr().err


def test_logits_with_an_adapter_of_peft_are_those_of_peft():
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
