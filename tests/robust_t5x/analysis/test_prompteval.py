"""Accuracies of all phrasings from some cells: the sample's balance, the fit against scipy, and known tables."""

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.special

from robust_t5x.analysis import metrics, prompteval
from robust_t5x.analysis.comparison import Comparison, compare
from robust_t5x.analysis.sources import Source


def _table(n, k, seed=0, spread=0.8):
  rng = np.random.default_rng(seed)
  ability, ease = rng.normal(0, 1.5, (n, 1)), rng.normal(0.3, spread, (1, k))
  return (rng.random((n, k)) < scipy.special.expit(ability + ease)).astype(float)


def _sampled(table, share, seed=0):
  return np.where(prompteval.balanced_cells(*table.shape, round(share * table.size), seed), table, np.nan)


@hypothesis.given(st.integers(1, 30), st.integers(1, 30), st.floats(0, 1), st.integers(0, 3))
@hypothesis.settings(max_examples=80, deadline=None)
def test_samples_are_balanced(n, k, share, seed):
  budget = max(1, round(share * n * k))
  chosen = prompteval.balanced_cells(n, k, budget, seed)
  assert chosen.sum() == budget
  assert np.ptp(chosen.sum(0)) <= 1
  assert np.ptp(chosen.sum(1)) <= 1
  assert (chosen == prompteval.balanced_cells(n, k, budget, seed)).all()


def test_samples_differ_and_bad_budgets_are_refused():
  assert (prompteval.balanced_cells(20, 10, 40, 0) != prompteval.balanced_cells(20, 10, 40, 1)).any()
  for budget in (0, 201):
    with pytest.raises(prompteval.CellsError, match='give 1 to 200'):
      prompteval.balanced_cells(20, 10, budget, 0)
  with pytest.raises(prompteval.CellsError, match='no cell was evaluated'):
    prompteval.estimate(np.full((3, 2), np.nan))


@pytest.mark.parametrize('dense', [False, True])
def test_the_fit_is_the_maximum_that_scipy_finds(dense):
  scores = _sampled(_table(12, 7), 0.5)
  there = ~np.isnan(scores)
  of_ease = prompteval._prior(0.6, 7, None, [], flat=True)
  covariates = np.random.default_rng(1).normal(size=(12, 3))
  of_ability = prompteval._prior(1.2, 12, covariates if dense else None, [0.3])
  found = prompteval._Cells(scores).fit(of_ease, of_ability, (np.zeros(7), np.zeros(12)))
  q_ability = of_ability[0] if dense else np.diag(of_ability[0])

  def loss(x):
    ease, ability = x[:7], x[7:]
    logits = (ability[:, None] + ease)[there]
    likelihood = (scores[there] * logits - np.logaddexp(0, logits)).sum()
    return -likelihood + ease @ of_ease[0] @ ease / 2 + ability @ q_ability @ ability / 2

  expected = scipy.optimize.minimize(loss, np.zeros(19), method='BFGS', options={'gtol': 1e-7})
  assert np.r_[found.ease, found.ability] == pytest.approx(expected.x, abs=1e-4)
  # Laplace's evidence, from a Hessian by finite differences of the gradient.
  x, step = np.r_[found.ease, found.ability], 1e-4
  gradient = lambda z: scipy.optimize.approx_fprime(z, loss, 1e-6)  # noqa: E731
  hessian = np.stack([(gradient(x + step * e) - gradient(x - step * e)) / (2 * step) for e in np.eye(19)])
  evidence = -loss(x) + (of_ease[1] + of_ability[1] - np.linalg.slogdet(hessian)[1]) / 2
  assert found.evidence == pytest.approx(evidence, abs=0.05)
  # Draws have the inverse of that Hessian as their covariance.
  drawn = np.array([np.r_[pair] for pair in found.draw(4000, np.random.default_rng(0))])
  assert np.cov(drawn.T) == pytest.approx(np.linalg.inv((hessian + hessian.T) / 2), abs=1.5)
  assert drawn.std(0) == pytest.approx(np.sqrt(np.diag(np.linalg.inv(hessian))), rel=0.1)


def test_prior_with_covariates():
  precision, log_determinant = prompteval._prior(2.0, 2, np.array([[1.0, 0], [3.0, 0]]), [np.log(3)])
  covariance = 4 * np.array([[1, 0.75], [0.75, 1]])  # alike in direction, and three quarters of the variance are shared
  assert np.linalg.inv(precision) == pytest.approx(covariance)
  assert log_determinant == pytest.approx(-np.log(np.linalg.det(covariance)))


def test_all_cells_need_no_estimate():
  table = _table(10, 4)
  found = prompteval.estimate(table)
  assert found.accuracies == pytest.approx(table.mean(0))
  assert found.draws == pytest.approx(np.tile(table.mean(0), (prompteval.DRAWS, 1)))
  assert found.interval('spread').low == found.interval('spread').high == pytest.approx(metrics.spread(table))


def test_better_than_the_mean_of_the_cells():
  errors, covered = [], []
  for seed in range(12):
    table = _table(60, 40, seed)
    scores = _sampled(table, 0.1, seed)
    found = prompteval.estimate(scores, seed=seed)
    full = table.mean(0)
    plain = np.nanmean(scores, axis=0)
    errors.append([prompteval.distance(a, full) for a in (plain, found.accuracies, found.distribution)])
    mean = found.interval('AvgP')
    assert mean.estimate == pytest.approx(found.accuracies.mean())
    covered.append(mean.low <= table.mean() <= mean.high)
    for name in ('spread', 'MaxP', 'worst phrasing'):
      interval = found.interval(name)
      assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    assert found.quantile(0.5).estimate == pytest.approx(np.median(full), abs=0.15)
    assert (found.evaluated, found.cells) == (240, 2400)
  plain, filled, distribution = np.mean(errors, axis=0)
  assert filled < 0.8 * plain
  assert distribution < 0.7 * plain
  assert np.mean(covered) >= 0.75


def test_words_that_matter_help():
  """Phrasings of two kinds, one easy and one hard: their words tell which, and one example each is enough."""
  rng = np.random.default_rng(0)
  templates = [f'{"Answer" if i % 2 else "Guess"} number {i}: {{x}}' for i in range(60)]
  table = (rng.random((50, 60)) < np.where(np.arange(60) % 2, 0.9, 0.2)).astype(float)
  scores = _sampled(table, 0.04)
  error = [
    np.abs(prompteval.estimate(scores, covariates).accuracies - table.mean(0)).mean()
    for covariates in (None, prompteval.text_covariates(templates))
  ]
  assert error[1] < 0.7 * error[0]


def test_text_covariates():
  one, two, other = prompteval.text_covariates(['Say it: {x}', 'say IT : {x}', 'Translate to German'])
  assert one @ two == pytest.approx(1)
  assert one @ other == pytest.approx(0, abs=1e-9)
  assert prompteval.text_covariates(['', '']).shape == (2, 1)


def test_distance_and_bad_metrics():
  assert prompteval.distance(np.array([0.1, 0.5]), np.array([0.5, 0.3])) == pytest.approx((0.2 + 0) / 2)
  with pytest.raises(ValueError, match='no metric of accuracies'):
    prompteval.estimate(_table(4, 3)).interval('PSS')


def test_intervals_of_the_shape_by_hand():
  """The outermost of the 0.5% and 99.5% points under both assumptions; the estimate is the mean over both."""
  rng = np.random.default_rng(0)
  spread = np.stack([rng.uniform(0.2, 0.6, (500, 3)), rng.uniform(0.3, 0.9, (500, 3))])
  draws = np.array([[0.1, 0.9], [0.8, 0.2]])
  found = prompteval.Estimate(np.array([0.4, 0.5]), draws, spread, 3, 6)
  best, interval = spread.max(-1), found.interval('MaxP')
  assert interval.estimate == pytest.approx(best.mean())
  assert interval.low == pytest.approx(np.quantile(best[0], 0.005)) and interval.high == pytest.approx(
    np.quantile(best[1], 0.995)
  )
  assert found.distribution.tolist() == pytest.approx([0.15, 0.85])  # each place's mean: of 0.1 and 0.2, of 0.9 and 0.8
  median = found.quantile(0.5)
  assert (median.estimate, median.low, median.high) == pytest.approx((0.5, 0.5, 0.5))


def test_which_cells_are_sampled_is_chance():
  """Who has the one cell more, and which phrasing the only cell is of."""
  more = {int(prompteval.balanced_cells(5, 3, 6, seed).sum(1).argmax()) for seed in range(20)}
  only = {int(prompteval.balanced_cells(5, 3, 1, seed).sum(0).argmax()) for seed in range(20)}
  assert len(more) > 2 and only == {0, 1, 2}


def test_a_phrasing_without_known_words_is_like_no_other():
  precision, _ = prompteval._prior(2.0, 2, np.array([[1.0, 0], [0.0, 0]]), [np.log(3)])
  assert np.linalg.inv(precision) == pytest.approx(np.diag([4.0, 4.0]))
  assert np.linalg.norm(prompteval.text_covariates(['say it', 'say so', 'translate'])[2]) == 0


def test_estimates_of_a_comparison_are_those_of_its_arrays(tmp_path):
  scores = _sampled(_table(12, 6), 0.5)
  rows = [('d', f'p{i}', f'e{e}', s, f'Say {i}: {{x}}') for (e, i), s in np.ndenumerate(scores) if not np.isnan(s)]
  columns = ['dataset', 'instruction_id', 'example_id', 'score', 'template']
  pd.DataFrame(rows, columns=columns).to_csv(tmp_path / 'm.csv', index=False)
  comparison = compare([str(tmp_path / 'm.csv')])
  [row] = prompteval.estimates(comparison).to_dict('records')
  ids = comparison.names['d', 'all']
  covariates = prompteval.text_covariates([f'Say {i[1:]}: {{x}}' for i in ids])
  expected = prompteval.estimate(comparison.datasets['d']['all'][0], covariates)
  assert (row['model'], row['phrasings'], row['evaluated'], row['cells']) == ('m', 6, 36, 72)
  for name, value in {
    'mean': expected.interval('AvgP'), 'worst': expected.interval('worst phrasing'), 'best': expected.interval('MaxP'),
    'sd': expected.interval('sd'), 'p5': expected.quantile(0.05), 'p50': expected.quantile(0.5), 'p95': expected.quantile(0.95),
  }.items():  # fmt: skip
    assert (row[name], row[f'{name}_low'], row[f'{name}_high']) == (value.estimate, value.low, value.high), name


def test_examples_that_were_never_asked_count_where_their_number_is_told():
  """A budget of 30 cells of 90 examples under two phrasings: intervals are of all 90."""
  full = _table(90, 2)
  scores = np.where(prompteval.balanced_cells(90, 2, 30, 0), full, np.nan)
  asked = scores[~np.isnan(scores).all(1)]
  phrasings = pd.DataFrame(
    [('d', 'g', i, None) for i in 'ab'], columns=['dataset', 'group', 'instruction_id', 'template']
  )
  rows = [
    {'dataset': 'd', 'group': 'g', 'instruction_id': 'ab'[i], 'example_id': str(e), 'score': s}
    for (e, i), s in np.ndenumerate(asked) if not np.isnan(s)
  ]  # fmt: skip

  def made(record):
    source = Source('x', 'm', pd.DataFrame(rows), record)
    table = Comparison(
      ('m',), {'m': ('x',)}, ('g',), {'d': {'g': asked[None]}}, phrasings, {}, {'m': record}, sources=(source,)
    )
    [row] = prompteval.estimates(table).to_dict('records')
    return row

  old, new = made({}), made({'examples': {'d': 90}})
  whole = prompteval.estimate(np.concatenate([asked, np.full((90 - len(asked), 2), np.nan)])).interval('AvgP')
  assert (old['evaluated'], old['cells'], new['evaluated'], new['cells']) == (30, 2 * len(asked), 30, 180)
  assert (new['mean'], new['mean_low'], new['mean_high']) == (whole.estimate, whole.low, whole.high)
  assert new['mean_high'] - new['mean_low'] > 1.15 * (old['mean_high'] - old['mean_low'])
