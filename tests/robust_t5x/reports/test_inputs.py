"""What a report reads: one comparison, or published models that each have phrasings of their own."""

import numpy as np
import pandas as pd
import pytest

from robust_t5x.reports.inputs import focus_of, in_order, read, words_of
from robust_t5x.reports.words import warnings
from robust_t5x.results.schema import PHRASING, ResultsError


def _write(path, rows):
  columns = ['model', 'dataset', 'group', 'instruction_id', 'score', 'template']
  pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
  return str(path)


def test_evaluations_of_the_same_cells_are_one_cohort(evaluations):
  before, after = evaluations
  inputs = read([before, *after])
  assert len(inputs.cohorts) == 1
  assert (inputs.models, inputs.paired) == (('no adapter', 'aligned'), ('aligned',))
  assert inputs.runs['aligned'] == tuple(after)
  assert inputs.groups == ('observed', 'unobserved') and inputs.num_examples == 80
  assert inputs.change('aligned', 'unobserved').excludes_zero


def test_models_with_phrasings_of_their_own_stand_side_by_side(tmp_path):
  path = _write(
    tmp_path / 'table.csv',
    [
      ('x', 'd', 'unobserved', 'u', 0.5, 'Say {u}'), ('x', 'd', 'observed', 'a', 0.75, 'Tell {a}'),
      ('y', 'd', 'unobserved', 'u', 0.25, 'Say {u}'),
    ],
  )  # fmt: skip
  inputs = read([path])
  assert [cohort.models for cohort in inputs.cohorts] == [('x',), ('y',)]
  assert inputs.grain == PHRASING and inputs.paired == () and inputs.has_gap
  assert inputs.gap('x').estimate == -0.25
  assert not inputs.gap('y').is_known and not inputs.interval('y', 'observed', 'AvgP').is_known
  frame = inputs.phrasings
  assert frame['group'].tolist() == ['observed', 'unobserved']
  assert frame['x'].tolist() == [0.75, 0.5] and np.isnan(frame['y'][0]) and frame['y'][1] == 0.25
  assert frame['template'].tolist() == ['Tell {a}', 'Say {u}']


def test_files_of_one_model_are_one_evaluation(tmp_path):
  one = _write(tmp_path / 'one.csv', [('x', 'd', 'observed', 'a', 0.5, ''), ('y', 'd', 'observed', 'a', 0.25, '')])
  two = _write(tmp_path / 'two.csv', [('x', 'd', 'observed', 'a', 0.5, ''), ('x', 'e', 'observed', 'b', 0.75, '')])
  more = _write(tmp_path / 'more.csv', [('y', 'e', 'observed', 'b', 0.875, '')])
  inputs = read([one, two, more])
  assert inputs.models == ('x', 'y')
  assert inputs.runs == {'x': (f'{one}, {two}',), 'y': (f'{one}, {more}',)}
  assert [inputs.interval(m, 'observed', 'AvgP').estimate for m in 'xy'] == [0.625, 0.5625]
  assert warnings(inputs) == [f'1 rows of x were left out: the cell stands in {one} with the same score.']


def test_files_that_differ_in_a_cell_are_named(tmp_path):
  one = _write(tmp_path / 'one.csv', [('x', 'd', 'observed', 'a', 0.5, '')])
  two = _write(tmp_path / 'two.csv', [('x', 'd', 'observed', 'b', 0.5, ''), ('x', 'd', 'observed', 'a', 0.75, '')])
  with pytest.raises(
    ResultsError, match=f'{one}, line 2 and {two}, line 3: of x, .*, d, observed, a one has the score 0.5'
  ):
    read([one, two])


def test_order_and_focus_of_groups():
  assert in_order(['negated', 'unobserved', 'correct', 'observed', 'negated']) == [
    'observed', 'unobserved', 'correct', 'negated',
  ]  # fmt: skip
  assert focus_of(['observed', 'unobserved']) == 'unobserved'
  assert focus_of(['incorrect', 'correct']) == 'correct'
  assert focus_of(['observed', 'reported']) == 'reported'
  assert focus_of(['observed', 'negated']) == 'observed'
  assert words_of(pd.Series({'template': np.nan, 'instruction_id': 'i'})) == 'i'
  assert words_of(pd.Series({'template': 'Say', 'instruction_id': 'i'})) == 'Say'


def test_phrasings_that_models_do_not_share_keep_their_names_in_any_order(tmp_path):
  """A phrasing is one in both datasets, though their rows come in other orders and another model has other phrasings."""
  scores = {'d': [0.1, 0.5, 0.9], 'e': [0.2, 0.5, 0.8]}
  rows = [('m', 'd', p, s) for p, s in zip('xyz', scores['d'], strict=True)]
  rows += [
    ('m', 'e', p, s) for p, s in sorted(zip('xyz', scores['e'], strict=True), key=lambda pair: 'zxy'.index(pair[0]))
  ]
  frame = pd.DataFrame(rows, columns=['model', 'dataset', 'instruction_id', 'score'])
  frame.to_csv(tmp_path / 'm.csv', index=False)
  alone = read([str(tmp_path / 'm.csv')]).interval('m', 'all', 'AvgP')
  other = pd.DataFrame([('n', 'd', 'w', 0.5), ('n', 'e', 'w', 0.5)], columns=frame.columns)
  pd.concat([frame, other]).to_csv(tmp_path / 'both.csv', index=False)
  both = read([str(tmp_path / 'both.csv')])
  assert len(both.cohorts) == 2
  found = both.interval('m', 'all', 'AvgP')
  assert (found.estimate, found.low, found.high) == pytest.approx((alone.estimate, alone.low, alone.high))
  assert both.cohorts[0].names == {('d', 'all'): ('x', 'y', 'z'), ('e', 'all'): ('z', 'x', 'y')}
  assert both.cohorts[0].datasets['e']['all'][0, 0].tolist() == [0.8, 0.2, 0.5]
