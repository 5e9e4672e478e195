"""What the accuracies of given phrasings may be: limits, what draws share, and how often intervals hold the truth."""

import numpy as np
import pytest
import scipy.special

from robust_t5x.analysis import extremes, metrics, statistics


def _draw(scores, replicates=400, seed=0):
  weights = statistics.example_weights(scores.shape[-2], replicates, seed, 0)
  return extremes.draw(scores, weights, np.random.default_rng(seed))


def test_the_first_row_is_the_data():
  scores = np.random.default_rng(0).random((2, 9, 4)).round()
  draws = _draw(scores)
  assert draws.shape == (401, 2, 4)
  assert draws[0] == pytest.approx(scores.mean(1))


def test_accuracies_of_resamples_are_those_of_the_examples_written_out():
  rng = np.random.default_rng(0)
  scores = rng.choice([0, 0.25, 1, np.nan], (2, 6, 3))
  scores[1, :, 0] = np.nan
  drawn = rng.integers(6, size=6)
  found = extremes._accuracies(scores, np.bincount(drawn, minlength=6)[None].astype(float))
  assert found.shape == (1, 2, 3)
  assert found[0] == pytest.approx(metrics.phrasing_accuracy(scores[:, drawn]), nan_ok=True)


def test_phrasings_that_are_alike_are_drawn_together_and_others_stay_apart():
  rng = np.random.default_rng(1)
  alike = (rng.random((200, 12)) < 0.5).astype(float)
  measured = metrics.spread(alike)
  drawn = np.ptp(_draw(alike)[1:], axis=-1)
  assert np.median(drawn) < 0.7 * measured
  apart = (rng.random((2000, 4)) < [0.2, 0.4, 0.6, 0.8]).astype(float)
  draws = _draw(apart)[1:]
  assert draws.mean(0) == pytest.approx(apart.mean(0), abs=0.005)
  assert draws.std(0) == pytest.approx(np.sqrt(apart.mean(0) * (1 - apart.mean(0)) / 2000), rel=0.15)


def test_what_models_share_cancels_in_a_difference():
  rng = np.random.default_rng(2)
  first = (rng.random((100, 6)) < rng.random((100, 1))).astype(float)
  draws = _draw(np.stack([first, first]))[1:]
  mean = draws.mean(-1)
  assert np.std(mean[:, 0] - mean[:, 1]) < 0.2 * np.std(mean[:, 0])


def test_a_phrasing_without_cells_stays_unknown():
  scores = np.random.default_rng(3).random((8, 3)).round()
  scores[:, 1] = np.nan
  draws = _draw(scores)
  assert np.isnan(draws[:, 1]).all() and not np.isnan(draws[:, [0, 2]]).any()
  scores[:, 2] = np.nan
  assert not np.isnan(_draw(scores)[:, 0]).any()


@pytest.mark.parametrize(('phrasings', 'examples', 'sd'), [(4, 50, 0.4), (10, 100, 0.05), (20, 60, 0.6)])
def test_intervals_cover(phrasings, examples, sd):
  """Of 200 tables, 95% intervals of the best, worst, spread and sd of the phrasings' true accuracies hold 90% or more."""
  rng = np.random.default_rng(4)
  names = ('MaxP', 'worst phrasing', 'spread', 'sd')
  covered = {name: [] for name in names}
  for trial in range(200):
    ease = rng.normal(0, sd, phrasings)
    truth = scipy.special.expit(0.5 + rng.normal(0, 1.2, (4000, 1)) + ease).mean(0)
    scores = (
      rng.random((examples, phrasings)) < scipy.special.expit(0.5 + rng.normal(0, 1.2, (examples, 1)) + ease)
    ) * 1.0
    draws = _draw(scores, 300, trial)[:, None]
    for name in names:
      found = statistics.of_draws(metrics.METRICS[name](draws))
      covered[name].append(found.low - 1e-3 <= metrics.METRICS[name](truth[None]) <= found.high + 1e-3)
  for name in names:
    assert np.mean(covered[name]) >= 0.9, name
