"""The same runs under real T5X and under our own runtime; skipped, saying so, where T5X cannot be imported."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import compiler
import numpy as np
import pytest

from robust_t5x import __main__ as command
from robust_t5x import convert
from robust_t5x.checkpoints import adapter_files, t5x_format
from robust_t5x.results import reading

pytestmark = pytest.mark.usefixtures('as_started_anew')

ROOT = pathlib.Path(__file__).parents[3]
MODEL = ['--gin_file=gin/models/from_checkpoint.gin', '--gin_file=gin/topologies/cpu.gin']
ALIGN = [
  '--gin_file=gin/tasks/mini.gin', '--gin_file=gin/observed/mini.gin',
  '--gin_file=gin/adapters/soft_prompt_and_prefix.gin', '--gin_file=gin/objectives/kl.gin',
  "--gin.MIXTURE_OR_TASK_NAME='mini_alignment'", "--gin.TASK_FEATURE_LENGTHS={'inputs': 40, 'targets': 8}",
  '--gin.ADAPTER_LENGTH=4', '--gin.BATCH_SIZE=4', '--gin.NUM_TRAIN_EXAMPLES=64',
  # The schedule's length is fixed, so that a run in two parts is the run in one.
  '--gin.optimizers.warmup_cosine.steps=4', '--gin.LEARNING_RATE=0.05',
]  # fmt: skip


@pytest.fixture(scope='module', autouse=True)
def _needs_t5x():
  # Not imported here: it adds to gin's configuration, which other tests have locked.
  if importlib.util.find_spec('t5x') is None:
    pytest.skip('T5X is not installed')


@pytest.fixture(scope='module', params=['tiny_checkpoint', 'tiny_decoder_checkpoint'], ids=['t5', 'llama'])
def checkpoint(request, tmp_path_factory):
  """The tiny model of a family in T5X's published layout."""
  path = tmp_path_factory.mktemp('t5x') / 'checkpoint_0'
  convert.convert_backbone(str(request.getfixturevalue(request.param)), str(path), 't5x')
  return path


def t5x(verb, *arguments):
  environment = os.environ | {
    'JAX_PLATFORMS': 'cpu',
    'XLA_FLAGS': compiler.FLAGS,
    'PYTHONPATH': os.pathsep.join(sys.path),
  }
  done = subprocess.run(
    [sys.executable, '-m', f't5x.{verb}', f'--gin_file=gin/t5x/{"align" if verb == "train" else verb}.gin', *MODEL,
     *map(str, arguments)],
    capture_output=True, text=True, check=False, cwd=ROOT, env=environment,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope='module')
def trained(checkpoint, tmp_path_factory):
  """MODEL_DIR of four steps under T5X, MODEL_DIR of the same under our runtime."""
  base = tmp_path_factory.mktemp('runs')
  common = [*ALIGN, f"--gin.INITIAL_CHECKPOINT_PATH='{checkpoint}'"]
  t5x('train', *common, f"--gin.MODEL_DIR='{base}/t5x'", '--gin.TRAIN_STEPS=4', '--gin.SAVE_PERIOD=2',
      '--gin.LOG_PERIOD=1')  # fmt: skip
  own = [*MODEL, *common, '--gin_file=gin/runs/align.gin', f"--gin.MODEL_DIR='{base}/own'", '--gin.TRAIN_STEPS=4',
         '--gin.train.train.log_period=1']  # fmt: skip
  # A process of its own with one device, as T5X's.
  environment = os.environ | {'XLA_FLAGS': compiler.FLAGS}
  subprocess.run(
    [sys.executable, '-m', 'robust_t5x', 'train', *own], check=True, cwd=ROOT, env=environment, capture_output=True
  )
  return base / 't5x', base / 'own'


def _curve(directory, name):
  from tensorboard.backend.event_processing import event_accumulator
  from tensorboard.util import tensor_util

  events = event_accumulator.EventAccumulator(str(directory), size_guidance={'tensors': 0})
  events.Reload()
  return {e.step: float(tensor_util.make_ndarray(e.tensor_proto)) for e in events.Tensors(name)}


def test_the_loss_curves_are_the_same(trained):
  for name in ('loss', 'alignment', 'cross_entropy'):
    theirs, ours = _curve(trained[0] / 'train', name), _curve(trained[1] / 'tensorboard', name)
    assert list(ours) == [1, 2, 3, 4]
    assert theirs == pytest.approx(ours, rel=1e-5), name
  assert len(set(ours.values())) == 4


def test_only_the_adapter_moved_and_it_is_our_adapter(trained, checkpoint):
  before = t5x_format.T5XBackbone(str(checkpoint), 't5x')
  after = t5x_format.T5XBackbone(str(trained[0] / 'checkpoint_4'), 'orbax')
  for name in before.shapes:
    assert after.read(name).tobytes() == before.read(name).astype(np.float32).tobytes(), name
  ours, _ = adapter_files.load(str(trained[1] / 'adapter.safetensors'))
  assert set(after.shapes) - set(before.shapes) == {f'adapter/{name}' for name in ours}
  assert len(ours) == 4  # the soft prompt; keys, values and gates of the prefix
  theirs, _ = adapter_files.read_any(str(trained[0] / 'checkpoint_4'))
  first, _ = adapter_files.read_any(str(trained[0] / 'checkpoint_2'))
  for name, value in ours.items():
    np.testing.assert_allclose(theirs[name], value, atol=1e-5, err_msg=name)
    assert np.abs(first[name] - theirs[name]).max() > 1e-3, name


def test_a_resumed_run_is_the_run_in_one(trained, checkpoint, tmp_path):
  for steps in (2, 4):
    t5x('train', *ALIGN, f"--gin.INITIAL_CHECKPOINT_PATH='{checkpoint}'", f"--gin.MODEL_DIR='{tmp_path}'",
        f'--gin.TRAIN_STEPS={steps}', '--gin.SAVE_PERIOD=2')  # fmt: skip
  whole, _ = adapter_files.read_any(str(trained[0] / 'checkpoint_4'))
  parts, _ = adapter_files.read_any(str(tmp_path / 'checkpoint_4'))
  for name, value in whole.items():
    np.testing.assert_allclose(parts[name], value, atol=1e-6, err_msg=name)


@pytest.fixture(scope='module')
def adapter(trained, checkpoint, tmp_path_factory):
  """The adapter that T5X trained, as an adapter file."""
  path = tmp_path_factory.mktemp('adapter') / 'adapter.safetensors'
  convert.convert_adapter(str(trained[0] / 'checkpoint_4'), str(path), 'adapter', str(checkpoint))
  return path


def test_evaluation_by_decoding_is_the_same(trained, checkpoint, adapter, tmp_path):
  small = ["--gin.TASK_FEATURE_LENGTHS={'inputs': 64, 'targets': 8}"]
  t5x('eval', *small, '--gin_file=gin/tasks/mini.gin', '--gin_file=gin/observed/mini.gin',
      '--gin_file=gin/adapters/soft_prompt_and_prefix.gin',
      '--gin.ADAPTER_LENGTH=4', '--gin.NUM_EXAMPLES=3',
      f"--gin.INITIAL_CHECKPOINT_PATH='{checkpoint}'", f"--gin.CHECKPOINT_PATH='{trained[0]}/checkpoint_4'",
      f"--gin.EVAL_OUTPUT_DIR='{tmp_path}/t5x'", "--gin.MIXTURE_OR_TASK_NAME='mini_eval_unobserved'")  # fmt: skip
  ours = ['eval', *small, '--gin_file=gin/recipes/eval/mini.gin', f"--gin.INITIAL_CHECKPOINT_PATH='{checkpoint}'",
          f"--gin.ADAPTER='{adapter}'", f"--gin.OUTPUT_DIR='{tmp_path}/own'", '--gin.NUM_EXAMPLES=3',
          "--gin.MIXTURES=['mini_eval_unobserved']"]  # fmt: skip
  assert command.main(ours) == 0
  _assert_same_results(tmp_path, rows=13 * 10 * 3)
  assert command.main(['report', str(tmp_path / 't5x'), '--out', str(tmp_path / 'report')]) == 0
  assert 'unobserved' in (tmp_path / 'report' / 'report.md').read_text()


def test_evaluation_by_likelihood_is_the_same(trained, checkpoint, adapter, tmp_path):
  rows = [
    f'which is the animal {a} or {b},{a}|{b},{a}' for a, b in (('dog', 'bed'), ('cat', 'bus'), ('horse', 'truck'))
  ]
  (tmp_path / 'quiz.csv').write_text('question,choices,answer\n' + '\n'.join(rows) + '\n')
  task = ['--gin_file=gin/tasks/table.gin', '--gin_file=gin/observed/none.gin', f"--gin.DATA_FILE='{tmp_path}/quiz.csv'",
          "--gin.DATASET='quiz'", "--gin.BANK_TASKS=['multiple_choice']", "--gin.OPTIONS_COLUMN='choices'",
          "--gin.COLLECTIONS=['general_evaluation']", "--gin.TASK_FEATURE_LENGTHS={'inputs': 128, 'targets': 16}"]  # fmt: skip
  t5x('eval', *task, '--gin_file=gin/adapters/soft_prompt_and_prefix.gin', '--gin.ADAPTER_LENGTH=4',
      f"--gin.INITIAL_CHECKPOINT_PATH='{checkpoint}'", f"--gin.CHECKPOINT_PATH='{trained[0]}/checkpoint_4'",
      f"--gin.EVAL_OUTPUT_DIR='{tmp_path}/t5x'", "--gin.MIXTURE_OR_TASK_NAME='quiz_eval_unobserved__rank'")  # fmt: skip
  ours = ['eval', *task, '--gin_file=gin/runs/eval.gin', *MODEL, f"--gin.ADAPTER='{adapter}'",
          f"--gin.INITIAL_CHECKPOINT_PATH='{checkpoint}'", f"--gin.OUTPUT_DIR='{tmp_path}/own'",
          "--gin.MIXTURES=['quiz_eval_unobserved']"]  # fmt: skip
  assert command.main(ours) == 0
  joined = _assert_same_results(tmp_path, rows=29 * 3)
  for theirs, own in zip(joined['option_scores_t5x'], joined['option_scores_own'], strict=True):
    assert json.loads(theirs) == pytest.approx(json.loads(own), abs=2e-4)


def test_inference_writes_json_lines(trained, checkpoint, tmp_path):
  t5x('infer', "--gin.TASK_FEATURE_LENGTHS={'inputs': 64, 'targets': 8}", '--gin_file=gin/tasks/mini.gin', '--gin_file=gin/observed/mini.gin',
      '--gin_file=gin/adapters/soft_prompt_and_prefix.gin', '--gin.ADAPTER_LENGTH=4', '--gin.MODE=\'predict_with_aux\'',
      '--gin.NUM_EXAMPLES=3', f"--gin.INITIAL_CHECKPOINT_PATH='{checkpoint}'",
      f"--gin.CHECKPOINT_PATH='{trained[0]}/checkpoint_4'", f"--gin.INFER_OUTPUT_DIR='{tmp_path}'",
      "--gin.MIXTURE_OR_TASK_NAME='mini_first_word_eval_observed'")  # fmt: skip
  file = next(tmp_path.glob('*.jsonl-00000-of-00001'))
  rows = [json.loads(line) for line in file.read_text().splitlines()]
  assert len(rows) == 10 * 3
  assert all(isinstance(r['prediction'], str) and r['aux']['scores'] < 0 for r in rows)


def _assert_same_results(directory, rows):
  """Every prediction and score of T5X is ours; returns the tables side by side."""
  tables = {name: reading.read(str(directory / name))[0] for name in ('t5x', 'own')}
  cell = ['dataset', 'group', 'example_id', 'instruction_id']
  joined = tables['t5x'].merge(tables['own'], on=cell, suffixes=('_t5x', '_own'))
  assert len(joined) == len(tables['t5x']) == len(tables['own']) == rows
  for column in ('scorer', 'gold', 'score', 'prediction', 'truncated_tokens'):
    assert (joined[f'{column}_t5x'] == joined[f'{column}_own']).all(), column
  return joined
