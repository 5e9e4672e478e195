"""`config.json` of decoders: every field is used, has the value that we compute with, is harmless, or is refused."""

import json

import hf_llama
import pytest

from robust_t5x.checkpoints import hf_config
from robust_t5x.checkpoints.checks import CheckpointError
from robust_t5x.checkpoints.config_checks import HuggingFaceError
from robust_t5x.models.llama import LlamaConfig
from robust_t5x.models.rotary import Rotary


def _read(directory, kind='llama', **change):
  content = {**json.loads((hf_llama.HF / kind / 'config.json').read_text()), **change}
  (directory / 'config.json').write_text(json.dumps({k: v for k, v in content.items() if v is not ...}))
  return hf_config.load_config(str(directory))


@pytest.mark.parametrize('kind', hf_llama.KINDS)
def test_what_is_written_is_read(tmp_path, kind):
  config = _read(tmp_path, kind)
  content = json.loads((tmp_path / 'config.json').read_text())
  notes = hf_config.notes_of(content)
  assert notes['max_position_embeddings'] == 128 and 'eos_token_id' in notes
  again = hf_config.fields(config, 'float32', notes)
  assert again['model_type'] == content['model_type'] and again['max_position_embeddings'] == 128
  assert hf_config.config_of(again, 'x') == config


def test_a_published_file_of_llama_3_1_is_read(tmp_path):
  """As meta-llama/Llama-3.1-8B-Instruct has it, in the fields that tell the network."""
  config = _read(
    tmp_path, rope_parameters=..., head_dim=..., dtype=..., torch_dtype='bfloat16', rope_theta=500000.0,
    rope_scaling={
      'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0, 'original_max_position_embeddings': 8192,
      'rope_type': 'llama3',
    },
    rms_norm_eps=1e-05, hidden_size=4096, num_attention_heads=32, num_key_value_heads=8, intermediate_size=14336,
    num_hidden_layers=32, vocab_size=128256, max_position_embeddings=131072, eos_token_id=[128001, 128008, 128009],
  )  # fmt: skip
  rotary = Rotary('llama3', 500000.0, 8.0, 8192, 1.0, 4.0)
  assert config == LlamaConfig(128256, 4096, 32, 8, 128, 32, 14336, rotary, norm_epsilon=1e-5)


def test_windows_are_those_of_transformers(tmp_path):
  assert _read(tmp_path, 'mistral', sliding_window=...).windows == (4096, 4096)
  assert _read(tmp_path, 'mistral', sliding_window=None).windows == ()
  sliding = {'use_sliding_window': True, 'sliding_window': 7}
  assert _read(tmp_path, 'qwen2', layer_types=..., max_window_layers=1, **sliding).windows == (0, 7)
  config = _read(tmp_path, 'qwen3', layer_types=['sliding_attention', 'full_attention'], **sliding)
  assert config.windows == (7, 0)
  assert hf_config.config_of(hf_config.fields(config, 'float32'), 'x') == config
  assert _read(tmp_path, 'qwen2', layer_types=..., **sliding).windows == ()
  with pytest.raises(
    HuggingFaceError, match='layer_types has sliding_attention, and no sliding_window is set and used'
  ):
    _read(tmp_path, 'qwen2', layer_types=['sliding_attention'] * 2)


def test_dynamic_positions_are_stretched_beyond_the_longest_text_as_in_transformers(tmp_path):
  """There `original_max_position_embeddings` is not looked at; where it is less, longer texts are refused for nothing."""
  for original, length in ((256, 128), (64, 64)):
    scaling = {'rope_type': 'dynamic', 'factor': 2.0, 'original_max_position_embeddings': original}
    assert _read(tmp_path, rope_parameters=scaling).rotary == Rotary('dynamic', 10000.0, 2.0, length)


def test_yarn_takes_the_longest_text_where_it_has_no_original(tmp_path):
  rotary = _read(tmp_path, rope_parameters={'rope_type': 'yarn', 'factor': 4, 'rope_theta': 1e6}).rotary
  assert rotary == Rotary('yarn', 1e6, 4.0, 128)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'model_type': 'gemma2'}, "model_type is 'gemma2', which is not supported; supported are t5, llama, mistral"),
    ({'model_type': ...}, 'it has no model_type; fetch it again, with access to the model'),
    ({'hidden_act': 'gelu'}, "hidden_act is 'gelu'; only 'silu'"),
    ({'quantization_config': {'bits': 4}}, 'quantization_config is .*; only a checkpoint without it'),
    (
      {'architectures': ['LlamaForSequenceClassification']},
      'architectures is .*; only a class that ends in ForCausalLM',
    ),
    ({'logit_scale': 0.1}, 'logit_scale is not known of llama and might change its numbers'),
    ({'sliding_window': 4}, 'sliding_window is not known of llama'),
    ({'hidden_size': '32'}, "hidden_size is '32', not int"),
    ({'hidden_size': ...}, 'it has no hidden_size'),
    ({'num_hidden_layers': 10**9}, 'num_hidden_layers is 1000000000, no size'),
    ({'num_attention_heads': 0}, 'num_attention_heads is 0, no size'),
    ({'num_key_value_heads': 3}, '4 heads of width 8 with 3 of keys and values'),
    ({'num_attention_heads': 3, 'num_key_value_heads': 3, 'head_dim': None}, '3 heads of width 10'),
    ({'head_dim': 7}, '4 heads of width 7'),
    ({'rms_norm_eps': 0}, 'rms_norm_eps is 0; it is above 0'),
    (
      {'rope_parameters': {'rope_type': 'longrope', 'factor': 2.0}},
      "rope_parameters.rope_type is 'longrope', which is not",
    ),
    (
      {'rope_parameters': {'rope_type': 'dynamic', 'factor': 2.0}, 'max_position_embeddings': ...},
      'rope_parameters has no original_max_position_embeddings',
    ),
    ({'rope_parameters': {'rope_type': 'linear'}}, 'rope_parameters has no factor'),
    ({'rope_parameters': {'rope_type': 'linear', 'factor': 0}}, 'rope_theta 10000.0 or a number of rope_parameters'),
    ({'rope_parameters': {'rope_type': 'yarn', 'factor': 2.0, 'mscale': 1.0}}, 'mscale, which is not known of yarn'),
    ({'rope_parameters': {'rope_theta': 1.0}}, 'rope_theta 1.0 or a number'),
    ({'rope_parameters': {'partial_rotary_factor': 0.5}}, 'partial_rotary_factor, which is not known'),
    ({'rope_scaling': {'type': 'linear', 'factor': 2.0}}, 'rope_scaling and rope_parameters differ'),
    ({'rope_parameters': 3}, 'rope_parameters is 3, not'),
  ],
)
def test_a_field_that_changes_numbers_is_refused_by_its_name(tmp_path, change, message):
  with pytest.raises(HuggingFaceError, match=f'config.json: .*{message}'):
    _read(tmp_path, **change)


def test_harmless_and_empty_fields_pass(tmp_path, capsys):
  given = {
    'attention_dropout': 0.1,
    'pretraining_tp': 2,
    'is_llama_config': True,
    'rope_interleaved': False,
    'new': None,
  }
  assert _read(tmp_path, **given) == _read(tmp_path)
  assert capsys.readouterr().err == ''


@pytest.mark.parametrize(
  'change', [{'mlp_bias': True, 'qk_norm': True}, {'windows': (3, 5)}, {'attention_bias': ('out',)}]
)
def test_a_network_that_no_architecture_has_is_not_written(change):
  config = LlamaConfig(96, 32, 4, 2, 8, 2, 40, **change)
  with pytest.raises(CheckpointError, match="has no place in Hugging Face's layout"):
    hf_config.fields(config, 'float32')
