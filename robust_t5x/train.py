"""Trains: a prompt on a frozen backbone, or a whole model, as the gin files say.

`python -m robust_t5x.train --gin_file=gin/runs/align_mini.gin --gin.MODEL_DIR="'out/run'"`
"""

from collections.abc import Callable, Mapping, Sequence
import json
import os
import sys
import time
from typing import Any

from robust_t5x import launcher, processes


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
    model: a models.RobustT5 with an optax optimiser.
    model_dir: where checkpoints, logs and the result go.
    mixture_or_task_name: SeqIO mixture or task.
    task_feature_lengths: tokens of 'inputs' (T) and 'targets' (L).
    train_steps: steps in all.
    batch_size: examples in a step, over all processes.
    initial_checkpoint_path: backbone directory, 'bundled', or None to start from random weights.
    prompt_init: see prompts.initialise.
    trainable: a trainable.Trainable; the prompt by default.
    register_tasks: calls that register the SeqIO tasks, each given `vocabulary`.
    seed: of initialisation, data order, dropout.
    microbatches: parts that a batch is processed in.
    model_parallel: devices that share one copy of the weights.
    backbone_dtype: storage dtype of what is frozen.
    save_period: steps between checkpoints.
    log_period: steps between log entries.
    use_cached_tasks: read tasks from seqio's cache.

  Returns:
    Path of the result: `prompt.safetensors`, or the directory `model` where the backbone was trained.

  Raises:
    launcher.UsageError: for missing settings.
    NonFiniteLossError: when the loss or a gradient is not finite; the last good state has been saved.
  """
  import jax

  from robust_t5x import checkpoints, objectives, partitioning, training
  from robust_t5x import trainable as trainable_lib

  launcher.check_required(
    {
      'MODEL_DIR': model_dir,
      'MIXTURE_OR_TASK_NAME': mixture_or_task_name,
      'TASK_FEATURE_LENGTHS': task_feature_lengths,
      'TRAIN_STEPS': train_steps,
    }
  )
  trainable = trainable or trainable_lib.Trainable()
  checkpoints.check_vocabulary(model.module.config, model.input_vocabulary)
  shapes, axes = model.variable_shapes()
  trains_backbone = bool(set(trainable.split(shapes)[0]) - {'prompt'})
  if '://' in model_dir and trains_backbone:
    raise launcher.UsageError('MODEL_DIR: a run that trains the backbone writes a checkpoint; give a local directory')
  if 'reference' in objectives.needed(model.alignment_objective) and trains_backbone:
    raise launcher.UsageError(
      'ALIGNMENT_OBJECTIVE: this objective compares with the frozen backbone, but Trainable.train lets the backbone move'
    )
  mesh = partitioning.make_mesh(model_parallel)
  training.check_batch(batch_size, microbatches, mesh)
  partitioning.check_model(model.module.config, mesh)
  _log(_describe(*trainable.split(shapes)))

  for register in register_tasks:
    register(vocabulary=model.input_vocabulary)
  data = data_iterator(model, mixture_or_task_name, task_feature_lengths, batch_size, seed, use_cached_tasks)

  placed = partitioning.placed(shapes, partitioning.param_shardings(axes, shapes, mesh))
  params = initial_params(model, initial_checkpoint_path, prompt_init, seed, placed, trainable, backbone_dtype)
  moving, frozen = trainable.split(params)
  state = jax.jit(lambda p: training.initial_state(p, model.optimizer_def))(moving)
  state = jax.device_put(state, training.state_shardings(state, model.optimizer_def, axes, mesh))
  step_fn = training.compiled_step(model, mesh, microbatches, seed)

  record = run_record(seed, initial_checkpoint_path)
  processes.make_shared(model_dir)
  saved = checkpoints.RunCheckpoints(model_dir)
  step = saved.latest_step() or 0
  if step:
    _check_same_run(model_dir, record)
    state = saved.restore(step, state, data)
    _log(f'going on from step {step} of {model_dir}')
  if processes.is_main():
    write_record(model_dir, record)

  try:
    _loop(step_fn, state, frozen, data, mesh, saved, model_dir, step, train_steps, save_period, log_period)
    state = saved.restore(train_steps, state)
    return _export(model, model_dir, state.params, frozen, record)
  finally:
    saved.close()


class NonFiniteLossError(RuntimeError):
  """The loss or a gradient became infinite or not a number."""


def _loop(step_fn, state, frozen, data, mesh, saved, model_dir, step, train_steps, save_period, log_period):
  """Steps, logs and saves until `train_steps`."""
  from clu import metric_writers
  import jax

  from robust_t5x import partitioning, progress

  main = processes.is_main()
  writer = metric_writers.SummaryWriter(processes.join(model_dir, 'tensorboard')) if main else None
  totals, since, began = None, step, time.monotonic()
  cut = 0  # inputs, since this process started
  merge = jax.jit(lambda a, b: {k: v.merge(b[k]) for k, v in a.items()})
  with progress.Progress('training', train_steps, step) as bar:
    note = ''
    while step < train_steps:
      batch = dict(next(data))
      if 'truncated_tokens' in batch:
        cut += int((batch.pop('truncated_tokens') > 0).sum())
      batch = {name: partitioning.split_rows(rows, mesh) for name, rows in batch.items()}
      state, metrics = step_fn(state, frozen, batch)
      totals = metrics if totals is None else merge(totals, metrics)
      step += 1
      log_now = step % log_period == 0 or step == train_steps
      save_now = step % save_period == 0 or step == train_steps
      if log_now or save_now:
        if not bool(state.finite):
          last = int(state.step)
          saved.save(last, state._replace(finite=state.finite | True), None)
          raise NonFiniteLossError(
            f'the loss or a gradient of step {last + 1} was not finite; the state after step {last} is saved in '
            f'{model_dir}/checkpoints. Lower the learning rate or clip the gradient'
          )
      if log_now:
        values = {k: float(v.compute()) for k, v in totals.items()}
        seconds = time.monotonic() - began
        values['steps_per_second'] = (step - since) / seconds
        values['truncated_inputs'] = cut
        if writer is not None:
          writer.write_scalars(step, values)
        note = f'loss {values["loss"]:.4f}, token accuracy {values["token_accuracy"]:.3f}'
        totals, since, began = None, step, time.monotonic()
      if save_now:
        saved.save(step, state, data)
      bar.advance(1, note)
  if writer is not None:
    writer.flush()
    writer.close()
  if cut:
    _log(f'warning: {cut} inputs were longer than TASK_FEATURE_LENGTHS allows and were cut; raise it')
  if saved.latest_step() != train_steps:
    saved.save(train_steps, state, data)


def initial_params(
  model: Any,
  initial_checkpoint_path: str | None,
  prompt_init: str,
  seed: int,
  placed: Any,
  trainable: Any,
  backbone_dtype: str = 'float32',
) -> dict[str, Any]:
  """Parameters that a run starts from, on the devices; what trains in float32.

  Args:
    model: the model.
    initial_checkpoint_path: backbone directory, 'bundled', or None for random weights.
    prompt_init: see prompts.initialise.
    seed: of the random initialisation.
    placed: the parameters' shapes, with the sharding that each is to have.
    trainable: what trains.
    backbone_dtype: storage dtype of what does not.
  """
  import jax

  from robust_t5x import checkpoints, partitioning
  from robust_t5x import trainable as trainable_lib

  moving, frozen = trainable.split(placed)
  like = trainable_lib.merge(moving, partitioning.cast(frozen, backbone_dtype))
  if initial_checkpoint_path is None:
    variables = jax.jit(model.initial_variables)(jax.random.key(seed))
    params = jax.tree.map(lambda x, to: jax.device_put(x.astype(to.dtype), to.sharding), variables['params'], like)
  else:
    params, report = checkpoints.load_backbone(initial_checkpoint_path, like)
    _log(f'backbone {checkpoints.resolve(initial_checkpoint_path)}: {report}')
  if 'prompt' in placed:
    prompt = initial_prompt(model, initial_checkpoint_path, prompt_init, seed)
    params['prompt'] = {name: jax.device_put(value, placed['prompt'][name].sharding) for name, value in prompt.items()}
  return params


def initial_prompt(model: Any, checkpoint: str | None, method: str, seed: int) -> dict[str, Any]:
  """The prompt's parameters that a run starts from, as numpy arrays; the same under both launchers.

  Args:
    model: the model.
    checkpoint: backbone that words are embedded by; None is enough for 'uniform'.
    method: see prompts.initialise.
    seed: of the random initialisation.
  """
  import jax
  import numpy as np

  from robust_t5x import checkpoints, prompts

  # XLA drops the backbone's initialisation, which nothing depends on.
  fresh = jax.jit(lambda key: model.initial_variables(key)['params']['prompt'])(jax.random.key(seed))
  fresh = {name: np.asarray(value) for name, value in fresh.items()}
  if 'embedding' not in fresh or method == 'uniform':
    return fresh
  if checkpoint is None:
    raise launcher.UsageError(
      f"PROMPT_INIT: {method!r} needs a model whose words mean something; set INITIAL_CHECKPOINT_PATH, or 'uniform'"
    )
  embedding = checkpoints.open_backbone(checkpoint).read('token_embedder/embedding').astype(np.float32)
  return prompts.initialise(fresh, method, embedding, model.input_vocabulary, seed)


def data_iterator(
  model: Any,
  name: str,
  task_feature_lengths: Mapping[str, int],
  batch_size: int,
  seed: int,
  use_cached: bool,
) -> Any:
  """An endless, checkpointable iterator over the training batches.

  Every process reads whole batches, of which it uses its part: so a run does not depend on the number of processes.
  """
  from clu.data import dataset_iterator
  import seqio

  known = set(seqio.TaskRegistry.names()) | set(seqio.MixtureRegistry.names())
  if name not in known:
    raise launcher.UsageError(
      f'MIXTURE_OR_TASK_NAME: no task or mixture {name!r} is registered{launcher.nearest(name, known)}'
    )
  converter = model.FEATURE_CONVERTER_CLS(pack=False)
  converter.keep_truncated = True
  ds = seqio.get_dataset(
    name,
    task_feature_lengths=dict(task_feature_lengths),
    dataset_split='train',
    shuffle=True,
    num_epochs=None,
    feature_converter=converter,
    seed=seed,
    use_cached=use_cached,
  )
  ds = ds.batch(batch_size, drop_remainder=True).prefetch(4)
  return dataset_iterator.TfDatasetIterator(ds, checkpoint=True)


def run_record(seed: int, initial_checkpoint_path: str | None) -> dict[str, Any]:
  """What a run must be told by: configuration, seed, backbone, versions."""
  import gin
  from robust_t5x import checkpoints, results

  record = {
    'gin_config': gin.config_str(),
    'seed': seed,
    'versions': results.versions(),
    'command': launcher.command_line(),
    'backbone': None,
  }
  if initial_checkpoint_path is not None:
    record['backbone'] = {
      'path': initial_checkpoint_path,
      'sha256': checkpoints.backbone_hash(initial_checkpoint_path),
    }
  return record


def write_record(model_dir: str, record: Mapping[str, Any]) -> None:
  """Writes `run.json` and `config.gin`, atomically."""
  from robust_t5x import results

  for name, text in (
    ('run.json', json.dumps(record, indent=2) + '\n'),
    ('config.gin', record['gin_config']),
  ):
    results.write_atomically(processes.join(model_dir, name), text)


def _check_same_run(model_dir: str, record: Mapping[str, Any]) -> None:
  from etils import epath

  path = epath.Path(processes.join(model_dir, 'run.json'))
  if not path.exists():
    return
  before = json.loads(path.read_text())
  if (before['backbone'] or {}).get('sha256') != (record['backbone'] or {}).get('sha256'):
    raise launcher.UsageError(
      f'MODEL_DIR: {model_dir} holds a run on another backbone ({before["backbone"]}); choose another MODEL_DIR'
    )
  if before['seed'] != record['seed']:
    raise launcher.UsageError(
      f'MODEL_DIR: {model_dir} holds a run with seed {before["seed"]}, not {record["seed"]}; choose another MODEL_DIR'
    )


def _describe(moving, frozen) -> str:
  """One line that says what trains."""
  from robust_t5x import trainable as trainable_lib

  flat = trainable_lib.flatten(moving)
  count = sum(x.size for x in flat.values())
  rest = sum(x.size for x in trainable_lib.flatten(frozen).values())
  names = ', '.join(list(flat)[:6]) + (', ...' if len(flat) > 6 else '')
  return f'training {count:,} of {count + rest:,} parameters: {names}'


def _export(model, model_dir, moving, frozen, record) -> str:
  """Writes what was trained: a prompt file, and a whole checkpoint where more than the prompt trained."""
  import shutil

  from robust_t5x import huggingface, partitioning, prompts
  from robust_t5x import trainable as trainable_lib

  moving = partitioning.whole_on_host(moving)
  path = processes.join(model_dir, 'prompt.safetensors')
  if 'prompt' in moving and processes.is_main():
    metadata = {k: record[k] for k in ('gin_config', 'seed', 'versions', 'backbone')}
    prompts.save(path, moving['prompt'], metadata)
    _log(f'wrote {path}')
  if set(moving) - {'prompt'}:
    path = processes.join(model_dir, 'model')
    params = trainable_lib.merge(moving, partitioning.whole_on_host(frozen))
    if not processes.is_main():
      return path
    huggingface.save(path, model.module.config, params)
    vocabulary = model.input_vocabulary.sentencepiece_model_file
    shutil.copyfile(vocabulary, os.path.join(path, 'spiece.model'))
    _log(f'wrote {path}')
  return path


def _log(text: str) -> None:
  if processes.is_main():
    print(text, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  return launcher.run_configured('train.train', argv, __doc__.splitlines()[0])


if __name__ == '__main__':
  # Run as a script this file is the module `__main__`; gin binds `robust_t5x.train`, so call that one.
  from robust_t5x import train as _train

  sys.exit(_train.main())
