"""The verb `report`: what it writes and says, and what it refuses."""

import json

from helpers import write_evaluation
import pandas as pd
import pytest

from robust_t5x import report
from robust_t5x.analysis.comparison import compare
from robust_t5x.reports import tables


def test_report(evaluations, tmp_path, capsys):
  before, after = evaluations
  assert report.main([before, *after, '--out', str(tmp_path)]) == 0
  out = capsys.readouterr().out
  assert f'report: {tmp_path}/report.html' in out
  assert 'Over 2 tasks, the model no adapter scores' in out
  assert 'Aligned, accuracy changes under observed phrasings by ' in out
  page = (tmp_path / 'report.html').read_text()
  assert 'Do &lt;b&gt;u1&lt;/b&gt; | now' in page
  assert page.count('<tr>') > 20
  assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')
  text = (tmp_path / 'report.md').read_text()
  gap = compare([before, *after]).gap('aligned')
  assert tables.text(gap, 'points') in text
  lines = text.splitlines()
  for header in (i for i, line in enumerate(lines) if line.startswith('|---')):
    assert lines[header - 1].count('|') == lines[header].count('|') == lines[header + 1].count('|')
  saved = pd.read_csv(tmp_path / 'metrics.csv')
  row = saved.query('model == "aligned" and metric == "observed gap"').iloc[0]
  assert row['low'] == pytest.approx(gap.low)


def test_different_cells_are_refused(evaluations, tmp_path, capsys):
  before, _ = evaluations
  other = write_evaluation(tmp_path / 'other', 'other', {'observed': 1, 'unobserved': 1}, examples=39)
  assert report.main([before, other, '--out', str(tmp_path / 'out')]) == 2
  assert 'differ in the examples or phrasings of first' in capsys.readouterr().err
  assert not (tmp_path / 'out').exists()
  assert json.loads((tmp_path / 'other/run.json').read_text())['label'] == 'other'


def test_results_go_to_every_eval_ever(evaluations, tmp_path, capsys):
  before, after = evaluations
  told = ['--to', 'every_eval_ever', '--organisation', 'Lab', '--relationship', 'other', '--models', 'a/b', 'a/c']
  assert report.main([before, *after, '--out', str(tmp_path), *told]) == 0
  paths = capsys.readouterr().out.split()
  assert len(paths) == 6 and all(json.loads(open(path).read())['evaluation_results'] for path in paths)
  assert not (tmp_path / 'report.html').exists()
  assert report.main([before, '--out', str(tmp_path / 'x'), *told]) == 2
  assert '--models: 2 names for 1 models' in capsys.readouterr().err


@pytest.mark.parametrize(
  ('more', 'message'),
  [
    (['--to', 'every_eval_ever'], 'needs --organisation and --relationship'),
    (['--to', 'every_eval_ever', '--organisation', 'x'], 'needs --relationship'),
    (['--to', 'helm'], 'invalid choice'),
    (['--organisation', 'x'], 'go with --to every_eval_ever'),
    (
      ['--to', 'every_eval_ever', '--organisation', 'x', '--relationship', 'other', '--represent', 'd'],
      '--represent does not go with --to',
    ),
  ],
)
def test_what_goes_with_another_schema(more, message, capsys):
  with pytest.raises(SystemExit):
    report.main(['x', '--out', 'y', *more])
  assert message in capsys.readouterr().err
