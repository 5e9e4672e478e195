"""One trial of a sweep on disk: training, then evaluation, each a process of its own, and a record of how far it got."""

from collections.abc import Mapping, Sequence
import dataclasses
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from typing import Required, TypedDict

from robust_t5x.results.schema import ResultsError, read_record
from robust_t5x.runtime import orphans, records, settings, signals
from robust_t5x.runtime.files import write_atomically
from robust_t5x.sweeps import grid

PROGRAM = (sys.executable, '-m', 'robust_t5x')
_TAIL = 15  # lines of a log that are shown when a run fails
_GRACE = 30.0  # seconds that an interrupted run has to end


class Description(TypedDict):
  """What a trial is going to be, as its gin files say; see `check`."""

  checkpoint: str | None  # backbone that training starts from
  steps: int
  seed: int
  parameters: int  # how many train
  adapter: bool  # whether an adapter trains
  backbone: bool  # whether weights of the model train
  config: str  # the whole gin configuration


class Failure(TypedDict):
  """At which stage, 'train' or 'eval', a trial failed, and what was said."""

  stage: str
  message: str


class TrialRecord(TypedDict, total=False):
  """What `trial.json` holds."""

  label: Required[str]
  trained: Required[bool]
  seconds: Required[float]  # of training, interrupted attempts included
  error: Required[Failure | None]
  settings: dict[str, grid.Shown]
  seed: int
  steps: int
  parameters: int
  train_command: str
  eval_command: str


class Interrupted(Exception):
  """The sweep was told to stop while a run was under way."""


class Processes:
  """The runs that are under way, so that all can be ended."""

  def __init__(self) -> None:
    self._live: set[subprocess.Popen] = set()
    self._lock = threading.Lock()
    self._stopped = False

  def run(self, arguments: Sequence[str], log: str) -> int:
    """Runs `robust-t5x` with its output appended to a log; returns its status.

    Raises:
      Interrupted: if `stop` was called before it ended.
    """
    with open(log, 'ab') as output:
      output.write(f'$ {grid.shell(arguments)}\n'.encode())
      output.flush()
      with self._lock:
        if self._stopped:
          raise Interrupted
        process = subprocess.Popen(
          [*PROGRAM, *arguments],
          stdout=output,
          stderr=subprocess.STDOUT,
          stdin=subprocess.DEVNULL,
          env=orphans.environment(),
        )
        self._live.add(process)
      try:
        status = process.wait()
      finally:
        with self._lock:
          self._live.discard(process)
    if self._stopped:
      raise Interrupted
    return status

  def stop(self) -> None:
    """Ends what runs, and lets nothing start; a run that trains saves first."""
    signals.answered()
    with self._lock:
      self._stopped = True
      live = list(self._live)
    for process in live:
      process.terminate()
    for process in live:
      try:
        process.wait(_GRACE)
      except subprocess.TimeoutExpired:
        process.kill()


@dataclasses.dataclass
class TrialRun:
  """A trial on disk.

  Attributes:
    directory: where it is; `train/` holds the training run, `eval-*/` evaluations, `*.log` what they printed.
    record: content of its `trial.json`.
    train: arguments of `robust-t5x` that train it.
    evaluate: arguments of `robust-t5x` that evaluate it.
    evaluation: directory of the results.
    products: files and directories that training leaves and the evaluation reads.
    config: the gin configuration of its training, as the gin files are now.
  """

  directory: str
  record: TrialRecord
  train: list[str]
  evaluate: list[str]
  evaluation: str
  products: tuple[str, ...]
  config: str

  @classmethod
  def find(
    cls,
    out: str,
    trial: grid.Trial,
    description: Description,
    eval_files: Sequence[str],
    eval_bindings: Mapping[str, str],
    flags: Sequence[str],
  ) -> 'TrialRun':
    """The trial's place below `out`, found by its hash or new; nothing is written.

    Args:
      out: directory of the sweep.
      trial: the trial.
      description: what `check.check` says of it.
      eval_files: gin files of the evaluation.
      eval_bindings: its gin name -> value.
      flags: other flags of all runs.
    """
    there = sorted(glob.glob(os.path.join(glob.escape(out), 'trials', f'*-{trial.key}')))
    directory = there[0] if there else os.path.join(out, 'trials', grid.directory_name(trial))
    record = read_trial(directory) or TrialRecord(label=trial.label, trained=False, seconds=0.0, error=None)
    model_dir = os.path.join(directory, 'train')
    evaluation = os.path.join(directory, f'eval-{grid.digest(eval_files, eval_bindings, 6)}')
    whole, adapter = os.path.join(model_dir, 'model'), os.path.join(model_dir, 'adapter.safetensors')
    own = {
      'INITIAL_CHECKPOINT_PATH': whole if description['backbone'] else description['checkpoint'],
      'ADAPTER': adapter if description['adapter'] else 'none',
      'LABEL': record['label'],
      'OUTPUT_DIR': evaluation,
    }
    products = tuple(path for path in (whole, adapter) if path in own.values())
    train = grid.command('train', trial.files, {**trial.bindings, 'MODEL_DIR': repr(model_dir)}, flags)
    own_bindings = {name: repr(value) for name, value in own.items()}
    evaluate = grid.command('eval', eval_files, {**eval_bindings, **own_bindings}, flags)
    record.update(
      {
        'settings': dict(trial.settings),
        'seed': description['seed'],
        'steps': description['steps'],
        'parameters': description['parameters'],
        'train_command': grid.shell(train),
        'eval_command': grid.shell(evaluate),
      }
    )
    return cls(directory, record, train, evaluate, evaluation, products, description['config'])

  @property
  def trained(self) -> bool:
    """Whether training is over, and its result is there."""
    return self.record['trained'] and all(os.path.exists(p) for p in self.products)

  @property
  def finished(self) -> bool:
    """Whether training and this evaluation are over."""
    return self.trained and is_evaluated(self.evaluation)

  @property
  def drift(self) -> str:
    """What the gin files said otherwise when this trial was trained; '' for nothing, or if it was not."""
    path = os.path.join(self.directory, 'train', 'config.gin')
    if not self.trained or not os.path.isfile(path):
      return ''
    with open(path, encoding='utf-8') as f:
      return _changes(f.read(), self.config, grid.TRAIN_OWN)

  @property
  def status(self) -> str:
    """'finished', 'failed', 'trained' (but not evaluated), 'started' or 'not started'."""
    if self.finished:
      return 'finished'
    if self.record['error']:
      return 'failed'
    return 'trained' if self.trained else 'started' if self.record['seconds'] else 'not started'

  def run(self, processes: Processes) -> None:
    """Does what is not done yet; a failure is recorded in `record['error']`.

    Raises:
      Interrupted: see Processes.run.
    """
    os.makedirs(self.directory, exist_ok=True)
    self.record['error'] = None
    if not self.trained:
      began = time.monotonic()
      try:
        ok = self._step('train', self.train, processes)
      finally:
        # What an interrupted or failed attempt took counts too.
        self.record['seconds'] = round(self.record['seconds'] + time.monotonic() - began, 3)
        self._write()
      lacking = [p for p in self.products if not os.path.exists(p)]
      if ok and lacking:
        self.record['error'] = {'stage': 'train', 'message': f'training ended without writing {lacking[0]}'}
      self.record['trained'] = ok and not lacking
      for stale in glob.glob(os.path.join(glob.escape(self.directory), 'eval-*/')):
        shutil.rmtree(stale)  # of what was trained here before
    if self.trained and not is_evaluated(self.evaluation):
      if self._step('eval', self.evaluate, processes) and not is_evaluated(self.evaluation):
        self.record['error'] = {'stage': 'eval', 'message': f'the evaluation left no results in {self.evaluation}'}
    self._write()

  def log(self, stage: str) -> str:
    """Where a stage, 'train' or 'eval', writes what it says."""
    return os.path.join(self.directory, f'{stage}.log')

  def _step(self, stage: str, arguments: Sequence[str], processes: Processes) -> bool:
    self._write()
    status = processes.run(arguments, self.log(stage))
    if status:
      self.record['error'] = {'stage': stage, 'message': failure(self.log(stage), status)}
    return status == 0

  def _write(self) -> None:
    write_atomically(os.path.join(self.directory, 'trial.json'), json.dumps(self.record, indent=2) + '\n')


def read_trial(directory: str) -> TrialRecord | None:
  """A trial's `trial.json`, None where there is none.

  Raises:
    ResultsError: if it cannot be read.
  """
  path = os.path.join(directory, 'trial.json')
  if not os.path.isfile(path):
    return None
  try:
    return records.read(path, TrialRecord, f'delete {directory} to run this trial again')
  except records.RecordError as e:
    raise ResultsError(str(e)) from e


def is_evaluated(directory: str) -> bool:
  """Whether a directory holds a finished evaluation."""
  path = os.path.join(directory, 'run.json')
  return os.path.isfile(path) and bool(read_record(path).get('finished'))


def evaluation_drift(directory: str, config: str) -> str:
  """What the gin files said otherwise when a finished evaluation was made; '' for nothing, or if there is none."""
  if not is_evaluated(directory):
    return ''
  record = read_record(os.path.join(directory, 'run.json'))
  return _changes(record.get('gin_config', config), config, grid.EVAL_OWN)


def _changes(before: str, now: str, own: Sequence[str]) -> str:
  return ', '.join(settings.changes(settings.read(before), settings.read(now), without=own))


def tail(log: str, lines: int = _TAIL) -> list[str]:
  """The last lines of a log."""
  with open(log, encoding='utf-8', errors='replace') as f:
    return f.read().splitlines()[-lines:]


def failure(log: str, status: int) -> str:
  """What went wrong, in a line: the last error of the log."""
  said = [line for line in tail(log, 200) if line.strip()]
  errors = [line for line in said if re.match(r'(error: |\w*(\.\w+)*(Error|Exception)\b)', line)]
  reason = (errors or said or [''])[-1].removeprefix('error: ')
  return f'{reason} (status {status})'
