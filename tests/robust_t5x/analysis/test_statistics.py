"""The two-way bootstrap: against the normal theory, hand-made cases, and its coverage."""

import numpy as np
import pytest
import scipy.stats

from robust_t5x.analysis import statistics
from robust_t5x.analysis.metrics import average_performance


def _mean(scores):
  return average_performance(scores['a'])


def test_one_phrasing_is_the_usual_interval_of_a_mean():
  scores = np.random.default_rng(0).random((400, 1))
  interval = statistics.two_way_bootstrap([{'a': scores}], _mean, replicates=4000)
  low, high = scipy.stats.norm.interval(0.95, scores.mean(), scipy.stats.sem(scores)[0])
  assert interval.estimate == pytest.approx(scores.mean())
  assert [interval.low, interval.high] == pytest.approx([low, high], abs=0.003)


def test_phrasings_are_resampled_too():
  """All variance lies between phrasings: examples alone would give an interval of no width."""
  scores = np.tile(np.linspace(0, 1, 12), (50, 1))
  interval = statistics.two_way_bootstrap([{'a': scores}], _mean, replicates=4000)
  sem = scores[0].std() / np.sqrt(12)
  assert interval.high - interval.low == pytest.approx(2 * 1.96 * sem, rel=0.05)


def test_pairing_removes_what_both_models_share():
  rng = np.random.default_rng(1)
  first = (rng.random((60, 8)) < rng.random((1, 8))).astype(float)
  pair = np.stack([first, np.minimum(first + 0.1, 1.1)])
  interval = statistics.two_way_bootstrap(
    [{'a': pair}], lambda s: average_performance(s['a'])[:, 1] - average_performance(s['a'])[:, 0]
  )
  assert [interval.low, interval.high] == pytest.approx([0.1, 0.1])
  assert interval.excludes_zero


def test_datasets_count_alike_and_the_seed_decides():
  ones, zeros = {'a': np.ones((5, 2))}, {'a': np.zeros((500, 9))}
  assert statistics.two_way_bootstrap([ones, zeros], _mean) == statistics.Interval(0.5, 0.5, 0.5)
  scores = [{'a': np.random.default_rng(2).random((10, 4))}]
  assert statistics.two_way_bootstrap(scores, _mean, seed=3) == statistics.two_way_bootstrap(scores, _mean, seed=3)
  assert statistics.two_way_bootstrap(scores, _mean, seed=3) != statistics.two_way_bootstrap(scores, _mean, seed=4)


def test_coverage():
  """Of 200 intervals at 90%, near 90% cover the truth; 10 phrasings make them a little narrow."""
  rng = np.random.default_rng(5)
  covered = 0
  for trial in range(200):
    ability, ease = rng.normal(0, 1, (60, 1)), rng.normal(0, 1, (1, 10))
    scores = scipy.stats.norm.cdf(ability + ease)
    interval = statistics.two_way_bootstrap([{'a': scores}], _mean, replicates=200, seed=trial, level=0.9)
    covered += interval.low <= 0.5 <= interval.high
  assert 0.76 <= covered / 200 <= 0.96


def test_bad_input():
  with pytest.raises(ValueError, match='no dataset'):
    statistics.two_way_bootstrap([], _mean)
  with pytest.raises(ValueError, match='same examples'):
    statistics.two_way_bootstrap([{'a': np.ones((2, 1)), 'b': np.ones((3, 1))}], _mean)
