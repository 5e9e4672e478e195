"""Whether differences are smaller than what matters."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from robust_t5x.analysis import decisions
from robust_t5x.analysis.comparison import compare
from robust_t5x.analysis.crossed import Estimate, Part
from robust_t5x.analysis.decisions import PValues, in_words, p_values_of
from robust_t5x.analysis.statistics import Interval


@pytest.mark.parametrize('mean', [-0.03, 0.0, 0.01, 0.05])
def test_two_one_sided_tests_are_those_of_scipy(mean):
  rng = np.random.default_rng(0)
  changes = rng.normal(0, 0.1, 30)
  changes += mean - changes.mean()
  found = p_values_of(Estimate(mean, [Part(changes.var(ddof=1) / 30, 29)]), 0.04)
  above = scipy.stats.ttest_1samp(changes, 0.04, alternative='less').pvalue
  below = scipy.stats.ttest_1samp(changes, -0.04, alternative='greater').pvalue
  expected = (scipy.stats.ttest_1samp(changes, 0).pvalue, max(above, below), below)
  assert (found.different, found.equivalent, found.not_worse) == pytest.approx(expected)


def test_without_variance_the_value_decides():
  parts = [Part(0.0, 9)]
  found = p_values_of(Estimate(0.01, parts, 20), 0.02)
  assert (found.different, found.equivalent, found.not_worse) == (0.0, 0.0, 0.0)
  found = p_values_of(Estimate(-0.02, parts, 20), 0.02)
  assert (found.equivalent, found.not_worse) == (1.0, 1.0)
  assert np.isnan(p_values_of(Estimate(0.01, []), 0.02).equivalent)


@pytest.mark.parametrize(
  ('tests', 'words'),
  [
    ((0.01, 0.3, 0.3), 'different'),
    ((0.01, 0.04, 0.02), 'different, but equivalent within 1.5 points'),
    ((0.6, 0.04, 0.02), 'equivalent within 1.5 points'),
    ((0.6, 0.2, 0.04), 'cannot tell, but not worse by 1.5 points'),
    ((0.06, 0.2, 0.2), 'cannot tell'),
    ((np.nan, np.nan, np.nan), ''),
  ],
)
def test_words(tests, words):
  assert in_words(PValues(*tests), 0.015) == words


def test_decisions_are_of_the_same_estimate_as_the_intervals(evaluations):
  before, after = evaluations
  comparison = compare([before, *after])
  gap = decisions.of_gap(comparison, 'aligned', 0.02)
  assert gap.value == comparison.gap('aligned')
  change = decisions.of_change(comparison, 'aligned', 'unobserved', 0.9, 'no adapter')
  assert change.value == comparison.change('aligned', 'unobserved', 'AvgP')
  assert change.words == 'different, but equivalent within 90 points'
  of_gap = decisions.of_gap(comparison, 'aligned', 0.02, 'no adapter')
  assert of_gap.value == comparison.gap_change('aligned') and of_gap.words == 'different'
  # An interval of 90% lies within the margin where the tests at 5% say so.
  low, high = (lambda i: (i.low, i.high))(
    comparison.contrast({'unobserved': 1}, [('aligned', 1), ('no adapter', -1)]).interval(0.9)
  )
  assert low > -0.9 and high < 0.9


def test_spreads(evaluations, tmp_path):
  before, _ = evaluations
  comparison = compare([before])
  wide = decisions.of_spread(comparison, 'no adapter', 'unobserved', 0.9)
  assert wide.words == 'below 90 points' and wide.value == comparison.interval('no adapter', 'unobserved', 'spread')
  assert decisions.of_spread(comparison, 'no adapter', 'unobserved', 0.0001).words == '0.01 points or more'
  middle = decisions.of_spread(comparison, 'no adapter', 'unobserved', wide.value.estimate * 0.6)
  assert middle.words == 'cannot tell' and middle.below + middle.above == pytest.approx(1, abs=2e-3)
  table = pd.DataFrame(
    {'model': 'm', 'dataset': 'd', 'group': 'all', 'instruction_id': ['a', 'b'], 'score': [0.4, 0.6]}
  )
  table.to_csv(tmp_path / 't.csv', index=False)
  assert decisions.of_spread(compare([str(tmp_path / 't.csv')]), 'm', 'all', 0.05).words == ''


def test_p_values_of_a_spread_by_hand():
  """Of four draws two reach the margin: (1 + 2) / (1 + 4) that it is the margin or more, and as much that it is less."""

  class Stub:
    def draws(self, *_):
      return np.array([0.04, 0.02, 0.05, 0.05, np.nan, 0.01])

    def values_of(self, *_):
      return np.array([0.04])

    def interval(self, *_):
      return Interval(0.04, 0.01, 0.05)

  found = decisions.of_spread(Stub(), 'm', 'g', 0.05)
  assert (found.below, found.above) == (pytest.approx(0.6), pytest.approx(0.6))
  none = decisions.of_spread(Stub(), 'm', 'g', 0.06)  # no draw reaches it, which is no proof
  assert (none.below, none.above) == (pytest.approx(0.2), pytest.approx(1.0))
