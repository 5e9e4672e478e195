"""Checkpoint files of decoders: Hugging Face's, T5X's layout, and what must not be read as if it were whole."""

import json
import shutil

import hf_llama
import numpy as np
import pytest
from safetensors import numpy as safetensors
from tiny_backbones import assert_holds

from robust_t5x import convert
from robust_t5x.checkpoints import backbones, huggingface
from robust_t5x.checkpoints.layouts import layout
from robust_t5x.models import trainable


def _flat(kind):
  return {name: np.asarray(x) for name, x in trainable.flatten(hf_llama.read(kind)[1]).items()}


@pytest.mark.parametrize('kind', hf_llama.KINDS)
def test_names_and_shapes_are_those_of_the_network(kind):
  network, _, _ = hf_llama.read(kind)
  import jax

  tokens = np.ones((1, 4), np.int32)
  made = trainable.flatten(jax.eval_shape(network.init, jax.random.key(0), *[tokens] * 3)['params'])
  assert layout(network.config).shapes() == {name: x.shape for name, x in made.items()}
  file = safetensors.load_file(hf_llama.HF / kind / 'model.safetensors')
  assert {name.theirs for name in layout(network.config).names()} == set(file)


@pytest.mark.parametrize('kind', hf_llama.KINDS)
def test_there_and_back(kind, tmp_path):
  flat, source = _flat(kind), str(hf_llama.HF / kind)
  report = convert.convert_backbone(source, str(tmp_path / 'b'), 't5x')
  convert.convert_backbone(str(tmp_path / 'b'), str(tmp_path / 'c'), 'huggingface')
  config = hf_llama.read(kind)[0].config
  assert assert_holds(tmp_path / 'b', flat, 't5x').config == config
  assert assert_holds(tmp_path / 'c', flat, 'huggingface').config == config
  assert {backbones.backbone_hash(p) for p in (source, str(tmp_path / 'b'), str(tmp_path / 'c'))} == {report['sha256']}
  assert report['parameters'] == {name: list(x.shape) for name, x in flat.items()}
  content = json.loads((tmp_path / 'c' / 'config.json').read_text())
  assert content['max_position_embeddings'] == 128 and content['pad_token_id'] == 0


def test_hashes_tell_settings_apart_that_shapes_do_not(tmp_path):
  plain = shutil.copytree(hf_llama.HF / 'llama', tmp_path / 'a')
  hashes = {backbones.backbone_hash(str(plain))}
  for i, change in enumerate((
    {'rms_norm_eps': 1e-5}, {'num_attention_heads': 2, 'num_key_value_heads': 1, 'head_dim': 16},
    {'rope_parameters': {'rope_theta': 5e5}}, {'rope_parameters': {'rope_type': 'linear', 'factor': 2.0}},
  )):  # fmt: skip
    other = shutil.copytree(plain, tmp_path / str(i))
    content = json.loads((other / 'config.json').read_text())
    (other / 'config.json').write_text(json.dumps({**content, **change}))
    hashes.add(backbones.backbone_hash(str(other)))
  assert len(hashes) == 5


def test_shards_are_read(tmp_path):
  flat, config = _flat('qwen3'), hf_llama.read('qwen3')[0].config
  shapes = {name: x.shape for name, x in flat.items()}
  huggingface.write(str(tmp_path / 'a'), config, flat.__getitem__, shapes, 'float32', shard_bytes=8000)
  assert len(list((tmp_path / 'a').glob('*.safetensors'))) > 2
  assert_holds(tmp_path / 'a', flat, 'huggingface')


def _changed(directory, kind, change):
  """A copy with other tensors; what is None is taken away."""
  shutil.copytree(hf_llama.HF / kind, directory)
  tensors = safetensors.load_file(directory / 'model.safetensors') | change
  tensors = {k: np.ascontiguousarray(v) for k, v in tensors.items() if v is not None}
  safetensors.save_file(tensors, directory / 'model.safetensors')
  return str(directory)


@pytest.mark.parametrize(
  ('kind', 'change', 'message'),
  [
    (
      'llama',
      {'lm_head.weight': None},
      'does not hold the whole of a decoder-only network: logits_dense/kernel: not in',
    ),
    ('llama', {'model.layers.1.mlp.up_proj.weight': None}, 'decoder/layers_1/mlp/wi_1/kernel: not in the checkpoint'),
    (
      'llama',
      {'model.norm.weight': np.ones(3, np.float32)},
      r'decoder/decoder_norm/scale: \[3\] in the checkpoint, \[32\]',
    ),
    ('llama', {'model.norm.weight': np.ones(32, np.int32)}, 'decoder/decoder_norm/scale: of dtype int32'),
    (
      'llama',
      {'model.layers.0.self_attn.q_proj.bias': np.ones(32, np.float32)},
      'q_proj.bias, which a network by config',
    ),
    ('llama', {'model.layers.2.mlp.up_proj.weight': np.ones((40, 32), np.float32)}, 'holds model.layers.2.mlp'),
    (
      'smollm2',
      {'lm_head.weight': np.ones((96, 32), np.float32)},
      'lm_head.weight differs from model.embed_tokens.weight',
    ),
    ('llama', {'model.norm.weight': np.full(32, np.nan, np.float32)}, r'model.norm.weight holds nan at \[0\]'),
  ],
)
def test_weights_that_are_not_those_of_the_configuration_are_named(tmp_path, kind, change, message):
  with pytest.raises(backbones.CheckpointError, match=message):
    backbones.backbone_hash(_changed(tmp_path / 'a', kind, change))


def test_a_tied_output_layer_may_be_written_out_and_old_frequencies_are_passed_over(tmp_path, capsys):
  embedding = _flat('smollm2')['token_embedder/embedding']
  old = 'model.layers.0.self_attn.rotary_emb.inv_freq'
  more = {'lm_head.weight': embedding, old: np.ones(4, np.float32)}
  digest = backbones.backbone_hash(str(hf_llama.HF / 'smollm2'))
  assert backbones.backbone_hash(_changed(tmp_path / 'a', 'smollm2', more)) == digest
  only = {'lm_head.weight': embedding, 'model.embed_tokens.weight': None}
  assert backbones.backbone_hash(_changed(tmp_path / 'b', 'smollm2', only)) == digest
  assert 'not used' not in capsys.readouterr().err


def test_t5xs_layout_without_settings_says_what_it_needs(tmp_path):
  convert.convert_backbone(str(hf_llama.HF / 'llama'), str(tmp_path / 'b'), 't5x')
  (tmp_path / 'b' / 'network.json').unlink()
  with pytest.raises(backbones.CheckpointError, match="put the model's config.json there as network.json"):
    backbones.open_backbone(str(tmp_path / 'b'))
  shutil.copyfile(hf_llama.HF / 'llama' / 'config.json', tmp_path / 'b' / 'network.json')
  assert backbones.open_backbone(str(tmp_path / 'b')).config == hf_llama.read('llama')[0].config


def test_what_orbax_writes_for_t5x_is_read_with_settings_beside_it(tmp_path):
  import jax
  import orbax.checkpoint as ocp

  flat, path = _flat('llama_llama3'), tmp_path / 'checkpoint_7'
  state = {'target': trainable.unflatten(flat), 'state': {'step': np.asarray(7)}}
  ocp.PyTreeCheckpointer().save(path / 'state', jax.tree.map(jax.numpy.asarray, state))
  shutil.copyfile(hf_llama.HF / 'llama_llama3' / 'config.json', path / 'network.json')
  assert assert_holds(path, flat, 'orbax').config == hf_llama.read('llama_llama3')[0].config
  assert backbones.backbone_hash(str(path)) == backbones.backbone_hash(str(hf_llama.HF / 'llama_llama3'))


def test_a_backbone_is_loaded_for_a_model():
  network, params, _ = hf_llama.read('qwen2')
  flat = trainable.flatten(params)
  import jax

  like = trainable.unflatten({name: jax.ShapeDtypeStruct(x.shape, np.float32) for name, x in flat.items()})
  loaded, report = backbones.load_backbone(str(hf_llama.HF / 'qwen2'), like)
  jax.tree.map(np.testing.assert_array_equal, loaded, params)
  assert (len(report.loaded), report.fresh, report.unused) == (len(flat), (), ())
  config = backbones.network_config(str(hf_llama.HF / 'qwen2'), 'bfloat16', remat=True)
  assert (config.dtype, config.remat, config.mlp_dim) == ('bfloat16', True, network.config.mlp_dim)


def test_what_makes_tokens_goes_along(tmp_path):
  source = shutil.copytree(hf_llama.HF / 'llama', tmp_path / 'a')
  beside = ('tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', 'generation_config.json')
  for name in (*beside, 'README.md', 'pytorch_model.bin'):
    (source / name).write_text(name)
  for to in ('t5x', 'huggingface'):
    convert.convert_backbone(str(source), str(tmp_path / to), to)
    source = tmp_path / to
    assert [(source / name).read_text() for name in beside] == list(beside)
    assert not (source / 'README.md').exists() and not (source / 'pytorch_model.bin').exists()
