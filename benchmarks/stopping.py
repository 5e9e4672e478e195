"""How early evaluations with STOP_WIDTH stop, and whether what they then say holds: tables of docs/statistics.md.

`python benchmarks/stopping.py --parts designs` draws tables as `coverage` does; `--parts tables --data DATA` takes published accuracies, from
`DATA/bbh/published_accuracies` and `DATA/instructioneval/published_results/Main/MMLU` (with the questions of `DATA/mmlu/test` counted).
There, how many examples are right under a phrasing is known, and as each phrasing has an order of its own nothing else matters: the
saving is that of evaluating these models on these cells. About ten minutes on one core.
"""

import argparse
from collections.abc import Mapping, Sequence
import csv
import pathlib

from coverage import World
import numpy as np
import pandas as pd
import scipy.special

from robust_t5x.analysis import crossed
from robust_t5x.analysis.sequential import ConfidenceSequence, sizes_after
from robust_t5x.results import published

# (phrasings, examples, standard deviation of the phrasings in logits, mean in logits, points asked for)
DESIGNS = (
  (3, 50, 0.4, 0.5, 5), (10, 100, 0.4, 0.5, 5), (10, 100, 0.4, 4.0, 3), (10, 1000, 0.4, 0.5, 2), (30, 1000, 0.4, 0.5, 2),
  (100, 200, 1.0, 0.5, 2), (10, 2000, 0.05, -3.0, 1),
)  # fmt: skip
ASKED = (5, 3, 2, 1)  # points
_Z = 1.96


class Stopped:
  """Cells drawn round by round until the interval is as narrow as asked."""

  def __init__(self, strata: Sequence[np.ndarray], weights: Sequence[float], points: float, rng: np.random.Generator):
    """Draws.

    Args:
      strata: scores of all cells of each.
      weights: of their means.
      points: of half of the interval.
      rng: of the order.
    """
    sizes = [len(s) for s in strata]
    self.orders = [rng.permutation(n) for n in sizes]
    self.truth = float(sum(w * s.mean() for w, s in zip(weights, strata, strict=True)))
    cells = ConfidenceSequence(sizes, weights, points / 100)
    self.done, self.always, self.rounds = [0] * len(sizes), True, 0
    self.naive: bool | None = None  # whether the usual interval holds when it is first as narrow
    while True:
      after = sizes_after(self.done, sizes, weights, self.rounds)
      cells.add([s[o[b:a]] for s, o, b, a in zip(strata, self.orders, self.done, after, strict=True)])
      self.done, self.rounds = after, self.rounds + 1
      self.interval = cells.interval()
      self.always &= self.interval.low - 1e-9 <= self.truth <= self.interval.high + 1e-9
      if self.naive is None:
        self._look(strata, weights, points / 100)
      if self.interval.half_width <= points / 100 + 1e-12:
        break
    self.share = cells.evaluated / cells.cells

  def _look(self, strata: Sequence[np.ndarray], weights: Sequence[float], half: float) -> None:
    """The usual interval ± 1.96 standard errors of a sample without replacement, looked at until it is narrow."""
    seen = [s[o[:d]] for s, o, d in zip(strata, self.orders, self.done, strict=True)]
    estimate = sum(w * s.mean() for w, s in zip(weights, seen, strict=True))
    variance = sum(w * (s**2).mean() for w, s in zip(weights, seen, strict=True)) - estimate**2
    left = 1 - sum(self.done) / sum(map(len, strata))
    found = _Z * np.sqrt(max(variance, 0) / sum(self.done) * left)
    if found <= half:
      self.naive = bool(abs(estimate - self.truth) <= found + 1e-9)


def simulated(design: tuple[int, int, float, float, float], trials: int, seed: int) -> dict[str, float]:
  """Shares of the tables of a design in which intervals hold, and of the cells that were evaluated."""
  k, n, sd, mean, points = design
  world, rng = World(k, n, 1, sd), np.random.default_rng([seed, k, n, round(100 * points)])
  draws = rng.normal(mean, np.hypot(1.2, sd), 200_000)
  truth_of_all = float(scipy.special.expit(draws).mean())
  found = []
  for _ in range(trials):
    table = world.table(rng, np.asarray(mean - 0.5), world.ability(rng), world.ease(rng))[0]
    stopped = Stopped(list(table.T), [1 / k] * k, points, rng)
    sample = np.full(table.shape, np.nan)
    for i, (order, done) in enumerate(zip(stopped.orders, stopped.done, strict=True)):
      sample[order[:done], i] = table[order[:done], i]
    usual = crossed.contrast([{'u': sample[None]}], [{'u': range(k)}], {'u': 1}, [(slice(None), 1.0)]).share()
    found.append(
      (
        stopped.always,
        stopped.naive,
        usual.low <= truth_of_all <= usual.high,
        stopped.share,
        stopped.rounds,
      )
    )
  columns = (
    'holds at all times',
    'usual ±1.96 standard errors, stopped alike',
    'phrasings like these',
    'cells evaluated',
    'rounds',
  )
  return dict(zip(columns, np.nanmean(np.array(found, float), axis=0).tolist(), strict=True))


def of_designs(trials: int, seed: int) -> pd.DataFrame:
  """A row for each design."""
  whole = {}
  for design in DESIGNS:
    k, n, sd, mean, points = design
    name = f'{k} phrasings, {n} examples, sd {sd}, mean {scipy.special.expit(mean):.0%}, to ±{points} points'
    whole[name] = simulated(design, trials, seed)
    print(f'{name}: ' + ', '.join(f'{c} {v:.3f}' for c, v in whole[name].items()), flush=True)
  return pd.DataFrame(whole).T


def of_tables(tables: Mapping[str, Sequence[tuple[Sequence[np.ndarray], Sequence[float]]]], seed: int) -> pd.DataFrame:
  """For each kind of table, the mean share of the cells over its models (or models and tasks), by points asked for; and how often the interval held."""
  rng, whole = np.random.default_rng(seed), {}
  for name, members in tables.items():
    row, held = (
      {'tables': float(len(members)), 'cells of each': float(np.mean([sum(map(len, s)) for s, _ in members]))},
      [],
    )
    for points in ASKED:
      found = [Stopped(strata, weights, points, rng) for strata, weights in members]
      row[f'±{points} points'] = float(np.mean([f.share for f in found]))
      held += [f.always for f in found]
    whole[name] = row | {'held at all times': float(np.mean(held))}
    print(f'{name}: {whole[name]}', flush=True)
  return pd.DataFrame(whole).T


def read_tables(data: pathlib.Path, results: Sequence[str]) -> dict[str, list[tuple[list[np.ndarray], list[float]]]]:
  """Name -> strata and weights of each table: published accuracies, and evaluations at hand."""
  found: dict[str, list[tuple[list[np.ndarray], list[float]]]] = {}
  bbh, _ = published.read(str(data / 'bbh/published_accuracies'))
  bbh = bbh.assign(n=100)
  found['BIG-Bench Hard, a task (Mizrahi et al.)'] = [
    _of_accuracies(part) for _, part in bbh.groupby(['model', 'dataset'])
  ]
  found['BIG-Bench Hard, all tasks (Mizrahi et al.)'] = [_of_accuracies(part) for _, part in bbh.groupby('model')]
  mmlu, _ = published.read(str(data / 'instructioneval/published_results/Main/MMLU'))
  mmlu = mmlu.assign(n=_questions(data / 'mmlu/test'))
  found['MMLU (InstructionEval)'] = [_of_accuracies(part) for _, part in mmlu.groupby(['model', 'group'])]
  for path in results:
    table = pd.read_parquet(pathlib.Path(path) / 'results.parquet')
    datasets = table['dataset'].nunique()
    members = []
    for _, part in table.groupby('group'):
      strata = [s['score'].to_numpy(float) for _, s in part.groupby(['dataset', 'instruction_id'])]
      phrasings = [d for (d, _), _ in part.groupby(['dataset', 'instruction_id'])]
      members.append((strata, [1 / datasets / phrasings.count(d) for d in phrasings]))
    found[f'{table["model"].iloc[0]}, {datasets} tasks'] = members
  return found


def _of_accuracies(part: pd.DataFrame) -> tuple[list[np.ndarray], list[float]]:
  counts = part.groupby('dataset')['score'].transform('size')
  weights = 1 / part['dataset'].nunique() / counts
  strata = [np.arange(n) < round(a * n) for a, n in zip(part['score'], part['n'], strict=True)]
  return [s.astype(float) for s in strata], weights.tolist()


def _questions(folder: pathlib.Path) -> int:
  return sum(sum(1 for _ in csv.reader(path.open(newline='', encoding='utf-8'))) for path in folder.glob('*.csv'))


def markdown(table: pd.DataFrame) -> list[str]:
  """The lines of a printed table: shares in percent, numbers of things as they are."""
  lines = [
    f'| {"tables" if "tables" in table else "design"} | '
    + ' | '.join(c if c != 'tables' else 'number' for c in table)
    + ' |',
    '|' + '---|' * (table.shape[1] + 1),
  ]
  plain = ('tables', 'cells of each', 'rounds')
  return lines + [
    f'| {name} | ' + ' | '.join(f'{v:,.0f}' if c in plain else f'{v:.0%}' for c, v in row.items()) + ' |'
    for name, row in table.iterrows()
  ]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--parts', nargs='+', choices=('designs', 'tables'), default=['designs'])
  parser.add_argument('--trials', type=int, default=100, help='tables of each design')
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--data', type=pathlib.Path, help='directory of published results, for tables')
  parser.add_argument('--results', nargs='*', default=[], metavar='DIR', help='whole evaluations to stop early, too')
  parser.add_argument(
    '--out', type=pathlib.Path, metavar='DIR', help='for stopping_designs.csv and stopping_tables.csv'
  )
  arguments = parser.parse_args()
  for part in arguments.parts:
    if part == 'designs':
      table = of_designs(arguments.trials, arguments.seed)
    else:
      table = of_tables(read_tables(arguments.data, arguments.results), arguments.seed)
    print('\n' + '\n'.join(markdown(table)) + '\n')
    if arguments.out:
      table.to_csv(arguments.out / f'stopping_{part}.csv', index_label='design')


if __name__ == '__main__':
  main()
