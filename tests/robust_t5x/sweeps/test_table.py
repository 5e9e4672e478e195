"""A sweep's results as a table."""

from helpers import change_record, write_evaluation
import pandas as pd
import pytest

from robust_t5x.analysis import metrics
from robust_t5x.analysis.comparison import compare
from robust_t5x.sweeps import grid
from robust_t5x.sweeps.table import BASELINE, TRIAL, build, caution, measured_on, summary
from robust_t5x.sweeps.trial import TrialRun


def test_an_evaluation_in_numbers(tmp_path):
  path = write_evaluation(tmp_path / 'a', 'a', {'observed': 0.9, 'unobserved': 0.4})
  found = summary(path)
  comparison = compare([path])
  assert found['observed gap'] == pytest.approx(comparison.gap('a').estimate)
  for group in ('observed', 'unobserved'):
    for metric in comparison.metric_names:
      expected = comparison.interval('a', group, metric).estimate
      assert found[f'{group} {metric}'] == pytest.approx(expected, abs=1e-7), metric
  table = pd.read_parquet(f'{path}/results.parquet')
  of_one = table[table['instruction_id'] == table['instruction_id'].iloc[-1]].assign(dataset='of_one_phrasing')
  pd.concat([table, of_one]).to_parquet(f'{path}/results.parquet')
  change_record(path, rows=len(table) + len(of_one))
  with_one = summary(path)
  for metric in metrics.OF_PAIRS:  # which one phrasing has not
    assert with_one[f'unobserved {metric}'] == found[f'unobserved {metric}']
  other = write_evaluation(tmp_path / 'b', 'b', {'observed': 0.5, 'unobserved': 0.4}, seed=1)
  assert len(measured_on(path)) == 8 and measured_on(path) != measured_on(other)


def test_baselines_come_first_and_nothing_is_read_twice(tmp_path):
  (trial,) = grid.trials(['a.gin'], {}, [grid.parse_axis('X=1')])
  description = {
    'checkpoint': 'c', 'steps': 5, 'seed': 3, 'parameters': 7, 'adapter': True, 'backbone': False, 'config': '',
  }  # fmt: skip
  run = TrialRun.find(str(tmp_path), trial, description, ['e.gin'], {}, ())
  summaries = {'nowhere': {'observed AvgP': 0.5, 'measured_on': 'x'}}
  table = build([run], {'c': 'nowhere'}, ['X', 'SEED'], summaries)
  assert table['kind'].tolist() == [BASELINE, TRIAL]
  assert table['trial'].tolist() == ['without adapter', 'X=1']
  assert table['status'].tolist() == ['finished', 'not started']
  assert table['observed AvgP'].tolist()[0] == 0.5 and table['seed'].tolist()[1] == 3
  assert list(table.columns[:6]) == ['kind', 'trial', 'status', 'X', 'seed', 'observed AvgP']


def test_rows_measured_on_different_things_are_said():
  assert caution(pd.DataFrame({'measured_on': ['x', 'x', None]})) == ''
  assert '1 measured_on x, 1 measured_on y' in caution(pd.DataFrame({'measured_on': ['x', 'y']}))
