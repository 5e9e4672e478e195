"""Damaged settings: gin files, command lines, names of recipes and topologies, and the lines that `infer` reads."""

from collections.abc import Callable, Sequence
import json
import pathlib

import numpy as np

import gin
from robust_t5x import infer
from robust_t5x.runtime import gin_files, launcher, recipes, topologies
from robust_t5x.sweeps import flags, grid

from . import damage
from .running import Reading

_OWN = """# A file of one's own.
# Provides: all settings.
include 'gin/recipes/eval/mini.gin'

OUTPUT_DIR = 'out'  # where it goes
NUM_EXAMPLES = 20
EVAL_BATCH_SIZE = 64
MIXTURES = [
  'mini_eval_observed',
]
TASK_FEATURE_LENGTHS = {'inputs': 64, 'targets': 8}
eval.evaluate.label = 'mine'
CELL_BUDGET = 0.5
"""

_SMALL = """# A file that includes nothing.
from __gin__ import dynamic_registration

from robust_t5x import adapters
from robust_t5x.training import optimizers

ADAPTER_LENGTH = 4  # of a prefix
TRAIN_STEPS = 20
LEARNING_RATE = 0.5

optimizers.warmup_cosine.peak = %LEARNING_RATE
optimizers.warmup_cosine.steps = %TRAIN_STEPS
optimizers.adamw.learning_rate = @optimizers.warmup_cosine()
adapters.AdapterConfig.prefix_lengths = {'all': %ADAPTER_LENGTH}
adapters.AdapterConfig.lora_projections = (
  'query',
  'value',
)
"""

_LINES = {
  'train': [
    'quickstart', '--MODEL_DIR=out', '--TRAIN_STEPS=20', '--BATCH_SIZE=8', '--LEARNING_RATE=0.01', '--SEED=3', '--DROPOUT_RATE=0.1',
    '--gin.SAVE_PERIOD=5', "--gin.TASK_FEATURE_LENGTHS={'inputs': 32, 'targets': 8}", '--MICROBATCHES=1', '--NUM_PARAPHRASES=2',
    '--ALIGNMENT_WEIGHT=0.5', '--LORA_RANK=4',
  ],
  'eval': [
    'mini', '--OUTPUT_DIR=out', '--EVAL_BATCH_SIZE=32', "--MIXTURES=['mini_eval_observed']", '--SCORER=exact_match', '--CELL_BUDGET=0.5',
    '--NUM_EXAMPLES=10', '--LABEL=mine', '--SPLIT=test',
  ],
}  # fmt: skip


def _parse(argv: Sequence[str], verb: str | None) -> None:
  gin.clear_config(clear_constants=True)
  try:
    gin_files.parse_gin(launcher.parse_flags(argv, '', verb))
  finally:
    gin.clear_config(clear_constants=True)


def _gin_file(content: str) -> Callable[[np.random.Generator, pathlib.Path], Callable[[], object]]:
  def write(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
    path = directory / 'damaged.gin'
    path.write_bytes(damage.text(rng, content))
    # Where the damage took a setting or an include, that is what is lacking.
    return Reading(lambda: _parse([f'--gin_file={path}'], 'eval'), (path.name, 'not set'))

  return write


def _command_line(verb: str) -> Callable[[np.random.Generator, pathlib.Path], Callable[[], object]]:
  def write(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
    del directory
    argv = list(_LINES[verb])
    for _ in range(int(rng.integers(1, 4))):
      at = int(rng.integers(len(argv)))
      name, _, value = argv[at].partition('=')
      how = int(rng.integers(5))
      if how == 0:
        argv[at] = f'{name}={damage.odd_value(rng, value)}'
      elif how == 1:
        argv[at] = f'{name}={damage.pick(rng, damage.ODD_NUMBER_WORDS)}'
      elif how == 2:
        argv[at] = damage.word_changed(rng, argv[at])
      elif how == 3:
        del argv[at]
      else:
        argv[at] = damage.odd_inserted(rng, argv[at])
    names = ('--', 'flag', 'recipe', 'not set', *argv[:1])
    return Reading(lambda: _parse(argv, verb), names)

  return write


def _sweep(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  del directory
  argv = [
    'align_mini', '--TRAIN_STEPS=20', '--grid=LEARNING_RATE=0.1,1', '--grid=gin_file=gin/objectives/kl.gin,none', '--seeds=0,1',
    '--eval=mini', '--eval.NUM_EXAMPLES=10', '--out=out', '--jobs=2', '--gin_file=gin/adapters/prefix.gin',
  ]  # fmt: skip
  for _ in range(int(rng.integers(1, 4))):
    at = int(rng.integers(len(argv)))
    name, _, value = argv[at].rpartition('=')
    how = damage.pick(rng, (damage.word_changed, damage.odd_inserted, damage.number_changed, None))
    argv[at] = how(rng, argv[at]) if how else f'{name}={damage.odd_value(rng, value)}'

  def read() -> object:
    given = flags.parse(argv, '')
    return [grid.directory_name(trial) for trial in grid.trials(given.gin_files, given.bindings, given.axes)]

  return Reading(read, ('--', 'flag', 'recipe', 'not expected', '.NAME=VALUE'))


def _infer_input(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  rows = [{'inputs': 'Is a dog an animal?', 'options': ['yes', 'no'], 'id': i} for i in range(4)]
  path = directory / 'in.jsonl'
  if rng.random() < 0.5:
    path.write_bytes(damage.text(rng, ''.join(json.dumps(row) + '\n' for row in rows)))
  else:
    damaged = damage.tree(rng, rows)
    lines = damaged if isinstance(damaged, list) else [damaged]
    path.write_text(''.join(json.dumps(row) + '\n' for row in lines), encoding='utf-8')
  return lambda: infer.read_rows(str(path))


def _topology(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  del directory
  name = damage.pick(rng, [*topologies.TPUS, 'gpu-8'])
  name = damage.pick(rng, (damage.word_changed, damage.odd_inserted, damage.number_changed))(rng, name)
  return Reading(lambda: name in topologies.TPUS or topologies.devices(name), ('TOPOLOGY',))


def _recipe(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  del directory
  verb = damage.pick(rng, recipes.VERBS)
  name = damage.pick(rng, recipes.recipes(verb)).name
  name = damage.pick(rng, (damage.word_changed, damage.odd_inserted, damage.lengthened))(rng, name)
  return Reading(lambda: recipes.find(verb, name), ('recipe',))


# What gin files import is no reader's time.
_parse(['mini', '--OUTPUT_DIR=out'], 'eval')
_parse(['quickstart', '--MODEL_DIR=out'], 'train')

READERS = {
  'gin file': _gin_file(_OWN),
  'gin file, small': _gin_file(_SMALL),
  'command line of eval': _command_line('eval'),
  'command line of train': _command_line('train'),
  'command line of sweep': _sweep,
  'input of infer': _infer_input,
  'topology': _topology,
  'recipe': _recipe,
}
