"""Sections that stand where there is something to say."""

import json

from helpers import change_record, write_evaluation
import pandas as pd

from robust_t5x import report
from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports import inputs
from robust_t5x.reports.sections import estimated, extraction, stopped
from robust_t5x.reports.words import warnings
from robust_t5x.results.reading import read


def test_sampled_cells_are_said_and_estimated(evaluations, tmp_path):
  before, _ = evaluations
  table, record = read(before)
  number = table['example_id'].str[1:].astype(int)
  kept = table[(number + table['instruction_id'].str[-1].astype(int)) % 2 == 0]
  sampled = tmp_path / 'sampled'
  sampled.mkdir()
  kept.to_parquet(sampled / 'results.parquet')
  record['fingerprint']['cells'] = {'budget': 0.5, 'seed': 0}
  record['rows'] = len(kept)
  (sampled / 'run.json').write_text(json.dumps(record))
  assert report.main([str(sampled), '--out', str(tmp_path / 'out')]) == 0
  text = (tmp_path / 'out/report.md').read_text()
  assert 'Only a sample of the cells of no adapter was evaluated (CELL_BUDGET 0.5, seed 0)' in text
  estimates = pd.read_csv(tmp_path / 'out/tables/estimates.csv')
  assert estimates['cells evaluated'].tolist() == ['40 of 80', '60 of 120'] * 2
  assert (estimates['mean low'] <= estimates['mean']).all()
  assert (estimates['worst'] <= estimates['median']).all()
  assert 'Examples that were never asked are not counted' in text
  change_record(sampled, examples={'first': 40, 'second': 50})
  told = estimated(inputs.read([str(sampled)])).tables[0]
  assert [row[3] for row in told.rows] == ['40 of 80', '60 of 120', '40 of 100', '60 of 150']
  assert 'never asked' not in told.note


def test_where_an_evaluation_stopped_is_said(tmp_path):
  where = write_evaluation(tmp_path / 'a', 'm', {'observed': 0.9, 'unobserved': 0.5})
  assert stopped(inputs.read([where])) is None
  valid = {'evaluated': 160, 'cells': 640, 'estimate': 0.9, 'low': 0.88, 'high': 0.93}
  gap = {'evaluated': 400, 'cells': 1600, 'estimate': -0.4, 'low': -0.5, 'high': -0.3}
  found = {'half_width': 0.025, 'level': 0.95, 'rounds': 9, 'groups': {'observed': valid}, 'gap': gap}
  change_record(where, stopped=found, fingerprint__cells={'width': 2.5, 'seed': 0})
  read = inputs.read([where])
  assert stopped(read).tables[0].rows == [
    ('m', 'observed', '160 of 640 (25%)', '±2.5 points', Interval(0.9, 0.88, 0.93), None),
    ('m', 'gap', '400 of 1,600 (25%)', '', None, Interval(-0.4, -0.5, -0.3)),
  ]
  assert any('sample of the cells of m was evaluated (STOP_WIDTH 2.5, seed 0)' in text for text in warnings(read))
  # Where it came to all cells, nothing is a sample.
  change_record(where, stopped=found | {'groups': {'observed': valid | {'cells': 160}}})
  assert not any('sample of the cells' in text for text in warnings(inputs.read([where])))


def test_strict_and_extracted_scores_stand_side_by_side_where_they_differ(tmp_path):
  where = write_evaluation(tmp_path / 'a', 'talker', {'observed': 0.0, 'unobserved': 0.0})
  path = tmp_path / 'a/results.parquet'
  table = pd.read_parquet(path).assign(strict_score=0.0, extracted_score=0.0)
  write_again = lambda: table.to_parquet(path)  # noqa: E731
  write_again()
  assert extraction(inputs.read([where])) is None
  first = (table['dataset'] == 'first') & (table['group'] == 'observed')
  table.loc[first, 'extracted_score'] = 1.0
  write_again()
  section = extraction(inputs.read([where]))
  # Of two datasets one is right throughout: 50%, in 80 of 160 rows.
  assert section.tables[0].rows == [
    ('talker', 'observed', 0.0, 0.5, '80 of 160'),
    ('talker', 'unobserved', 0.0, 0.0, '0 of 240'),
  ]
