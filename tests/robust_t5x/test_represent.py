"""The verb `represent`, from end to end: its files, their part of a report, and what it refuses."""

import json

from helpers import evaluate, run
import numpy as np
import pytest

from robust_t5x import report
from robust_t5x.reports.representation import read as read_representation
from robust_t5x.results.reading import read


@pytest.fixture(scope='module')
def written(tiny_checkpoint, tmp_path_factory):
  """A model with a random adapter: its evaluations and its representation."""
  base = tmp_path_factory.mktemp('represent')
  before, out = base / 'before', base / 'out'
  assert evaluate(tiny_checkpoint, before, examples=3) == 0
  status = represent(tiny_checkpoint, out, f"--gin.RESULTS=['{before}']")
  assert status == 0
  return before, out


def represent(checkpoint, out, *more):
  return run(
    'represent', '--gin_file=gin/runs/represent.gin', '--gin_file=gin/tasks/mini.gin', '--gin_file=gin/observed/mini.gin',
    '--gin_file=gin/topologies/cpu.gin', '--gin_file=gin/models/from_checkpoint.gin',
    f"--gin.INITIAL_CHECKPOINT_PATH='{checkpoint}'", f"--gin.OUTPUT_DIR='{out}'", '--gin.MAX_EXAMPLES=3',
    "--gin.MIXTURES=['mini_first_word_eval_observed', 'mini_first_word_eval_unobserved']", *more,
  )  # fmt: skip


def test_files_and_report(written, tmp_path):
  before, out = written
  found = read_representation(str(out))
  table = read(str(before))[0]
  accuracy = table.groupby('instruction_id')['score'].mean()
  rows = found.phrasings.set_index('instruction_id')
  assert len(rows) == 20
  np.testing.assert_allclose(rows['accuracy'], accuracy[rows.index])
  observed = rows['group'] == 'observed'
  np.testing.assert_allclose(rows['lost'], rows.loc[observed, 'accuracy'].mean() - rows['accuracy'])
  mean = found.distances.query('quantity == "unobserved to canonical" and place == "input" and measure == "cosine"')
  assert mean['estimate'].iloc[0] == pytest.approx(rows.loc[~observed, 'input, cosine'].mean())
  assert mean['low'].iloc[0] <= mean['estimate'].iloc[0] <= mean['high'].iloc[0]
  record = json.loads((out / 'represent.json').read_text())
  assert record['model']['vocabulary']
  assert (out / 'map.pdf').read_bytes().startswith(b'%PDF')
  assert report.main([str(before), '--represent', str(out), '--out', str(tmp_path)]) == 0
  page = (tmp_path / 'report.html').read_text()
  assert 'id="representation"' in page
  assert page.count('map of the phrasings, without adapter') == 2
  assert 'Where phrasings lie in the model' in (tmp_path / 'report.md').read_text()


def test_other_results_are_refused(written, tiny_checkpoint, tmp_path, capsys):
  before, _ = written
  record = json.loads((before / 'run.json').read_text())
  for name, value, message in (
    ('backbone', 'x', 'is an evaluation of another backbone'), ('adapter', 'y', 'is an evaluation with another adapter'),
  ):  # fmt: skip
    other = tmp_path / name
    other.mkdir()
    changed = record | {'fingerprint': record['fingerprint'] | {name: value}}
    (other / 'run.json').write_text(json.dumps(changed))
    (other / 'results.parquet').write_bytes((before / 'results.parquet').read_bytes())
    assert represent(tiny_checkpoint, tmp_path / 'out', f"--gin.RESULTS=['{other}']") == 2
    assert message in capsys.readouterr().err
  assert report.main([str(before), '--represent', str(tmp_path), '--out', str(tmp_path / 'out')]) == 2
  assert 'has no represent.json' in capsys.readouterr().err
