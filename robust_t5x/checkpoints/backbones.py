"""Checkpoints: the frozen backbone that a run starts from, and the trainable state that a run writes.

A backbone is read in whatever format it was published. A run never copies it: its own checkpoints hold the trainable
state only and name the backbone by path and hash.
"""

from collections.abc import Mapping
import dataclasses
import functools
import hashlib
import os
import re
from typing import Any, Protocol

import fsspec
import jax
import numpy as np

from robust_t5x.checkpoints import gguf_backbone, huggingface, packaged, t5x_format
from robust_t5x.checkpoints.checks import CheckpointError, cast, row_blocks
from robust_t5x.checkpoints.layouts import layout
from robust_t5x.models import trainable
from robust_t5x.models.protocol import ADAPTER, NetworkConfig, Params
from robust_t5x.runtime import progress
from seqio_tasks.errors import shorten

BUNDLED = 'bundled'
_GGUF = '.gguf'


@dataclasses.dataclass(frozen=True)
class RestoreReport:
  """What a restore did, as parameter paths.

  Attributes:
    loaded: taken from the checkpoint.
    fresh: kept as initialised, since the checkpoint lacks them.
    unused: in the checkpoint, without a place in the model.
  """

  loaded: tuple[str, ...]
  fresh: tuple[str, ...]
  unused: tuple[str, ...]

  def __str__(self):
    parts = [f'{len(self.loaded)} parameters loaded']
    for name, paths in (('fresh', self.fresh), ('not used', self.unused)):
      if paths:
        parts.append(f'{len(paths)} {name} ({", ".join(paths[:4])}{", ..." if len(paths) > 4 else ""})')
    return ', '.join(parts)


def bundled_path() -> str:
  """Directory of the mini model that the package ships."""
  return os.path.join(os.path.dirname(os.path.dirname(__file__)), 'mini')


def resolve(path: str) -> str:
  """A checkpoint's path; 'bundled' is the mini model of this package, other names are those of `packaged`."""
  if path in packaged.NAMES:
    return packaged.path(path)
  return bundled_path() if path == BUNDLED else os.path.expanduser(path).rstrip('/')


class Backbone(Protocol):
  """An open checkpoint."""

  @property
  def path(self) -> str:
    """Where it is."""
    ...

  @property
  def format(self) -> str:
    """'huggingface', 't5x', 'orbax' or 'gguf'."""
    ...

  @property
  def config(self) -> NetworkConfig:
    """The network."""
    ...

  @property
  def notes(self) -> Mapping[str, Any]:
    """What other programs need of it beside the network; see hf_config.notes_of."""
    ...

  @property
  def shapes(self) -> Mapping[str, tuple[tuple[int, ...], np.dtype]]:
    """Our name -> (shape, dtype)."""
    ...

  def read(self, name: str) -> np.ndarray:
    """One tensor, by our name; a value that is not finite is an error."""
    ...


@functools.lru_cache(maxsize=4)
def open_backbone(path: str) -> Backbone:
  """Opens a checkpoint in whatever format it is.

  Formats: Hugging Face's layout (`config.json`, `model.safetensors`, sharded or not), T5X's published layout, and
  T5X's newer one written by orbax; on disk, or in a bucket (gs://...; Hugging Face's layout in any place that fsspec
  knows). And GGUF, a file on disk.

  Args:
    path: the checkpoint's directory or GGUF file, 'bundled', or a name of `packaged`.

  Returns:
    The open checkpoint; weights are read when they are asked for.

  Raises:
    ValueError: naming what is missing, and what to do.
  """
  directory = resolve(path)
  if re.search(r'\.\d+\.tmp$', directory):
    raise CheckpointError(
      f'INITIAL_CHECKPOINT_PATH: {directory} is what an interrupted `robust-t5x convert` left; delete it and convert again'
    )
  if directory.lower().endswith(_GGUF):
    return gguf_backbone.GGUFBackbone(directory)
  present = _present(directory)
  if 'config.json' in present:
    return huggingface.HuggingFaceBackbone(directory)
  if 'checkpoint' in present and any(name.startswith('target.') for name in present):
    return t5x_format.T5XBackbone(directory, 't5x')
  if present & {'state', '_METADATA'}:
    return t5x_format.T5XBackbone(directory, 'orbax')
  if present & {'default', '_CHECKPOINT_METADATA'}:
    raise CheckpointError(
      f'INITIAL_CHECKPOINT_PATH: {directory} is the state of a run of ours, which the run alone goes on from; give what it '
      'ends with, adapter.safetensors or model/ in MODEL_DIR'
    )
  steps = sorted((n for n in present if re.fullmatch(r'checkpoint_\d+', n)), key=lambda n: (len(n), n))
  if steps:
    raise CheckpointError(
      f'INITIAL_CHECKPOINT_PATH: {directory} holds several checkpoints; give {directory}/{steps[-1]}'
    )
  if any(name.endswith('.index') for name in present):
    raise CheckpointError(
      f"INITIAL_CHECKPOINT_PATH: {directory} is a TensorFlow checkpoint, which is not read; T5X's own are in "
      'gs://t5-data/pretrained_models/t5x'
    )
  files = sorted(name for name in present if name.lower().endswith(_GGUF))
  if files:
    raise CheckpointError(
      f'INITIAL_CHECKPOINT_PATH: {directory} holds {shorten(", ".join(files))}; give {directory}/{files[0]}'
    )
  raise CheckpointError(
    f"INITIAL_CHECKPOINT_PATH: {directory} is no checkpoint; Hugging Face's layout has config.json, T5X's has "
    'checkpoint and target.*, the one that orbax writes for T5X has state'
  )


def _present(directory: str) -> set[str]:
  """Names in a directory; in a bucket only those that tell the format."""
  if directory.startswith('gs://'):
    names = ('config.json', 'checkpoint', 'state/_METADATA', '_METADATA')
    try:
      found = {name for name in names if t5x_format.read_file(directory, name) is not None}
    except ValueError as e:
      raise CheckpointError(f'INITIAL_CHECKPOINT_PATH: {directory} cannot be read ({str(e).splitlines()[0]})') from e
    if not found:
      raise CheckpointError(f'INITIAL_CHECKPOINT_PATH: {directory} holds no checkpoint; give the directory of a step')
    return {name.split('/')[0] for name in found} | ({'target.'} if 'checkpoint' in found else set())
  try:
    files, root = fsspec.core.url_to_fs(directory)
    return {name.rstrip('/').rsplit('/', 1)[-1] for name in files.ls(root, detail=False)}
  except (FileNotFoundError, NotADirectoryError) as e:
    hub = re.fullmatch(r'(hf://)?([\w.-]+/[\w.-]+)', directory)
    hub = None if os.path.exists(os.path.dirname(directory)) else hub  # a relative path
    advice = f'; a model of the hub is fetched first, with `hf download {hub[2]} --local-dir DIR`' if hub else ''
    raise CheckpointError(
      f'INITIAL_CHECKPOINT_PATH: no directory {directory}; give the directory of a checkpoint, a GGUF file, '
      f"or '{BUNDLED}' for the mini model{advice}"
    ) from e
  except PermissionError:
    raise
  # A place that is none, takes a package more, or is out of reach: each library has errors of its own.
  except Exception as e:
    raise CheckpointError(
      f'INITIAL_CHECKPOINT_PATH: {directory} cannot be read ({shorten(e)}); use a local copy'
    ) from e


def sha256(path: str) -> str:
  """SHA-256 of a file, hexadecimal; it is read anew, since a run may have written it again under its name."""
  with open(path, 'rb') as f:
    return hashlib.file_digest(f, 'sha256').hexdigest()


def network_config(
  path: str, dtype: str = 'float32', dropout_rate: float = 0.0, remat: bool = False, scan_layers: bool = False
) -> NetworkConfig:
  """The network's configuration, as a checkpoint tells it.

  Args:
    path: see open_backbone.
    dtype: dtype of activations.
    dropout_rate: dropout, which a checkpoint does not decide.
    remat: recompute activations in the backward pass.
    scan_layers: run the layers as one loop.
  """
  config: Any = open_backbone(path).config  # a dataclass, which its Protocol does not say
  return dataclasses.replace(config, dtype=dtype, dropout_rate=dropout_rate, remat=remat, scan_layers=scan_layers)


def load_backbone(path: str, like: Mapping[str, Any]) -> tuple[dict[str, Any], RestoreReport]:
  """Reads a backbone, one tensor at a time.

  Args:
    path: see open_backbone.
    like: the model's parameters as shapes, in the dtype that each is to have and, where it is to lie on devices, with
      its sharding; what stands under `adapter` is left out.

  Returns:
    (parameters without the adapter; report).

  Raises:
    CheckpointError: if a parameter is missing from the checkpoint, or has another shape; before anything is read.
  """
  source = open_backbone(path)
  target = {name: value for name, value in trainable.flatten(like).items() if not name.startswith(f'{ADAPTER}/')}
  wrong = [
    f'{name}: not in the checkpoint'
    if name not in source.shapes
    else f'{name}: {list(source.shapes[name][0])} in the checkpoint, {list(value.shape)} in the model'
    for name, value in target.items()
    if name not in source.shapes or source.shapes[name][0] != tuple(value.shape)
  ]
  unused = tuple(sorted(name for name in source.shapes if name not in target and not name.startswith(f'{ADAPTER}/')))
  if wrong:
    more = f' and {len(wrong) - 8} more' if len(wrong) > 8 else ''
    raise CheckpointError(
      f'{source.path} does not fit the model: {"; ".join(wrong[:8])}{more}. Not used: {list(unused)[:8]}. '
      'Select the model that this checkpoint was saved from (gin/models/).'
    )
  out = {}
  with progress.Progress(f'reading {source.path}', len(target)) as bar:
    for name, value in target.items():
      array = cast(source.read(name), value.dtype, source.path, name)
      sharding = getattr(value, 'sharding', None)
      out[name] = array if sharding is None else jax.device_put(array, sharding)
      bar.advance(1)
  fresh = tuple(name for name in trainable.flatten(like) if name not in target)
  return trainable.unflatten(out), RestoreReport(tuple(target), fresh, unused)


def save(directory: str, config: NetworkConfig, params: Params, notes: Mapping[str, Any] | None = None) -> None:
  """Writes a backbone in Hugging Face's layout; the adapter's parameters are left out.

  Args:
    directory: where to.
    config: the network.
    params: its parameters.
    notes: those of the backbone that it was made from; see hf_config.notes_of.

  Raises:
    CheckpointError: for a network that has no such layout.
  """
  huggingface.save(directory, config, dict(params), notes=notes)
  for read_before in (open_backbone, backbone_hash):  # of what stood there
    read_before.cache_clear()


@functools.lru_cache(maxsize=8)
def backbone_hash(path: str) -> str:
  """`hash_of` the backbone at a path."""
  return hash_of(open_backbone(path))


def _add(digest: 'hashlib._Hash', array: np.ndarray, path: str, name: str) -> None:
  """Adds the values of a tensor, as float32, to a digest."""
  for block in row_blocks(array):
    values = cast(block, np.float32, path, name)
    digest.update(np.ascontiguousarray(values.astype('<f4', copy=False)).data)


def hash_of(source: Backbone) -> str:
  """SHA-256 over what the network uses of a backbone; the same for the same network in any format.

  That is names, shapes and values of its parameters, the values as float32, in the order of our names, and such
  settings as the shapes do not tell, where they are not the family's usual ones.

  Args:
    source: what open_backbone gives.
  """
  network = layout(source.config)
  shapes = network.shapes()
  names = sorted(shapes)
  digest = hashlib.sha256()
  with progress.Progress(f'hashing {source.path}', len(names)) as bar:
    for name in names:
      digest.update(f'{name} {list(shapes[name])}\n'.encode())
      _add(digest, source.read(name), source.path, name)
      bar.advance(1)
  for name, value in network.settings().items():
    digest.update(f'{name} {value}\n'.encode())
  return digest.hexdigest()
