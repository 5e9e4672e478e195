"""Agreement over phrasings: published worked examples, hand-computed cases, and pairs counted one by one."""

import itertools
import math

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
import numpy as np
import pytest
import scipy.stats

from robust_t5x.analysis import agreement

# How many of 14 raters put each of 10 subjects in each of 5 categories: the worked example of Fleiss' kappa, 0.210.
FLEISS = [
  [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
  [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip
ANSWERS = st_numpy.arrays(int, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(-1, 3))


def test_fleiss_worked_example():
  answers = np.stack([np.repeat(np.arange(5), row) for row in FLEISS])
  assert agreement.fleiss_kappa(answers) == pytest.approx(0.210, abs=5e-4)
  assert agreement.consistency_rate(answers) == pytest.approx(0.378, abs=5e-4)  # its mean P of the subjects


@pytest.mark.parametrize(
  ('answers', 'consistency', 'kappa'),
  [
    ([[0, 1], [2, 2]], 1 / 2, (1 / 2 - (1 + 1 + 4) / 16) / (1 - 6 / 16)),
    ([[0, 0], [1, 1]], 1.0, 1.0),  # full agreement
    ([[0, 1], [0, 1]], 0.0, -1.0),  # full disagreement
    ([[5, 5], [5, 5]], 1.0, math.nan),  # all equal: chance agrees as well
    ([[0], [1]], math.nan, math.nan),  # one phrasing
    ([[0, 0, -1], [1, -1, -1]], 1.0, math.nan),  # missing: one pair, and one answer in all examples that have a pair
    ([[0, 0, 1], [1, 1, -1]], 1 / 2, (2 / 3 - (4 + 9) / 25) / (1 - 13 / 25)),
    ([[-1, -1]], math.nan, math.nan),  # nothing evaluated
  ],
)
def test_hand_computed(answers, consistency, kappa, recwarn):
  assert agreement.consistency_rate(np.array(answers)) == pytest.approx(consistency, nan_ok=True)
  assert agreement.fleiss_kappa(np.array(answers)) == pytest.approx(kappa, nan_ok=True)
  assert not recwarn


@hypothesis.given(ANSWERS, st.integers(0, 9))
@hypothesis.settings(max_examples=60, deadline=None)
def test_a_resample_is_the_examples_written_out(answers, seed):
  drawn = np.random.default_rng(seed).integers(len(answers), size=len(answers))
  weights = np.bincount(drawn, minlength=len(answers))[None].astype(float)
  found = agreement.of_resamples(answers[None], weights)
  assert found['consistency'].shape == (1, 1)
  for name, metric in (('consistency', agreement.consistency_rate), ("Fleiss' kappa", agreement.fleiss_kappa)):
    assert found[name][0, 0] == pytest.approx(metric(answers[drawn]), nan_ok=True), name


@hypothesis.given(ANSWERS)
@hypothesis.settings(max_examples=60, deadline=None)
def test_pairs_counted_one_by_one(answers):
  rows = [row[row >= 0] for row in answers]
  pairs = [[a == b for a, b in itertools.combinations(row, 2)] for row in rows]
  together = sum(pairs, [])
  assert agreement.consistency_rate(answers) == pytest.approx(np.mean(together) if together else math.nan, nan_ok=True)
  given = np.concatenate([row for row in rows if len(row) > 1] or [np.empty(0, int)])
  chance = ((np.bincount(given) / len(given)) ** 2).sum() if len(given) else 1
  observed = np.mean([np.mean(p) for p in pairs if p]) if together else math.nan
  expected = (observed - chance) / (1 - chance) if chance < 1 else math.nan
  assert agreement.fleiss_kappa(answers) == pytest.approx(expected, nan_ok=True)


@hypothesis.given(ANSWERS, st.permutations(range(4)))
@hypothesis.settings(max_examples=40, deadline=None)
def test_the_names_of_answers_do_not_matter(answers, names):
  renamed = np.where(answers < 0, -1, np.array(names)[answers])
  for metric in (agreement.consistency_rate, agreement.fleiss_kappa):
    assert metric(renamed[::-1, ::-1]) == pytest.approx(metric(answers), nan_ok=True)


def test_more_answers_than_are_followed_through_resamples():
  """The data's own value is exact: as statsmodels-like counts give it."""
  answers = np.random.default_rng(0).integers(0, 900, (300, 6))
  answers[:, 1] = answers[:, 0]
  p_n = [np.mean([row[i] == row[j] for i, j in itertools.combinations(range(6), 2)]) for row in answers]
  chance = ((np.bincount(answers.ravel()) / answers.size) ** 2).sum()
  assert agreement.fleiss_kappa(answers) == pytest.approx((np.mean(p_n) - chance) / (1 - chance))


def test_posix():
  # Two phrasings: |log p(y2|x1) - log p(y2|x2)| / 4 = 2 / 4 and |log p(y1|x2) - log p(y1|x1)| / 2 = 1 / 2.
  log_probabilities = np.array([[-1.0, -5.0], [-2.0, -3.0]])
  assert agreement.posix(log_probabilities, np.array([2.0, 4.0])) == pytest.approx((0.5 + 0.5) / 2)
  assert agreement.posix(np.zeros((3, 2, 2)), np.ones((3, 2))) == pytest.approx([0, 0, 0])
  assert np.isnan(agreement.posix(np.zeros((1, 1)), np.ones(1)))


def test_posix_of_options():
  # The answers are option 1 under phrasing 1, option 0 under phrasing 2.
  options = np.array([[[-5.0, -1.0], [-2.0, -3.0]], [[-1.0, -9.0], [-1.0, -9.0]]])
  found = agreement.posix_of_options(options, np.array([[4.0, 2.0], [1.0, 1.0]]))
  # In the second example both phrasings give the same answer the same likelihood.
  assert found == pytest.approx([(3 / 4 + 2 / 2) / 2, 0])


@pytest.mark.parametrize('ties', [False, True])
def test_kendalls_w_is_friedmans_statistic_rescaled(ties):
  accuracies = np.random.default_rng(0).random((5, 8)) + np.linspace(0, 1, 8)
  if ties:
    accuracies = np.round(accuracies, 0)
  expected = scipy.stats.friedmanchisquare(*accuracies.T).statistic / (5 * 7)
  assert agreement.kendalls_w(accuracies) == pytest.approx(expected)


def test_kendalls_w_extremes():
  ordered = np.arange(6.0)
  assert agreement.kendalls_w(np.stack([ordered, ordered**2])) == pytest.approx(1)
  assert agreement.kendalls_w(np.stack([ordered, -ordered])) == pytest.approx(0)
  assert np.isnan(agreement.kendalls_w(ordered[None]))
  assert np.isnan(agreement.kendalls_w(np.ones((3, 4))))
