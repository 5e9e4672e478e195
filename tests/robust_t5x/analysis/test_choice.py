"""Which phrasing to use, and what choosing is worth."""

from helpers import write_evaluation
import numpy as np
import pandas as pd
import pytest

from robust_t5x.analysis import choice
from robust_t5x.analysis.comparison import compare


def test_a_choice_from_draws_by_hand():
  # Measured 0.9, 0.8, 0.5, 0.4; four draws of the true accuracies. Of the first's ranks 1, 1, 2, 4 three are among the best three.
  draws = np.array(
    [[0.9, 0.8, 0.5, 0.4], [0.8, 0.7, 0.5, 0.4], [0.9, 0.7, 0.6, 0.2], [0.6, 0.7, 0.5, 0.4], [0.5, 0.7, 0.6, 0.6]]
  )
  found = choice._best('d', 'wxyz', draws, draws[:, 3:])
  assert (found.instruction_id, found.measured, found.top) == ('w', 0.9, 0.75)
  assert found.expected.estimate == pytest.approx(0.7)
  assert found.gain.estimate == pytest.approx(0.7 - np.mean(draws[1:]))
  assert found.over_default.estimate == pytest.approx(0.7 - 0.4)
  assert found.expected.low < 0.55 and found.expected.high > 0.85
  assert choice._best('d', 'wxyz', draws, None).over_default is None


def test_where_phrasings_do_not_differ_nothing_is_gained(tmp_path):
  where = write_evaluation(tmp_path / 'a', 'm', {'observed': 0.6, 'unobserved': 0.6}, examples=300)
  comparison = compare([where])
  for found in choice.recommend(comparison, 'm', 'unobserved'):
    assert found.expected.estimate < found.measured
    assert found.gain.low < 0 < found.gain.high
  gains = choice.worth(comparison, 'm', 'unobserved')
  assert [w.examples for w in gains] == [10, 20, 50, 100]
  assert all(abs(w.gain) < 0.02 < w.seeming or w.examples == 100 for w in gains)


def test_cross_fitting_by_hand():
  # Two examples, chosen on one, scored on the other. The first phrasing has the first right, the second both:
  # chosen on the first, both are best: (0 + 1) / 2 against 1/2; chosen on the second: 1 against 1.
  real, seeming = choice.gains_of(np.array([[1.0, 1.0], [0.0, 1.0]]), 1, np.random.default_rng(0), 2000)
  assert real == pytest.approx(0.0, abs=1e-12)
  assert seeming == pytest.approx(0.25, abs=0.03)  # 0 or 1/2


def test_missing_cells_are_left_out():
  y = np.array([[1.0, 0.0, np.nan]] * 6 + [[1.0, 0.0, 1.0]] * 6)
  real, seeming = choice.gains_of(y, 6, np.random.default_rng(0))
  assert real == pytest.approx(1 / 3, abs=0.02) and seeming == pytest.approx(1 / 3, abs=0.02)


def test_what_leaves_no_choice(tmp_path):
  table = pd.DataFrame(
    {'model': 'm', 'dataset': 'd', 'group': 'all', 'instruction_id': ['a', 'b'], 'score': [0.4, 0.6]}
  )
  table.to_csv(tmp_path / 't.csv', index=False)
  comparison = compare([str(tmp_path / 't.csv')])
  assert choice.recommend(comparison, 'm', 'all') == [] and choice.worth(comparison, 'm', 'all') == []
  one = pd.DataFrame(
    {'model': 'm', 'dataset': 'd', 'group': 'all', 'instruction_id': 'a', 'example_id': list('pqrs'), 'score': 1.0}
  )
  one.to_csv(tmp_path / 'one.csv', index=False)
  comparison = compare([str(tmp_path / 'one.csv')])
  assert choice.recommend(comparison, 'm', 'all') == []
  # A single example tells no noise: the best of its phrasings would be among the best three for sure.
  one.assign(instruction_id=list('abcd'), example_id='p').to_csv(tmp_path / 'one.csv', index=False)
  assert choice.recommend(compare([str(tmp_path / 'one.csv')]), 'm', 'all') == []


def test_the_expected_accuracy_is_honest():
  """Over many tables it is the true accuracy of the chosen phrasing on average, where the measured one is too high."""
  rng = np.random.default_rng(0)
  from robust_t5x.analysis import extremes, statistics

  errors = []
  for trial in range(60):
    truth = rng.normal(0.6, 0.03, 12)
    scores = (rng.random((100, 12)) < truth).astype(float)
    draws = extremes.draw(scores, statistics.example_weights(100, 200, trial, 0), rng)
    found = choice._best('d', range(12), draws, None)
    errors.append([found.measured - truth[found.instruction_id], found.expected.estimate - truth[found.instruction_id]])
  measured, expected = np.mean(errors, axis=0)
  assert measured > 0.04
  assert abs(expected) < 0.012
