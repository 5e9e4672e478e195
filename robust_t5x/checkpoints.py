"""Checkpoints: the frozen backbone that a run starts from, and the trainable state that a run writes.

A backbone is a directory in Hugging Face's T5 layout (`config.json`, `model.safetensors`, `spiece.model`). A run never
copies it: its own checkpoints hold the trainable state only and name the backbone by path and hash.
"""

from collections.abc import Mapping
import dataclasses
import functools
import hashlib
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from robust_t5x import huggingface, network, quiet
from robust_t5x import trainable as trainable_lib

BUNDLED = 'bundled'


class CheckpointError(ValueError):
  """A checkpoint that is missing, unreadable, or does not fit the model."""


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
  return os.path.join(os.path.dirname(__file__), 'mini')


def resolve(path: str) -> str:
  """A checkpoint's directory; 'bundled' is the mini model of the package.

  Raises:
    CheckpointError: if there is no such directory or it is not a checkpoint.
  """
  directory = bundled_path() if path == BUNDLED else os.path.expanduser(path)
  if not os.path.isdir(directory):
    raise CheckpointError(
      f'INITIAL_CHECKPOINT_PATH: no directory {directory}; give a directory with config.json and model.safetensors, '
      "or 'bundled' for the mini model"
    )
  for name in ('config.json',):
    if not os.path.isfile(os.path.join(directory, name)):
      raise CheckpointError(
        f"INITIAL_CHECKPOINT_PATH: {directory} has no {name}; a checkpoint in Hugging Face's T5 layout has one"
      )
  return directory


@functools.lru_cache(maxsize=8)
def sha256(path: str) -> str:
  """SHA-256 of a file, hexadecimal."""
  digest = hashlib.sha256()
  with open(path, 'rb') as f:
    while block := f.read(1 << 20):
      digest.update(block)
  return digest.hexdigest()


def backbone_hash(path: str) -> str:
  """One hash over the weight files of a backbone directory."""
  directory = resolve(path)
  files = sorted(f for f in os.listdir(directory) if f.endswith('.safetensors') and f.startswith('model'))
  if not files:
    raise CheckpointError(
      f'INITIAL_CHECKPOINT_PATH: {directory} has no model.safetensors; torch pickles are not read, '
      'save the model with safe_serialization=True'
    )
  joined = ' '.join(sha256(os.path.join(directory, f)) for f in files)
  return joined if len(files) == 1 else hashlib.sha256(joined.encode()).hexdigest()


def network_config(
  path: str, dtype: str = 'float32', dropout_rate: float = 0.0, remat: bool = False
) -> network.T5Config:
  """The network's configuration from a checkpoint's `config.json`.

  Args:
    path: checkpoint directory or 'bundled'.
    dtype: dtype of activations.
    dropout_rate: dropout, which a checkpoint does not decide.
    remat: recompute activations in the backward pass.
  """
  config = huggingface.load_config(resolve(path))
  return dataclasses.replace(config, dtype=dtype, dropout_rate=dropout_rate, remat=remat)


@functools.lru_cache(maxsize=4)
def vocabulary(path: str, extra_ids: int = 100) -> Any:
  """The seqio vocabulary of a checkpoint directory, or of a SentencePiece model file; imports TensorFlow.

  Args:
    path: checkpoint directory, 'bundled', or a file ending in .model.
    extra_ids: sentinel ids after the pieces.
  """
  file = path if path.endswith('.model') else os.path.join(resolve(path), 'spiece.model')
  if not os.path.isfile(file):
    raise CheckpointError(f'VOCABULARY: no file {file}; put the SentencePiece model there')
  quiet.import_tensorflow()
  import seqio

  return seqio.SentencePieceVocabulary(file, extra_ids=extra_ids)


def check_vocabulary(config: network.T5Config, vocab: Any) -> None:
  """Raises CheckpointError unless every id of the vocabulary has a row in the embedding table."""
  if vocab.vocab_size > config.vocab_size or vocab.vocab_size < config.vocab_size - 256:
    raise CheckpointError(
      f"the vocabulary has {vocab.vocab_size} ids, the model's embedding {config.vocab_size} rows; "
      'use the vocabulary that belongs to the checkpoint (the embedding may have up to 255 rows of padding)'
    )


def load_backbone(path: str, params: Mapping[str, Any]) -> tuple[dict[str, Any], RestoreReport]:
  """Fills freshly initialised parameters from a backbone checkpoint.

  Args:
    path: checkpoint directory or 'bundled'.
    params: the model's parameters or their shapes; what stands under `prompt` stays as it is.

  Returns:
    (numpy parameters, report).

  Raises:
    CheckpointError: if a backbone parameter is missing from the checkpoint, or has another shape.
  """
  directory = resolve(path)
  source = trainable_lib.flatten(huggingface.load_params(directory))
  target = trainable_lib.flatten(params)
  out, loaded, fresh, wrong = {}, [], [], []
  for name, value in target.items():
    if name.startswith('prompt/'):
      out[name] = value
      fresh.append(name)
    elif name not in source:
      fresh.append(name)
      wrong.append(f'{name}: not in the checkpoint')
    elif source[name].shape != value.shape:
      wrong.append(f'{name}: {list(source[name].shape)} in the checkpoint, {list(value.shape)} in the model')
    else:
      out[name] = source[name]
      loaded.append(name)
  unused = tuple(sorted(set(source) - set(target)))
  if wrong:
    more = f' and {len(wrong) - 8} more' if len(wrong) > 8 else ''
    raise CheckpointError(
      f'{directory} does not fit the model: {"; ".join(wrong[:8])}{more}. Not used: {list(unused)[:8]}. '
      'Select the model that this checkpoint was saved from (gin/models/).'
    )
  return trainable_lib.unflatten(out), RestoreReport(tuple(loaded), tuple(fresh), unused)


def cast(params: Mapping[str, Any], dtype: str) -> Any:
  """Parameters in a storage dtype, such as 'bfloat16' for a frozen backbone."""
  return jax.tree.map(lambda x: jnp.asarray(x, dtype), params)


class RunCheckpoints:
  """The checkpoints of a run's trainable state, in `MODEL_DIR/checkpoints`, written atomically by orbax."""

  def __init__(self, model_dir: str, keep: int = 2):
    """Opens (and creates) the directory; the newest `keep` checkpoints stay."""
    import orbax.checkpoint as ocp

    self._ocp = ocp
    self._data_dir = os.path.join(os.path.abspath(model_dir), 'data_iterator')
    self._keep = keep
    self._manager = ocp.CheckpointManager(
      os.path.join(os.path.abspath(model_dir), 'checkpoints'),
      options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True),
    )

  def latest_step(self) -> int | None:
    """Step of the newest checkpoint, or None."""
    return self._manager.latest_step()

  def save(self, step: int, state: Any, data_iterator: Any = None) -> None:
    """Writes the state after `step` steps, and the position in the data, before returning."""
    if self._manager.latest_step() == step:
      return
    if data_iterator is not None:
      os.makedirs(self._data_dir, exist_ok=True)
      data_iterator.save(self._data_file(step))
    self._manager.save(step, args=self._ocp.args.StandardSave(state))
    self._manager.wait_until_finished()
    self._remove_old_data()

  def restore(self, step: int, like: Any, data_iterator: Any = None) -> Any:
    """Reads the state of a step into the structure and shardings of `like`, and puts the data where it was."""
    state = self._manager.restore(step, args=self._ocp.args.StandardRestore(like))
    if data_iterator is not None:
      data_iterator.restore(self._data_file(step))
    return state

  def close(self) -> None:
    """Waits for writes and frees resources."""
    self._manager.close()

  def _data_file(self, step: int) -> str:
    return os.path.join(self._data_dir, f'{step}-{jax.process_index()}-of-{jax.process_count()}')

  def _remove_old_data(self) -> None:
    steps = {str(step) for step in self._manager.all_steps()}
    for name in os.listdir(self._data_dir) if os.path.isdir(self._data_dir) else ():
      if name.split('-')[0] not in steps:
        os.remove(os.path.join(self._data_dir, name))


def to_numpy(params: Mapping[str, Any]) -> Any:
  """Parameters as numpy arrays on the host."""
  return jax.tree.map(np.asarray, params)
