"""Sweeps: grids, trials that finish, fail, are interrupted and found again; most with a program that stands in for ours."""

import functools
import json
import pathlib
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from robust_t5x import __main__ as command
from robust_t5x import sweep
from robust_t5x.results import reading, schema
from robust_t5x.sweeps import check, trial

ROOT = pathlib.Path(__file__).resolve().parents[2]
MINI = ['gin/recipes/train/align_mini.gin', 'gin/adapters/prefix.gin', 'gin/objectives/kl.gin']
SCORES = {'0.1': [1.0, 0.0, 1.0, 1.0], '0.2': [1.0, 1.0, 1.0, 1.0], 'none': [1.0, 0.0, 0.0, 0.0]}

# Stands in for `robust-t5x`: train leaves an adapter that holds its learning rate, eval the table of that learning rate.
PROGRAM = """
import json, os, re, shutil, sys, time
verb, *rest = sys.argv[1:]
values = dict(re.fullmatch(r"--gin\\.(\\w+)='?(.*?)'?", a).groups() for a in rest if a.startswith('--gin.'))
here = os.path.dirname(os.path.abspath(__file__))
with open(f'{here}/calls', 'a') as f:
  f.write(f"{verb} {values.get('LEARNING_RATE', '-')} {values.get('SEED', '-')}\\n")
if verb == 'train':
  os.makedirs(values['MODEL_DIR'], exist_ok=True)
  print('training')
  if os.path.exists(f"{here}/fail-{values['LEARNING_RATE']}"):
    print('error: the loss was not finite', file=sys.stderr)
    sys.exit(2)
  if os.path.exists(f'{here}/hang'):
    time.sleep(60)
  with open(os.path.join(values['MODEL_DIR'], 'adapter.safetensors'), 'w') as f:
    f.write(values['LEARNING_RATE'])
else:
  adapter = values['ADAPTER']
  rate = 'none' if adapter == 'none' else open(adapter).read()
  os.makedirs(values['OUTPUT_DIR'], exist_ok=True)
  shutil.copyfile(f'{here}/{rate}.parquet', os.path.join(values['OUTPUT_DIR'], 'results.parquet'))
  with open(os.path.join(values['OUTPUT_DIR'], 'run.json'), 'w') as f:
    json.dump({'finished': 'now', 'label': values['LABEL'], 'instructions': {}, 'fingerprint': {}, 'rows': 4}, f)
"""


@pytest.fixture
def program(tmp_path, monkeypatch) -> pathlib.Path:
  """Folder of the stand-in; a file `fail-RATE` there makes training at that rate fail, `hang` makes it wait."""
  folder = tmp_path / 'program'
  folder.mkdir()
  (folder / 'program.py').write_text(PROGRAM)
  for rate, scores in SCORES.items():
    trials = [('o1', 'observed'), ('o2', 'observed'), ('u1', 'unobserved'), ('u2', 'unobserved')]
    rows = [
      {'dataset': 'd', 'example_id': '0', 'instruction_id': i, 'group': group, 'score': score}
      for (i, group), score in zip(trials, scores, strict=True)
    ]
    empty = dict.fromkeys(schema.COLUMNS, 0) | dict.fromkeys(schema.TEXT, '') | {'matched_option': False}
    table = pd.DataFrame([empty | row for row in rows])[list(schema.COLUMNS)]
    table.to_parquet(folder / f'{rate}.parquet')
  monkeypatch.setattr(trial, 'PROGRAM', (sys.executable, str(folder / 'program.py')))
  monkeypatch.setattr(check, 'check', described)
  return folder


def described(trials, eval_arguments, flags, eval_config='', **other):
  """Stands in for `check.check`; `other` is said of every trial."""
  usual = {'checkpoint': 'bundled', 'steps': 5, 'parameters': 7, 'adapter': True, 'backbone': False, 'config': ''}
  return [usual | {'seed': int(c.bindings.get('SEED', 0))} | other for c in trials], eval_config


def run(out, *more, rates='0.1,0.2') -> int:
  return sweep.main(
    ['--gin_file=a.gin', '--grid', f'LEARNING_RATE={rates}', '--eval_gin_file=e.gin', '--out', str(out), *more]
  )


def calls(program) -> list[str]:
  """What the stand-in was called for since this was last asked."""
  path = program / 'calls'
  lines = path.read_text().splitlines() if path.exists() else []
  path.unlink(missing_ok=True)
  return lines


def test_trials_run_once_and_make_one_table(program, tmp_path):
  out = tmp_path / 'out'
  assert run(out, '--seeds', '0,1') == 0
  assert calls(program) == [
    'eval - -', 'train 0.1 0', 'eval - -', 'train 0.1 1', 'eval - -',
    'train 0.2 0', 'eval - -', 'train 0.2 1', 'eval - -',
  ]  # fmt: skip
  table = pd.read_parquet(out / 'sweep.parquet')
  assert list(table['trial']) == [
    'without adapter', 'LEARNING_RATE=0.1, SEED=0', 'LEARNING_RATE=0.1, SEED=1', 'LEARNING_RATE=0.2, SEED=0',
    'LEARNING_RATE=0.2, SEED=1',
  ]  # fmt: skip
  assert set(table['status']) == {'finished'}
  # By hand: under the observed phrasings (1, 0), (1, 0), (1, 1); under the unobserved ones (0, 0), (1, 1), (1, 1).
  assert list(table['observed AvgP']) == [0.5, 0.5, 0.5, 1, 1]
  assert list(table['observed worst phrasing']) == [0, 0, 0, 1, 1]
  assert list(table['observed gap']) == [-0.5, 0.5, 0.5, 0, 0]
  assert list(table['seed'])[1:] == [0, 1, 0, 1]
  assert list(table['steps'])[1:] == [5] * 4 and list(table['parameters'])[1:] == [7] * 4
  assert (table['train_seconds'][1:] > 0).all()
  assert len(pd.read_csv(out / 'sweep.csv')) == 5

  assert run(out, '--seeds', '0,1') == 0
  assert calls(program) == []


def test_training_that_ends_without_a_result_is_a_failure(program, tmp_path, capsys):
  (program / 'program.py').write_text(PROGRAM.replace("if verb == 'train':", "if verb == 'train':\n  sys.exit(0)"))
  assert run(tmp_path / 'out', rates='0.1') == 1
  assert 'training ended without writing' in capsys.readouterr().err


def test_another_grid_keeps_what_is_finished(program, tmp_path):
  out = tmp_path / 'out'
  assert run(out, rates='0.1') == 0
  calls(program)
  # The seed becomes an axis, with the value that was fixed before; another rate is new.
  assert run(out, '--gin.SEED=0', rates='0.1') == 0
  assert calls(program) == ['train 0.1 0', 'eval - -']
  assert run(out, '--seeds', '0') == 0
  assert calls(program) == ['train 0.2 0', 'eval - -']
  # Another evaluation needs no training.
  assert run(out, '--seeds', '0', '--eval.NUM_EXAMPLES=7') == 0
  assert calls(program) == ['eval - -'] * 3


def test_a_failed_trial_is_recorded_and_tried_again(program, tmp_path, capsys):
  out = tmp_path / 'out'
  (program / 'fail-0.1').touch()
  assert run(out) == 1
  assert calls(program) == ['eval - -', 'train 0.1 -', 'train 0.2 -', 'eval - -']
  said = capsys.readouterr()
  assert '  | error: the loss was not finite' in said.err
  assert '1 of 2 trials finished, 1 failed' in said.out
  table = pd.read_csv(out / 'sweep.csv')
  assert list(table['status']) == ['finished', 'failed', 'finished']
  assert table['error'][1] == 'train: the loss was not finite (status 2)'
  assert table['observed AvgP'][1:].isna().tolist() == [True, False]
  (program / 'fail-0.1').unlink()
  assert run(out) == 0
  assert calls(program) == ['train 0.1 -', 'eval - -']
  assert pd.read_csv(out / 'sweep.csv')['error'].isna().all()


def test_stop_on_error_starts_nothing_more(program, tmp_path):
  (program / 'fail-0.1').touch()
  assert run(tmp_path / 'out', '--stop_on_error') == 1
  assert calls(program) == ['eval - -', 'train 0.1 -']
  table = pd.read_csv(tmp_path / 'out/sweep.csv')
  assert list(table['status']) == ['finished', 'failed', 'not started']


def test_an_evaluation_is_not_kept_beside_another_training(program, tmp_path):
  out = tmp_path / 'out'
  assert run(out, '--no_baseline', rates='0.1') == 0
  (adapter,) = out.glob('trials/*/train/adapter.safetensors')
  adapter.unlink()
  calls(program)
  assert run(out, '--no_baseline', rates='0.1') == 0
  assert calls(program) == ['train 0.1 -', 'eval - -']


def test_without_a_baseline_and_several_at_a_time(program, tmp_path):
  assert run(tmp_path / 'out', '--no_baseline', '--jobs', '2') == 0
  assert sorted(calls(program)) == ['eval - -', 'eval - -', 'train 0.1 -', 'train 0.2 -']
  assert len(pd.read_csv(tmp_path / 'out/sweep.csv')) == 2


def test_a_baseline_that_fails_stops_the_sweep(program, tmp_path, capsys):
  (program / 'none.parquet').unlink()
  assert run(tmp_path / 'out') == 2
  assert calls(program) == ['eval - -']
  assert (
    'error: the evaluation without adapter failed, so nothing else was started: FileNotFound' in capsys.readouterr().err
  )


def test_a_dry_run_prints_commands_and_writes_nothing(program, tmp_path, capsys):
  out = tmp_path / 'out'
  assert run(out, '--dry_run', '--gin.TRAIN_STEPS=9', '--eval.SPLIT="validation"') == 0
  assert calls(program) == [] and not out.exists()
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith(
    'robust-t5x eval --gin_file=e.gin --gin.SPLIT="\'validation\'" --gin.INITIAL_CHECKPOINT_PATH'
  )
  assert lines[1] == '# LEARNING_RATE=0.1: not started'
  assert lines[2].startswith(
    'robust-t5x train --gin_file=a.gin --gin.TRAIN_STEPS=9 --gin.LEARNING_RATE=0.1 --gin.MODEL_DIR='
  )
  assert lines[3].startswith('robust-t5x eval --gin_file=e.gin') and '/train/adapter.safetensors' in lines[3]
  assert len(lines) == 7


def test_a_trained_backbone_is_evaluated_itself(program, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(check, 'check', functools.partial(described, adapter=False, backbone=True))
  assert run(tmp_path / 'out', '--dry_run', rates='0.1') == 0
  last = capsys.readouterr().out.splitlines()[-1]
  assert '--gin.ADAPTER="\'none\'"' in last
  assert '/train/model\'"' in last.split('--gin.INITIAL_CHECKPOINT_PATH=')[1].split(' ')[0]


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--gin.LEARNING_RATE=1'], 'LEARNING_RATE is set by --gin.LEARNING_RATE and varies in the grid'),
    (['--grid', 'LEARNING_RATE=3'], '--grid LEARNING_RATE stands twice'),
    (['--gin.MODEL_DIR="x"'], '--gin.MODEL_DIR: the sweep sets it itself'),
    (['--eval.ADAPTER="x"'], '--eval.ADAPTER: the sweep sets it itself'),
    (['--seeds', '0,0'], '--seeds 0,0: write different whole numbers'),
    (['--seeds', '0,x'], '--seeds 0,x: write different whole numbers'),
    (['--out', 'gs://bucket/x'], 'give a local directory'),
    (['--jobs', '0'], '--jobs 0: give 1 or more'),
    (['--eval.SPLIT'], 'write --eval.NAME=VALUE in one argument'),
  ],
)
def test_bad_flags_are_one_clear_line(program, tmp_path, capsys, arguments, message):
  assert run(tmp_path / 'out', *arguments) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith('error: ') and message in line
  assert calls(program) == []


def test_interrupted_it_ends_its_runs_and_can_go_on(program, tmp_path):
  """SIGINT at the sweep ends the training under way; the same command then does what is left."""
  (program / 'hang').touch()
  driver = tmp_path / 'driver.py'
  driver.write_text(
    'import signal, sys\n'
    'signal.signal(signal.SIGINT, signal.default_int_handler)\n'
    f'sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests/robust_t5x")!r}]\n'
    'import test_sweep\n'
    'from robust_t5x.runtime import signals\n'
    'from robust_t5x.sweeps import trial, check\n'
    f'trial.PROGRAM = (sys.executable, {str(program / "program.py")!r})\n'
    'check.check = test_sweep.described\n'
    f'sys.exit(signals.guarded(lambda: test_sweep.run({str(tmp_path / "out")!r})))\n'
  )
  process = subprocess.Popen([sys.executable, str(driver)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
  until = time.monotonic() + 60
  while not list((tmp_path / 'out').glob('trials/*/train')) and time.monotonic() < until:
    time.sleep(0.05)
  other = subprocess.run([sys.executable, str(driver)], capture_output=True, text=True, check=False)
  assert other.returncode == 2 and 'error: --out: process ' in other.stderr
  process.send_signal(signal.SIGINT)
  out, err = process.communicate(timeout=30)
  assert process.returncode == 130
  assert 'interrupted: the same command goes on' in err and '0 of 2 trials finished, 0 failed' in out
  (record,) = (json.loads(p.read_text()) for p in (tmp_path / 'out').glob('trials/*/trial.json'))
  assert record['seconds'] > 0 and not record['trained'] and record['error'] is None
  assert calls(program) == ['eval - -', 'train 0.1 -']
  (program / 'hang').unlink()
  assert run(tmp_path / 'out') == 0
  assert calls(program) == ['train 0.1 -', 'eval - -', 'train 0.2 -', 'eval - -']


def test_settings_that_changed_since_are_said_and_the_trial_is_kept(program, tmp_path, monkeypatch, capsys):
  now = "TRAIN_STEPS = 9\nMODEL_DIR = None\nLENGTHS = {\n    'inputs': 40}\nNEW = \\\n    'x'\n"
  evaluation = "SPLIT = 'test'\nLABEL = None\n"
  monkeypatch.setattr(check, 'check', functools.partial(described, config=now, eval_config=evaluation))
  out = tmp_path / 'out'
  assert run(out, rates='0.1') == 0
  (train,) = out.glob('trials/*/train')
  (train / 'config.gin').write_text("TRAIN_STEPS = 5\nMODEL_DIR = \\\n    'x'\nLENGTHS = {'inputs': 40}\n")
  for place, split in (('trials/*/eval-*', 'validation'), ('baseline-*', 'test')):
    (path,) = out.glob(f'{place}/run.json')
    path.write_text(json.dumps(json.loads(path.read_text()) | {'gin_config': f"SPLIT = '{split}'\nLABEL = 'x'\n"}))
  capsys.readouterr()
  calls(program)
  assert run(out, rates='0.1') == 0
  said = capsys.readouterr().err
  assert (
    "1 finished trial of this grid had other settings when trained (NEW was not set, is 'x', TRAIN_STEPS was 5, is 9)"
    in said
  )
  assert "1 finished evaluation of this grid had other settings when made (SPLIT was 'validation', is 'test')" in said
  assert calls(program) == []


def test_rows_that_cannot_be_compared_are_said(program, tmp_path, capsys):
  out = tmp_path / 'out'
  assert run(out) == 0
  assert 'warning' not in capsys.readouterr().err
  (record,) = out.glob('trials/LEARNING_RATE=0.1-*/eval-*/run.json')
  record.write_text(json.dumps(json.loads(record.read_text()) | {'fingerprint': {'tasks': {'d': 'other phrasings'}}}))
  assert run(out) == 0
  assert 'warning: The evaluations differ in examples, phrasings or scoring (2 measured_on' in capsys.readouterr().err
  table = pd.read_csv(out / 'sweep.csv')
  assert table['measured_on'].nunique() == 2
  record.write_text(json.dumps(json.loads(record.read_text()) | {'fingerprint': {'adapter': 'x', 'backbone': 'y'}}))
  assert run(out) == 0  # the model itself has no part in it
  assert 'warning' not in capsys.readouterr().err


def test_a_real_trial_from_end_to_end(tiny_checkpoint, tmp_path, monkeypatch, capsys):
  """The command itself, with training and evaluation of a tiny model; then again, when there is nothing to do."""
  import compiler  # the interrupted driver above runs this file by itself

  monkeypatch.setenv('XLA_FLAGS', compiler.FLAGS)
  arguments = [
    'sweep', *(f'--gin_file={f}' for f in MINI), f"--gin.INITIAL_CHECKPOINT_PATH='{tiny_checkpoint}'",
    '--gin.TRAIN_STEPS=2', '--gin.BATCH_SIZE=2', '--gin.NUM_TRAIN_EXAMPLES=20', '--grid', 'ADAPTER_LENGTH=3',
    '--seeds', '1', '--eval_gin_file=gin/recipes/eval/mini.gin', '--eval.NUM_EXAMPLES=2', '--no_baseline',
    "--eval.MIXTURES=['mini_first_word_eval_observed', 'mini_first_word_eval_unobserved']",
    "--eval.TASK_FEATURE_LENGTHS={'inputs': 160, 'targets': 4}", '--out', str(tmp_path),
  ]  # fmt: skip
  checked = []
  real_check = check.check
  monkeypatch.setattr(check, 'check', lambda *asked: checked.append(real_check(*asked)) or checked[0])
  assert command.main(arguments) == 0
  (row,) = pd.read_parquet(tmp_path / 'sweep.parquet').to_dict('records')
  assert (row['status'], row['ADAPTER_LENGTH'], row['seed'], row['steps']) == ('finished', 3, 1, 2)
  # Two layers: gates of two heads; keys and values of three vectors, width 16.
  assert row['parameters'] == 2 * 2 + 2 * 2 * 3 * 16
  table, record = reading.read(row['evaluation'])
  observed = table[table['group'] == 'observed']
  assert row['observed AvgP'] == pytest.approx(observed['score'].mean())
  assert record['model']['backbone']['path'] == str(tiny_checkpoint)
  assert record['label'] == 'ADAPTER_LENGTH=3'
  trained = json.loads((pathlib.Path(row['model_dir']) / 'run.json').read_text())
  assert trained['seed'] == 1 and row['train_command'].endswith(f'--gin.MODEL_DIR="\'{row["model_dir"]}\'"')
  monkeypatch.setattr(trial, 'PROGRAM', ('false',))
  monkeypatch.setattr(check, 'check', lambda *asked: checked[0])
  assert command.main(arguments) == 0
  assert 'warning' not in capsys.readouterr().err  # the settings are as they were
