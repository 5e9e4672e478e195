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
