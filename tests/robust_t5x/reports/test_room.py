"""The section on what a spread is made of."""

from helpers import write_evaluation
import numpy as np
import pandas as pd
import pytest
import scipy.stats

from robust_t5x.analysis import room as analysis
from robust_t5x.reports import inputs, room


def test_spreads_stand_beside_noise_and_their_bounds(tmp_path):
  where = write_evaluation(tmp_path / 'a', 'm', {'observed': 1.0, 'unobserved': 0.6})
  read = inputs.read([where])
  section = room.section(read)
  models, datasets = section.tables
  names = [column.name for column in models.columns]
  observed, unobserved = (dict(zip(names, row, strict=True)) for row in models.rows)
  rooms = list(analysis.of_comparison(read.of('m'), 'm', 'unobserved').values())
  assert unobserved['by noise'] == pytest.approx(np.mean([r.noise for r in rooms]))
  # Q of both datasets together.
  assert unobserved['p'] == pytest.approx(scipy.stats.chi2.sf(sum(r.q for r in rooms), 4))
  assert unobserved['more than noise'].endswith(' of 2') and unobserved['at the ceiling'] == 0
  assert (observed['mean'], observed['at most'], observed['p'], observed['at the ceiling']) == (1.0, 0.0, 1.0, 2)
  assert observed['beyond, of at most'] is None and observed['more than noise'] == '0 of 2'
  assert [row[:3] for row in datasets.rows] == [
    (d, 'm', g) for g in ('observed', 'unobserved') for d in ('first', 'second')
  ]


def test_accuracies_have_bounds_and_no_noise(tmp_path):
  path = tmp_path / 't.csv'
  path.write_text('dataset,instruction_id,score\nd,a,0.2\nd,b,0.6\n')
  (row,) = room.section(inputs.read([str(path)])).tables[0].rows
  assert row[3] == pytest.approx(np.std([0.2, 0.6], ddof=1)) and row[4] is None and row[5] is None
  assert row[6] == pytest.approx(np.std([0.8, 0], ddof=1)) and row[8] is None and row[9] is None


def test_a_dataset_of_one_example_takes_the_noise_from_no_other(tmp_path):
  rows = [('d', i, e, (i + e) % 3 > 0) for i in range(3) for e in range(6)] + [('one', i, 0, i > 0) for i in range(3)]
  path = tmp_path / 't.csv'
  pd.DataFrame(rows, columns=['dataset', 'instruction_id', 'example_id', 'score']).to_csv(path, index=False)
  models, datasets = room.section(inputs.read([str(path)])).tables
  by_name = {row[0]: row for row in datasets.rows}
  assert by_name['one'][5] is None and models.rows[0][4:7] == by_name['d'][5:8]
  assert models.rows[0][2] == pytest.approx(2 / 3)


def test_one_phrasing_has_no_spread(tmp_path):
  path = tmp_path / 't.csv'
  path.write_text('dataset,instruction_id,score\nd,a,0.2\n')
  assert room.section(inputs.read([str(path)])) is None


def test_the_form_of_answers_has_a_table_where_it_fails(tmp_path):
  where = write_evaluation(tmp_path / 'a', 'm', {'observed': 1.0, 'unobserved': 0.6})
  path = tmp_path / 'a/results.parquet'
  table = pd.read_parquet(path)
  table['matched_option'] = table['group'] == 'observed'
  table.to_parquet(path)
  form = room.section(inputs.read([where])).tables[-1]
  assert form.name == 'form'
  assert form.rows == [('m', 'unobserved', 0.0, 0.0, None, None, 0.0)]
