"""What is killed: for each verb a command on a tiny model, and what must be the same in the end, however often it was killed."""

from collections.abc import Callable, Mapping
import dataclasses
import hashlib
import json
import pathlib

import pandas as pd

SMALL = ('--BATCH_SIZE=8', '--ADAPTER_LENGTH=4', '--LEARNING_RATE=0.05', '--NUM_TRAIN_EXAMPLES=40')
MIXTURES = "--MIXTURES=['mini_first_word_eval_observed', 'mini_first_word_eval_unobserved']"
# What may differ: logs, and the record of how long something took.
_FREE = ('tensorboard', '.log')
State = Mapping[
  str, str
]  # name of a file -> hash of what must be the same in it, '' where that is only that it is there


@dataclasses.dataclass(frozen=True)
class Command:
  """A command to kill.

  Attributes:
    arguments: of `robust-t5x`, made of a checkpoint, a finished evaluation and the directory that it writes to.
    state: what it leaves in that directory.
    reads: whether it reads the finished evaluation.
    twice: whether two are started in one directory.
    once: whether it refuses to run again where it has ended.
  """

  arguments: Callable[[pathlib.Path, pathlib.Path, pathlib.Path], list[str]]
  state: Callable[[pathlib.Path], State]
  reads: bool = False
  twice: bool = False
  once: bool = False


def _train(checkpoint: pathlib.Path, evaluated: pathlib.Path, out: pathlib.Path) -> list[str]:
  del evaluated
  return ['train', 'align_mini', '--gin_file=gin/adapters/soft_prompt_and_prefix.gin', '--gin_file=gin/objectives/kl.gin',
          f'--INITIAL_CHECKPOINT_PATH={checkpoint}', f'--MODEL_DIR={out}', '--TRAIN_STEPS=12', '--SAVE_PERIOD=2', *SMALL]  # fmt: skip


def _eval(checkpoint: pathlib.Path, evaluated: pathlib.Path, out: pathlib.Path) -> list[str]:
  del evaluated
  return ['eval', 'mini', f'--INITIAL_CHECKPOINT_PATH={checkpoint}', '--ADAPTER=none', f'--OUTPUT_DIR={out}', '--NUM_EXAMPLES=3',
          '--EVAL_BATCH_SIZE=64', '--CELL_BUDGET=0.5', MIXTURES]  # fmt: skip


def _sweep(checkpoint: pathlib.Path, evaluated: pathlib.Path, out: pathlib.Path) -> list[str]:
  del evaluated
  return ['sweep', 'align_mini', '--gin_file=gin/adapters/soft_prompt.gin', '--gin_file=gin/objectives/kl.gin',
          f'--INITIAL_CHECKPOINT_PATH={checkpoint}', '--TRAIN_STEPS=4', '--SAVE_PERIOD=2', *SMALL[:2], SMALL[3],
          '--grid=LEARNING_RATE=0.01,0.1', '--eval=mini', '--eval.NUM_EXAMPLES=2', f'--eval.{MIXTURES[2:]}',
          f'--out={out}']  # fmt: skip


def _convert(checkpoint: pathlib.Path, evaluated: pathlib.Path, out: pathlib.Path) -> list[str]:
  del evaluated
  return ['convert', str(checkpoint), str(out / 't5x'), '--to', 't5x']


def _report(checkpoint: pathlib.Path, evaluated: pathlib.Path, out: pathlib.Path) -> list[str]:
  del checkpoint
  return ['report', str(evaluated), '--out', str(out / 'report')]


def _names(out: pathlib.Path) -> dict[str, str]:
  files = (path.relative_to(out).as_posix() for path in sorted(out.rglob('*')) if path.is_file())
  return {name: '' for name in files if not any(free in name for free in _FREE)}


def _hashed(*whole: str) -> Callable[[pathlib.Path], State]:
  """A state of all names, and the content of the files whose names have one of these ends."""

  def state(out: pathlib.Path) -> State:
    return {
      name: hashlib.sha256((out / name).read_bytes()).hexdigest() if name.endswith(whole) else ''
      for name in _names(out)
    }

  return state


def _trained(out: pathlib.Path) -> State:
  # Checkpoints are kept by number, and orbax names what is in them at random.
  names = {'/'.join(name.split('/')[:2]): '' for name in _names(out)}
  hashes = _hashed('adapter.safetensors', 'config.gin')(out)
  return names | {name: found for name, found in hashes.items() if found}


def _swept(out: pathlib.Path) -> State:
  names = {'/'.join(name.split('/')[:3]): '' for name in _names(out)}
  table = pd.read_parquet(out / 'sweep.parquet')
  table = table[[column for column in table if 'second' not in column]]
  records = [json.loads(path.read_text()) for path in sorted(out.glob('trials/*/trial.json'))]
  done = sorted((record['label'], record['trained'], record['error']) for record in records)
  return names | {'table': table.to_json(), 'records': repr(done)}


COMMANDS = {
  'train': Command(_train, _trained),
  'eval': Command(_eval, _hashed('results.csv', 'metrics.csv', 'phrasings.csv', 'estimates.csv')),
  'convert': Command(_convert, _hashed(''), once=True),
  'report': Command(_report, _hashed('.csv', '.tex', 'report.md'), reads=True),
  'two trainings': Command(_train, _trained, twice=True),
  'two evals': Command(_eval, _hashed('results.csv', 'metrics.csv', 'phrasings.csv', 'estimates.csv'), twice=True),
  'sweep': Command(_sweep, _swept),
}
