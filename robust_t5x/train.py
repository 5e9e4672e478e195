"""Trains: an adapter on a frozen backbone, or a whole model, as the gin files say.

`robust-t5x train quickstart --MODEL_DIR=out/adapter`; `robust-t5x train --help` lists the recipes.
"""

from collections.abc import Callable, Mapping, Sequence
import os
import sys
from typing import Any

from robust_t5x.runtime import errors, launcher, processes, progress
from robust_t5x.training import data as data_lib
from robust_t5x.training import loop, records, start


def train(
  model: Any,
  model_dir: str | None = None,
  mixture_or_task_name: str | None = None,
  task_feature_lengths: Mapping[str, int] | None = None,
  train_steps: int | None = None,
  batch_size: int = 32,
  initial_checkpoint_path: str | None = None,
  prompt_init: str = 'uniform',
  trainable: Any = None,
  register_tasks: Sequence[Callable[[Any], Any]] = (),
  seed: int = 0,
  microbatches: int = 1,
  model_parallel: int = 1,
  backbone_dtype: str = 'float32',
  save_period: int = 1000,
  log_period: int = 50,
  use_cached_tasks: bool = False,
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
    prompt_init: see adapters.initialise.
    trainable: a trainable.Trainable; the adapter by default.
    register_tasks: calls that register the SeqIO tasks, each given `vocabulary`.
    seed: of initialisation, data order, dropout.
    microbatches: parts that a batch is processed in.
    model_parallel: devices that share one copy of the weights.
    backbone_dtype: storage dtype of what is frozen.
    save_period: steps between checkpoints.
    log_period: steps between log entries.
    use_cached_tasks: read tasks from seqio's cache.

  Returns:
    Path of the result: `adapter.safetensors`, or the directory `model` where the backbone was trained.

  Raises:
    launcher.UsageError: for missing settings.
    NonFiniteLossError: when the loss or a gradient is not finite; the last good state has been saved.
  """
  import jax

  from robust_t5x import objectives
  from robust_t5x.checkpoints import runs, vocabularies
  from robust_t5x.models import trainable as trainable_lib
  from robust_t5x.runtime import partitioning
  from robust_t5x.training import step as step_lib

  errors.check_required(
    {
      'MODEL_DIR': model_dir,
      'MIXTURE_OR_TASK_NAME': mixture_or_task_name,
      'TASK_FEATURE_LENGTHS': task_feature_lengths,
      'TRAIN_STEPS': train_steps,
    }
  )
  trainable = trainable or trainable_lib.Trainable()
  vocabularies.check_vocabulary(model.module.config, model.input_vocabulary)
  shapes, axes = model.variable_shapes()
  trains_backbone = bool(set(trainable.split(shapes)[0]) - {'adapter'})
  if '://' in model_dir and trains_backbone:
    raise errors.UsageError('MODEL_DIR: a run that trains the backbone writes a checkpoint; give a local directory')
  if 'reference' in objectives.needed(model.alignment_objective) and trains_backbone:
    raise errors.UsageError(
      'ALIGNMENT_OBJECTIVE: this objective compares with the frozen backbone, but Trainable.train lets the backbone move'
    )
  mesh = partitioning.make_mesh(model_parallel)
  step_lib.check_batch(batch_size, microbatches, mesh)
  partitioning.check_model(model.module.config, mesh)
  progress.log(_describe(*trainable.split(shapes)))

  for register in register_tasks:
    register(vocabulary=model.input_vocabulary)
  data = data_lib.data_iterator(model, mixture_or_task_name, task_feature_lengths, batch_size, seed, use_cached_tasks)

  placed = partitioning.placed(shapes, partitioning.param_shardings(axes, shapes, mesh))
  params = start.initial_params(model, initial_checkpoint_path, prompt_init, seed, placed, trainable, backbone_dtype)
  moving, frozen = trainable.split(params)
  state = jax.jit(lambda p: step_lib.initial_state(p, model.optimizer_def))(moving)
  state = jax.device_put(state, step_lib.state_shardings(state, model.optimizer_def, axes, mesh))
  step_fn = step_lib.compiled_step(model, mesh, microbatches, seed)

  record = records.run_record(seed, initial_checkpoint_path)
  processes.make_shared(model_dir)
  saved = runs.RunCheckpoints(model_dir)
  step = saved.latest_step() or 0
  if step:
    records.check_same_run(model_dir, record)
    state = saved.restore(step, state, data)
    progress.log(f'going on from step {step} of {model_dir}')
  if processes.is_main():
    records.write_record(model_dir, record)

  try:
    loop.run(step_fn, state, frozen, data, mesh, saved, model_dir, step, train_steps, save_period, log_period)
    state = saved.restore(train_steps, state)
    return _export(model, model_dir, state.params, frozen, record)
  finally:
    saved.close()


def _describe(moving, frozen) -> str:
  """One line that says what trains."""
  from robust_t5x.models import trainable as trainable_lib

  flat = trainable_lib.flatten(moving)
  count = sum(x.size for x in flat.values())
  rest = sum(x.size for x in trainable_lib.flatten(frozen).values())
  names = ', '.join(list(flat)[:6]) + (', ...' if len(flat) > 6 else '')
  return f'training {count:,} of {count + rest:,} parameters: {names}'


def _export(model, model_dir, moving, frozen, record) -> str:
  """Writes what was trained: an adapter file, and a whole checkpoint where more than the adapter trained."""
  import shutil

  from robust_t5x.checkpoints import adapter_files, huggingface
  from robust_t5x.models import trainable as trainable_lib
  from robust_t5x.runtime import partitioning

  moving = partitioning.whole_on_host(moving)
  path = processes.join(model_dir, 'adapter.safetensors')
  if 'adapter' in moving and processes.is_main():
    metadata = {k: record[k] for k in ('gin_config', 'seed', 'versions', 'backbone')}
    adapter_files.save(path, moving['adapter'], metadata)
    progress.log(f'wrote {path}')
  if set(moving) - {'adapter'}:
    path = processes.join(model_dir, 'model')
    params = trainable_lib.merge(moving, partitioning.whole_on_host(frozen))
    if not processes.is_main():
      return path
    huggingface.save(path, model.module.config, params)
    vocabulary = model.input_vocabulary.sentencepiece_model_file
    shutil.copyfile(vocabulary, os.path.join(path, 'spiece.model'))
    progress.log(f'wrote {path}')
  return path


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  return launcher.run_configured('train.train', argv, __doc__.splitlines()[0])


if __name__ == '__main__':
  # Run as a script this file is the module `__main__`; gin binds `robust_t5x.train`, so call that one.

  sys.exit(main())
