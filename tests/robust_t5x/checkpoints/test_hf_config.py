"""`config.json`: every field is used, has the value that we compute with, is harmless, or is refused."""

import json

import pytest
from tiny_backbones import CONFIG, FAMILIES

from robust_t5x.checkpoints import hf_config
from robust_t5x.checkpoints.config_checks import HuggingFaceError


def _read(directory, change, config=CONFIG):
  fields = {**hf_config.fields(config, 'float32'), **change}
  (directory / 'config.json').write_text(json.dumps({k: v for k, v in fields.items() if v is not ...}))
  return hf_config.load_config(str(directory))


@pytest.mark.parametrize('config', FAMILIES.values())
def test_what_is_written_is_read(tmp_path, config):
  assert _read(tmp_path, {}, config) == config


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'layer_norm_epsilon': 1e-2}, 'layer_norm_epsilon is 0.01; only 1e-06 is supported'),
    ({'decoder_start_token_id': 2}, 'decoder_start_token_id is 2; only 0 is supported'),
    ({'decoder_start_token_id': False}, 'decoder_start_token_id is False'),
    ({'pad_token_id': 3}, 'pad_token_id is 3; only 0'),
    ({'eos_token_id': [1, 2]}, r'eos_token_id is \[1, 2\]; only 1'),
    ({'model_type': 'umt5'}, "model_type is 'umt5', which is not supported; supported are t5, llama"),
    ({'is_encoder_decoder': False}, 'is_encoder_decoder is False'),
    ({'tie_encoder_decoder': True}, 'tie_encoder_decoder is True'),
    ({'quantization_config': {'bits': 4}}, 'quantization_config is .*; only a checkpoint without it is supported'),
    ({'pruned_heads': {'0': [1]}}, 'pruned_heads'),
    ({'architectures': ['T5EncoderModel']}, 'architectures is .*; only T5ForConditionalGeneration'),
    ({'feed_forward_proj': 'gated-silu'}, "feed_forward_proj is 'gated-silu'; supported are gated-gelu, relu"),
    ({'feed_forward_proj': ['relu']}, r"feed_forward_proj is \['relu'\], not str"),
    ({'dense_act_fn': 'gelu'}, "dense_act_fn is 'gelu', which does not go with feed_forward_proj 'gated-gelu'"),
    ({'is_gated_act': False}, 'is_gated_act is False, which does not go'),
    ({'hidden_size': 17}, 'hidden_size is 17 and d_model 16, which are the same size; take hidden_size out'),
    ({'d_model': '16'}, "d_model is '16', not int"),
    ({'d_model': ...}, 'it has no d_model'),
    ({'num_heads': 0}, 'num_heads is 0, no size'),
    ({'num_decoder_layers': 0}, 'num_decoder_layers is 0, no size'),
    ({'vocab_size': 10**400}, 'vocab_size is 1000.*, no size'),
    ({'scale_decoder_outputs': 'yes'}, "scale_decoder_outputs is 'yes', not bool"),
    ({'relative_attention_num_buckets': 7}, '.*the buckets are an even number'),
    ({'relative_attention_max_distance': 16}, '.*the distance more than half of it'),
  ],
)
def test_a_field_that_changes_numbers_is_refused_by_its_name(tmp_path, change, message):
  with pytest.raises(HuggingFaceError, match=f'config.json: {message}'):
    _read(tmp_path, change)


def test_harmless_fields_pass_and_unknown_ones_are_refused(tmp_path, capsys):
  harmless = {
    'dropout_rate': 0.1,
    'transformers_version': '5',
    'num_beams': 4,
    'eos_token_id': [1],
    'attention_dropout': 0.1,
  }
  assert _read(tmp_path, {**harmless, 'logit_softcap': None}) == CONFIG
  assert capsys.readouterr().err == ''
  with pytest.raises(
    HuggingFaceError, match='config.json: logit_softcap is not known of t5 and might change its numbers'
  ):
    _read(tmp_path, {'logit_softcap': 30.0})


@pytest.mark.parametrize('content', [b'', b'[]', b'{"a": 1', b'\xff', b'[' * 100_000])
def test_a_file_that_is_no_configuration_is_named(tmp_path, content):
  (tmp_path / 'config.json').write_bytes(content)
  with pytest.raises(HuggingFaceError, match='config.json: .*; fetch it again'):
    hf_config.load_config(str(tmp_path))
