"""Where the numbers of a training run go: TensorBoard's files, and a tracker of experiments beside them."""

from collections.abc import Mapping
import importlib
import importlib.util
import os
import socket
import time
from typing import Any
import uuid

from etils import epath
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.scalar import summary_v2
from tensorboard.summary.writer.record_writer import RecordWriter

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


class _EventFile:
  """A file of scalars that TensorBoard reads, written without TensorFlow, whose import takes seconds."""

  def __init__(self, directory: str):
    where = epath.Path(directory)
    where.mkdir(parents=True, exist_ok=True)
    # The name by which TensorBoard knows such files, the newest last; two of a second differ.
    name = f'events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}'
    self._file = (where / name).open('wb')
    self._writer = RecordWriter(self._file)
    self._add(event_pb2.Event(file_version='brain.Event:2'))

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Writes numbers after a step."""
    made = [summary_v2.scalar_pb(name, float(value)).value[0] for name, value in values.items()]
    self._add(event_pb2.Event(step=step, summary=summary_pb2.Summary(value=made)))

  def close(self) -> None:
    """Writes what is left."""
    self._writer.close()

  def _add(self, event: event_pb2.Event) -> None:
    event.wall_time = time.time()
    self._writer.write(event.SerializeToString())
    self._writer.flush()


class Log:
  """Writes numbers by step. A tracker that fails is left out from then on, with one warning: training goes on."""

  def __init__(self, model_dir: str, tracker: str | None, config: Mapping[str, Any]):
    """Opens the log of a run; a run that goes on is the same run to the tracker.

    Args:
      model_dir: of the run.
      tracker: one of TRACKERS, or None.
      config: what the tracker shows as the settings of the run.
    """
    self._tensorboard = _EventFile(processes.join(model_dir, 'tensorboard'))
    self._run = None
    if tracker is not None:
      try:
        self._run = _begin(model_dir, tracker, config)
      except Exception as e:  # whatever a foreign program raises
        self._give_up(e)

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Writes numbers after a step."""
    self._tensorboard.write(step, values)
    if self._run is not None:
      try:
        self._run.log(dict(values), step=step)
      except Exception as e:
        self._give_up(e)

  def close(self) -> None:
    """Writes what is left."""
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
