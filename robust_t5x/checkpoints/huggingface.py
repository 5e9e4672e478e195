"""Hugging Face's checkpoint layout: `config.json` and `model.safetensors`, to and from our parameter tree, which is T5X's.

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

from robust_t5x.checkpoints import hf_config, tensorfile
from robust_t5x.checkpoints.checks import check_finite, check_parameters
from robust_t5x.checkpoints.config_checks import HuggingFaceError, read_json
from robust_t5x.checkpoints.layouts import layout
from robust_t5x.models import trainable
from robust_t5x.models.protocol import EMBEDDING, NetworkConfig
from robust_t5x.runtime import progress, records
from robust_t5x.runtime.files import write_atomically
from seqio_tasks.errors import shorten
from seqio_tasks.tables import parse_json

_INDEX, _WHOLE = 'model.safetensors.index.json', 'model.safetensors'


class HuggingFaceBackbone:
  """An open checkpoint directory, sharded or not; its tensors go by our names and in our orientation.

  A tensor that a network of this configuration does not have keeps its name, so that a restore reports it as not used.

  Attributes:
    path: the directory.
    format: 'huggingface'.
    config: the network.
    notes: see hf_config.notes_of.
    shapes: our name -> (shape, dtype).
  """

  format = 'huggingface'

  def __init__(self, path: str):
    """Reads `config.json` and the headers of the weight files.

    Raises:
      CheckpointError: if one is missing, cannot be read, or does not belong to the others.
    """
    self.path = path
    content = read_json(f'{path}/config.json')
    self.config = hf_config.config_of(content, f'{path}/config.json')
    self.notes = hf_config.notes_of(content)
    self._layout = network = layout(self.config)
    self._files = _weight_files(path)
    if network.layers > len(self._files):
      raise HuggingFaceError(f'{path}: config.json has more layers than there are weights; fetch the whole checkpoint')
    names = {name.theirs: name for name in network.names()}
    copies = [*network.copies, *([] if network.output in names else [network.output])]
    self._copies = [name for name in copies if name in self._files]
    if network.embedding not in self._files and self._copies:  # some files keep a copy alone
      names[self._copies[0]] = names[network.embedding]
      self._copies = self._copies[1:]
    self._places: dict[str, tuple[tensorfile.TensorFile, str, bool]] = {}
    self.shapes: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
    unused = []
    for name, file in self._files.items():
      if name in names:
        self._put(names[name].ours, file, name, names[name].transpose)
      elif name not in self._copies and not re.fullmatch(network.unused, name):
        unused.append(name)
    tied = network.output_may_be_embedding and content.get('tie_word_embeddings', True)
    if tied and network.output in names and network.output not in self._files:
      # A separate output layer that shares the embedding's weights, without T5 1.0's scale. One that does not is lost.
      if EMBEDDING in self.shapes:
        file, name, _ = self._places[EMBEDDING]
        self._put(names[network.output].ours, file, name, True)
    more = [name for name in unused if re.match(network.layer, name)]
    if more:
      raise HuggingFaceError(
        f'{self._files[more[0]].path}: holds {more[0]}, which a network by config.json has not; fetch both files of one model'
      )
    check_parameters(path, self.shapes, network.shapes(), network.noun)
    for name in unused:
      self._put(name, self._files[name], name, False)
    if unused:
      progress.log(
        f'warning: {path}: {len(unused)} tensors are no part of {network.noun} and not used: '
        f'{shorten(", ".join(sorted(unused)), 200)}'
      )

  def _put(self, ours: str, file: tensorfile.TensorFile, theirs: str, transpose: bool) -> None:
    """Notes where a tensor is; what goes by a name already keeps it."""
    if ours not in self._places:
      shape, dtype = file.shapes[theirs]
      self._places[ours] = (file, theirs, transpose)
      self.shapes[ours] = (shape[::-1] if transpose else shape, dtype)

  def read(self, name: str) -> np.ndarray:
    """One tensor, by our name.

    Raises:
      CheckpointError: if a value is not finite, or a copy of the embedding differs from it.
    """
    file, theirs, transpose = self._places[name]
    array = file.read(theirs)
    check_finite(array, file.path, theirs)
    if name == EMBEDDING:
      for copy in self._copies:
        self._check_copy(array, theirs, copy)
    return array.T if transpose else array

  def _check_copy(self, array: np.ndarray, name: str, copy: str) -> None:
    file = self._files[copy]
    at, flat, same = 0, array.reshape(-1), file.shapes[copy][0] == array.shape
    for block in file.blocks(copy) if same else ():
      same = same and np.array_equal(block, flat[at : at + block.size])
      at += block.size
    if not same:
      cure = 'correct scale_decoder_outputs or tie_word_embeddings there, or ' if copy == self._layout.output else ''
      raise HuggingFaceError(
        f'{file.path}: {copy} differs from {name}, and the network by config.json has one for both; {cure}fetch the '
        'checkpoint again'
      )


def save(
  directory: str,
  config: NetworkConfig,
  params: Mapping[str, Any],
  dtype: str = 'float32',
  notes: Mapping[str, Any] | None = None,
) -> None:
  """Writes `config.json` and `model.safetensors`; parameters under `adapter` are left out.

  Args:
    directory: where to; created if need be.
    config: the network.
    params: nested tree in our names.
    dtype: storage dtype, 'float32', 'float16' or 'bfloat16'.
    notes: see hf_config.notes_of.
  """
  flat = trainable.flatten(params)
  write(
    directory, config, lambda name: np.asarray(flat[name]), {k: v.shape for k, v in flat.items()}, dtype, notes=notes
  )


def write(
  directory: str,
  config: NetworkConfig,
  read: Callable[[str], np.ndarray],
  shapes: Mapping[str, tuple[int, ...]],
  dtype: str,
  shard_bytes: int = 5_000_000_000,
  notes: Mapping[str, Any] | None = None,
) -> None:
  """Writes a checkpoint, reading one tensor at a time.

  Args:
    directory: where to; created if need be.
    config: the network.
    read: our name -> array.
    shapes: our name -> shape; parameters under `adapter` are left out.
    dtype: storage dtype, 'float32', 'float16' or 'bfloat16'.
    shard_bytes: largest size of a weight file; a model that needs more is split, with an index.
    notes: see hf_config.notes_of.

  Raises:
    CheckpointError: for a network that this layout has no place for.
  """
  fields = hf_config.fields(config, dtype, notes)
  os.makedirs(directory, exist_ok=True)
  kind = np.dtype(ml_dtypes.bfloat16) if dtype == 'bfloat16' else np.dtype(dtype)
  places = {name.theirs: (name.ours, name.transpose) for name in layout(config).names()}
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
      yield name, read(path).T if transpose else read(path)

  files: dict[str, str] = {}
  for i, shard in enumerate(shards):
    file = 'model.safetensors' if len(shards) == 1 else f'model-{i + 1:05d}-of-{len(shards):05d}.safetensors'
    tensorfile.write(os.path.join(directory, file), shard, tensors(shard), {'format': 'pt'})
    files |= dict.fromkeys(shard, file)
  if len(shards) > 1:
    index = {'metadata': {'total_size': total}, 'weight_map': files}
    write_atomically(os.path.join(directory, _INDEX), json.dumps(index, indent=2) + '\n')
  text = json.dumps(fields, indent=2) + '\n'
  write_atomically(os.path.join(directory, 'config.json'), text)  # last, since it makes the directory a checkpoint


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
