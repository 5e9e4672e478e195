"""Adapters on disk: our own file, and the layouts of others.

What they are is in robust_t5x.adapters.
"""

from collections.abc import Mapping
import hashlib
import json
import os
from typing import Any, Required, TypedDict

import numpy as np

from robust_t5x.adapters import AdapterError, read_vectors
from robust_t5x.checkpoints import backbones, peft, t5x_format, tensorfile
from robust_t5x.checkpoints.checks import FLOATS, CheckpointError, cast, check_finite
from robust_t5x.models.protocol import NetworkConfig
from robust_t5x.runtime import records
from robust_t5x.runtime.files import write_atomically
from seqio_tasks.errors import shorten
from seqio_tasks.tables import parse_json


class _Backbone(TypedDict, total=False):
  path: str | None
  sha256: Required[str]


class _Metadata(TypedDict, total=False):
  backbone: _Backbone | None
  prompt_position: int


def save(path: str, adapter: dict[str, Any], metadata: dict[str, Any]) -> str:
  """Writes an adapter as one safetensors file, atomically.

  Args:
    path: the file to write; '.safetensors' is the usual ending.
    adapter: the parameters under `adapter`, name -> array.
    metadata: JSON values kept in the file's header; `backbone` should hold the hash of the backbone's weights, and
      `prompt_position` the tokens of the input that stand before a soft prompt, if not 0.

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
  if peft.is_peft(path):
    raise AdapterError(
      f"ADAPTER: {path} is an adapter in PEFT's layout; `robust-t5x convert {path} adapter.safetensors --to adapter --backbone "
      'CHECKPOINT` makes an adapter file of it'
    )
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


def check_backbone(metadata: Mapping[str, Any], path: str, sha256: str) -> None:
  """Raises AdapterError unless an adapter was trained on the backbone of this hash."""
  trained_on = (metadata.get('backbone') or {}).get('sha256')
  if trained_on != sha256:
    raise AdapterError(
      f'ADAPTER: {path} was trained on another backbone (hash {str(trained_on)[:12]}, not {sha256[:12]}); '
      'use the checkpoint that it was trained on'
    )


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


def read_any(path: str, network: NetworkConfig | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """Reads an adapter in any format: our file, .npy, PEFT's directory, a T5X checkpoint with an adapter.

  Args:
    path: the file or directory.
    network: that of the model, which LoRA and prefixes of PEFT cannot be read without.

  Returns:
    (parameters name -> array, metadata; empty where the format has none).

  Raises:
    AdapterError: if there is no adapter.
  """
  if path.endswith('.npy'):
    if not os.path.isfile(path):
      raise AdapterError(f'no file {path}')
    return {'embedding': read_vectors(path)}, {}
  if peft.is_peft(path):
    config, weights = peft.read_config(path), os.path.join(path, peft.WEIGHTS)
    if not os.path.isfile(weights):
      raise AdapterError(f'{path}: no {peft.WEIGHTS}; save it with safe_serialization=True')
    return peft.read(path, config, _arrays(weights)[0], network), {'prompt_position': 0}
  if os.path.isdir(path):
    source = backbones.open_backbone(path)
    names = [name for name in source.shapes if name.startswith('adapter/')]
    if not names:
      raise AdapterError(f'{path}: is a checkpoint without an adapter; give one that was trained with an adapter')
    arrays = {name.removeprefix('adapter/'): cast(source.read(name), np.float32, path, name) for name in names}
    notes = t5x_format.adapter_notes(path) if 'embedding' in arrays else {}
    return arrays, {'backbone': {'path': path, 'sha256': backbones.backbone_hash(path)}, **notes}
  return load(path)
