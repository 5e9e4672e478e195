"""Hugging Face's T5 checkpoint layout: `config.json` and `model.safetensors`, to and from T5X's parameter tree.

Needs neither transformers nor torch. Shapes differ by a transposition: Hugging Face stores linear maps as [out, in].
"""

from collections.abc import Callable, Mapping, Sequence
import json
import math
import os
import re
from typing import Any, TypedDict

import fsspec
import ml_dtypes
import numpy as np

from robust_t5x.checkpoints import hf_config, t5_names, tensorfile
from robust_t5x.checkpoints.checks import check_finite, check_parameters
from robust_t5x.checkpoints.hf_config import HuggingFaceError, load_config
from robust_t5x.models import t5, trainable
from robust_t5x.runtime import progress, records
from robust_t5x.runtime.files import write_atomically
from seqio_tasks.errors import shorten
from seqio_tasks.tables import parse_json

_INDEX, _WHOLE = 'model.safetensors.index.json', 'model.safetensors'
# Of T5's first release; transformers does not use it either.
_UNUSED = 'decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight'


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
      CheckpointError: if one is missing, cannot be read, or does not belong to the others.
    """
    self.path = path
    self.config = load_config(path)
    self._files = _weight_files(path)
    if max(self.config.num_encoder_layers, self.config.num_decoder_layers) > len(self._files):
      raise HuggingFaceError(f'{path}: config.json has more layers than there are weights; fetch the whole checkpoint')
    names = {name.theirs: name for name in t5_names.names(self.config)}
    theirs = set(self._files)
    copies = [*t5_names.COPIES, *([t5_names.OUTPUT_THEIRS] if self.config.logits_via_embedding else [])]
    self._copies = [name for name in copies if name in theirs]
    if t5_names.EMBEDDING_THEIRS not in theirs and self._copies:  # some files keep a copy alone
      names[self._copies[0]] = names[t5_names.EMBEDDING_THEIRS]
      self._copies = self._copies[1:]
    self._places: dict[str, tuple[tensorfile.TensorFile, str, bool]] = {}
    self.shapes: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
    unused = []
    for name, file in self._files.items():
      shape, dtype = file.shapes[name]
      if name in names:
        ours, transpose = names[name].ours, names[name].transpose
        self._places[ours] = (file, name, transpose)
        self.shapes[ours] = (shape[::-1] if transpose else shape, dtype)
      elif name not in (*self._copies, _UNUSED):
        unused.append(name)
    if (
      t5_names.OUTPUT_THEIRS not in theirs
      and not self.config.logits_via_embedding
      and t5_names.EMBEDDING in self.shapes
    ):
      # A separate output layer that shares the embedding's weights, without T5 1.0's scale.
      file, name, _ = self._places[t5_names.EMBEDDING]
      self._places[t5_names.OUTPUT] = (file, name, True)
      shape, dtype = self.shapes[t5_names.EMBEDDING]
      self.shapes[t5_names.OUTPUT] = (shape[::-1], dtype)
    more = [name for name in unused if re.match(r'(encoder|decoder)\.block\.', name)]
    if more:
      raise HuggingFaceError(
        f'{self._files[more[0]].path}: holds {more[0]}, which a network by config.json has not; fetch both files of one model'
      )
    check_parameters(path, self.shapes, t5_names.shapes(self.config))
    for name in unused:
      self._places.setdefault(name, (self._files[name], name, False))
      self.shapes.setdefault(name, self._files[name].shapes[name])
    if unused:
      progress.log(
        f'warning: {path}: {len(unused)} tensors are no part of a T5 and not used: {shorten(", ".join(sorted(unused)), 200)}'
      )

  def read(self, name: str) -> np.ndarray:
    """One tensor, by T5X's name.

    Raises:
      CheckpointError: if a value is not finite, or a copy of the embedding differs from it.
    """
    file, theirs, transpose = self._places[name]
    array = file.read(theirs)
    check_finite(array, file.path, theirs)
    if name == t5_names.EMBEDDING:
      for copy in self._copies:
        self._check_copy(array, theirs, copy)
    return np.ascontiguousarray(array.T) if transpose else array

  def _check_copy(self, array: np.ndarray, name: str, copy: str) -> None:
    file = self._files[copy]
    at, flat, same = 0, array.reshape(-1), file.shapes[copy][0] == array.shape
    for block in file.blocks(copy) if same else ():
      same = same and np.array_equal(block, flat[at : at + block.size])
      at += block.size
    if not same:
      cure = 'correct scale_decoder_outputs or tie_word_embeddings there, or ' if copy == t5_names.OUTPUT_THEIRS else ''
      raise HuggingFaceError(
        f'{file.path}: {copy} differs from {name}, and the network by config.json has one for both; {cure}fetch the '
        'checkpoint again'
      )


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
  places = {name.theirs: (name.ours, name.transpose) for name in t5_names.names(config)}
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
  fields = json.dumps(hf_config.fields(config, dtype), indent=2) + '\n'
  write_atomically(os.path.join(directory, 'config.json'), fields)  # last, since it makes the directory a checkpoint


class _Index(TypedDict):
  weight_map: dict[str, str]


def _weight_files(directory: str) -> dict[str, tensorfile.TensorFile]:
  """Tensor -> the open file that holds it."""
  storage, path = fsspec.core.url_to_fs(directory)
  index = f'{path}/{_INDEX}'
  if not storage.exists(index):
    _check_there(directory, [_WHOLE])
    file = tensorfile.TensorFile(f'{directory}/{_WHOLE}')
    return dict.fromkeys(file.shapes, file)
  try:
    with storage.open(index, 'rb') as f:
      content = parse_json(f.read().decode())
    fault = records.fault(content, _Index)
  except ValueError as e:
    fault = f'is not JSON ({shorten(e)})'
  if fault:
    raise HuggingFaceError(f'{directory}/{_INDEX}: {fault}; fetch it again')
  weight_map = content['weight_map']
  for name in set(weight_map.values()):
    if '/' in name or '\\' in name or not name.endswith('.safetensors'):
      raise HuggingFaceError(
        f'{directory}/{_INDEX}: names the file {shorten(name)}, which is no safetensors file beside it; fetch it again'
      )
  if _WHOLE not in weight_map.values() and storage.exists(f'{path}/{_WHOLE}'):
    raise HuggingFaceError(f'{directory}: holds {_WHOLE} and an index of other files; remove those that are not meant')
  _check_there(directory, sorted(set(weight_map.values())))
  files = {name: tensorfile.TensorFile(f'{directory}/{name}') for name in sorted(set(weight_map.values()))}
  for tensor, name in weight_map.items():
    if tensor not in files[name].shapes:
      raise HuggingFaceError(
        f'{directory}/{_INDEX}: {shorten(tensor)} should be in {name} and is not; fetch index and files of one model'
      )
  for name, file in files.items():
    other = next((tensor for tensor in file.shapes if weight_map.get(tensor) != name), None)
    if other is not None:
      where = f'in {weight_map[other]}' if other in weight_map else 'nowhere'
      raise HuggingFaceError(
        f'{directory}/{_INDEX}: {shorten(other)} is in {name}, by the index {where}; fetch index and files of one model'
      )
  return {tensor: files[name] for tensor, name in weight_map.items()}


def _check_there(directory: str, names: Sequence[str]) -> None:
  """Raises HuggingFaceError if a weight file is missing."""
  storage, path = fsspec.core.url_to_fs(directory)
  missing = [name for name in names if not storage.isfile(f'{path}/{name}')]
  if missing:
    present = [os.path.basename(name) for name in storage.ls(path, detail=False)]
    pickled = [n for n in present if n.startswith('pytorch_model') or n.endswith(('.pt', '.pth'))]
    advice = (
      f'{pickled[0]} is a torch pickle, which may run code when it is read, and is not; save the model with '
      'save_pretrained(..., safe_serialization=True)'
      if pickled
      else 'fetch the whole checkpoint'
    )
    raise HuggingFaceError(f'{directory}: no {shorten(missing[0])}; {advice}')
