"""What a report reads: one comparison, or published models that each have phrasings of their own."""

import numpy as np
import pandas as pd
import pytest

from robust_t5x.reports.inputs import focus_of, in_order, read, words_of
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


def test_a_model_that_stands_twice_is_refused(tmp_path):
  one = _write(tmp_path / 'one.csv', [('x', 'd', 'observed', 'a', 0.5, '')])
  two = _write(tmp_path / 'two.csv', [('x', 'd', 'observed', 'b', 0.5, '')])
  with pytest.raises(ResultsError, match='differ in the examples or phrasings of d'):
    read([one, two])


def test_order_and_focus_of_groups():
  assert in_order(['negated', 'unobserved', 'correct', 'observed', 'negated']) == [
    'observed', 'unobserved', 'correct', 'negated',
  ]  # fmt: skip
  assert focus_of(['observed', 'unobserved']) == 'unobserved'
  assert focus_of(['incorrect', 'correct']) == 'correct'
  assert focus_of(['observed', 'negated']) == 'observed'
  assert words_of(pd.Series({'template': np.nan, 'instruction_id': 'i'})) == 'i'
  assert words_of(pd.Series({'template': 'Say', 'instruction_id': 'i'})) == 'Say'
