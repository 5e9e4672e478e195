"""Adapters on disk: our own file, and the layouts of others.

What they are is in robust_t5x.adapters.
"""

import hashlib
import json
import os
import shutil
from typing import Any, Required, TypedDict

import numpy as np

from robust_t5x.adapters import AdapterError, read_vectors
from robust_t5x.checkpoints import backbones, tensorfile
from robust_t5x.checkpoints.checks import FLOATS, CheckpointError, cast, check_finite
from robust_t5x.runtime import records
from robust_t5x.runtime.files import write_atomically
from seqio_tasks.errors import shorten
from seqio_tasks.tables import parse_json


class _Backbone(TypedDict, total=False):
  path: str | None
  sha256: Required[str]


class _Metadata(TypedDict, total=False):
  backbone: _Backbone | None


class _Peft(TypedDict, total=False):
  peft_type: Required[str]
  num_virtual_tokens: Required[int]


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
    AdapterError: if the file is missing, damaged, or not an adapter.
  """
  if not os.path.isfile(path):
    raise AdapterError(f"ADAPTER: no file {path}; give 'none', 'bundled' or the path of an adapter.safetensors")
  arrays, header = _arrays(path)
  if 'robust_t5x' not in header:
    raise AdapterError(f'ADAPTER: {path} has no robust_t5x metadata; it is not an adapter that this library saved')
  try:
    metadata = parse_json(header['robust_t5x'])
    fault = records.fault(metadata, _Metadata)
  except ValueError as e:
    fault = f'it is not JSON ({shorten(e)})'
  if fault:
    raise AdapterError(f'ADAPTER: {path}: its metadata are damaged ({fault}); train or convert it anew')
  if not arrays:
    raise AdapterError(f'ADAPTER: {path} holds no array; train or convert it anew')
  return arrays, metadata


def _arrays(path: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
  """The arrays of a safetensors file, finite and in float32, and the texts of its header."""
  try:
    file = tensorfile.TensorFile(path)
    arrays = {}
    for name, (_, dtype) in file.shapes.items():
      if dtype not in FLOATS:
        raise AdapterError(
          f'ADAPTER: {path}: {name} is of dtype {dtype}, not of floating-point numbers; convert it anew'
        )
      array = file.read(name)
      check_finite(array, path, name)
      arrays[name] = cast(array, np.float32, path, name)
  except CheckpointError as e:
    raise AdapterError(f'ADAPTER: {e}') from e
  return arrays, file.metadata


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
    return {'embedding': read_vectors(path)}, {}
  if any(os.path.isfile(os.path.join(path, name)) for name in (_PEFT_CONFIG, _PEFT_WEIGHTS)):
    return {'embedding': _read_peft(path)}, {}
  if os.path.isdir(path):
    source = backbones.open_backbone(path)
    names = [name for name in source.shapes if name.startswith('adapter/')]
    if not names:
      raise AdapterError(f'{path}: is a checkpoint without an adapter; give one that was trained with an adapter')
    arrays = {name.removeprefix('adapter/'): cast(source.read(name), np.float32, path, name) for name in names}
    return arrays, {'backbone': {'path': path, 'sha256': backbones.backbone_hash(path)}}
  return load(path)


_PEFT_CONFIG = 'adapter_config.json'
_PEFT_WEIGHTS = 'adapter_model.safetensors'
_PEFT_TENSOR = 'prompt_embeddings'


def _read_peft(directory: str) -> np.ndarray:
  """The soft prompt [P, D] of PEFT's prompt tuning, for the encoder."""
  place, weights = os.path.join(directory, _PEFT_CONFIG), os.path.join(directory, _PEFT_WEIGHTS)
  if not os.path.isfile(place):
    raise AdapterError(f'{directory}: no {_PEFT_CONFIG}; save the adapter with save_pretrained')
  try:
    config = records.read(place, dict[str, Any], 'save the adapter with save_pretrained')
  except records.RecordError as e:
    raise AdapterError(str(e)) from e
  if config.get('peft_type', 'PROMPT_TUNING') != 'PROMPT_TUNING':
    raise AdapterError(f'{place}: peft_type is {shorten(repr(config["peft_type"]))}; only PROMPT_TUNING is supported')
  fault = records.fault(config, _Peft)
  if fault:
    raise AdapterError(f'{place}: {fault}; save the adapter with save_pretrained')
  if not os.path.isfile(weights):
    raise AdapterError(f'{directory}: no {_PEFT_WEIGHTS}; save it with safe_serialization=True')
  arrays, _ = _arrays(weights)
  if set(arrays) != {_PEFT_TENSOR}:
    raise AdapterError(
      f'{weights}: holds {shorten(", ".join(sorted(arrays)) or "nothing")}, where there should be {_PEFT_TENSOR} alone; save the '
      'adapter with save_pretrained of PEFT, which gives it that name'
    )
  array = arrays[_PEFT_TENSOR]
  if array.ndim != 2 or 0 in array.shape or config.get('token_dim', array.shape[1]) != array.shape[1]:
    raise AdapterError(
      f'{weights}: {_PEFT_TENSOR} has the shape {list(array.shape)}, by {_PEFT_CONFIG} it should be '
      f'{shorten([config["num_virtual_tokens"], config.get("token_dim", "D")])}; save the adapter anew'
    )
  if len(array) != config['num_virtual_tokens']:
    raise AdapterError(
      f'{directory}: holds {len(array)} vectors for {shorten(config["num_virtual_tokens"])} virtual tokens, an adapter for the '
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
  # Made beside it and then put in place, so that no part of it is ever taken for the whole.
  temporary = f'{directory.rstrip("/")}.{os.getpid()}.tmp'
  os.makedirs(temporary)
  weights = safetensors.save({'prompt_embeddings': np.ascontiguousarray(embedding, np.float32)}, {'format': 'pt'})
  try:
    for name, data in ((_PEFT_WEIGHTS, weights), (_PEFT_CONFIG, (json.dumps(config, indent=2) + '\n').encode())):
      write_atomically(os.path.join(temporary, name), data)
    os.replace(temporary, directory)
  finally:
    shutil.rmtree(temporary, ignore_errors=True)
