"""How often what a report says of variances and decisions is so: the tables of docs/statistics.md beside those of `coverage.py`.

`nice python benchmarks/calibration.py --out DIR` takes some minutes on one core, `--trials 100` less; `--parts components` makes one
table alone. Scores are right and wrong answers, logit P(right) = mean + example + phrasing + seed, each normal (see `coverage.py`).
"""

import argparse
from collections.abc import Callable, Iterator
import pathlib

from coverage import World
import numpy as np
import pandas as pd
import scipy.special

from robust_t5x.analysis import components
from robust_t5x.analysis.crossed import EXAMPLES, PHRASINGS, SEEDS

_ABILITY, _SEED, _MEAN = 1.2, 0.15, 0.5  # as in coverage.py
# (phrasings, examples, seeds, standard deviation of the phrasings in logits, share of the cells)
COMPONENTS = (
  (3, 50, 1, 0.4, 1.0), (10, 20, 1, 0.4, 1.0), (10, 200, 1, 0.4, 1.0), (10, 100, 1, 0.05, 1.0), (30, 100, 1, 0.4, 1.0),
  (100, 50, 1, 0.4, 1.0), (10, 1000, 1, 0.4, 1.0), (10, 100, 3, 0.4, 1.0), (10, 200, 1, 0.4, 0.5), (20, 100, 1, 0.4, 0.2),
)  # fmt: skip

Rows = Iterator[tuple[str, dict[str, float]]]


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


def _name(k: int, n: int, s: int, sd: float, share: float = 1.0) -> str:
  return (
    f'{k} phrasings, {n} examples, sd {sd}'
    + (f', {s} seeds' if s > 1 else '')
    + (f', {share:.0%} of the cells' if share < 1 else '')
  )


PARTS: dict[str, Callable[[int, int], Rows]] = {'components': variance_components}


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
      print(f'{name}: ' + ', '.join(f'{k} {v:.3f}' for k, v in row.items()), flush=True)
    table = pd.DataFrame(found).T
    print('\n' + '\n'.join(markdown(table)) + '\n')
    if arguments.out:
      table.to_csv(pathlib.Path(arguments.out) / f'calibration_{part}.csv', index_label='design')


if __name__ == '__main__':
  main()
