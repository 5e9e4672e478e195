"""Results on disk, and reports of them."""

import json

import helpers
import numpy as np
import pandas as pd
import pytest

from robust_t5x import report
from robust_t5x.analysis import comparison as comparison_lib
from robust_t5x.reports import page as page_lib
from robust_t5x.reports import tables
from robust_t5x.results import reading, runs, schema


def test_a_run_is_written_once_and_found_again(tmp_path):
  where = tmp_path / 'run'
  fingerprint = {'tasks': {'first': 'x', 'second': 'y'}}
  run = runs.Run.open(str(where), label='m', fingerprint=fingerprint)
  run.add_shard('first', helpers.scores_table('m', 'first', {'observed': 1, 'unobserved': 1}))
  # Interrupted here: what is done is found, and a reader is told.
  with pytest.raises(schema.ResultsError, match='was interrupted; run the same'):
    reading.read(str(where))
  run = runs.Run.open(str(where), label='m', fingerprint=fingerprint)
  assert not run.finished
  assert run.has_shard('first')
  assert not run.has_shard('second')
  run.add_shard('second', helpers.scores_table('m', 'second', {'observed': 0, 'unobserved': 0}))
  table = run.finish({'first/o1': 'text'}, {'note': 'x'})
  again, record = reading.read(str(where))
  pd.testing.assert_frame_equal(table, again)
  assert list(pd.read_csv(where / 'results.csv').columns) == list(schema.COLUMNS)
  assert record['truncated_inputs'] == 6
  assert record['note'] == 'x'
  assert record['versions']['jax']
  assert runs.Run.open(str(where), label='m', fingerprint=fingerprint).finished
  assert sorted(p.name for p in where.iterdir()) == ['results.csv', 'results.parquet', 'run.json']


def test_another_evaluation_does_not_overwrite(tmp_path):
  runs.Run.open(str(tmp_path), label='m', fingerprint={'tasks': {}, 'adapter': 'a'})
  with pytest.raises(schema.ResultsError, match=r'another evaluation \(it differs in adapter\)'):
    runs.Run.open(str(tmp_path), label='m', fingerprint={'tasks': {}, 'adapter': 'b'})


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda d: None, 'holds no evaluation'),
    (lambda d: (d / 'run.json').write_text('{'), 'not valid JSON'),
    (lambda d: (d / 'run.json').write_text('{"finished": "now", "label": "m"}'), 'no results.parquet'),
  ],
)
def test_unreadable_results(tmp_path, make, message):
  make(tmp_path)
  with pytest.raises(schema.ResultsError, match=message):
    reading.read(str(tmp_path))


@pytest.fixture(scope='module')
def evaluations(tmp_path_factory):
  base = tmp_path_factory.mktemp('evaluations')
  before = helpers.write_evaluation(base / 'before', 'no adapter', {'observed': 0.95, 'unobserved': 0.5})
  after = [
    helpers.write_evaluation(base / f'after{seed}', 'aligned', {'observed': 0.95, 'unobserved': 0.8}, seed)
    for seed in (1, 2)
  ]
  return before, after


def test_numbers_agree_with_the_table(evaluations):
  before, after = evaluations
  comparison = comparison_lib.compare([before, *after])
  table = {d: reading.read(d)[0] for d in (before, *after)}

  def mean(directory, group):
    rows = table[directory].query('group == @group')
    return rows.groupby('dataset')['score'].mean().mean()

  gap = comparison.gap('no adapter')
  assert gap.estimate == pytest.approx(mean(before, 'unobserved') - mean(before, 'observed'))
  assert gap.high < 0
  change = comparison.gap_change('aligned')
  expected = np.mean([mean(d, 'unobserved') - mean(d, 'observed') for d in after]) - gap.estimate
  assert change.estimate == pytest.approx(expected)
  assert change.low > 0


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
  gap = comparison_lib.compare([before, *after]).gap('aligned')
  assert tables.text(gap, 'points') in text
  lines = text.splitlines()
  for header in (i for i, line in enumerate(lines) if line.startswith('|---')):
    assert lines[header - 1].count('|') == lines[header].count('|') == lines[header + 1].count('|')
  saved = pd.read_csv(tmp_path / 'metrics.csv')
  row = saved.query('model == "aligned" and metric == "observed gap"').iloc[0]
  assert row['low'] == pytest.approx(gap.low)


def test_no_change_is_said(evaluations, tmp_path):
  before, _ = evaluations
  same = helpers.write_evaluation(tmp_path / 'same', 'again', {'observed': 0.95, 'unobserved': 0.5})
  assert 'cannot be told from no change' in page_lib.write([before, same], str(tmp_path / 'out'))


def test_different_cells_are_refused(evaluations, tmp_path, capsys):
  before, _ = evaluations
  other = helpers.write_evaluation(tmp_path / 'other', 'other', {'observed': 1, 'unobserved': 1}, examples=39)
  assert report.main([before, other, '--out', str(tmp_path / 'out')]) == 2
  assert 'differ in the examples or phrasings of first' in capsys.readouterr().err
  assert not (tmp_path / 'out').exists()
  assert json.loads((tmp_path / 'other/run.json').read_text())['label'] == 'other'


def test_agreement_and_tests_of_a_pair(evaluations):
  before, after = evaluations
  comparison = comparison_lib.compare([before, *after])
  table = reading.read(before)[0]
  cell = ['dataset', 'example_id']
  pairs = table.query('group == "unobserved"').groupby(cell)['prediction'].agg(list)
  expected = np.mean([(p[0] == p[1]) + (p[0] == p[2]) + (p[1] == p[2]) for p in pairs]) / 3
  assert comparison.answer_agreement('no adapter', 'unobserved')['consistency'].estimate == pytest.approx(expected)
  tests = comparison.paired('unobserved').set_index('dataset')
  assert list(tests.index) == ['all', 'first', 'second']
  change = comparison.change('aligned', 'unobserved', 'AvgP')
  assert tests.at['all', 'difference'] == pytest.approx(change.estimate)
  assert tests.at['all', 'p'] < 0.01
  assert tests.at['first', 'p_adjusted'] >= tests.at['first', 'p']
  by_phrasing = comparison.mcnemar('aligned', 'unobserved').set_index('instruction_id')
  assert len(by_phrasing) == 6
  rows = [reading.read(d)[0].query('instruction_id == "first/u2"')['score'].to_numpy() for d in (before, after[0])]
  assert by_phrasing.at['first/u2', 'only_model'] == ((rows[1] == 1) & (rows[0] == 0)).sum()
  assert -1 <= comparison.kendalls_w('unobserved')['first'] <= 1
