"""The loop of steps, logs and checkpoints."""

from collections.abc import Callable
import dataclasses
import time
from typing import Any

import jax

from robust_t5x.checkpoints.runs import RunCheckpoints
from robust_t5x.models.protocol import Params
from robust_t5x.runtime import partitioning, progress, signals
from robust_t5x.training.data import DataIterator
from robust_t5x.training.step import TrainState
from robust_t5x.training.tracking import Log
from seqio_tasks.errors import UserError

# Of a batch, how many tokens were cut off -> what the count of these is called in logs, and in words.
_CUTS = {'truncated_tokens': ('truncated_inputs', 'inputs'), 'cut_answer_tokens': ('cut_answers', 'answers')}


class NonFiniteLossError(UserError):
  """The loss or a gradient became infinite or not a number."""


@dataclasses.dataclass(frozen=True)
class Periods:
  """How long a run is, and how often it saves and logs, in steps."""

  train_steps: int
  save_period: int
  log_period: int


def run(
  step_fn: Callable[..., Any],
  state: TrainState,
  frozen: Params,
  data: DataIterator,
  mesh: jax.sharding.Mesh,
  saved: RunCheckpoints,
  model_dir: str,
  step: int,
  periods: Periods,
  log: Log | None,
) -> None:
  """Steps, logs and saves until `train_steps`.

  Args:
    step_fn: see step.compiled_step.
    state: what trains, after `step` steps.
    frozen: the other parameters.
    data: batches.
    mesh: that they are split over.
    saved: where the state goes.
    model_dir: of the run.
    step: steps taken before.
    periods: steps in all, between checkpoints, between log entries.
    log: of the main process; the others have none.

  Raises:
    NonFiniteLossError: when the loss or a gradient is not finite; the last good state has been saved.
    Stopped: when the process is asked to end; the state has been saved.
  """
  train_steps = periods.train_steps
  totals, since, began = None, step, time.monotonic()
  cut = dict.fromkeys(_CUTS, 0)  # since this process started
  merge = jax.jit(lambda a, b: {k: v.merge(b[k]) for k, v in a.items()})
  signals.keeps(_kept(step, train_steps, model_dir))
  with progress.Progress('training', train_steps, step) as bar, signals.deferrable() as stop:
    note = ''
    while step < train_steps:
      batch = dict(next(data))
      for feature in _CUTS.keys() & batch.keys():
        cut[feature] += int((batch.pop(feature) > 0).sum())
      placed = {name: partitioning.split_rows(rows, mesh) for name, rows in batch.items()}
      state, metrics = step_fn(state, frozen, placed)
      totals = metrics if totals is None else merge(totals, metrics)
      stop.defer()
      step += 1
      stop_now = stop.asked(step)
      log_now = step % periods.log_period == 0 or step == train_steps
      save_now = step % periods.save_period == 0 or step == train_steps or stop_now
      if log_now or save_now:
        if not bool(state.finite):
          last = int(state.step)
          passed = ''
          if last and saved.latest_step() != last:
            # With the data as they stand: where they stood then is not known any more.
            saved.save(last, state._replace(finite=state.finite | True), data)
            passed = f', past the {step - last} batches that were read since'
          raise NonFiniteLossError(
            f'the loss or a gradient of step {last + 1} was not finite. Lower the learning rate or clip the gradient, in another '
            f'MODEL_DIR; {_kept(last, train_steps, model_dir)}{passed}'
          )
      if log_now:
        values = {k: float(v.compute()) for k, v in totals.items()}
        seconds = time.monotonic() - began
        values['steps_per_second'] = (step - since) / seconds
        values |= {metric: cut[feature] for feature, (metric, _) in _CUTS.items()}
        if log is not None:
          log.write(step, values)
        note = f'loss {values["loss"]:.4f}, token accuracy {values["token_accuracy"]:.3f}'
        totals, since, began = None, step, time.monotonic()
      if save_now:
        saved.save(step, state, data)
        signals.keeps(_kept(step, train_steps, model_dir))
      if stop_now:
        raise signals.Stopped(stop.number)
      bar.advance(1, note)
  for feature, (_, what) in _CUTS.items():
    if cut[feature]:
      progress.log(
        f'warning: {cut[feature]} {what} were longer than TASK_FEATURE_LENGTHS allows and were cut; raise it'
      )
  if saved.latest_step() != train_steps:
    saved.save(train_steps, state, data)


def _kept(step: int, train_steps: int, model_dir: str) -> str:
  """What is on disk after a step that was saved."""
  if not step:
    return 'no step is saved; the same command starts again'
  return f'step {step} of {train_steps} is saved in {model_dir}; the same command goes on from there'
