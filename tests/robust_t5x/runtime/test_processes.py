"""Two real processes on this machine, joined over localhost, against one."""

import os
import pathlib
import re
import signal
import subprocess
import sys

from helpers import free_port, run, together
import numpy as np
import pytest

from robust_t5x import __main__ as command
from robust_t5x.checkpoints import adapter_files
from robust_t5x.results import reading
from robust_t5x.runtime import processes

ROOT = pathlib.Path(__file__).parents[3]


def _align(checkpoint, where, steps=4):
  return ['train', '--gin_file=gin/recipes/train/align_mini.gin', '--gin_file=gin/adapters/soft_prompt_and_prefix.gin',
          '--gin_file=gin/objectives/kl.gin', f"--gin.INITIAL_CHECKPOINT_PATH='{checkpoint}'", f"--gin.MODEL_DIR='{where}'",
          f'--gin.TRAIN_STEPS={steps}', '--gin.BATCH_SIZE=8', '--gin.ADAPTER_LENGTH=4', '--gin.NUM_TRAIN_EXAMPLES=64',
          '--gin.LEARNING_RATE=0.05', '--gin.optimizers.warmup_cosine.steps=4', '--gin.train.train.save_period=2']  # fmt: skip


def _evaluate(checkpoint, where):
  return ['eval', '--gin_file=gin/recipes/eval/mini.gin', f"--gin.INITIAL_CHECKPOINT_PATH='{checkpoint}'",
          f"--gin.OUTPUT_DIR='{where}'", '--gin.NUM_EXAMPLES=3', '--gin.EVAL_BATCH_SIZE=32',
          "--gin.MIXTURES=['mini_first_word_eval_unobserved', 'mini_odd_one_out_eval_observed']"]  # fmt: skip


def test_two_processes_train_a_decoder_and_evaluate_t5_as_one_does(tiny_decoder_checkpoint, tiny_checkpoint, tmp_path):
  checkpoint = tiny_decoder_checkpoint
  one, two = tmp_path / 'one', tmp_path / 'two'
  assert run(*_align(checkpoint, one)) == 0
  together(*_align(checkpoint, two, steps=2))  # and goes on from there
  (_, first_errors), (second_out, second_errors) = together(*_align(checkpoint, two))
  assert 'going on from step 2' in first_errors and 'wrote' in first_errors
  assert 'wrote' not in second_errors
  # CPU collectives report from several threads, whose lines may run into each other.
  assert set(re.findall('[a-z]+', second_out.lower())) <= set(
    'gloo rank is connected to peer ranks expected number of'.split()
  )
  ours, _ = adapter_files.load(str(one / 'adapter.safetensors'))
  theirs, metadata = adapter_files.load(str(two / 'adapter.safetensors'))
  # Sums are in another order, and Adam makes the last bits of a gradient near zero a share of its rate, here 0.05: of a few values.
  for name, value in ours.items():
    np.testing.assert_allclose(theirs[name], value, atol=1e-4, err_msg=name)
    assert np.quantile(np.abs(theirs[name] - value), 0.95) <= 2e-6, name
  assert metadata['backbone']

  assert run(*_evaluate(tiny_checkpoint, tmp_path / 'results_one')) == 0
  together(*_evaluate(tiny_checkpoint, tmp_path / 'results_two'))
  table, again = (reading.read(str(tmp_path / f'results_{n}'))[0] for n in ('one', 'two'))
  assert len(table) == 60
  assert table.equals(again)


def test_the_others_end_in_a_line_when_one_is_lost(tmp_path):
  code = (
    'import os, signal, sys\n'
    'from robust_t5x.runtime import processes, quiet\n'
    'import numpy as np\n'
    'def verb():\n'
    '  try:\n'
    '    for i in range(1000):\n'
    '      processes.from_main(np.int32(i))\n'
    '      if i == 3 and sys.argv[2] == sys.argv[3]: os.kill(os.getpid(), signal.SIGKILL)\n'
    '  except Exception as e:\n'
    '    from robust_t5x.runtime import errors\n'
    '    return errors.report_error(processes.explained(e))\n'
    'quiet.set_up()\n'
    'processes.start(sys.argv[1], 2, int(sys.argv[2]))\n'
    'processes.left(verb)\n'
  )
  for lost in (0, 1):
    address = f'localhost:{free_port()}'
    both = [
      subprocess.Popen(
        [sys.executable, '-c', code, address, str(i), str(lost)], cwd=ROOT, stderr=subprocess.PIPE, text=True
      )
      for i in (0, 1)
    ]
    said = [process.communicate(timeout=100)[1] for process in both]
    assert both[lost].returncode == -signal.SIGKILL
    assert both[1 - lost].returncode == 2, said
    (line,) = said[1 - lost].splitlines()
    assert line.startswith('error: another process of this run has ended or does not answer')


def test_a_process_that_stays_alone_says_so(capsys):
  assert command.main(['preflight', '--coordinator_address=localhost:1']) == 2
  assert 'give all of --coordinator_address, --process_count and --process_index' in capsys.readouterr().err


@pytest.mark.parametrize(
  ('directory', 'expected'), [('gs://b/x/', 'gs://b/x/a/b'), ('/tmp/x', '/tmp/x/a/b'), ('x', f'{os.getcwd()}/x/a/b')]
)
def test_paths_in_buckets_stay_as_they_are(directory, expected):
  assert processes.join(directory, 'a', 'b') == expected
