"""Hugging Face's T5 checkpoint layout: `config.json` and `model.safetensors`, to and from T5X's parameter tree.

Needs neither transformers nor torch. Shapes differ by a transposition: Hugging Face stores linear maps as [out, in].
"""

from collections.abc import Iterator, Mapping
import json
import os
from typing import Any

import numpy as np

from robust_t5x import network, trainable

# config.json's name of the MLP -> (flax activations); 'gated-gelu' is T5.1.1, 'relu' T5 1.0.
_ACTIVATIONS = {'gated-gelu': ('gelu', 'linear'), 'relu': ('relu',), 'gated-relu': ('relu', 'linear')}
_OUTPUT = 'decoder/logits_dense/kernel'
_INDEX = 'model.safetensors.index.json'


class HuggingFaceError(ValueError):
  """A checkpoint directory that cannot be read as a T5 model."""


def load_config(directory: str) -> network.T5Config:
  """Reads `config.json`.

  Raises:
    HuggingFaceError: if it is not JSON, lacks a field or describes another architecture.
  """
  path = os.path.join(directory, 'config.json')
  try:
    with open(path, encoding='utf-8') as f:
      config = json.load(f)
  except (OSError, ValueError) as e:
    raise HuggingFaceError(f'{path}: cannot be read as JSON ({e})') from e
  if config.get('model_type', 't5') != 't5':
    raise HuggingFaceError(f"{path}: model_type is {config['model_type']!r}; only 't5' is supported")
  projection = config.get('feed_forward_proj', 'relu')
  if projection not in _ACTIVATIONS:
    raise HuggingFaceError(f'{path}: feed_forward_proj is {projection!r}; supported are {", ".join(_ACTIVATIONS)}')
  try:
    return network.T5Config(
      vocab_size=config['vocab_size'],
      emb_dim=config['d_model'],
      num_heads=config['num_heads'],
      head_dim=config['d_kv'],
      num_encoder_layers=config['num_layers'],
      num_decoder_layers=config.get('num_decoder_layers') or config['num_layers'],
      mlp_dim=config['d_ff'],
      mlp_activations=_ACTIVATIONS[projection],
      # transformers 5 writes tie_word_embeddings as true for every T5 and tells T5 1.0 by the scale.
      logits_via_embedding=config.get('scale_decoder_outputs', config.get('tie_word_embeddings', True)),
      relpos_buckets=config.get('relative_attention_num_buckets', 32),
      relpos_max_distance=config.get('relative_attention_max_distance', 128),
    )
  except KeyError as e:
    raise HuggingFaceError(f'{path}: field {e} is missing') from e


def load_params(directory: str) -> dict[str, Any]:
  """Reads the weights into T5X's nested tree, as numpy arrays; sharded or not.

  A tensor that a T5 of this configuration does not have keeps its name, so that a restore reports it as not used.

  Raises:
    HuggingFaceError: if a safetensors file is missing.
  """
  import safetensors

  config = load_config(directory)
  names = {theirs: (path, transpose) for theirs, path, transpose in _names(config)}
  copies = {*_COPIES, *(['lm_head.weight'] if config.logits_via_embedding else [])}
  flat = {}
  for file in _weight_files(directory):
    with safetensors.safe_open(file, framework='numpy') as f:
      for name in f.keys():
        if name not in copies:
          path, transpose = names.get(name, (name, False))
          array = f.get_tensor(name)
          flat[path] = np.ascontiguousarray(array.T) if transpose else array
  if not config.logits_via_embedding and _OUTPUT not in flat:
    # A separate output layer that shares the embedding's weights, without T5 1.0's scale.
    flat[_OUTPUT] = np.ascontiguousarray(flat['token_embedder/embedding'].T)
  return trainable.unflatten(flat)


def save(directory: str, config: network.T5Config, params: Mapping[str, Any], dtype: str = 'float32') -> None:
  """Writes `config.json` and `model.safetensors`; parameters under `prompt` are left out.

  Args:
    directory: where to; created if need be.
    config: the network.
    params: nested tree in T5X's names.
    dtype: storage dtype, 'float32' or 'float16'.
  """
  from safetensors import numpy as safetensors

  os.makedirs(directory, exist_ok=True)
  flat = trainable.flatten(params)
  tensors = {}
  for name, path, transpose in _names(config):
    array = np.asarray(flat[path], dtype)
    tensors[name] = np.ascontiguousarray(array.T) if transpose else array
  projection = {v: k for k, v in _ACTIVATIONS.items()}[tuple(config.mlp_activations)]
  fields = {
    'architectures': ['T5ForConditionalGeneration'],
    'model_type': 't5',
    'is_encoder_decoder': True,
    'vocab_size': config.vocab_size,
    'd_model': config.emb_dim,
    'd_kv': config.head_dim,
    'd_ff': config.mlp_dim,
    'num_heads': config.num_heads,
    'num_layers': config.num_encoder_layers,
    'num_decoder_layers': config.num_decoder_layers,
    'feed_forward_proj': projection,
    'tie_word_embeddings': config.logits_via_embedding,
    'scale_decoder_outputs': config.logits_via_embedding,
    'relative_attention_num_buckets': config.relpos_buckets,
    'relative_attention_max_distance': config.relpos_max_distance,
    'layer_norm_epsilon': 1e-6,
    'dropout_rate': 0.0,
    'pad_token_id': 0,
    'eos_token_id': 1,
    'decoder_start_token_id': 0,
    'torch_dtype': dtype,
  }
  _write(os.path.join(directory, 'model.safetensors'), safetensors.save(tensors, {'format': 'pt'}))
  _write(os.path.join(directory, 'config.json'), (json.dumps(fields, indent=2) + '\n').encode())


def _write(path: str, data: bytes) -> None:
  temporary = f'{path}.{os.getpid()}.tmp'
  with open(temporary, 'wb') as f:
    f.write(data)
  os.replace(temporary, path)


def _weight_files(directory: str) -> list[str]:
  index = os.path.join(directory, _INDEX)
  if os.path.isfile(index):
    with open(index, encoding='utf-8') as f:
      names = sorted(set(json.load(f)['weight_map'].values()))
  else:
    names = ['model.safetensors']
  files = [os.path.join(directory, name) for name in names]
  missing = [file for file in files if not os.path.isfile(file)]
  if missing:
    pickled = [n for n in os.listdir(directory) if n.startswith('pytorch_model')]
    advice = (
      f'{pickled[0]} is a torch pickle, which is not read; save the model with safe_serialization=True'
      if pickled
      else 'download all files of the checkpoint'
    )
    raise HuggingFaceError(f'{directory}: no {os.path.basename(missing[0])}; {advice}')
  return files


def _attention_names(source: str, target: str) -> Iterator[tuple[str, str, bool]]:
  for theirs, ours in (('q', 'query'), ('k', 'key'), ('v', 'value'), ('o', 'out')):
    yield f'{source}.{theirs}.weight', f'{target}/{ours}/kernel', True


def _names(config: network.T5Config) -> Iterator[tuple[str, str, bool]]:
  """(Hugging Face's name, T5X's path, whether transposed) of every parameter of a network."""
  yield 'shared.weight', 'token_embedder/embedding', False
  inner = [f'wi_{i}' for i in range(2)] if len(config.mlp_activations) > 1 else ['wi']
  stacks = (('encoder', config.num_encoder_layers), ('decoder', config.num_decoder_layers))
  for stack, layers in stacks:
    decoder = stack == 'decoder'
    yield (
      f'{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight',
      f'{stack}/relpos_bias/rel_embedding',
      True,
    )
    yield f'{stack}.final_layer_norm.weight', f'{stack}/{stack}_norm/scale', False
    for i in range(layers):
      theirs, ours = f'{stack}.block.{i}.layer', f'{stack}/layers_{i}'
      attention = 'self_attention' if decoder else 'attention'
      yield from _attention_names(f'{theirs}.0.SelfAttention', f'{ours}/{attention}')
      norm = f'pre_{attention}_layer_norm'
      yield f'{theirs}.0.layer_norm.weight', f'{ours}/{norm}/scale', False
      if decoder:
        yield from _attention_names(f'{theirs}.1.EncDecAttention', f'{ours}/encoder_decoder_attention')
        yield f'{theirs}.1.layer_norm.weight', f'{ours}/pre_cross_attention_layer_norm/scale', False
      last = 2 if decoder else 1
      for name in [*inner, 'wo']:
        yield f'{theirs}.{last}.DenseReluDense.{name}.weight', f'{ours}/mlp/{name}/kernel', True
      yield f'{theirs}.{last}.layer_norm.weight', f'{ours}/pre_mlp_layer_norm/scale', False
  if not config.logits_via_embedding:
    yield 'lm_head.weight', _OUTPUT, True


# Copies of the shared embedding that some files hold besides.
_COPIES = ('encoder.embed_tokens.weight', 'decoder.embed_tokens.weight')
