"""Writes tiny decoders as GGUF, with llama.cpp's own writer and in the order that its converter has."""

import gguf
import hf_llama
import numpy as np

from robust_t5x.models import trainable

_PARTS = {
  'pre_attention_layer_norm': 'attn_norm', 'pre_mlp_layer_norm': 'ffn_norm', 'query': 'attn_q', 'key': 'attn_k',
  'value': 'attn_v', 'out': 'attn_output', 'query_norm': 'attn_q_norm', 'key_norm': 'attn_k_norm', 'wi_0': 'ffn_gate',
  'wi_1': 'ffn_up', 'wo': 'ffn_down',
}  # fmt: skip
_WHOLE = {
  'token_embedder/embedding': 'token_embd.weight', 'decoder/decoder_norm/scale': 'output_norm.weight',
  'logits_dense/kernel': 'output.weight',
}  # fmt: skip


def reordered(array, heads):
  """LlamaModel.permute of llama.cpp's convert_hf_to_gguf.py."""
  return array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def tensors(kind):
  """GGUF's name -> array of a tiny model of Hugging Face, as the converter writes it."""
  network, params, _ = hf_llama.read(kind)
  config, found = network.config, {}
  for ours, value in trainable.flatten(params).items():
    array = np.asarray(value)
    array = array.T if ours.endswith('/kernel') else array
    if ours in _WHOLE:
      found[_WHOLE[ours]] = array
      continue
    *_, part, leaf = ours.split('/')
    if architecture(kind) == 'llama' and part in ('query', 'key'):
      array = reordered(array, config.num_heads if part == 'query' else config.num_kv_heads)
    layer = ours.split('/')[1].removeprefix('layers_')
    found[f'blk.{layer}.{_PARTS[part]}.{"bias" if leaf == "bias" else "weight"}'] = np.ascontiguousarray(array)
  return found


def architecture(kind):
  return kind if kind.startswith('qwen') else 'llama'


def write(path, kind='llama', change=(), metadata=(), quantise=None, name=None):
  """Writes a file; the path, as text.

  Args:
    path: where to.
    kind: a model of hf_llama.
    change: GGUF's name -> another array; None of one that is left out.
    metadata: key of the architecture -> another value; None of one that is left out.
    quantise: a type of gguf.GGMLQuantizationType for all matrices whose rows it can split.
    name: another architecture's.
  """
  config = hf_llama.read(kind)[0].config
  name = name or architecture(kind)
  writer = gguf.GGUFWriter(str(path), name)
  keys = {
    'block_count': config.num_layers, 'context_length': 128, 'embedding_length': config.emb_dim,
    'feed_forward_length': config.mlp_dim, 'attention.head_count': config.num_heads,
    'attention.head_count_kv': config.num_kv_heads, 'attention.key_length': config.head_dim,
    'attention.value_length': config.head_dim, 'rope.dimension_count': config.head_dim, 'rope.freq_base': config.rotary.theta,
    'attention.layer_norm_rms_epsilon': config.norm_epsilon, 'vocab_size': config.vocab_size,
  } | dict(metadata)  # fmt: skip
  for key, value in keys.items():
    add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    if value is not None:
      add.get(type(value), writer.add_array)(f'{name}.{key}', value)
  writer.add_eos_token_id(2)
  writer.add_token_list(['<s>', 'ä', '\n'])
  for each, array in (tensors(kind) | dict(change)).items():
    if array is None:
      continue
    if quantise is not None and array.ndim == 2 and array.shape[1] % gguf.GGML_QUANT_SIZES[quantise][0] == 0:
      writer.add_tensor(each, gguf.quants.quantize(array.astype(np.float32), quantise), raw_dtype=quantise)
    else:
      writer.add_tensor(each, array)
  writer.write_header_to_file()
  writer.write_kv_data_to_file()
  writer.write_tensors_to_file()
  writer.close()
  return str(path)
