"""Hugging Face's T5 checkpoint layout: `config.json` and `model.safetensors`, to and from T5X's parameter tree.

Needs neither transformers nor torch. Shapes differ by a transposition: Hugging Face stores linear maps as [out, in].
"""

from collections.abc import Callable, Iterator, Mapping
import json
import math
import os
from typing import Any

import fsspec
import ml_dtypes
import numpy as np

from robust_t5x.checkpoints import tensorfile
from robust_t5x.models import t5, trainable
from robust_t5x.runtime.files import write_atomically
from seqio_tasks.errors import UserError

# config.json's name of the MLP -> (flax activations); 'gated-gelu' is T5.1.1, 'relu' T5 1.0.
_ACTIVATIONS = {'gated-gelu': ('gelu', 'linear'), 'relu': ('relu',), 'gated-relu': ('relu', 'linear')}
_OUTPUT = 'decoder/logits_dense/kernel'
_INDEX = 'model.safetensors.index.json'


class HuggingFaceError(UserError):
  """A checkpoint directory that cannot be read as a T5 model."""


def load_config(directory: str) -> t5.T5Config:
  """Reads `config.json`.

  Raises:
    HuggingFaceError: if it is not JSON, lacks a field or describes another architecture.
  """
  path = f'{directory}/config.json'
  try:
    with fsspec.open(path, 'rb') as f:
      config = json.load(f)
  except (OSError, ValueError) as e:
    raise HuggingFaceError(f'{path}: cannot be read as JSON ({e})') from e
  if config.get('model_type', 't5') != 't5':
    raise HuggingFaceError(f"{path}: model_type is {config['model_type']!r}; only 't5' is supported")
  projection = config.get('feed_forward_proj', 'relu')
  if projection not in _ACTIVATIONS:
    raise HuggingFaceError(f'{path}: feed_forward_proj is {projection!r}; supported are {", ".join(_ACTIVATIONS)}')
  try:
    return t5.T5Config(
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


class HuggingFaceBackbone:
  """An open checkpoint directory, sharded or not; its tensors go by T5X's names and in T5X's orientation.

  A tensor that a T5 of this configuration does not have keeps its name, so that a restore reports it as not used.

  Attributes:
    path: the directory.
    format: 'huggingface'.
    config: the network.
    shapes: T5X's name -> (shape, dtype).
  """

  format = 'huggingface'

  def __init__(self, path: str):
    """Reads `config.json` and the headers of the weight files.

    Raises:
      HuggingFaceError: if one is missing or cannot be read.
    """
    self.path = path
    self.config = load_config(path)
    names = {theirs: (ours, transpose) for theirs, ours, transpose in _names(self.config)}
    copies = {*_COPIES, *(['lm_head.weight'] if self.config.logits_via_embedding else [])}
    self._places: dict[str, tuple[tensorfile.TensorFile, str, bool]] = {}
    self.shapes: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
    for file in _weight_files(path):
      tensors = tensorfile.TensorFile(file)
      for name, (shape, dtype) in tensors.shapes.items():
        if name in copies:
          continue
        ours, transpose = names.get(name, (name, False))
        self._places[ours] = (tensors, name, transpose)
        self.shapes[ours] = (shape[::-1] if transpose else shape, dtype)
    embedding = 'token_embedder/embedding'
    if not self.config.logits_via_embedding and _OUTPUT not in self.shapes and embedding in self.shapes:
      # A separate output layer that shares the embedding's weights, without T5 1.0's scale.
      tensors, name, _ = self._places[embedding]
      self._places[_OUTPUT] = (tensors, name, True)
      shape, dtype = self.shapes[embedding]
      self.shapes[_OUTPUT] = (shape[::-1], dtype)

  def read(self, name: str) -> np.ndarray:
    """One tensor, by T5X's name."""
    tensors, theirs, transpose = self._places[name]
    array = tensors.read(theirs)
    return np.ascontiguousarray(array.T) if transpose else array


def save(directory: str, config: t5.T5Config, params: Mapping[str, Any], dtype: str = 'float32') -> None:
  """Writes `config.json` and `model.safetensors`; parameters under `adapter` are left out.

  Args:
    directory: where to; created if need be.
    config: the network.
    params: nested tree in T5X's names.
    dtype: storage dtype, 'float32', 'float16' or 'bfloat16'.
  """
  flat = trainable.flatten(params)
  write(directory, config, lambda name: np.asarray(flat[name]), {k: v.shape for k, v in flat.items()}, dtype)


def write(
  directory: str,
  config: t5.T5Config,
  read: Callable[[str], np.ndarray],
  shapes: Mapping[str, tuple[int, ...]],
  dtype: str,
  shard_bytes: int = 5_000_000_000,
) -> None:
  """Writes a checkpoint, reading one tensor at a time.

  Args:
    directory: where to; created if need be.
    config: the network.
    read: T5X's name -> array.
    shapes: T5X's name -> shape; parameters under `adapter` are left out.
    dtype: storage dtype, 'float32', 'float16' or 'bfloat16'.
    shard_bytes: largest size of a weight file; a model that needs more is split, with an index.
  """
  os.makedirs(directory, exist_ok=True)
  kind = np.dtype(ml_dtypes.bfloat16) if dtype == 'bfloat16' else np.dtype(dtype)
  places = {name: (path, transpose) for name, path, transpose in _names(config)}
  shards: list[dict[str, tuple[tuple[int, ...], np.dtype]]] = [{}]
  used = total = 0
  for name, (path, transpose) in places.items():
    shape = tuple(shapes[path])
    size = math.prod(shape) * kind.itemsize
    if used and used + size > shard_bytes:
      shards.append({})
      used = 0
    shards[-1][name] = (shape[::-1] if transpose else shape, kind)
    used, total = used + size, total + size

  def tensors(shard):
    for name in shard:
      path, transpose = places[name]
      array = read(path)
      yield name, array.T if transpose else array

  files: dict[str, str] = {}
  for i, shard in enumerate(shards):
    file = 'model.safetensors' if len(shards) == 1 else f'model-{i + 1:05d}-of-{len(shards):05d}.safetensors'
    tensorfile.write(os.path.join(directory, file), shard, tensors(shard), {'format': 'pt'})
    files |= dict.fromkeys(shard, file)
  if len(shards) > 1:
    index = {'metadata': {'total_size': total}, 'weight_map': files}
    write_atomically(os.path.join(directory, _INDEX), json.dumps(index, indent=2) + '\n')
  fields = json.dumps(_config_fields(config, dtype), indent=2) + '\n'
  write_atomically(os.path.join(directory, 'config.json'), fields)


def _config_fields(config: t5.T5Config, dtype: str) -> dict[str, Any]:
  """`config.json` of a network."""
  return {
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
    'feed_forward_proj': {v: k for k, v in _ACTIVATIONS.items()}[tuple(config.mlp_activations)],
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


def _weight_files(directory: str) -> list[str]:
  files, path = fsspec.core.url_to_fs(directory)
  index = f'{path}/{_INDEX}'
  if files.exists(index):
    with files.open(index, 'rb') as f:
      names = sorted(set(json.load(f)['weight_map'].values()))
  else:
    names = ['model.safetensors']
  missing = [name for name in names if not files.exists(f'{path}/{name}')]
  if missing:
    present = [os.path.basename(name) for name in files.ls(path, detail=False)]
    pickled = [n for n in present if n.startswith('pytorch_model') or n.endswith(('.pt', '.pth'))]
    advice = (
      f'{pickled[0]} is a torch pickle, which may run code when it is read, and is not; save the model with '
      'save_pretrained(..., safe_serialization=True)'
      if pickled
      else 'fetch the whole checkpoint'
    )
    raise HuggingFaceError(f'{directory}: no {missing[0]}; {advice}')
  return [f'{directory}/{name}' for name in names]


def _attention_names(source: str, target: str) -> Iterator[tuple[str, str, bool]]:
  for theirs, ours in (('q', 'query'), ('k', 'key'), ('v', 'value'), ('o', 'out')):
    yield f'{source}.{theirs}.weight', f'{target}/{ours}/kernel', True


def _names(config: t5.T5Config) -> Iterator[tuple[str, str, bool]]:
  """(Hugging Face's name, T5X's path, whether transposed) of every parameter of a network."""
  yield 'shared.weight', 'token_embedder/embedding', False
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
      for name in (*config.mlp_inputs, 'wo'):
        yield f'{theirs}.{last}.DenseReluDense.{name}.weight', f'{ours}/mlp/{name}/kernel', True
      yield f'{theirs}.{last}.layer_norm.weight', f'{ours}/pre_mlp_layer_norm/scale', False
  if not config.logits_via_embedding:
    yield 'lm_head.weight', _OUTPUT, True


# Copies of the shared embedding that some files hold besides.
_COPIES = ('encoder.embed_tokens.weight', 'decoder.embed_tokens.weight')
