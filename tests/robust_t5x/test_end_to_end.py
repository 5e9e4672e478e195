"""The command line from end to end, on a tiny model: align, evaluate, infer, report, an interruption, cut inputs."""

import json
import os
import re
import signal
import subprocess
import sys

import helpers
from helpers import SMALL, align, evaluate, run
import numpy as np
import pandas as pd
import pytest

from robust_t5x.checkpoints import adapter_files
from robust_t5x.results import reading, schema, votes
from robust_t5x.runtime import processes, progress
from seqio_tasks.datasets import _table


def test_align_evaluate_report_infer(tiny_checkpoint, tmp_path, capsys):
  before, adapter_dir, after = tmp_path / 'before', tmp_path / 'adapter', tmp_path / 'after'
  assert evaluate(tiny_checkpoint, before) == 0
  assert align(tiny_checkpoint, adapter_dir) == 0
  adapter = adapter_dir / 'adapter.safetensors'
  assert adapter.stat().st_size < 300_000
  assert evaluate(tiny_checkpoint, after, f"--gin.ADAPTER='{adapter}'") == 0
  assert run('report', before, after, '--out', tmp_path / 'report') == 0
  table, record = reading.read(str(before))
  assert len(table) == 2 * 20
  assert set(table['group']) == {'observed', 'unobserved'}
  assert 'mini.num_eval_examples' in record['gin_config']
  assert record['model']['backbone']['sha256']
  assert os.path.getsize(before / 'report.html') > 10_000
  made = json.loads((adapter_dir / 'run.json').read_text())
  assert made['backbone']['sha256'] == record['model']['backbone']['sha256']
  assert (adapter_dir / 'config.gin').read_text() == made['gin_config']
  assert list((adapter_dir / 'tensorboard').glob('events*'))

  # A finished evaluation is found, and a report that was lost is written.
  capsys.readouterr()
  shown = os.stat(before / 'results.parquet').st_mtime_ns
  report = (before / 'report.md').read_bytes()
  whole = (before / 'results.csv').read_bytes()
  for name in ('report.md', 'results.csv', 'metrics.csv'):
    (before / name).unlink()
  assert evaluate(tiny_checkpoint, before) == 0
  said = 'holds this evaluation already; only results.csv, metrics.csv, report.md had not been written'
  assert said in capsys.readouterr().out
  assert (before / 'report.md').read_bytes() == report and (before / 'results.csv').read_bytes() == whole
  assert (before / 'metrics.csv').exists()
  assert evaluate(tiny_checkpoint, before) == 0
  assert 'nothing to do' in capsys.readouterr().out
  assert not (before / '.lock').exists()
  assert os.stat(before / 'results.parquet').st_mtime_ns == shown
  assert evaluate(tiny_checkpoint, before, f"--gin.ADAPTER='{adapter}'") == 2
  assert 'another evaluation' in capsys.readouterr().err
  assert evaluate(tiny_checkpoint, before, '--gin.OBSERVED_COLLECTIONS=[]') == 2
  assert "was 'observed', is 'unobserved'" in capsys.readouterr().err

  inputs = tmp_path / 'in.jsonl'
  inputs.write_text('{"inputs": "the cat sat"}\n{"inputs": "yes or no", "options": ["yes", "no"], "id": 7}\n')
  out = tmp_path / 'out.jsonl'
  assert run(
    'infer', '--gin_file=gin/runs/infer.gin', '--gin_file=gin/topologies/cpu.gin', '--gin_file=gin/models/from_checkpoint.gin',
    f"--gin.INITIAL_CHECKPOINT_PATH='{tiny_checkpoint}'",
    f"--gin.INPUT_FILE='{inputs}'", f"--gin.OUTPUT_FILE='{out}'",
  ) == 0  # fmt: skip
  free, ranked = (json.loads(line) for line in out.read_text().splitlines())
  assert isinstance(free['prediction'], str)
  assert ranked['id'] == 7
  assert ranked['prediction'] == ranked['options'][int(np.argmax(ranked['option_scores']))]


def test_an_interrupted_evaluation_goes_on(tiny_checkpoint, tmp_path, monkeypatch, capsys):
  from robust_t5x.evaluation import scorers

  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  advanced = []
  with monkeypatch.context() as patched:
    patched.setattr(
      progress.Progress, 'advance', lambda bar, amount=1, note='', known=False: advanced.append((note, amount))
    )
    assert evaluate(tiny_checkpoint, whole) == 0
  of_tasks = pd.DataFrame(advanced).groupby(0)[1].sum()
  assert [of_tasks[name] for name in of_tasks.index if name.startswith('mini_first_word')] == pytest.approx([1, 1])
  scored = []
  original = scorers.score_task

  def interrupted(runner, rows, task, *rest):
    if scored:
      os.kill(os.getpid(), signal.SIGTERM)
    scored.append(task.name)
    return original(runner, rows, task, *rest)

  monkeypatch.setattr(scorers, 'score_task', interrupted)
  assert evaluate(tiny_checkpoint, parts) == 143
  said = f'interrupted: 1 of 2 tasks are kept in {parts}; the same command goes on with the others\n'
  assert capsys.readouterr().err.endswith(said)

  def rest_only(runner, rows, task, *rest):
    assert task.name not in scored
    return original(runner, rows, task, *rest)

  monkeypatch.setattr(scorers, 'score_task', rest_only)
  assert evaluate(tiny_checkpoint, parts) == 0
  pd.testing.assert_frame_equal(schema.read_table(str(whole)), schema.read_table(str(parts)))


def test_a_training_that_is_told_to_end_saves_and_goes_on(tiny_checkpoint, tmp_path, monkeypatch, capsys, control_c):
  from robust_t5x.runtime import signals

  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  assert align(tiny_checkpoint, whole) == 0
  asked = signals.Stop.asked

  def sent(stop, step):
    if step == 3:
      os.kill(os.getpid(), signal.SIGINT)
    return asked(stop, step)

  monkeypatch.setattr(signals.Stop, 'asked', sent)
  assert align(tiny_checkpoint, parts) == 130
  said = f'interrupted: step 3 of 4 is saved in {parts}; the same command goes on from there\n'
  assert capsys.readouterr().err.endswith(said)
  assert [path.name for path in (parts / 'checkpoints').iterdir()] == ['3']
  assert align(tiny_checkpoint, parts) == 0
  ours, theirs = (adapter_files.load(str(d / 'adapter.safetensors'))[0] for d in (parts, whole))
  for name, value in theirs.items():
    np.testing.assert_array_equal(ours[name], value, err_msg=name)


def test_training_on_other_data_is_not_the_same_run(tiny_checkpoint, tmp_path, capsys):
  data, out = tmp_path / 'own.csv', tmp_path / 'out'
  rows = [f'Is thing {i} an animal?,yes|no,{"yes" if i % 3 else "no"}' for i in range(20)]
  data.write_text('\n'.join(['question,choices,answer', *rows, 'Is it?,yes|no,maybe', '']))
  settings = [
    'train', 'own_data', f'--INITIAL_CHECKPOINT_PATH={tiny_checkpoint}', f'--DATA_FILE={data}', f'--MODEL_DIR={out}', *SMALL
  ]  # fmt: skip
  assert run(*settings, '--TRAIN_STEPS=1') == 0
  record = json.loads((out / 'run.json').read_text())
  assert record['data'][str(data)]['used'] == 20
  assert record['data'][str(data)]['left_out']['the answer is no option']['rows'] == 1
  data.write_text(data.read_text().replace('thing', 'body'))
  _table._read_table.cache_clear()  # as in a process of its own
  assert run(*settings, '--TRAIN_STEPS=2') == 2
  said = capsys.readouterr().err
  assert 'holds a run with other settings: the data or phrasings of own_data_alignment_' in said
  assert 'the data or phrasings of own_data_alignment_upper changed, their hash was' in said


def test_what_is_trained_on_can_be_asked_for_answers(tiny_checkpoint, tmp_path):
  task = "--gin.MIXTURES=['mini_bigger_number_eval_observed']"
  ranked = (task, "--gin.SCORER='rank_likelihood'", "--gin.SPLIT='train'")
  assert evaluate(tiny_checkpoint, tmp_path / 'answers', *ranked, examples=4) == 0
  table = pd.read_parquet(tmp_path / 'answers/results.parquet')
  assert table['example_id'].str.contains('train').all()
  (voted,) = votes.votes(str(tmp_path / 'answers')).values()
  assert set(voted) <= set(table['example_id'])


def test_a_budget_of_cells(tiny_checkpoint, tmp_path, capsys):
  """Half of the cells: the same rows as in the whole table, evenly, and an estimate for all phrasings."""
  whole, part = tmp_path / 'whole', tmp_path / 'part'
  assert evaluate(tiny_checkpoint, whole, examples=4) == 0
  assert evaluate(tiny_checkpoint, part, '--gin.CELL_BUDGET=0.5', examples=4) == 0
  assert 'estimated for all unobserved phrasings from 20 of 40 cells' in capsys.readouterr().out
  every, some = schema.read_table(str(whole)), schema.read_table(str(part))
  assert len(some) == len(every) / 2
  for column, count in (('instruction_id', 2), ('example_id', 5)):
    assert (some.groupby(['group', column]).size() == count).all()
  cell = ['group', 'example_id', 'instruction_id']
  joined = some.merge(every, on=cell)
  assert (joined['prediction_x'] == joined['prediction_y']).all()
  estimates = pd.read_csv(part / 'estimates.csv')
  assert estimates['cells'].tolist() == [40, 40]
  assert (estimates['mean_low'] <= estimates['mean']).all()
  record = json.loads((part / 'run.json').read_text())
  assert record['fingerprint']['cells'] == {'budget': 0.5, 'seed': 0}
  assert record['examples'] == {'mini_first_word': 4}
  assert evaluate(tiny_checkpoint, part, '--gin.CELL_BUDGET=0.4', examples=4) == 2
  assert 'cells.budget was 0.5, is 0.4. Choose' in capsys.readouterr().err
  assert run('report', whole, part, '--out', tmp_path / 'report') == 2
  assert 'different samples of the cells' in capsys.readouterr().err
  for budget, message in ((9, 'its 10 phrasings need one each'), (1.5, 'CELL_BUDGET is 1.5; give a whole number')):
    assert evaluate(tiny_checkpoint, tmp_path / 'bad', f'--gin.CELL_BUDGET={budget}', examples=4) == 2
    assert message in capsys.readouterr().err


def test_an_evaluation_that_stops_early(tiny_checkpoint, tmp_path, monkeypatch, capsys):
  """It is killed in a round, goes on as the same run, is not run twice, and says where it stopped."""
  from robust_t5x.evaluation import scorers

  parts = tmp_path / 'parts'
  wide = '--gin.STOP_WIDTH=10'  # the tiny model is wrong throughout, so that few cells tell
  rounds = []
  original = scorers.score_tasks

  def interrupted(runner, tasks, *rest, **named):
    if len(rounds) == 1:
      os.kill(os.getpid(), signal.SIGTERM)
    rounds.append([row['example_id'] for _, rows in tasks for row in rows])
    return original(runner, tasks, *rest, **named)

  monkeypatch.setattr(scorers, 'score_tasks', interrupted)
  assert evaluate(tiny_checkpoint, parts, wide, examples=20) == 143
  assert f'interrupted: all up to round 1 is kept in {parts}; the same command goes on' in capsys.readouterr().err
  monkeypatch.setattr(scorers, 'score_tasks', lambda *args, **named: rounds.append(None) or original(*args, **named))
  before = len(rounds)
  assert evaluate(tiny_checkpoint, parts, wide, examples=20) == 0
  assert len(rounds) == before + 2  # of three
  said = capsys.readouterr().out
  assert re.search(
    r'\nunobserved: after 30 of 200 cells \(15%\) the mean accuracy is 0.0%, of all cells 0.0 to 1\d', said
  )
  assert 'estimated for all unobserved phrasings from 30 of' in said
  cells = schema.read_table(str(parts))[['group', 'instruction_id', 'example_id']]
  assert len(cells) == 60 and not cells.duplicated().any()
  # Of several processes the others hear that it is finished, and wait for no round.
  heard = iter([np.zeros(2, bool), np.asarray(True)])
  with monkeypatch.context() as other:
    other.setattr(processes, 'is_main', lambda: False)
    other.setattr(processes, 'from_main', lambda values: next(heard))
    assert evaluate(tiny_checkpoint, parts, wide, examples=20) == 0
  assert next(heard, None) is None
  assert set(cells.groupby(['group', 'instruction_id']).size()) == {3}
  assert evaluate(tiny_checkpoint, parts, wide, examples=20) == 0
  assert 'nothing to do' in capsys.readouterr().out
  record = json.loads((parts / 'run.json').read_text())
  assert record['fingerprint']['cells'] == {'width': 10, 'seed': 0}
  assert record['stopped']['groups']['observed']['evaluated'] == 30 and record['stopped']['gap']['cells'] == 400
  assert (parts / 'report.md').read_text().count('| 30 of 200 (15%) | ±10 points |') == 2
  assert evaluate(tiny_checkpoint, parts, '--gin.STOP_WIDTH=30', examples=20) == 2
  assert 'cells.width was 10, is 30. Choose' in capsys.readouterr().err
  for flags, message in (
    (['--gin.STOP_WIDTH=50'], 'STOP_WIDTH is 50; it must be'),
    ([wide, '--gin.CELL_BUDGET=0.5'], 'STOP_WIDTH and CELL_BUDGET both say'),
  ):
    assert evaluate(tiny_checkpoint, tmp_path / 'bad', *flags, examples=4) == 2
    assert message in capsys.readouterr().err


def test_cut_inputs_are_counted_and_reported(tiny_checkpoint, tmp_path, capsys):
  short = "--gin.TASK_FEATURE_LENGTHS={'inputs': 8, 'targets': 4}"
  assert align(tiny_checkpoint, tmp_path / 'run', short, steps=2) == 0
  assert 'warning: 64 inputs were longer' in capsys.readouterr().err  # 2 steps of 8 examples, 4 phrasings each
  assert evaluate(tiny_checkpoint, tmp_path / 'eval', short) == 0
  assert '40 of 40 inputs were longer than 8 tokens and were cut' in capsys.readouterr().err
  table, record = reading.read(str(tmp_path / 'eval'))
  assert (table['truncated_tokens'] > 0).all()
  assert record['truncated_inputs'] == 40


def test_neither_training_nor_evaluation_of_phrasings_imports_tensorflow(tiny_checkpoint, tmp_path):
  """Its import takes longer than all else that a warm start does. SeqIO imports it, and so does clu's log."""
  code = f"""
import sys, helpers
assert helpers.align({str(tiny_checkpoint)!r}, {str(tmp_path / 'adapter')!r}, steps=1) == 0
assert helpers.evaluate({str(tiny_checkpoint)!r}, {str(tmp_path / 'results')!r}, examples=1) == 0
print([name for name in ('tensorflow', 'seqio', 'tensorflow_datasets', 'keras') if name in sys.modules])
"""
  where = os.pathsep.join([os.path.dirname(helpers.__file__), os.environ.get('PYTHONPATH', '')])
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=False, env={**os.environ, 'PYTHONPATH': where}
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines()[-1] == '[]'
