"""Models compared: numbers against the tables that they are made from."""

import numpy as np
import pytest

from robust_t5x.analysis.comparison import compare
from robust_t5x.results.reading import read


def test_numbers_agree_with_the_table(evaluations):
  before, after = evaluations
  comparison = compare([before, *after])
  table = {d: read(d)[0] for d in (before, *after)}

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


def test_agreement_and_tests_of_a_pair(evaluations):
  before, after = evaluations
  comparison = compare([before, *after])
  table = read(before)[0]
  cell = ['dataset', 'example_id']
  pairs = table.query('group == "unobserved"').groupby(cell)['prediction'].agg(list)
  expected = np.mean([(p[0] == p[1]) + (p[0] == p[2]) + (p[1] == p[2]) for p in pairs]) / 3
  assert comparison.answer_agreement('no adapter', 'unobserved')['consistency'].estimate == pytest.approx(expected)
  tests = comparison.paired('unobserved').set_index('dataset')
  assert list(tests.index) == ['all', 'first', 'second']
  change = comparison.change('aligned', 'unobserved', 'AvgP')
  assert tests.at['all', 'difference'] == pytest.approx(change.estimate)
  assert tests.at['all', 'p'] < 0.05
  assert tests.at['first', 'p_adjusted'] >= tests.at['first', 'p']
  by_phrasing = comparison.mcnemar('aligned', 'unobserved').set_index('instruction_id')
  assert len(by_phrasing) == 6
  rows = [read(d)[0].query('instruction_id == "first/u2"')['score'].to_numpy() for d in (before, after[0])]
  assert by_phrasing.at['first/u2', 'only_model'] == ((rows[1] == 1) & (rows[0] == 0)).sum()
  assert -1 <= comparison.kendalls_w('unobserved')['first'] <= 1
