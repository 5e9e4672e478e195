"""Checks the runs of a sweep before any starts: reads each trial's gin files and builds its model, but trains nothing.

`check` starts this module as a process of its own, so that the sweep holds neither gin's state nor a device.
"""

import ast
from collections.abc import Mapping, Sequence
import copy
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from robust_t5x.runtime import errors, gin_files, launcher, orphans, progress, quiet
from robust_t5x.sweeps.grid import Trial, command
from robust_t5x.sweeps.trial import Description
from seqio_tasks import suites
from seqio_tasks.errors import UserError

if TYPE_CHECKING:
  import seqio

Bindings = Mapping[str, Any]  # of gin: parameter -> value


class TrialRequest(TypedDict):
  """A trial by name, and the arguments of its training run."""

  name: str
  arguments: list[str]


class Request(TypedDict):
  """What is asked: about which trials, which macros vary, and the arguments of the evaluation."""

  trials: list[TrialRequest]
  axes: list[str]
  eval: list[str]


class Answer(TypedDict, total=False):
  """The trials' descriptions and the gin configuration of the evaluation, or one line that says what is wrong."""

  trials: list[Description]
  eval_config: str
  error: str


def check(
  trials: Sequence[Trial], eval_arguments: Sequence[str], flags: Sequence[str]
) -> tuple[list[Description], str]:
  """What each trial is going to be, and the gin configuration of the evaluation.

  Args:
    trials: of the grid.
    eval_arguments: gin flags of the evaluation.
    flags: other flags of all runs, such as --gin_search_paths.

  Raises:
    UsageError: for the first trial that could not be run.
  """
  done = subprocess.run(
    [sys.executable, '-m', 'robust_t5x.sweeps.check'],
    input=json.dumps(request(trials, eval_arguments, flags)), stdout=subprocess.PIPE, text=True, check=False,
    env=orphans.environment() | {'JAX_PLATFORMS': 'cpu'},
  )  # fmt: skip
  if done.returncode:
    raise UserError(f'the check of the grid ended with status {done.returncode}; see above')
  said: Answer = json.loads(done.stdout.splitlines()[-1])
  if 'error' in said:
    raise errors.UsageError(said['error'])
  return said['trials'], said['eval_config']


def request(trials: Sequence[Trial], eval_arguments: Sequence[str], flags: Sequence[str]) -> Request:
  """What is asked of the other process."""
  return {
    'trials': [{'name': c.name, 'arguments': command('', c.files, c.bindings, flags)[1:]} for c in trials],
    'axes': sorted({name for c in trials for name in c.settings if name in c.bindings}),
    'eval': [*eval_arguments, *flags],
  }


def answer(request: Request) -> Answer:
  """What `check` is told by the other process."""
  try:
    _check_types(request)
  except (UserError, OSError) as e:
    return {'error': f'--grid: {_one_line(e)}'}
  found: list[Description] = []
  vocabulary = None
  with progress.Progress('checking the grid', len(request['trials'])) as bar:
    for trial in request['trials']:
      try:
        described, vocabulary = _describe_trial(trial['arguments'])
        found.append(described)
      except (UserError, OSError) as e:
        return {'error': f'trial {trial["name"]}: {_one_line(e)}'}
      bar.advance(1, trial['name'])
  try:
    config = _check_eval(request['eval'], vocabulary)
  except (UserError, OSError) as e:
    message = re.sub(r'^(?=[A-Z_]+(:| is ))|--(gin\.)?(?=[A-Z])', '--eval.', _one_line(e))
    return {'error': f'evaluation: {message}'}
  return {'trials': found, 'eval_config': config}


def _parse(arguments: Sequence[str]) -> None:
  """Reads gin files and bindings as if nothing had been read before."""
  launcher.forget()
  gin_files.parse_gin(launcher.parse_flags(arguments, ''))


def _parse_trial(arguments: Sequence[str]) -> None:
  """As `_parse`, for a training run, which the sweep itself gives a place."""
  _parse([*arguments, "--gin.MODEL_DIR='x'"])


def _describe_trial(arguments: Sequence[str]) -> tuple[Description, 'seqio.Vocabulary']:
  """The description of a trial, and the model's vocabulary."""
  import jax

  import gin
  from robust_t5x.models.trainable import Trainable
  from robust_t5x.training import data

  _parse_trial(arguments)
  gin_files.configured('train.train')
  run = gin.get_bindings('train.train')
  model = run['model']
  errors.check_required(
    {'MIXTURE_OR_TASK_NAME': run.get('mixture_or_task_name'), 'TRAIN_STEPS': run.get('train_steps')}
  )
  moving, _ = (run.get('trainable') or Trainable()).split(model.variable_shapes()[0])
  _check_prompt_init(run, moving, model.module.config.vocab_size, model.input_vocabulary)
  data.register(run['mixture_or_task_name'], run.get('register_tasks', ()), model.input_vocabulary, in_seqio=False)
  return {
    'checkpoint': run.get('initial_checkpoint_path'),
    'steps': run['train_steps'],
    'seed': run.get('seed', 0),
    'parameters': sum(x.size for x in jax.tree.leaves(moving)),
    'adapter': 'adapter' in moving,
    'backbone': bool(set(moving) - {'adapter'}),
    'config': gin.config_str(),
  }, model.input_vocabulary


def _check_prompt_init(
  run: Bindings, moving: Mapping[str, Any], num_words: int, vocabulary: 'seqio.Vocabulary'
) -> None:
  """Raises AdapterError for a PROMPT_INIT that is none, without reading the backbone.

  Args:
    run: of train.train.
    moving: the tree of what trains, with shapes in place of arrays.
    num_words: rows of the embedding.
    vocabulary: of the inputs.
  """
  from robust_t5x.adapters import initial

  if 'embedding' in moving.get('adapter', {}):
    shape = moving['adapter']['embedding'].shape
    words = np.broadcast_to(np.float32(0), (num_words, shape[1]))
    start = {'embedding': np.zeros(shape, np.float32)}
    initial.initialise(start, run.get('prompt_init', 'uniform'), words, vocabulary, run.get('seed', 0))


def _check_types(request: Request) -> None:
  """Raises UsageError for a value of another type than the macro's value in the gin files."""
  arguments = request['trials'][0]['arguments']
  for name in request['axes']:
    try:
      _parse_trial([a for a in arguments if not a.startswith(f'--gin.{name}=')])
    except errors.UsageError:
      continue  # nothing else sets it
    before = gin_files.macro(name)
    for trial in request['trials']:
      text = next(a.split('=', 1)[1] for a in trial['arguments'] if a.startswith(f'--gin.{name}='))
      if text.startswith(('@', '%')):
        continue
      value = ast.literal_eval(text)
      if not gin_files.fits(value, before):
        expected = gin_files.kind(before)
        raise errors.UsageError(
          f'{name}: {text} is no {expected}, and the gin files have a {expected} there ({before!r})'
        )


def _check_eval(arguments: Sequence[str], vocabulary: 'seqio.Vocabulary') -> str:
  """The gin configuration of the evaluation; raises what is wrong with it, as far as can be told without a model."""
  import gin
  from robust_t5x.evaluation import checks

  own = ("OUTPUT_DIR='x'", "ADAPTER='none'", "LABEL='x'", "INITIAL_CHECKPOINT_PATH='bundled'")
  _parse([*arguments, *(f'--gin.{binding}' for binding in own)])
  gin_files.configured('eval.evaluate')
  bindings = gin.get_bindings('eval.evaluate', resolve_references=False)
  told = ('split', 'scorer', 'cell_budget', 'stop_width')
  run = {k: copy.deepcopy(v) for k, v in bindings.items() if k in ('mixtures', 'register_tasks', *told)}
  errors.check_required({'MIXTURES': run.get('mixtures')})
  tasks = suites.evaluation_tasks(run.get('register_tasks', ()), vocabulary, run['mixtures'])
  checks.check(tasks, **{name: run[name] for name in told if name in run})
  return gin.config_str()


def _one_line(error: Exception) -> str:
  # gin appends where in the configuration the call was made.
  return ' '.join(re.split(r'\s*In call to configurable', str(error))[0].split())


def main() -> int:
  """Reads a request from standard input and writes the answer, in JSON, as the last line of standard output."""
  quiet.set_up()
  orphans.end_with_parent()
  try:
    wanted = json.load(sys.stdin)
    print(json.dumps(answer(wanted)))
  except KeyboardInterrupt:
    return 130
  return 0


if __name__ == '__main__':
  sys.exit(main())
