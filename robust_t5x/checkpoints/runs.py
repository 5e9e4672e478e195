"""The checkpoints of a run: what trains, and the position in the data."""

import json
import os
import pathlib
import re
from typing import Any

from etils import epath
import jax

from robust_t5x.checkpoints import backbones
from robust_t5x.runtime import files, processes, progress, quiet
from seqio_tasks.errors import UserError, shorten

_SUMS = 'sha256.json'  # in a checkpoint's directory
# The position of a process in the data; TensorFlow adds to it.
_POSITION = re.compile(r'(?P<name>(?P<step>\d+)-\d+-of-\d+)(?!\d|_temp)')


class DamagedRunError(UserError):
  """No checkpoint of a run can be read."""


class SavingError(UserError):
  """A checkpoint of a run cannot be written."""


class RunCheckpoints:
  """The checkpoints of a run's trainable state, in `MODEL_DIR/checkpoints`, written atomically by orbax."""

  def __init__(self, model_dir: str, keep: int = 2):
    """Opens (and creates) the directory; the newest `keep` checkpoints stay."""
    import orbax.checkpoint as ocp

    self._ocp = ocp
    self._model_dir = model_dir
    self._data_dir = processes.join(model_dir, 'data_iterator')
    self._keep = keep
    for place in (self._data_dir, processes.join(model_dir, 'checkpoints')):
      if epath.Path(place).exists() and not epath.Path(place).is_dir():
        raise SavingError(f'{place} is a file where checkpoints go; move it, or give another MODEL_DIR')
    with quiet.logs_muted():  # of damaged metadata, which no state is read with
      # With its handler named, a damaged checkpoint beside them does not decide how the others are read.
      self._manager = ocp.CheckpointManager(
        processes.join(model_dir, 'checkpoints'),
        item_handlers=ocp.StandardCheckpointHandler(),
        # What a kill left half written goes, also where that step is not saved again.
        options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True, cleanup_tmp_directories=True),
      )

  def latest_step(self) -> int | None:
    """Step of the newest checkpoint, or None."""
    return self._manager.latest_step()

  def save(self, step: int, state: Any, data_iterator: Any) -> None:
    """Writes the state after `step` steps, and the position in the data, before returning; SavingError if it cannot."""
    if self._manager.latest_step() == step:
      return
    try:
      epath.Path(self._data_dir).mkdir(parents=True, exist_ok=True)
      data_iterator.save(self._data_file(step))
      self._manager.save(step, args=self._ocp.args.StandardSave(state))
      self._manager.wait_until_finished()
      self._remove_old_data()
      if self._is_checked():
        files.write_atomically(processes.join(self._place(step), _SUMS), json.dumps(self._sums(step), indent=1) + '\n')
    except Exception as e:  # orbax, tensorstore and TensorFlow raise what they like
      raise SavingError(
        f'{self._place(step)} cannot be written ({_reason(e)}); make room there, or mend what it says: the same command then '
        'goes on from the checkpoint before'
      ) from e

  def restore(self, step: int, like: Any, data_iterator: Any = None) -> Any:
    """Reads the state of a step into the structure and shardings of `like`, and puts the data where it was."""
    state = self._manager.restore(step, args=self._ocp.args.StandardRestore(like))
    if data_iterator is not None:
      data_iterator.restore(self._saved_data_file(step))
    return state

  def restore_newest(self, like: Any, data_iterator: Any) -> tuple[int, Any]:
    """Reads the newest whole checkpoint, and removes newer ones, which are damaged.

    Args:
      like: structure and shardings of the state.
      data_iterator: is put where it was; the position that a failed reading left is overwritten by the next.

    Returns:
      (its step, its state); step 0 and `like` where there is none.

    Raises:
      DamagedRunError: if none of them is whole.
    """
    damaged: list[int] = []
    for step in sorted(self._manager.all_steps(), reverse=True):
      try:
        self._check(step)
        with quiet.logs_muted():  # what is wrong is told below
          state = self.restore(step, like, data_iterator)
      except Exception as e:  # orbax, tensorstore and TensorFlow raise what they like
        # Several processes could disagree on which one is whole, so these leave it to the user.
        if jax.process_count() > 1:
          raise DamagedRunError(
            f'{self._place(step)} cannot be read ({_reason(e)}); delete it to go on from the one before'
          ) from e
        progress.log(f'warning: {self._place(step)} is damaged ({_reason(e)})')
        damaged.append(step)
        continue
      for newer in damaged:
        self._manager.delete(newer)
        progress.log(f'removed {self._place(newer)}; the run goes on from the checkpoint before')
      return step, state
    if damaged:
      raise DamagedRunError(
        f'MODEL_DIR: no checkpoint in {self._model_dir} can be read, of steps {", ".join(map(str, sorted(damaged)))}; '
        'delete the directory to train anew'
      )
    return 0, like

  def close(self) -> None:
    """Waits for writes and frees resources."""
    with quiet.logs_muted():  # a signal meanwhile, which orbax takes for a write that failed
      self._manager.close()

  def _is_checked(self) -> bool:
    """Whether this process keeps and compares sums of files, which tensorstore has none of for its arrays; not in a bucket."""
    return '://' not in self._model_dir and processes.is_main()

  def _sums(self, step: int) -> dict[str, str]:
    """SHA-256 of each file that a step is read from, by its path in the run's directory."""
    run = pathlib.Path(os.path.abspath(self._model_dir))
    states = (run / 'checkpoints' / str(step) / 'default').rglob('*')
    positions = pathlib.Path(self._data_dir).glob(f'{step}-*-of-{jax.process_count()}*')
    found = sorted(path for path in (*states, *positions) if path.is_file())
    return {path.relative_to(run).as_posix(): backbones.sha256(str(path)) for path in found}

  def _check(self, step: int) -> None:
    """Raises ValueError or OSError if a file of a checkpoint is not as it was written; a kill may have left it without sums."""
    path = os.path.join(self._place(step), _SUMS)
    if not self._is_checked() or not os.path.isfile(path):
      return
    with open(path, encoding='utf-8') as f:
      sums = json.load(f)
    for name, digest in sums.items():
      if backbones.sha256(os.path.join(self._model_dir, name)) != digest:
        raise ValueError(f'{name} is not as it was written')

  def _place(self, step: int) -> str:
    return processes.join(self._model_dir, 'checkpoints', str(step))

  def _data_file(self, step: int) -> str:
    return f'{self._data_dir}/{step}{self._suffix()}'

  def _saved_data_file(self, step: int) -> str:
    """That of this process, or of a run with another number of them, all of which save the same position."""
    data = epath.Path(self._data_dir)
    found = [_POSITION.match(file.name) for file in data.iterdir()] if data.is_dir() else []
    names = sorted({match['name'] for match in found if match and match['step'] == str(step)})
    own = f'{step}{self._suffix()}'
    return f'{self._data_dir}/{names[0] if names and own not in names else own}'

  def _suffix(self) -> str:
    return f'-{jax.process_index()}-of-{jax.process_count()}'

  def _remove_old_data(self) -> None:
    """Removes the positions of checkpoints that are gone, and what a process that was killed while it wrote one left."""
    steps = {str(step) for step in self._manager.all_steps()}
    data = epath.Path(self._data_dir)
    for file in data.iterdir() if data.is_dir() else ():
      step, suffix, rest = file.name.partition(self._suffix())
      if not suffix or rest[:1].isdigit() or (step in steps and not rest.startswith('_temp')):
        continue
      file.rmtree() if file.is_dir() else file.unlink()


def _reason(error: Exception) -> str:
  return shorten(f'{type(error).__name__}: {" ".join(str(error).split())}', 200)
