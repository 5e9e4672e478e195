"""The checkpoints of a run: what trains, and the position in the data."""

from typing import Any

from etils import epath
import jax

from robust_t5x.runtime import processes


class RunCheckpoints:
  """The checkpoints of a run's trainable state, in `MODEL_DIR/checkpoints`, written atomically by orbax."""

  def __init__(self, model_dir: str, keep: int = 2):
    """Opens (and creates) the directory; the newest `keep` checkpoints stay."""
    import orbax.checkpoint as ocp

    self._ocp = ocp
    self._data_dir = processes.join(model_dir, 'data_iterator')
    self._keep = keep
    self._manager = ocp.CheckpointManager(
      processes.join(model_dir, 'checkpoints'),
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
      epath.Path(self._data_dir).mkdir(parents=True, exist_ok=True)
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
    return f'{self._data_dir}/{step}{self._suffix()}'

  def _suffix(self) -> str:
    return f'-{jax.process_index()}-of-{jax.process_count()}'

  def _remove_old_data(self) -> None:
    steps = {str(step) for step in self._manager.all_steps()}
    data = epath.Path(self._data_dir)
    for file in data.iterdir() if data.is_dir() else ():
      if file.name.split('-')[0] not in steps and self._suffix() in file.name:
        file.unlink()
