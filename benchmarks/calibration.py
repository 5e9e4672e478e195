"""How often what a report says of variances and decisions is so: the tables of docs/statistics.md beside those of `coverage.py`.

`nice python benchmarks/calibration.py --out DIR` takes some minutes on one core, `--trials 100` less; `--parts components` makes one
table alone. Scores are right and wrong answers, logit P(right) = mean + example + phrasing + seed, each normal (see `coverage.py`).
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
import pathlib

from coverage import World
import numpy as np
import pandas as pd
import scipy.optimize
import scipy.special

from robust_t5x.analysis import choice, components, decisions, design
from robust_t5x.analysis.comparison import Comparison
from robust_t5x.analysis.crossed import EXAMPLES, PHRASINGS, SEEDS
from robust_t5x.analysis.design import Question
from robust_t5x.results.schema import OBSERVED, UNOBSERVED

_ABILITY, _SEED, _MEAN = 1.2, 0.15, 0.5  # as in coverage.py
# (phrasings, examples, seeds, standard deviation of the phrasings in logits, share of the cells)
COMPONENTS = (
  (3, 50, 1, 0.4, 1.0), (10, 20, 1, 0.4, 1.0), (10, 200, 1, 0.4, 1.0), (10, 100, 1, 0.05, 1.0), (30, 100, 1, 0.4, 1.0),
  (100, 50, 1, 0.4, 1.0), (10, 1000, 1, 0.4, 1.0), (10, 100, 3, 0.4, 1.0), (10, 200, 1, 0.4, 0.5), (20, 100, 1, 0.4, 0.2),
)  # fmt: skip

TESTED = ((5, 100), (10, 200), (30, 200), (30, 1000))
# (phrasings, examples, standard deviation of the phrasings)
CHOSEN = ((5, 50, 0.4), (10, 100, 0.1), (10, 100, 0.4), (30, 50, 0.4), (30, 500, 0.4))
PILOTS = ((5, 50), (10, 100), (30, 200))  # (phrasings of each group, examples)

Rows = Iterator[tuple[str, dict[str, float | str]]]


def true_variances(sd: float, seeds: bool) -> dict[str, float]:
  """Variances of the true accuracies of examples, phrasings and seeds, by quadrature."""
  points, weights = np.polynomial.hermite_e.hermegauss(41)
  weights = weights / weights.sum()
  seed = _SEED * points if seeds else 0 * points
  right = scipy.special.expit(_MEAN + _ABILITY * points[:, None, None] + sd * points[:, None] + seed)
  found = {}
  for axis, factor in enumerate((EXAMPLES, PHRASINGS, SEEDS)):
    means = np.moveaxis(right, axis, 0) @ weights @ weights
    found[factor] = float(weights @ means**2 - (weights @ means) ** 2)
  return found


def variance_components(trials: int, seed: int) -> Rows:
  """Coverage of the intervals of variances, and the mean of their estimates by the truth."""
  for number, (k, n, s, sd, share) in enumerate(COMPONENTS):
    world, rng = World(k, n, s, sd), np.random.default_rng([seed, number])
    truth = true_variances(sd, s > 1)
    held: dict[str, list[bool]] = {}
    values: dict[str, list[float]] = {}
    for _ in range(trials):
      scores = world.table(rng, world.ability(rng), world.ease(rng), world.seed(rng))
      scores = np.where(rng.random((1, n, k)) < share, scores, np.nan)
      for of, found in components.of_table(scores).items():
        if len(of) == 1:
          (factor,) = of
          held.setdefault(factor, []).append(found.low <= truth[factor] <= found.high)
          values.setdefault(factor, []).append(found.variance)
    shares = {f'{factor}: interval holds': float(np.mean(held[factor])) for factor in held}
    for factor, found in values.items():
      mean, error = (f / truth[factor] for f in (np.mean(found), np.std(found) / np.sqrt(trials)))
      shares[f'{factor}: mean by truth'] = float(mean) if error < 0.1 else np.nan  # where so many tables do not tell
    yield _name(k, n, s, sd, share), shares


def _right(shift: float, sd: float) -> float:
  """Mean accuracy over all examples and phrasings, of a mean in logits."""
  points, weights = np.polynomial.hermite_e.hermegauss(101)
  return float(scipy.special.expit(_MEAN + shift + np.hypot(_ABILITY, sd) * points) @ weights / weights.sum())


def _comparison(datasets: Mapping[str, np.ndarray]) -> Comparison:
  """Scores [1, N, k] of groups as results of a model."""
  rows = [('d', g, f'{g}{i}', '', 0.0) for g, scores in datasets.items() for i in range(scores.shape[-1])]
  phrasings = pd.DataFrame(rows, columns=['dataset', 'group', 'instruction_id', 'template', 'm'])
  return Comparison(('m',), {'m': ('results',)}, tuple(datasets), {'d': datasets}, phrasings, {'m': 0.0}, {'m': {}})


def designs(trials: int, seed: int) -> Rows:
  """What the cheapest design after a pilot gives, when it is carried out: the test's power, and the mean's interval."""
  gap = Question({UNOBSERVED: 1.0, OBSERVED: -1.0}, {'m': 1.0})
  mean = Question({UNOBSERVED: 1.0}, {'m': 1.0})
  margin, half = 0.04, 0.03
  shift = scipy.optimize.brentq(lambda s: _right(0.0, 0.4) - _right(s, 0.4) - margin, -2, 0)
  for number, (k, n) in enumerate(PILOTS):
    rng = np.random.default_rng([seed, 200 + number])
    found, widths, rows = [], [], []
    for _ in range(max(trials // 4, 20)):
      pilot = _pair(rng, k, n, shift)
      made = design.variances_of(pilot, gap)
      size = design.cheapest(made, design.frontier(made, margin, 0.8, True))
      later = _pair(rng, size.phrasings, size.examples, shift)
      found.append(later.contrast(gap.groups, [('m', 1.0)]).p_value() < 0.05)
      rows.append(size.rows(made))
      made = design.variances_of(pilot, mean)
      size = design.cheapest(made, design.frontier(made, half, 0.8, False))
      interval = _pair(rng, size.phrasings, size.examples, shift).contrast(mean.groups, [('m', 1.0)]).share()
      widths.append((interval.high - interval.low) / 2)
    yield (
      f'{k} phrasings of each group, {n} examples',
      {
        'power, promised 80%': float(np.mean(found)),
        'rows, middle half of the plans': f'{np.quantile(rows, 0.25):,.0f} to {np.quantile(rows, 0.75):,.0f}',
        'interval, promised ±3.0 points': 100 * float(np.mean(widths)),
      },
    )


def equivalence(trials: int, seed: int) -> Rows:
  """How often differences and spreads are called small: where they are as great as the margin, and where there are none."""
  margin, spread = 0.05, 0.08
  shift = scipy.optimize.brentq(lambda s: _right(0.0, 0.4) - _right(s, 0.4) - margin, -2, 0)
  for number, (k, n) in enumerate(TESTED):
    rng = np.random.default_rng([seed, 300 + number])
    found: dict[str, list[bool]] = {}
    for _ in range(trials):
      for what, move in (('gap at the margin', shift), ('no gap', 0.0)):
        decision = decisions.of_gap(_pair(rng, k, n, move), 'm', margin)
        found.setdefault(f'{what}: equivalent', []).append(decision.p_values.equivalent < decisions.LEVEL)
        if move:
          found.setdefault(f'{what}: not worse', []).append(decision.p_values.not_worse < decisions.LEVEL)
    for what, range_of in (('spread at the margin', spread), ('half of it', spread / 2), ('twice', 2 * spread)):
      ease = _spaced(k, range_of)
      for _ in range(trials // 4):
        scores = World(k, n, 1, 0.0).table(rng, rng.normal(0, _ABILITY, (1, n, 1)), ease)
        decision = decisions.of_spread(_comparison({UNOBSERVED: scores}), 'm', UNOBSERVED, spread)
        side, p = ('above', decision.above) if what == 'twice' else ('below', decision.below)
        found.setdefault(f'{what}: {side}', []).append(p < decisions.LEVEL)
    yield f'{k} phrasings of each group, {n} examples', {name: float(np.mean(held)) for name, held in found.items()}


def choices(trials: int, seed: int) -> Rows:
  """What is said of the phrasing that measured best, and what is so; points are averages over the tables."""
  points, weights = np.polynomial.hermite_e.hermegauss(41)
  for number, (k, n, sd) in enumerate(CHOSEN):
    world, rng = World(k, n, 1, sd), np.random.default_rng([seed, 400 + number])
    found = []
    for _ in range(trials // 2):
      ease = world.ease(rng)
      truth = weights @ scipy.special.expit(_MEAN + ease[0, 0] + _ABILITY * points[:, None]) / weights.sum()
      comparison = _comparison({UNOBSERVED: world.table(rng, world.ability(rng), ease)})
      (best,) = choice.recommend(comparison, 'm', UNOBSERVED)
      own = truth[int(best.instruction_id.removeprefix(UNOBSERVED))]
      held = best.expected.low <= own <= best.expected.high
      found.append(
        (best.measured - own, best.expected.estimate - own, held, best.top, float((truth > own).sum() < choice.TOP))
      )
    measured, expected, held, said, so = np.mean(found, axis=0)
    yield _name(k, n, 1, sd), {
      'measured less true, points': 100 * measured, 'expected less true, points': 100 * expected, 'interval holds': held,
      'among the best three: said': said, 'so': so,
    }  # fmt: skip


def _spaced(k: int, spread: float) -> np.ndarray:
  """Logits [k] of phrasings whose true accuracies are evenly spaced around the mean."""
  wanted = _right(0.0, 0.0) + spread * np.linspace(-0.5, 0.5, k)
  return np.array([scipy.optimize.brentq(lambda s, w=w: _right(s, 0.0) - w, -5, 5) for w in wanted])


def _pair(rng: np.random.Generator, k: int, n: int, shift: float) -> Comparison:
  world = World(k, n, 1, 0.4)
  ability = world.ability(rng)
  tables = {
    UNOBSERVED: world.table(rng, ability, world.ease(rng) + shift),
    OBSERVED: world.table(rng, ability, world.ease(rng)),
  }
  return _comparison(tables)


def _name(k: int, n: int, s: int, sd: float, share: float = 1.0) -> str:
  return (
    f'{k} phrasings, {n} examples, sd {sd}'
    + (f', {s} seeds' if s > 1 else '')
    + (f', {share:.0%} of the cells' if share < 1 else '')
  )


PARTS: dict[str, Callable[[int, int], Rows]] = {
  'components': variance_components,
  'designs': designs,
  'equivalence': equivalence,
  'choices': choices,
}


def markdown(table: pd.DataFrame) -> list[str]:
  """The lines of a printed table: shares as percent, a dash where a design has no such number."""

  def shown(value: object, column: str) -> str:
    if isinstance(value, str):
      return value
    if pd.isna(value):
      return '–'
    return f'{value:.1f}' if column.endswith('points') else f'{value:.0%}'

  lines = ['| design | ' + ' | '.join(table.columns) + ' |', '|' + '---|' * (len(table.columns) + 1)]
  return lines + [
    f'| {name} | ' + ' | '.join(shown(row[c], c) for c in table.columns) + ' |' for name, row in table.iterrows()
  ]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--trials', type=int, default=1000, help='tables of each design')
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--parts', nargs='+', choices=PARTS, default=list(PARTS))
  parser.add_argument('--out', metavar='DIR', help='directory for calibration_PART.csv')
  arguments = parser.parse_args()
  for part in arguments.parts:
    found = {}
    for name, row in PARTS[part](arguments.trials, arguments.seed):
      found[name] = row
      print(f'{name}: ' + ', '.join(f'{k} {v}' for k, v in row.items()), flush=True)
    table = pd.DataFrame(found).T
    print('\n' + '\n'.join(markdown(table)) + '\n')
    if arguments.out:
      table.to_csv(pathlib.Path(arguments.out) / f'calibration_{part}.csv', index_label='design')


if __name__ == '__main__':
  main()
