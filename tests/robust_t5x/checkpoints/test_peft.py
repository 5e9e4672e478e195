"""PEFT's directories: its own logits with its adapters, the way back, and what is refused."""

import dataclasses
import json
import pathlib

from hf_llama import read as decoder
from hf_t5 import reference as t5_reference
import jax
import numpy as np
import pytest
from safetensors import numpy as safetensors

from robust_t5x import adapters
from robust_t5x.checkpoints import adapter_files, peft
from robust_t5x.models import protocol, trainable

DATA = pathlib.Path(__file__).parents[2] / 'data' / 'peft'
KINDS = {
  't5_prompt': 'v1_1', 't5_lora': 'v1_1', 't5_lora_ungated': 'v1_0', 't5_prefix': 'v1_1', 't5_prefix_even': 'v1_1',
  'llama_prompt': 'llama', 'llama_lora': 'llama', 'llama_prefix': 'llama', 'mistral_prefix': 'mistral', 'qwen2_lora': 'qwen2',
}  # fmt: skip


def _model(kind):
  """(configuration, parameters, inputs, answers shifted right, logits without an adapter) of what an adapter was made for."""
  if kind.startswith('t5'):
    network, params, reference = t5_reference(KINDS[kind])
    config = network.config
    if kind == 't5_prefix_even':
      config = dataclasses.replace(config, num_decoder_layers=2)
      params = trainable.flatten(params)
      params = trainable.unflatten({k: v for k, v in params.items() if not k.startswith('decoder/layers_2/')})
    answers = reference['decoder_inputs']
  else:
    network, params, reference = decoder(KINDS[kind])
    config = network.config
    answers = np.pad(reference['answers'][:, :-1], [(0, 0), (1, 0)])
  return config, params, reference['inputs'][::2], answers[::2], reference['logits'][::2]


@pytest.mark.parametrize('kind', KINDS)
def test_logits_with_an_adapter_of_peft_are_those_of_peft(kind):
  config, params, inputs, answers, plain = _model(kind)
  arrays, metadata = adapter_files.read_any(str(DATA / kind), config)
  assert metadata == {'prompt_position': 0}
  adapters.check_fits(arrays, config, kind)
  network = config.network(adapters.config_of(arrays))
  logits = jax.jit(lambda p: protocol.logits(network, p, inputs, answers, 0))({**params, 'adapter': arrays})
  expected = np.load(DATA / kind / 'logits.npy')
  np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=0)
  assert np.abs(expected - plain).max() > 0.05  # the adapter makes a difference


@pytest.mark.parametrize('kind', KINDS)
def test_what_was_read_is_written_as_it_was(kind, tmp_path):
  config, *_ = _model(kind)
  arrays, _ = adapter_files.read_any(str(DATA / kind), config)
  directory = tmp_path / 'peft'
  peft.write(str(directory), arrays, config, 'base')
  fields = json.loads((directory / 'adapter_config.json').read_text())
  assert fields['base_model_name_or_path'] == 'base'
  assert fields['task_type'] == ('SEQ_2_SEQ_LM' if kind.startswith('t5') else 'CAUSAL_LM')
  again, _ = adapter_files.read_any(str(directory), config)
  assert set(again) == set(arrays)
  for name, array in arrays.items():
    np.testing.assert_array_equal(again[name], array, err_msg=name)
  theirs, ours = (safetensors.load_file(d / 'adapter_model.safetensors') for d in (DATA / kind, directory))
  if kind in ('t5_lora', 'llama_lora'):  # every linear map, of one rank
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
  if kind.endswith('prefix') or kind == 'llama_prompt':
    np.testing.assert_array_equal(ours['prompt_embeddings'], theirs['prompt_embeddings'])


def _directory(tmp_path, kind, change, tensors=None):
  config = json.loads((DATA / kind / 'adapter_config.json').read_text()) | change
  arrays = safetensors.load_file(DATA / kind / 'adapter_model.safetensors')
  (tmp_path / 'adapter_config.json').write_text(json.dumps(config))
  safetensors.save_file(arrays if tensors is None else tensors(arrays), tmp_path / 'adapter_model.safetensors')
  return str(tmp_path)


def _renamed(old, new):
  return lambda arrays: {name.replace(old, new): array for name, array in arrays.items()}


@pytest.mark.parametrize(
  ('kind', 'change', 'tensors', 'message'),
  [
    ('llama_lora', {'use_dora': True}, None, 'use_dora is True, which is not supported'),
    ('llama_lora', {'bias': 'all'}, None, "bias is 'all', which is not supported"),
    ('llama_lora', {'fan_in_fan_out': True}, None, 'fan_in_fan_out is True'),
    ('llama_lora', {'layer_replication': [[0, 2]]}, None, 'layer_replication is'),
    ('llama_lora', {'some_new_setting': 1}, None, 'some_new_setting is 1, which is not supported'),
    ('llama_lora', {'init_lora_weights': 'pissa'}, None, "init_lora_weights is 'pissa', which changes the weights"),
    ('llama_lora', {'r': 3}, None, r'has lora_A \[2, \d+\] and lora_B \[\d+, 2\]; by adapter_config.json'),
    ('llama_lora', {'r': 'two'}, None, "r is 'two', not int"),
    ('llama_lora', {'lora_alpha': 10**400}, None, 'is scaled by 1000.*, too much for float32'),
    ('llama_lora', {'rank_pattern': {'(': 2}}, None, r"rank_pattern has '\(', no pattern"),
    (
      'llama_lora',
      {'peft_type': 'LOHA'},
      None,
      "peft_type is 'LOHA'; supported are LORA, PREFIX_TUNING, PROMPT_TUNING",
    ),
    ('llama_lora', {}, _renamed('mlp.up_proj', 'mlp.router'), 'which adds to no attention or MLP of this model'),
    ('llama_lora', {}, lambda arrays: {}, 'holds no LoRA'),
    (
      'llama_lora',
      {},
      lambda arrays: {name: array for name, array in arrays.items() if '.layers.1.mlp.' not in name},
      r'has no LoRA for model.layers.1.mlp.\w+ and 2 more that target_modules .* names; copy adapter_model.safetensors again',
    ),
    ('llama_lora', {}, lambda arrays: dict(list(arrays.items())[1:]), 'down_proj has lora_B'),
    (
      'llama_prefix',
      {'num_layers': 3},
      None,
      r'for 3 virtual tokens, 3 layers and 2 heads; the decoder of this model takes',
    ),
    ('llama_prefix', {'modules_to_save': ['lm_head']}, None, 'modules_to_save is'),
    ('llama_prompt', {'num_virtual_tokens': 2}, None, 'holds 3 vectors for 2 virtual tokens'),
  ],
)
def test_what_cannot_be_computed_with_is_refused_by_name(kind, change, tensors, message, tmp_path):
  with pytest.raises(adapters.AdapterError, match=message):
    adapter_files.read_any(_directory(tmp_path, kind, change, tensors), decoder('llama')[0].config)


def test_an_adapter_of_another_family_is_refused():
  config = _model('t5_lora')[0]
  with pytest.raises(adapters.AdapterError, match='which adds to no attention or MLP of this model'):
    adapter_files.read_any(str(DATA / 'llama_lora'), config)
  with pytest.raises(adapters.AdapterError, match='the decoder of this model takes'):
    adapter_files.read_any(str(DATA / 'llama_prefix'), config)
  with pytest.raises(adapters.AdapterError, match='depends on the model; add --backbone CHECKPOINT'):
    adapter_files.read_any(str(DATA / 'llama_lora'))


def test_where_an_adapter_file_is_meant_a_directory_of_peft_is_told_how_to_become_one():
  with pytest.raises(adapters.AdapterError, match='ADAPTER: .*/llama_lora is an adapter in PEFT.*`robust-t5x convert'):
    adapter_files.load(str(DATA / 'llama_lora'))


@pytest.mark.parametrize(
  ('adapter', 'position', 'message'),
  [
    ({'length': 2}, 4, 'stands behind the first 4 tokens .* gin/ablations/prompt_first.gin'),
    (
      {'length': 2, 'lora_rank': 1},
      0,
      'a place for one kind of adapter; this one has LoRA and a soft prompt',
    ),
    ({'prefix_lengths': {'decoder': 2}}, 0, 'no place for a gated prefix'),
    (
      {'prefix_lengths': {'encoder': 2}, 'prefix_gated': False},
      0,
      "in a decoder's attention to itself alone; .* encoder_key",
    ),
    (
      {'prefix_lengths': {'decoder': 2}, 'prefix_gated': False},
      0,
      'gives layers 0 and 1 of an encoder-decoder with 2 layers the',
    ),
  ],
)
def test_what_peft_has_no_place_for_is_refused(adapter, position, message, tmp_path):
  config = dataclasses.replace(t5_reference('v1_1')[0].config, num_decoder_layers=2)
  made = adapters.parameters(adapters.AdapterConfig(**adapter), config)
  rng = np.random.default_rng(0)
  arrays = {name: rng.normal(size=p.shape).astype(np.float32) for name, p in made.items()}
  with pytest.raises(adapters.AdapterError, match=message):
    peft.write(str(tmp_path / 'peft'), arrays, config, position=position)
  assert not list(tmp_path.iterdir())


def test_a_directory_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
  monkeypatch.setattr(peft, 'write_atomically', lambda path, data: 1 / 0)
  config = t5_reference('v1_1')[0].config
  (tmp_path / f'peft.{10**9}.tmp').mkdir()  # what a killed conversion left
  with pytest.raises(ZeroDivisionError):
    peft.write(str(tmp_path / 'peft'), {'embedding': np.ones((2, config.emb_dim), np.float32)}, config)
  assert not list(tmp_path.iterdir())
