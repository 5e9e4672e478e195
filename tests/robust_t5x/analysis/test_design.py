"""How many phrasings and examples show a difference."""

import dataclasses
import itertools

from helpers import in_two_orders
import numpy as np
import pandas as pd
import pytest
import scipy.stats

from robust_t5x.analysis import design
from robust_t5x.analysis.comparison import Comparison, compare
from robust_t5x.analysis.crossed import EXAMPLES, PHRASINGS, Estimate, Part
from robust_t5x.analysis.design import Design, Question, Variances
from robust_t5x.analysis.prompteval import balanced_cells
from robust_t5x.results.schema import GrainError
from seqio_tasks.errors import UserError

GAP = {'unobserved': 1.0, 'observed': -1.0}


def _comparison(runs, k, datasets=1, n=40, alike=True, seed=0):
  rng = np.random.default_rng(seed)
  total = sum(runs.values())

  def scores_of(whole=(total, n, k)):
    """Each model's own effects of examples, phrasings, seeds and all of their interactions."""
    parts = [
      np.concatenate(
        [
          rng.normal(size=[r if of[0] else 1, n if of[1] else 1, k if of[2] else 1]) + np.zeros((r, n, k))
          for r in runs.values()
        ]
      )
      for of in itertools.product([False, True], repeat=3)
    ]
    return sum(parts).reshape(whole)

  scores = {f'd{d}': {g: scores_of() for g in GAP} for d in range(datasets)}
  rows = [(d, g, f'{g}{i}{"" if alike else d}', '') for d in scores for g in GAP for i in range(k)]
  phrasings = pd.DataFrame(rows, columns=['dataset', 'group', 'instruction_id', 'template'])
  return Comparison(tuple(runs), {m: ('x',) * r for m, r in runs.items()}, tuple(GAP), scores, phrasings, {}, {})


@pytest.mark.parametrize('alike', [True, False])
@pytest.mark.parametrize(
  ('groups', 'runs'), [({'unobserved': 1.0}, {'a': 1}), (GAP, {'a': 1}), (GAP, {'a': 3, 'b': 3})]
)
def test_the_table_at_hand_is_planned_as_it_is(groups, runs, alike):
  comparison = _comparison(runs, 6, datasets=2, alike=alike)
  models = dict(zip(runs, (1.0, -1.0), strict=False))
  found = design.variances_of(comparison, Question(groups, models))
  estimate = comparison.contrast(groups, list(models.items()))
  size = Design(6, 40, runs['a'])
  plan = design.planned(found, size)
  assert plan.variance == pytest.approx(estimate.variance, rel=0.02)  # a part below 0 counts as 0
  assert plan.freedom >= estimate.freedom  # datasets and models differ, plans take their mean
  assert size.rows(found) == 6 * 40 * runs['a'] * 2 * len(groups) * len(runs)


def test_one_table_is_planned_with_its_degrees_of_freedom():
  comparison = _comparison({'a': 1}, 6)
  found = design.variances_of(comparison, Question({'unobserved': 1.0}, {'a': 1.0}))
  estimate = comparison.contrast({'unobserved': 1.0}, [('a', 1.0)])
  assert design.planned(found, Design(6, 40)).freedom == pytest.approx(estimate.freedom)


def _variances(**changes):
  settings = {
    'of': {frozenset([PHRASINGS]): 0.01, frozenset([EXAMPLES]): 0.05, frozenset([EXAMPLES, PHRASINGS]): 0.2}, 'likely': (0.01,),
    'datasets': 1, 'tables': 1, 'groups': 1, 'models': 1, 'mean': 0.5, 'sizes': {}, 'evaluated': 1.0,
  }  # fmt: skip
  return Variances(**(settings | changes))


def test_a_planned_variance_by_hand():
  plan = design.planned(_variances(), Design(10, 100))
  assert plan.variance == pytest.approx(0.01 / 10 + 0.05 / 100 + 0.2 / 1000)
  assert plan.share_of(PHRASINGS) == pytest.approx(0.001)
  mean_squares = {9: 0.0012, 99: 0.0007, 891: -0.0002}
  assert {p.freedom: p.variance for p in plan.parts} == pytest.approx(mean_squares)
  assert plan.freedom == pytest.approx(0.0017**2 / sum(v**2 / f for f, v in mean_squares.items()))
  # The mean over several datasets, and several groups, is made of as many parts.
  several = design.planned(_variances(datasets=3, tables=6, groups=2), Design(10, 100))
  assert [p.freedom for p in several.parts].count(9) == 6 and [p.freedom for p in several.parts].count(99) == 3


@pytest.mark.parametrize('distance', [0.0, 1.0, 2.8, 6.0, 40.0])
def test_power_is_that_of_the_noncentral_t(distance):
  estimate = Estimate(0.0, [Part(4.0, 7)])
  at = scipy.stats.t.ppf(0.975, 7)
  expected = 1.0 if distance > 30 else scipy.stats.nct.sf(at, 7, distance) + scipy.stats.nct.cdf(-at, 7, distance)
  assert design.power(estimate, 2 * distance) == pytest.approx(expected, abs=1e-6)
  assert design.power(Estimate(0.0, [Part(0.0, 7)]), 0.01) == 1.0


@pytest.mark.parametrize('freedom', [1.0, 2.5, 19.0, 37.86060084707667, 1e6])
def test_power_is_known_and_grows_with_the_difference(freedom):
  """scipy's distribution function is NaN at some points far out; a search that met one asked for ten times the examples."""
  powers = [design.power(Estimate(0.0, [Part(1.0, freedom)]), d) for d in np.linspace(0.5, 29.9, 300)]
  assert np.isfinite(powers).all() and np.diff(powers).min() > -1e-9 and powers[-1] <= 1
  if freedom == 37.86060084707667:
    assert design.power(Estimate(0.0, [Part(1.0, freedom)]), 11.100364759929176) == pytest.approx(1.0, abs=1e-9)


def test_the_frontier_has_the_fewest_examples():
  variances = _variances(likely=(0.004, 0.01, 0.02))
  found = design.frontier(variances, 0.08, 0.8, True)
  assert [d.phrasings for d in found] == sorted(d.phrasings for d in found)
  assert [d.examples for d in found] == sorted((d.examples for d in found), reverse=True)
  for size in found:
    assert design.chance(variances, size, 0.08) >= 0.8
    fewer = Design(size.phrasings, size.examples - 1)
    assert size.examples == design.FEWEST_EXAMPLES or design.chance(variances, fewer, 0.08) < 0.8
  best = design.cheapest(variances, found)
  assert best.rows(variances) == min(d.rows(variances) for d in found)
  for size in design.frontier(variances, 0.05, 0.8, False):
    assert design.width(variances, size) <= 0.05
  assert design.frontier(variances, 1e-6, 0.8, True) == []
  # Three phrasings at the upper limit do with a lower probability than was promised.
  assert design.chance(design.cautious(variances), best, 0.08) < 0.8


def test_no_interval_is_wider_than_what_there_can_be():
  assert design.half_width(Estimate(0.5, [Part(0.01, 1)])) == pytest.approx(1.2706, abs=1e-4)
  assert design.half_width(Estimate(0.5, [Part(0.01, 1)], limits=(-1, 1))) == 1


def test_what_a_few_phrasings_leave_open():
  comparison = _comparison({'a': 1}, 4, n=200)
  found = design.variances_of(comparison, Question({'unobserved': 1.0}, {'a': 1.0}))
  assert list(found.likely) == sorted(found.likely)
  assert found.likely[2] == pytest.approx(found.of[frozenset([PHRASINGS])])
  many = design.variances_of(_comparison({'a': 1}, 60, n=200), Question({'unobserved': 1.0}, {'a': 1.0}))
  assert many.likely[-1] / many.likely[2] < 1.5 < found.likely[-1] / found.likely[2]


def test_results_that_tell_no_design(tmp_path):
  with pytest.raises(UserError, match='no dataset has phrasings of unobserved and default'):
    design.variances_of(_comparison({'a': 1}, 3), Question({'unobserved': 1.0, 'default': -1.0}, {'a': 1.0}))
  with pytest.raises(UserError, match='two phrasings or more'):
    design.variances_of(_comparison({'a': 1}, 1), Question({'unobserved': 1.0}, {'a': 1.0}))
  with pytest.raises(UserError, match='two examples or more'):
    design.variances_of(_comparison({'a': 1}, 3, n=1), Question({'unobserved': 1.0}, {'a': 1.0}))
  cells = list(itertools.product('ab', 'efg'))
  right = pd.DataFrame(cells, columns=['instruction_id', 'example_id']).assign(dataset='d', score=1)
  right.to_csv(tmp_path / 'right.csv', index=False)
  with pytest.raises(UserError, match='all scores are alike'):
    design.variances_of(compare([str(tmp_path / 'right.csv')]), Question({'all': 1.0}, {'right': 1.0}))
  table = pd.DataFrame(
    {'model': 'm', 'dataset': 'd', 'group': 'all', 'instruction_id': ['a', 'b'], 'score': [0.4, 0.6]}
  )
  table.to_csv(tmp_path / 't.csv', index=False)
  with pytest.raises(GrainError, match='accuracies per phrasing'):
    design.variances_of(compare([str(tmp_path / 't.csv')]), Question({'all': 1.0}, {'m': 1.0}))


def _sample(shape, share, seed, balanced):
  """Cells as CELL_BUDGET takes them, or as STOP_WIDTH does: of each phrasing as many, at random."""
  if balanced:
    return balanced_cells(*shape, round(share * shape[0] * shape[1]), seed)
  return np.random.default_rng(seed).random(shape).argsort(0).argsort(0) < share * shape[0]


@pytest.mark.parametrize(('share', 'balanced'), [(0.5, True), (0.15, False)])
def test_a_sample_of_the_cells_tells_the_variances_of_the_whole(share, balanced):
  """Examples vary by 1 in both groups alike and by 0.5 in each, phrasings by 0.3 and single cells by 2."""
  n, k, draws = 120, 8, []
  phrasings = pd.DataFrame(
    [('d', g, f'{g}{i}', '') for g in GAP for i in range(k)], columns=['dataset', 'group', 'instruction_id', 'template']
  )
  for seed in range(25):
    rng = np.random.default_rng(seed)
    common, scores = rng.normal(size=(n, 1)), {}
    for place, group in enumerate(GAP):
      own = rng.normal(0, 0.5**0.5, (n, 1)) + rng.normal(0, 0.3**0.5, k) + rng.normal(0, 2**0.5, (n, k))
      scores[group] = np.where(_sample((n, k), share, 2 * seed + place, balanced), common + own, np.nan)[None]
    table = Comparison(('a',), {'a': ('x',)}, tuple(GAP), {'d': scores}, phrasings, {}, {})
    found = [design.variances_of(table, Question(groups, {'a': 1.0})).of for groups in ({'observed': 1.0}, GAP)]
    draws.append([[of[frozenset(f)] for f in ([EXAMPLES], [PHRASINGS], [EXAMPLES, PHRASINGS])] for of in found])
  means, errors = np.mean(draws, 0), np.std(draws, 0) / len(draws) ** 0.5
  assert (np.abs(means - [[1.5, 0.3, 2.0], [1.0, 0.6, 4.0]]) < 3.5 * errors).all(), (means, errors)
  assert (errors < 0.3).all()


def test_examples_that_were_asked_once_tell_no_design():
  comparison = _comparison({'a': 1}, 4)
  once = np.where(np.arange(40)[:, None] % 4 == np.arange(4), 0.0, np.nan)
  datasets = {d: {g: s + once for g, s in groups.items()} for d, groups in comparison.datasets.items()}
  with pytest.raises(
    UserError, match='no example of d0 was evaluated under two of its unobserved phrasings.*more cells'
  ):
    design.variances_of(dataclasses.replace(comparison, datasets=datasets), Question({'unobserved': 1.0}, {'a': 1.0}))


def test_the_order_of_the_rows_of_a_table_says_nothing(tmp_path):
  """Phrasings of three datasets are the same, though a file has them in another order in each."""
  question = Question({'all': 1.0}, {'m': 1.0})
  one, other = (design.variances_of(compare([path]), question) for path in in_two_orders(tmp_path))
  assert (one.tables, one.datasets) == (other.tables, other.datasets) == (1, 3)
  assert other.of == pytest.approx(one.of) and other.likely == pytest.approx(one.likely)
