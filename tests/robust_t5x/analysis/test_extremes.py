"""What the accuracies of given phrasings may be: limits, what draws share, and how often intervals hold the truth."""

import numpy as np
import pytest
import scipy.special
import scipy.stats

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
  with np.errstate(invalid='raise', divide='raise'):
    draws = _draw(scores)
  assert np.isnan(draws[:, 1]).all() and not np.isnan(draws[:, [0, 2]]).any()
  scores[:, 2] = np.nan
  assert not np.isnan(_draw(scores)[:, 0]).any()


def test_phrasings_with_the_same_answers_move_together_but_for_an_example():
  """The examples' noise is that of a phrasing by itself; beside it two may differ by what an example of 30 each can do."""
  scores = np.random.default_rng(3).random((30, 1)).round()
  with np.errstate(invalid='raise', divide='raise'):
    draws = _draw(np.tile(scores, 3))
  assert draws[0] == pytest.approx(scores.mean())
  for found in (draws[1:], _draw(scores)[1:]):
    assert found.std(0) == pytest.approx(np.sqrt(scores.mean() * (1 - scores.mean()) / 30), rel=0.2)
  assert 0.5 / 30 < (draws[1:, 0] - draws[1:, 1]).std() < np.sqrt(2) / 30


def test_draws_follow_the_posterior_of_the_spread():
  """Against the likelihood of every spread, with the mean integrated out on a grid; the prior of both is flat."""
  measured, v = np.array([-0.4, 0.1, 0.3, 0.9]), 0.09
  k = len(measured)
  noise = np.random.default_rng(5).normal(0, np.sqrt(v), (40_000, k))
  drawn = extremes._shrunk(measured, noise, np.random.default_rng(6))
  widths, means = np.linspace(0, 5, 401), np.linspace(-6, 6, 601)
  sd = np.sqrt(widths**2 + v)[:, None, None]
  likelihood = scipy.stats.norm.pdf(measured, means[:, None], sd).prod(-1).sum(-1)
  posterior = likelihood / likelihood.sum()
  share = (widths**2 / (widths**2 + v))[:, None]
  centre = measured.mean() + share * (measured - measured.mean())
  expected = posterior @ centre
  assert drawn.mean(0) == pytest.approx(expected, abs=0.01)
  variance = (posterior @ share) * v * (k - 1) / k + v / k + posterior @ (centre - expected) ** 2
  assert drawn.var(0) == pytest.approx(variance, rel=0.05)


def test_few_examples_have_wider_noise():
  """A phrasing by itself: resamples of 6 examples vary by 5/6 of what samples do, and the tails are Student's."""
  scores = np.array([1.0, 0, 1, 0, 1, 1])[:, None]
  weights = statistics.example_weights(6, 500, 0, 0)
  noise = extremes._logit(extremes._accuracies(scores, weights)[1:], 6) - scipy.special.logit(4 / 6)
  wider = np.sqrt(6 / 5) * scipy.stats.t.ppf(0.975, 5) / scipy.stats.norm.ppf(0.975)
  drawn = extremes.draw(scores, weights, np.random.default_rng(0))[1:]
  assert scipy.special.logit(drawn) - scipy.special.logit(4 / 6) == pytest.approx(noise * wider)
  # Cells that nobody evaluated are no examples.
  more = np.concatenate([scores, np.full((4, 1), np.nan)])
  assert extremes.draw(more, np.pad(weights, [(0, 0), (0, 4)]), np.random.default_rng(0))[1:] == pytest.approx(drawn)


@pytest.mark.parametrize(
  ('phrasings', 'examples', 'sd', 'ease_of_all'),
  [(4, 50, 0.4, 0.5), (10, 100, 0.05, 0.5), (20, 60, 0.6, 0.5), (10, 50, 0.4, 4.5), (4, 20, 0.8, -3)],
)
def test_intervals_cover(phrasings, examples, sd, ease_of_all):
  """Of 200 tables, 95% intervals of the best, worst, spread and sd of the phrasings' true accuracies hold 90% or more."""
  rng = np.random.default_rng(4)
  names = ('MaxP', 'worst phrasing', 'spread', 'sd')
  covered = {name: [] for name in names}
  for trial in range(200):
    ease = rng.normal(0, sd, phrasings)
    truth = scipy.special.expit(ease_of_all + rng.normal(0, 1.2, (4000, 1)) + ease).mean(0)
    scores = (
      rng.random((examples, phrasings)) < scipy.special.expit(ease_of_all + rng.normal(0, 1.2, (examples, 1)) + ease)
    ) * 1.0
    draws = _draw(scores, 300, trial)[:, None]
    for name in names:
      found = statistics.of_draws(metrics.METRICS[name](draws))
      covered[name].append(found.low - 1e-3 <= metrics.METRICS[name](truth[None]) <= found.high + 1e-3)
  for name in names:
    assert np.mean(covered[name]) >= 0.9, name


def test_none_or_all_right_are_half_an_example_away():
  assert extremes._logit(np.array([0.0, 1.0, 0.5]), 9) == pytest.approx(np.log([1 / 19, 19, 1]))


def test_phrasings_without_a_wrong_answer_have_the_noise_of_a_share():
  """One of them alone has Jeffreys' interval, and so have several; the others are drawn as before."""
  right = np.ones((30, 1))
  low, high = scipy.stats.beta.ppf([0.025, 0.9], 30.5, 0.5)
  assert np.quantile(_draw(right, 20_000)[1:, 0], 0.025) == pytest.approx(low, abs=0.003)
  assert np.quantile(_draw(1 - right, 20_000)[1:, 0], 0.975) == pytest.approx(1 - low, abs=0.003)
  worst = _draw(np.ones((30, 4)), 20_000)[1:].min(-1)
  assert np.quantile(worst, 0.025) < low + 0.005 and np.quantile(worst, 0.9) < high
  mixed = np.concatenate([(np.random.default_rng(0).random((30, 1)) < 0.5) * 1.0, right], axis=1)
  assert np.ptp(_draw(mixed)[1:], axis=0).min() > 0.05


def test_phrasings_that_are_right_on_the_same_examples_may_still_differ():
  """Of two models alike it cancels; the spread of twins is at most about what examples without a disagreement leave open."""
  right = (np.random.default_rng(0).random((60, 1)) < 0.7) * np.ones((60, 3))
  draws = _draw(right[None], 2000)[1:, 0]
  assert 0.5 / 60 < np.quantile(np.ptp(draws, axis=-1), 0.975) < 1 - 0.025 ** (1 / 60) + 0.02
  both = _draw(np.stack([right, right]), 50)
  assert both[:, 0].max(-1) - both[:, 1].max(-1) == pytest.approx(0, abs=0.05)
