"""Where the numbers of a training run go: TensorBoard's files, and a tracker of experiments beside them."""

from collections.abc import Mapping
import importlib
import importlib.util
import os
from typing import Any
import uuid

from etils import epath

from robust_t5x.runtime import errors, files, processes, progress
from seqio_tasks.errors import shorten

# Modules with the same calls: init, log and finish.
TRACKERS = ('wandb', 'trackio')
PROJECT = 'robust_t5x'
_NAME = 'tracker.txt'  # in MODEL_DIR: the run's name there


def check(tracker: str | None) -> None:
  """Raises UsageError where a tracker is not known, or not installed."""
  if tracker is None:
    return
  if tracker not in TRACKERS:
    raise errors.UsageError(f'TRACKER is {shorten(repr(tracker), 60)}; it is None or one of {", ".join(TRACKERS)}')
  if importlib.util.find_spec(tracker) is None:
    raise errors.UsageError(f'TRACKER is {tracker!r}, which is not installed: pip install {tracker}')


class Log:
  """Writes numbers by step. A tracker that fails is left out from then on, with one warning: training goes on."""

  def __init__(self, model_dir: str, tracker: str | None, config: Mapping[str, Any]):
    """Opens the log of a run; a run that goes on is the same run to the tracker.

    Args:
      model_dir: of the run.
      tracker: one of TRACKERS, or None.
      config: what the tracker shows as the settings of the run.
    """
    from clu import metric_writers  # imports TensorFlow

    self._tensorboard = metric_writers.SummaryWriter(processes.join(model_dir, 'tensorboard'))
    self._run = None
    if tracker is not None:
      try:
        self._run = _begin(model_dir, tracker, config)
      except Exception as e:  # whatever a foreign program raises
        self._give_up(e)

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Writes numbers after a step."""
    self._tensorboard.write_scalars(step, values)
    if self._run is not None:
      try:
        self._run.log(dict(values), step=step)
      except Exception as e:
        self._give_up(e)

  def close(self) -> None:
    """Writes what is left."""
    self._tensorboard.flush()
    self._tensorboard.close()
    if self._run is not None:
      try:
        self._run.finish()
      except Exception as e:
        self._give_up(e)

  def _give_up(self, error: Exception) -> None:
    self._run = None
    progress.log(f'warning: TRACKER: {shorten(str(error), 200)}; the numbers go to TensorBoard alone')


def _begin(model_dir: str, tracker: str, config: Mapping[str, Any]) -> Any:
  path = epath.Path(processes.join(model_dir, _NAME))
  if path.exists():
    name = path.read_text().strip()
  else:
    name = f'{os.path.basename(model_dir.rstrip("/"))}-{uuid.uuid4().hex[:8]}'
    files.write_atomically(str(path), name + '\n')
  # W&B goes on with a run by its id, Trackio by its name.
  more = {'id': name} if tracker == 'wandb' else {}
  if tracker == 'wandb' and '://' not in model_dir:
    more['dir'] = model_dir
  return importlib.import_module(tracker).init(project=PROJECT, name=name, config=dict(config), resume='allow', **more)
