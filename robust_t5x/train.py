"""Trains: an adapter on a frozen backbone, or a whole model, as the gin files say.

`robust-t5x train quickstart --MODEL_DIR=out/adapter`; `robust-t5x train --help` lists the recipes.

What JAX and TensorFlow are needed for is imported when a run starts, so that the command line answers at once.
"""

from collections.abc import Callable, Mapping, Sequence
import contextlib
from typing import TYPE_CHECKING, Any

from robust_t5x.runtime import errors, launcher, locks, processes, progress
from seqio_tasks.pipeline import registration

if TYPE_CHECKING:
  from robust_t5x.models.robust import RobustModel
  from robust_t5x.models.trainable import Trainable


def train(
  model: 'RobustModel',
  model_dir: str,
  mixture_or_task_name: str,
  task_feature_lengths: Mapping[str, int],
  train_steps: int,
  batch_size: int = 32,
  initial_checkpoint_path: str | None = None,
  prompt_init: str = 'uniform',
  trainable: 'Trainable | None' = None,
  register_tasks: Sequence[Callable[..., Any]] = (),
  seed: int = 0,
  microbatches: int = 1,
  model_parallel: int = 1,
  backbone_dtype: str = 'float32',
  save_period: int = 1000,
  log_period: int = 50,
  use_cached_tasks: bool = False,
  tracker: str | None = None,
) -> str:
  """Trains until `train_steps`, going on from the newest checkpoint in `model_dir` if there is one.

  Args:
    model: a models.RobustModel with an optax optimiser.
    model_dir: where checkpoints, logs and the result go.
    mixture_or_task_name: SeqIO mixture or task.
    task_feature_lengths: tokens of 'inputs' (T) and 'targets' (L).
    train_steps: steps in all.
    batch_size: examples in a step, over all processes.
    initial_checkpoint_path: backbone directory, 'bundled', or None to start from random weights.
    prompt_init: how a soft prompt starts, see adapters.initialise.
    trainable: a trainable.Trainable; the adapter by default.
    register_tasks: calls that register the SeqIO tasks, each given `vocabulary`.
    seed: of initialisation, data order, dropout.
    microbatches: parts that a batch is processed in.
    model_parallel: devices that share one copy of the weights.
    backbone_dtype: storage dtype of what is frozen.
    save_period: steps between checkpoints.
    log_period: steps between log entries.
    use_cached_tasks: read tasks from seqio's cache.
    tracker: of experiments, that the log goes to beside TensorBoard's files: one of tracking.TRACKERS.

  Returns:
    Path of the result: `adapter.safetensors`, or the directory `model` where the backbone was trained.

  Raises:
    launcher.UsageError: for missing settings, or a directory that another process works in or that holds another run.
    runs.DamagedRunError: if there are checkpoints and none can be read.
    NonFiniteLossError: when the loss or a gradient is not finite; the last good state has been saved.
    Stopped: when the process is asked to end; the state has been saved.
  """
  from robust_t5x import objectives
  from robust_t5x.checkpoints import loading, runs, vocabularies
  from robust_t5x.models.placement import place
  from robust_t5x.models.trainable import Trainable
  from robust_t5x.training import export, loop, records, start, tracking
  from robust_t5x.training.data import data_iterator, register
  from robust_t5x.training.step import check_batch, compiled_step

  errors.check_required(
    {
      'MODEL_DIR': model_dir,
      'MIXTURE_OR_TASK_NAME': mixture_or_task_name,
      'TASK_FEATURE_LENGTHS': task_feature_lengths,
      'TRAIN_STEPS': train_steps,
    }
  )
  tracking.check(tracker)
  trainable = trainable or Trainable()
  vocabularies.check_vocabulary(model.module.config, model.input_vocabulary)
  placement = place(model, model_parallel)
  trains_backbone = trainable.trains_backbone(placement.shapes)
  if '://' in model_dir and trains_backbone:
    raise errors.UsageError('MODEL_DIR: a run that trains the backbone writes a checkpoint; give a local directory')
  if objectives.needed(model.alignment_objective) and trains_backbone:
    raise errors.UsageError(
      'ALIGNMENT_OBJECTIVE: this objective compares with the frozen backbone, but Trainable.train lets the backbone move'
    )
  check_batch(batch_size, microbatches, placement.mesh)
  progress.log(trainable.describe(placement.shapes))

  register(mixture_or_task_name, register_tasks, model.input_vocabulary, in_seqio=False)
  data = data_iterator(model, mixture_or_task_name, task_feature_lengths, batch_size, seed, use_cached_tasks)

  state, frozen = start.initial_state(
    model, placement, initial_checkpoint_path, prompt_init, seed, trainable, backbone_dtype
  )
  # What a cache holds is not known.
  hashes = {} if use_cached_tasks else registration.content_hashes(mixture_or_task_name, 'train')
  record = records.run_record(seed, initial_checkpoint_path, hashes, loading.vocabulary_hash(model.input_vocabulary))
  with locks.held(model_dir, 'MODEL_DIR'):
    processes.make_shared(model_dir)
    saved = runs.RunCheckpoints(model_dir)
    try:
      if saved.latest_step() or records.holds_results(model_dir):
        records.check_same_run(model_dir, record)
      step, state = saved.restore_newest(state, data)
      if step > train_steps:
        raise errors.UsageError(
          f'TRAIN_STEPS is {train_steps}, but {model_dir} holds a run of {step} steps; give at least that, or another '
          'MODEL_DIR'
        )
      if step:
        progress.log(f'going on from step {step} of {model_dir}')
      if processes.is_main():
        records.write_record(model_dir, record)
      periods = loop.Periods(train_steps, save_period, log_period)
      step_fn = compiled_step(model, placement.mesh, microbatches, seed)
      log = tracking.Log(model_dir, tracker, record) if processes.is_main() else None
      with contextlib.closing(log) if log else contextlib.nullcontext():
        loop.run(step_fn, state, frozen, data, placement.mesh, saved, model_dir, step, periods, log)
      state = saved.restore(train_steps, state)
      return export.write(model, model_dir, state.params, frozen, record)
    finally:
      saved.close()


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  return launcher.run_configured('train.train', argv, __doc__.splitlines()[0])
