"""Metrics over phrasings: hand-computed tables. test_published_numbers.py compares with published values."""

import itertools
import math

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
import numpy as np
import pandas as pd
import pytest

from robust_t5x.analysis import metrics

NAN = math.nan
# Four examples by three phrasings: accuracies 3/4, 2/4, 1/4.
MIXED = [[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]]
ONE_PHRASING = [[1], [0], [1], [1]]
ALL_EQUAL = [[1, 1], [0, 0]]
# Accuracies 1 (of one example), 1/2.
MISSING = [[1, 1], [NAN, 0]]
SCORES = st_numpy.arrays(
  float, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.sampled_from([0.0, 0.25, 1.0, NAN])
)


@pytest.mark.parametrize(
  ('name', 'scores', 'expected'),
  [
    ('AvgP', MIXED, 0.5),
    ('MaxP', MIXED, 0.75),
    ('saturation', MIXED, 0.75),
    ('CPS', MIXED, 0.5625),
    ('spread', MIXED, 0.5),
    ('sd', MIXED, 0.25),
    ('worst phrasing', MIXED, 0.25),
    ('case-level worst', MIXED, 0.25),
    ('case-level best', MIXED, 0.75),
    ('case-level sd', MIXED, 2 * math.sqrt(1 / 3) / 4),
    ('PSS', MIXED, (2 / 3 + 2 / 3) / 4),
    ('PSS', ONE_PHRASING, NAN),
    ('PSS', ALL_EQUAL, 0.0),
    ('PSS', MISSING, 0.0),
    ('PSS', [[0, 0.25, 1], [NAN, 0.5, 1]], ((0.25 + 0.75 + 1) / 3 + 0.5) / 2),
    ('AvgP', ONE_PHRASING, 0.75),
    ('saturation', ONE_PHRASING, 1.0),
    ('spread', ONE_PHRASING, NAN),
    ('sd', ONE_PHRASING, NAN),
    ('case-level sd', ONE_PHRASING, NAN),
    ('sd', ALL_EQUAL, 0.0),
    ('CPS', ALL_EQUAL, 0.5),
    ('case-level worst', ALL_EQUAL, 0.5),
    ('AvgP', MISSING, 0.75),
    ('MaxP', MISSING, 1.0),
    ('worst phrasing', MISSING, 0.5),
    ('case-level worst', MISSING, 0.5),
  ],
)
def test_hand_computed(name, scores, expected):
  assert metrics.METRICS[name](np.array(scores, float)) == pytest.approx(expected, nan_ok=True)


def test_the_two_worsts_differ():
  scores = np.array([[1, 0], [0, 1]], float)
  assert metrics.worst_phrasing(scores) == 0.5
  assert metrics.case_worst(scores) == 0.0


def test_leading_axes_are_kept():
  scores = np.stack([np.array(MIXED, float), 1 - np.array(MIXED, float)])
  for metric in metrics.METRICS.values():
    assert metric(scores) == pytest.approx([metric(scores[0]), metric(scores[1])])


@hypothesis.given(SCORES, st.permutations(range(6)), st.permutations(range(6)))
@hypothesis.settings(max_examples=40, deadline=None)
def test_order_does_not_matter(scores, rows, columns):
  n, k = scores.shape
  other = scores[[r for r in rows if r < n]][:, [c for c in columns if c < k]]
  for name, metric in metrics.METRICS.items():
    assert metric(other) == pytest.approx(metric(scores), nan_ok=True, abs=1e-12), name


@hypothesis.given(SCORES)
@hypothesis.settings(max_examples=40, deadline=None)
def test_pairs_counted_one_by_one(scores):
  distances = [[abs(a - b) for a, b in itertools.combinations(row[~np.isnan(row)], 2)] for row in scores]
  expected = np.mean([np.mean(row) for row in distances if row]) if any(distances) else NAN
  assert metrics.pairwise_sensitivity(scores) == pytest.approx(expected, nan_ok=True)


def test_values_of_examples_are_what_case_level_metrics_are_means_of():
  scores = np.random.default_rng(0).random((2, 7, 4)).round(1)
  scores[:, 2, 1:] = NAN
  for name, of_examples in metrics.CASE_METRICS.items():
    values = of_examples(scores)
    assert values.shape == (2, 7)
    assert np.nanmean(values, axis=-1) == pytest.approx(metrics.METRICS[name](scores)), name
    assert np.isnan(values[:, 2]).all() == (name in ('case-level sd', 'PSS'))


def test_nothing_evaluated_is_not_known_and_not_warned_of(recwarn):
  for metric in metrics.METRICS.values():
    assert math.isnan(metric(np.full((3, 2), NAN)))
  assert not recwarn


def test_observed_gap():
  assert metrics.observed_gap(np.array(MIXED, float), np.array(ONE_PHRASING, float)) == pytest.approx(-0.25)


def test_performance_drop_rate():
  assert metrics.performance_drop_rate(0.8, 0.6) == pytest.approx(0.25)
  assert metrics.performance_drop_rate(0.8, 0.9) == pytest.approx(-0.125)
  assert math.isnan(metrics.performance_drop_rate(0, 0))


def test_phrasings_needed():
  assert metrics.phrasings_needed(np.full(50, 0.3), 0.01) == 1
  assert metrics.phrasings_needed(np.array([0.4]), 0.01) == 1
  # One phrasing of two is 0.5 off, so both are needed; 0.5 off is allowed in the second case.
  assert metrics.phrasings_needed(np.array([0.0, 1.0]), 0.4) == 2
  assert metrics.phrasings_needed(np.array([0.0, 1.0]), 0.5) == 1
  # One of ten fails. A mean of m without it is 0.1 too high, with it at most 0.1 too low from m = 5 on. Four
  # hold it with probability 0.4: too often at delta = 0.05, not at 0.45.
  one_fails = np.r_[np.ones(9), 0]
  assert metrics.phrasings_needed(one_fails, 0.1, delta=0.05) == 5
  assert metrics.phrasings_needed(one_fails, 0.1, delta=0.0) == 5  # in every order
  assert metrics.phrasings_needed(one_fails, 0.1, delta=0.45) == 1
  # The normal theory for sampling without replacement: 1.96 sd sqrt((1 / m)(1 - m / k)) = epsilon.
  a = np.random.default_rng(0).normal(0.5, 0.1, 400)
  z = (1.96 * a.std() / 0.02) ** 2
  assert metrics.phrasings_needed(a, 0.02, draws=8000) == pytest.approx(z / (1 + z / 400), rel=0.07)
  with pytest.raises(ValueError, match='no accuracy'):
    metrics.phrasings_needed(np.array([NAN]), 0.1)


def test_table_cells():
  table = pd.DataFrame(
    [
      ('d', 'observed', 'e1', 'i1', 1.0),
      ('d', 'observed', 'e2', 'i1', 0.0),
      ('d', 'unobserved', 'e2', 'i2', 1.0),
    ],
    columns=['dataset', 'group', 'example_id', 'instruction_id', 'score'],
  )
  cells = metrics.table_cells(table)['d']
  np.testing.assert_array_equal(cells['observed'].to_numpy(), [[1], [0]])
  np.testing.assert_array_equal(cells['unobserved'].to_numpy(), [[NAN], [1]])
  with pytest.raises(ValueError, match="more than one score of example 'e1' under 'i1'"):
    metrics.table_cells(pd.concat([table, table.iloc[:1]]))
