"""Variance components by hand, against the analysis of variance, and in expectation."""

import numpy as np
import pytest
import scipy.special
import scipy.stats

from robust_t5x.analysis import components
from robust_t5x.analysis.components import Component
from robust_t5x.analysis.crossed import EXAMPLES, PHRASINGS, SEEDS, contrast

E, P, S = (frozenset([f]) for f in (EXAMPLES, PHRASINGS, SEEDS))


def _variances(scores):
  return {of: c.variance for of, c in components.of_table(np.asarray(scores, float)).items()}


def test_a_whole_table_by_hand():
  # Means of examples 1, 1/2, 0 and of phrasings 2/3, 1/3: mean squares 1/2, 1/6 and 1/6.
  y = [[[1, 1], [1, 0], [0, 0]]]
  assert _variances(y) == pytest.approx({E: (1 / 2 - 1 / 6) / 2, P: 0.0, E | P: 1 / 6})


def test_a_table_with_a_missing_cell_by_hand():
  # Sums of squares: of cells 2, of examples 3/2, of phrasings 2, of all 4/3. Their expectations give
  # p + r = 1/2, e + r = 0 and (4 e + 4 p) / 3 + 2 r = 2/3.
  assert _variances([[[1, 0], [1, np.nan]]]) == pytest.approx({E: 0.0, P: 0.5, E | P: 0.0}, abs=1e-12)


@pytest.mark.parametrize('shape', [(1, 7, 4), (3, 9, 5), (2, 6, 1), (4, 1, 3)])
def test_shares_of_the_interval_are_components_by_levels_on_whole_tables(shape):
  rng = np.random.default_rng(0)
  y = rng.random(shape) + sum(
    rng.normal(size=[n if a == axis else 1 for a, n in enumerate(shape)]) for axis in range(3)
  )
  estimate = contrast([{'a': y}], [{'a': tuple(range(shape[2]))}], {'a': 1}, [(slice(None), 1)])
  number = dict(zip((SEEDS, EXAMPLES, PHRASINGS), shape, strict=True))
  found = _variances(y)
  assert len(found) == 2 ** sum(n > 1 for n in shape) - 1
  for of, variance in found.items():
    assert variance / np.prod([number[f] for f in of]) == pytest.approx(estimate.share_of(*of))


@pytest.mark.parametrize('present', [0.3, 0.6])
def test_estimates_are_right_in_expectation_with_missing_cells(present):
  rng = np.random.default_rng(1)
  found = []
  for _ in range(400):
    y = rng.normal(0, 1.5, (1, 25, 1)) + rng.normal(0, 0.7, (1, 1, 12)) + rng.normal(0, 2.0, (1, 25, 12))
    found.append(_variances(np.where(rng.random((1, 25, 12)) < present, y, np.nan)))
  for of, truth in ((E, 2.25), (P, 0.49), (E | P, 4.0)):
    values = np.array([f[of] for f in found])
    assert values.mean() == pytest.approx(truth, abs=4 * values.std() / 20)


def test_what_cells_do_not_tell_apart_is_not_known():
  y = np.full((1, 6, 2), np.nan)
  y[0, :3, 0], y[0, 3:, 1] = [1, 0, 1], [0, 0, 1]  # each example under one phrasing
  found = _variances(y)
  assert np.isnan(found[E]) and np.isnan(found[E | P])
  assert not np.isnan(found[P])
  assert _variances([[[0.5, np.nan, 0.7]]]) == pytest.approx({P: 0.02})  # accuracies of phrasings
  assert components.of_table(np.full((1, 3, 2), np.nan)) == {}
  assert components.of_table(np.ones((1, 1, 1))) == {}


def test_what_never_differs_has_no_variance():
  found = components.of_table(np.ones((2, 5, 3)))
  assert all(c == Component(0.0, 0.0, 0.0) for c in found.values())


def test_one_mean_square_has_the_interval_of_a_variance():
  accuracies = np.array([0.3, 0.5, 0.9, 0.4])
  found = components.of_table(accuracies[None, None])[P]
  squares = 3 * accuracies.var(ddof=1)
  assert (found.low, found.high) == pytest.approx(squares / scipy.stats.chi2.ppf([0.975, 0.025], 3))


def test_intervals_of_a_difference_hold_for_normal_mean_squares():
  rng = np.random.default_rng(2)
  held = 0
  for _ in range(1000):
    first, second = 3.0 * rng.chisquare(5) / 5, 1.0 * rng.chisquare(40) / 40
    low, high = components.difference(first, 5, second, 40)
    held += low <= 2.0 <= high
  assert held / 1000 == pytest.approx(0.95, abs=0.025)


def test_intervals_hold_for_scores_of_0_and_1():
  # P(right) = expit(0.5 + phrasing + example): the variance of the true accuracies of phrasings and of examples by quadrature.
  points, weights = np.polynomial.hermite_e.hermegauss(41)
  weights = weights / weights.sum()
  p = scipy.special.expit(0.5 + 1.2 * points[:, None] + 0.4 * points)
  truth = {E: np.cov(p @ weights, aweights=weights, ddof=0), P: np.cov(weights @ p, aweights=weights, ddof=0)}
  rng = np.random.default_rng(3)
  held = {E: 0, P: 0}
  for _ in range(300):
    p = scipy.special.expit(0.5 + rng.normal(0, 1.2, (80, 1)) + rng.normal(0, 0.4, 8))
    found = components.of_table((rng.random((1, 80, 8)) < p).astype(float))
    for of in held:
      held[of] += found[of].low <= truth[of] <= found[of].high
  assert all(0.91 <= count / 300 <= 0.99 for count in held.values())


def test_the_mean_over_datasets_and_its_interval():
  parts = [Component(1.0, 0.5, 4.0), Component(3.0, 1.0, 7.0), Component(np.nan, np.nan, np.nan)]
  alone = components.mean(parts)
  assert (alone.variance, alone.low, alone.high) == pytest.approx((2.0, 2 - np.hypot(0.5, 2) / 2, 2 + 5 / 2))
  together = components.mean(parts, shared=True)
  assert (together.low, together.high) == pytest.approx((2 - 1.25, 2 + 3.5))
  assert np.isnan(components.mean(parts[2:]).variance)
  assert Component(-0.1, 0.0, 0.25).sd.high == 0.5 and Component(-0.1, 0.0, 0.25).sd.estimate == 0
