"""Intervals from draws and resamples, by hand."""

import numpy as np
import pytest
import scipy.stats

from robust_t5x.analysis import statistics


def test_an_interval_knows_what_it_is():
  assert statistics.Interval(0.1, 0.05, 0.2).excludes_zero and statistics.Interval(-0.1, -0.2, -0.05).excludes_zero
  assert not statistics.Interval(0.1, -0.05, 0.2).excludes_zero
  assert not statistics.Interval(-0.1, -0.2, 0.0).excludes_zero and not statistics.Interval(0.1, 0.0, 0.2).excludes_zero
  assert statistics.Interval(0.4, 0.3, 0.7).half_width == pytest.approx(0.2)
  assert not statistics.Interval(0.0, np.nan, np.nan).has_ends and not statistics.Interval(np.nan, 0, 0).is_known


def test_weights_are_resamples_after_the_data():
  weights = statistics.example_weights(5, 300, seed=1, place=0)
  assert weights.shape == (301, 5) and (weights[0] == 1).all() and (weights.sum(1) == 5).all()
  assert weights[1:].var() == pytest.approx(0.8, rel=0.1)  # multinomial: n p (1 - p)
  assert (weights == statistics.example_weights(5, 300, 1, 0)).all()
  for other in (statistics.example_weights(5, 300, 2, 0), statistics.example_weights(5, 300, 1, 1)):
    assert (weights != other).any()


def test_draws_give_their_quantiles_and_hold_the_estimate():
  draws = np.linspace(0, 1, 101)
  found = statistics.of_draws(np.r_[0.5, draws])
  assert (found.estimate, found.low, found.high) == pytest.approx((0.5, 0.025, 0.975))
  assert statistics.of_draws(np.r_[0.99, draws]).high == pytest.approx(0.99)
  assert statistics.of_draws(np.r_[0.01, draws]).low == pytest.approx(0.01)
  assert statistics.of_draws(np.r_[0.5, draws], level=0.5).low == pytest.approx(0.25)
  assert statistics.of_draws(np.r_[0.5, draws * 4 - 1], bounds=(0, 1)) == statistics.Interval(0.5, 0.0, 1.0)
  assert not statistics.of_draws(np.array([0.5, np.nan])).has_ends
  assert not statistics.of_draws(np.array([np.nan, 0.5])).is_known


def test_the_spread_of_seeds_is_added_to_draws():
  draws = np.r_[0.5, np.linspace(0.4, 0.6, 101)]
  seeds = np.array([0.4, 0.5, 0.6])
  half = scipy.stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
  found = statistics.of_draws(draws, seeds)
  assert found.high - 0.5 == pytest.approx(np.hypot(0.095, half))
  # Two models of the same spread: Welch's degrees of freedom are 4.
  both = statistics.of_draws(draws, seeds, seeds)
  assert both.high - 0.5 == pytest.approx(np.hypot(0.095, scipy.stats.t.ppf(0.975, 4) * 0.1 * np.sqrt(2 / 3)))
  assert statistics.of_draws(draws, np.array([0.5])) == statistics.of_draws(draws)


def test_p_of_draws():
  assert statistics.p_of_draws(np.r_[0.5, np.full(99, 1.0)]) == pytest.approx(0.02)
  assert statistics.p_of_draws(np.r_[0.5, [-1.0] * 10, [1.0] * 89]) == pytest.approx(2 * 11 / 100)
  assert statistics.p_of_draws(np.zeros(11)) == 1.0
  assert np.isnan(statistics.p_of_draws(np.array([np.nan, 1.0])))


def test_p_of_draws_holds_seeds():
  """Draws that all lie at 0.1: the p-value is that of a t-test over the seeds, as far as 1000 draws can tell."""
  seeds = np.array([0.0, 0.1, 0.2])
  expected = scipy.stats.ttest_1samp(seeds, 0).pvalue
  assert statistics.p_of_draws(np.full(1001, 0.1), seeds) == pytest.approx(expected, abs=2e-3)
  assert statistics.p_of_draws(np.full(1001, 0.1), seeds[:1]) == pytest.approx(2 / 1001)
  others = np.array([0.3, 0.3, 0.5, 0.1])
  expected = scipy.stats.ttest_ind(seeds, others, equal_var=False)
  draws = np.full(1001, seeds.mean() - others.mean())
  assert statistics.p_of_draws(draws, seeds, others) == pytest.approx(expected.pvalue, abs=2e-3)
  below, above = statistics.shares_beyond(np.full(1001, 0.1), seeds, limit=0.05)
  assert below == pytest.approx(scipy.stats.ttest_1samp(seeds, 0.05, alternative='greater').pvalue, abs=2e-3)
  assert below + above == pytest.approx(1, abs=2e-3)


def test_resamples_give_a_normal_interval():
  values = np.random.default_rng(0).normal(0.6, 0.05, (4001, 1))
  values[0] = 0.6
  found = statistics.of_resamples(values, 10_000, (0, 1))
  assert [found.low, found.high] == pytest.approx([0.6 - 0.098, 0.6 + 0.098], abs=0.004)
  assert statistics.of_resamples(values + 0.38, 10_000, (0, 1)).high == 1.0
  runs = np.repeat(values, 2, axis=1) + [[-0.1, 0.1]]
  wide = statistics.of_resamples(runs, 10_000, (-9, 9))
  assert wide.high - 0.6 == pytest.approx(np.hypot(0.098, scipy.stats.t.ppf(0.975, 1) * 0.1), abs=0.01)
  few = statistics.of_resamples(values, 5, (-9, 9))
  assert few.high - 0.6 == pytest.approx(scipy.stats.t.ppf(0.975, 4) * 0.05 * np.sqrt(5 / 4), rel=0.05)


def test_an_interval_of_resamples_by_hand():
  """Three resamples of two runs: their sample standard deviation, wider by 8/7, and the spread of the data's runs."""
  values = np.array([[0.5, 0.7], [0.4, 0.6], [0.7, 0.7], [0.6, 0.9]])
  found = statistics.of_resamples(values, 8, (-9, 9))
  sd = np.std([0.5, 0.7, 0.75], ddof=1) * np.sqrt(8 / 7)
  half = np.hypot(scipy.stats.t.ppf(0.975, 7) * sd, scipy.stats.t.ppf(0.975, 1) * 0.1)
  assert (found.estimate, found.low, found.high) == pytest.approx((0.6, 0.6 - half, 0.6 + half))
  assert statistics.of_resamples(values, 1, (-9, 9)) == statistics.of_resamples(values, 2, (-9, 9))
  two = statistics.of_resamples(np.array([[0.5], [0.4], [0.6]]), 11, (0, 1))  # sd 0.1 √2, wider by 11/10
  assert two.high == pytest.approx(0.5 + scipy.stats.t.ppf(0.975, 10) * 0.1 * np.sqrt(2.2))
  assert not statistics.of_resamples(np.array([[0.5], [0.4], [np.nan]]), 11, (0, 1)).has_ends


def test_a_change_of_resamples_by_hand():
  """Each resample of the one model less the same of the other; the seeds of both count, by Welch's rule."""
  values = np.array([[0.5, 0.7], [0.4, 0.6], [0.7, 0.7], [0.6, 0.9]])
  others = np.array([[0.3, 0.3], [0.3, 0.2], [0.4, 0.4], [0.5, 0.4]])
  found = statistics.change_of_resamples(values, others, 8)
  sd = np.std([0.25, 0.3, 0.3], ddof=1) * np.sqrt(8 / 7)
  half = np.hypot(scipy.stats.t.ppf(0.975, 7) * sd, scipy.stats.t.ppf(0.975, 1) * 0.1)
  assert (found.estimate, found.low, found.high) == pytest.approx((0.3, 0.3 - half, 0.3 + half))
  same = statistics.change_of_resamples(values[:, :1], values[:, :1], 8)
  assert same.estimate == 0 and not same.has_ends


def test_resamples_that_are_all_alike_still_leave_an_interval():
  """Clopper and Pearson's: of 20 examples that all agree, 0.025^(1/20); of other bounds there is none."""
  found = statistics.of_resamples(np.ones((9, 1)), 20, (0, 1))
  assert (found.estimate, found.low, found.high) == (1, pytest.approx(0.025 ** (1 / 20)), 1)
  third = statistics.of_resamples(np.full((9, 1), 1 / 3), 12, (0, 1))
  assert (third.low, third.high) == pytest.approx(statistics.share_of(4, 12))
  assert not statistics.of_resamples(np.ones((9, 1)), 20, (-1, 1)).has_ends
  seeds = statistics.of_resamples(np.tile([[0.8, 1.0]], (9, 1)), 20, (0, 1))
  assert seeds.low < statistics.share_of(18, 20)[0]
