"""What several tests run and write: the command line on a tiny model, and evaluations with known scores."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import compiler
import numpy as np
import pandas as pd

from robust_t5x import __main__ as command
from robust_t5x.results import schema
from robust_t5x.results.runs import Run
from robust_t5x.runtime import launcher

ROOT = pathlib.Path(__file__).resolve().parents[1]
SMALL = ['--gin.BATCH_SIZE=8', '--gin.ADAPTER_LENGTH=4', '--gin.LEARNING_RATE=0.01']
GROUPS = {'observed': ('o1', 'o2'), 'unobserved': ('u1', 'u2', 'u3')}


def run(*arguments) -> int:
  """`robust-t5x ...` in this process, as if started anew."""
  launcher.forget()
  return command.main([str(a) for a in arguments])


def align(checkpoint, where, *more, adapter='soft_prompt', objective='kl', steps=4):
  return run(
    'train', '--gin_file=gin/recipes/train/align_mini.gin', f'--gin_file=gin/adapters/{adapter}.gin',
    f'--gin_file=gin/objectives/{objective}.gin', f"--gin.INITIAL_CHECKPOINT_PATH='{checkpoint}'",
    f"--gin.MODEL_DIR='{where}'", f'--gin.TRAIN_STEPS={steps}',
    '--gin.NUM_TRAIN_EXAMPLES=40', *SMALL, *more,
  )  # fmt: skip


def evaluate(checkpoint, where, *more, examples=2):
  return run(
    'eval', '--gin_file=gin/recipes/eval/mini.gin', f"--gin.INITIAL_CHECKPOINT_PATH='{checkpoint}'",
    f"--gin.OUTPUT_DIR='{where}'", f'--gin.NUM_EXAMPLES={examples}', '--gin.EVAL_BATCH_SIZE=64',
    "--gin.MIXTURES=['mini_first_word_eval_observed', 'mini_first_word_eval_unobserved']",
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 160, 'targets': 4}", *more,
  )  # fmt: skip


def scores_table(label, dataset, accuracy, seed=0, examples=40):
  """A results table with the given accuracy in each group."""
  rng = np.random.default_rng(seed)
  rows = [
    {
      'model': label, 'dataset': dataset, 'example_id': f'e{e}', 'instruction_id': f'{dataset}/{i}', 'group': group,
      'scorer': 'exact_match', 'prediction': 'p q r'.split()[int(rng.integers(3))], 'gold': 'p',
      'score': float(rng.random() < accuracy[group]),
      'option_scores': '', 'option_tokens': '', 'also_right': '', 'matched_option': True, 'truncated_tokens': int(e == 0 and group == 'unobserved'),
      'cut_answer_tokens': 0, 'tied_options': 0, 'strict_score': float('nan'), 'extracted_score': float('nan'),
    }
    for e in range(examples)
    for group, ids in GROUPS.items()
    for i in ids
  ]  # fmt: skip
  return pd.DataFrame(rows)


def write_evaluation(directory, label, accuracy, seed=0, examples=40):
  """A finished evaluation in a directory, of two datasets."""
  run = Run.open(str(directory), label=label, fingerprint={'tasks': {'first': 'x', 'second': 'y'}, 'seed': seed})
  for task in ('first', 'second'):
    run.add_shard(task, scores_table(label, task, accuracy, seed, examples))
  run.finish(
    {f'{d}/{i}': f'Do <b>{i}</b> | now: {{x}}' for d in ('first', 'second') for i in 'o1 o2 u1 u2 u3'.split()}, {}
  )
  return str(directory)


def stop_early(directory, kept):
  """Makes a written evaluation one with STOP_WIDTH that stopped when it had a share of its cells, in an order that all have."""
  table = schema.read_table(directory)
  table = table[np.random.default_rng(0).permutation(len(table)) < kept * len(table)]
  schema.write_parquet(table, os.path.join(directory, 'results.parquet'))
  change_record(directory, rows=len(table), fingerprint__cells={'width': 3, 'seed': 0})


def in_two_orders(directory):
  """Two CSV files of the same scores, of a model under the phrasings of three datasets; one has its rows in any order."""
  rng = np.random.default_rng(0)
  rows = [
    (d, f'p{i}', f'e{e}', float(rng.random() < 0.3 + 0.1 * i)) for d in 'abc' for e in range(12) for i in range(5)
  ]
  frame = pd.DataFrame(rows, columns=['dataset', 'instruction_id', 'example_id', 'score']).assign(model='m')
  paths = []
  for name, table in (('sorted', frame), ('shuffled', frame.sample(frac=1, random_state=3))):
    paths.append(str(directory / f'{name}.csv'))
    table.to_csv(paths[-1], index=False)
  return paths


def change_record(directory, **changes):
  """Changes settings in the `run.json` of a written evaluation; a name with two underscores goes one level deeper."""
  path = pathlib.Path(directory) / 'run.json'
  record = json.loads(path.read_text())
  for name, value in changes.items():
    place = record
    *parents, last = name.split('__')
    for parent in parents:
      place = place.setdefault(parent, {})
    place[last] = value
  path.write_text(json.dumps(record))


def free_port():
  """A port that nothing listens at."""
  with socket.socket() as s:
    s.bind(('localhost', 0))
    return s.getsockname()[1]


def together(*arguments, count=2, expect=0):
  """Runs the command in several processes of two devices each; returns their outputs."""
  flags = f'--xla_force_host_platform_device_count=2 {compiler.FLAGS}'
  environment = os.environ | {'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': flags}
  join = [f'--coordinator_address=localhost:{free_port()}', f'--process_count={count}']
  running = [
    subprocess.Popen(
      [sys.executable, '-m', 'robust_t5x', *map(str, arguments), *join, f'--process_index={i}'],
      cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    for i in range(count)
  ]  # fmt: skip
  done = [p.communicate(timeout=300) for p in running]
  assert [p.returncode for p in running] == [expect] * count, done
  return done
