"""Adapters on disk: our own file, and the layouts of others.

What they are is in robust_t5x.adapters.
"""

import hashlib
import json
import os
from typing import Any

import numpy as np

from robust_t5x.adapters import AdapterError
from robust_t5x.checkpoints import backbones, tensorfile
from robust_t5x.runtime.files import write_atomically


def save(path: str, adapter: dict[str, Any], metadata: dict[str, Any]) -> str:
  """Writes an adapter as one safetensors file, atomically.

  Args:
    path: the file to write; '.safetensors' is the usual ending.
    adapter: the parameters under `adapter`, name -> array.
    metadata: JSON values kept in the file's header; `backbone` should hold the hash of the backbone's weights.

  Returns:
    The SHA-256 of the file, hexadecimal.
  """
  from safetensors import numpy as safetensors

  arrays = {name: np.ascontiguousarray(np.asarray(x, np.float32)) for name, x in adapter.items()}
  data = safetensors.save(arrays, {'robust_t5x': json.dumps(metadata, sort_keys=True)})
  if '://' not in path:
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
  write_atomically(path, data)
  return hashlib.sha256(data).hexdigest()


def load(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """Reads an adapter file.

  Returns:
    (parameters name -> array, metadata).

  Raises:
    AdapterError: if the file is missing or is not an adapter.
  """
  import safetensors

  if not os.path.isfile(path):
    raise AdapterError(f"ADAPTER: no file {path}; give 'none', 'bundled' or the path of an adapter.safetensors")
  try:
    with safetensors.safe_open(path, framework='numpy') as f:
      header = f.metadata() or {}
      arrays = {name: f.get_tensor(name) for name in f.keys()}
  except safetensors.SafetensorError as e:
    raise AdapterError(f'ADAPTER: {path} is not a safetensors file ({e})') from e
  if 'robust_t5x' not in header:
    raise AdapterError(f'ADAPTER: {path} has no robust_t5x metadata; it is not an adapter that this library saved')
  return arrays, json.loads(header['robust_t5x'])


def read_any(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """Reads an adapter in any format: our file, .npy, PEFT's directory of a prompt tuning, a T5X checkpoint with an adapter.

  Returns:
    (parameters name -> array, metadata; empty where the format has none).

  Raises:
    AdapterError: if there is no adapter.
  """
  if path.endswith('.npy'):
    if not os.path.isfile(path):
      raise AdapterError(f'no file {path}')
    array = np.load(path, allow_pickle=False)
    if array.ndim != 2:
      raise AdapterError(f'{path}: holds an array {list(array.shape)}; a soft prompt is [P, D]')
    return {'embedding': np.asarray(array, np.float32)}, {}
  if os.path.isfile(os.path.join(path, _PEFT_CONFIG)):
    return {'embedding': _read_peft(path)}, {}
  if os.path.isdir(path):
    source = backbones.open_backbone(path)
    names = [name for name in source.shapes if name.startswith('adapter/')]
    if not names:
      raise AdapterError(f'{path}: is a checkpoint without an adapter; give one that was trained with an adapter')
    arrays = {name.removeprefix('adapter/'): np.asarray(source.read(name), np.float32) for name in names}
    return arrays, {'backbone': {'path': path, 'sha256': backbones.backbone_hash(path)}}
  return load(path)


_PEFT_CONFIG = 'adapter_config.json'
_PEFT_WEIGHTS = 'adapter_model.safetensors'


def _read_peft(directory: str) -> np.ndarray:
  """The soft prompt [P, D] of PEFT's prompt tuning, for the encoder."""
  with open(os.path.join(directory, _PEFT_CONFIG), encoding='utf-8') as f:
    config = json.load(f)
  if config.get('peft_type') != 'PROMPT_TUNING':
    raise AdapterError(f'{directory}: peft_type is {config.get("peft_type")!r}; only PROMPT_TUNING is supported')
  path = os.path.join(directory, _PEFT_WEIGHTS)
  if not os.path.isfile(path):
    raise AdapterError(f'{directory}: no {_PEFT_WEIGHTS}; save it with safe_serialization=True')
  array = tensorfile.TensorFile(path).read('prompt_embeddings').astype(np.float32)
  if len(array) != config['num_virtual_tokens']:
    raise AdapterError(
      f'{directory}: holds {len(array)} vectors for {config["num_virtual_tokens"]} virtual tokens, an adapter for the '
      'decoder besides; train it with num_transformer_submodules=1'
    )
  return array


def save_peft(directory: str, embedding: np.ndarray, metadata: dict[str, Any]) -> None:
  """Writes a soft prompt [P, D] as PEFT's prompt tuning of an encoder-decoder, before the encoder's input alone."""
  from safetensors import numpy as safetensors

  length, width = embedding.shape
  config = {
    'peft_type': 'PROMPT_TUNING',
    'task_type': 'SEQ_2_SEQ_LM',
    'base_model_name_or_path': (metadata.get('backbone') or {}).get('path'),
    'inference_mode': True,
    'num_virtual_tokens': length,
    'token_dim': width,
    'num_transformer_submodules': 1,
    'prompt_tuning_init': 'RANDOM',
  }
  os.makedirs(directory)
  weights = safetensors.save({'prompt_embeddings': np.ascontiguousarray(embedding, np.float32)}, {'format': 'pt'})
  for name, data in ((_PEFT_WEIGHTS, weights), (_PEFT_CONFIG, (json.dumps(config, indent=2) + '\n').encode())):
    with open(os.path.join(directory, name), 'wb') as f:
      f.write(data)
