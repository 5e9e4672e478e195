"""Tests of one model against another: known values, scipy, and how often a test is wrong."""

import math

import numpy as np
import pytest

from robust_t5x.analysis import significance

NAN = np.nan


def test_mcnemar():
  first = np.array([1] * 10 + [0] * 2 + [1] * 30 + [0] * 8 + [NAN, 1], float)
  second = np.array([0] * 10 + [1] * 2 + [1] * 30 + [0] * 8 + [1, NAN], float)
  test = significance.mcnemar(first, second)
  assert (test.only_first, test.only_second) == (10, 2)
  # P(at most 2 or at least 10 of 12 fair coins) = 2 (1 + 12 + 66) / 4096.
  assert test.p == pytest.approx(158 / 4096)
  assert significance.mcnemar(second, first).p == pytest.approx(test.p)
  assert significance.mcnemar(first[12:], second[12:]).p == 1.0
  with pytest.raises(ValueError, match='paired change'):
    significance.mcnemar(np.array([0.5]), np.array([1.0]))


def test_adjusted_p_values():
  p = [0.01, 0.04, 0.03, NAN]
  assert significance.adjust(p, 'holm') == pytest.approx([0.03, 0.06, 0.06, NAN], nan_ok=True)
  assert significance.adjust(p, 'benjamini-hochberg') == pytest.approx([0.03, 0.04, 0.04, NAN], nan_ok=True)
  assert significance.adjust([0.6, 0.9]) == pytest.approx([1, 1])
  assert significance.adjust([]).shape == (0,)
  with pytest.raises(ValueError, match='no rule'):
    significance.adjust(p, 'bonferoni')


def test_cohens_h():
  assert significance.cohens_h(1, 0) == pytest.approx(np.pi)
  assert significance.cohens_h(0.5, 0.5) == 0
  assert significance.cohens_h(0.6, 0.5) == pytest.approx(0.2014, abs=1e-4)


@pytest.mark.parametrize(
  ('a', 'b', 'expected'),
  [
    # Means of the examples over phrasings: differences 1, 0.5, 0 and -0.5: mean 0.25, sample sd sqrt(1.25 / 3).
    ([[0, 0], [0, 1], [1, 1], [1, 0]], [[1, 1], [1, 1], [1, 1], [0, 0]], 0.25 / math.sqrt(1.25 / 3)),
    ([[1, 1], [0, 0]], [[1, 1], [0, 0]], math.nan),
    # Accuracies of phrasings stand as a single example: differences 0.2, 0.1 and 0. Two examples are means over theirs.
    ([[0.2, 0.4, 0.6]], [[0.4, 0.5, 0.6]], 1.0),
    ([[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [1.0, 1.0]], 0.75 / math.sqrt(0.125)),
    ([[0.0, np.nan], [0, 0], [1, 0]], [[1, 1], [0, 0], [1, 0]], (1 / 3) / math.sqrt(1 / 3)),
  ],
)
def test_cohens_d(a, b, expected):
  pair = (np.asarray(a, float), np.asarray(b, float))
  assert significance.cohens_d([pair]) == pytest.approx(expected, nan_ok=True)


def test_odds_ratio():
  assert significance.odds_ratio(1 + 0, 3 + 6) == pytest.approx(9.5 / 1.5)
