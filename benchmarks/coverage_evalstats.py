"""How often evalstats' intervals hold and its tests find what is not there, on the first tables of `coverage.py`.

  python benchmarks/coverage_evalstats.py --peer-python PYTHON_WITH_EVALSTATS [--trials 400] --out out/coverage_evalstats.csv

The tables are drawn here and judged by evalstats in its own environment, with its defaults and the range of the scores, which it
asks for. It is given phrasings in two ways. Averaged: a model's score of an example is the mean over phrasings, which is what its
`compare(factors='model')` makes of a table with a column of prompts. As runs: each phrasing is another run of the same example.
Seeds are runs in both.
"""

import argparse
from collections.abc import Iterator
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import pandas as pd

LAYOUTS = ('evalstats', 'evalstats, phrasings as runs')


def judge(directory: pathlib.Path) -> None:
  """In evalstats' environment: writes `DESIGN.json` beside each `DESIGN.npz`, with an interval or p-value of each table."""
  import evalstats  # only there

  for path in sorted(directory.glob('*.npz')):
    found = {layout: [] for layout in LAYOUTS}
    with np.load(path) as stored:
      groups, pairs = stored['groups'].astype(float), stored['pairs'].astype(float)
    for tables in zip(groups, pairs, strict=True):
      for layout in LAYOUTS:
        gap, change = (_compared(evalstats, table, layout) for table in tables)
        mean = [float(bound[0]) for bound in (gap.robustness.ci_low, gap.robustness.ci_high)]
        found[layout].append({'mean accuracy': mean, 'gap': _of_pair(gap), 'change': _of_pair(change)})
    told = {'version': evalstats.__version__, 'found': found}
    path.with_suffix('.json').write_text(json.dumps(told), encoding='utf-8')


def _compared(evalstats, scores: np.ndarray, layout: str):
  """evalstats' analysis of two entities, scores [2, seeds, N, k]."""
  runs = scores.mean(3, keepdims=True) if layout == LAYOUTS[0] else scores
  runs = runs.transpose(0, 2, 1, 3).reshape(2, scores.shape[2], -1)  # [2, N, runs]
  benchmark = evalstats.BenchmarkResult(
    scores=runs, template_labels=['first', 'second'], input_labels=[str(i) for i in range(runs.shape[1])]
  )
  return evalstats.analyze(benchmark, p_values=True, ci=0.95, ci_style='line', score_range=(0, 1), rng=0)


def _of_pair(analysis) -> list[float]:
  """Low and high end of the difference, and its p-value."""
  pair = analysis.pairwise.get('first', 'second')
  return [float(value) for value in (pair.ci_low, pair.ci_high, pair.p_value)]


def measure(trials: int, seed: int, python: str) -> pd.DataFrame:
  """Shares of the tables by design."""
  import coverage  # needs the package, which evalstats' environment lacks

  truths, shares = [], {}
  with tempfile.TemporaryDirectory() as name:
    directory = pathlib.Path(name)
    for number, design in enumerate(coverage.DESIGNS):
      world, rng = coverage.World(*design), np.random.default_rng([seed, number])
      drawn = [coverage.draw(world, rng) for _ in range(trials)]
      truths.append(coverage.true_mean(world))
      np.savez_compressed(
        directory / f'{number}.npz',
        groups=np.array([[groups['u'], groups['o']] for groups, _ in drawn], bool),
        pairs=np.array([pair for _, pair in drawn], bool),
      )
    subprocess.run([python, __file__, '--judge', name], check=True)
    for number, (design, truth) in enumerate(zip(coverage.DESIGNS, truths, strict=True)):
      told = json.loads((directory / f'{number}.json').read_text(encoding='utf-8'))
      shares[coverage.name_of(design)] = {
        f'{key}: {layout}': value
        for layout, found in told['found'].items()
        for key, value in _shares(found, truth).items()
      }
  print(f'evalstats {told["version"]}, {trials} tables of each design', file=sys.stderr)
  return pd.DataFrame(shares).T


def _shares(found: list[dict[str, list[float]]], truth: float) -> dict[str, float]:
  """Share of the tables whose interval holds the truth, or whose p-value is below 0.05."""
  truths = {'mean accuracy': truth, 'gap': 0, 'change': 0}
  held = {name: float(np.mean([f[name][0] <= t <= f[name][1] for f in found])) for name, t in truths.items()}
  return held | {f'{name}: p < 0.05': float(np.mean([f[name][2] < 0.05 for f in found])) for name in ('gap', 'change')}


def tables(ours: pd.DataFrame, theirs: pd.DataFrame) -> Iterator[tuple[list[str], pd.DataFrame]]:
  """The printed tables, of intervals and of tests, beside our own of `coverage.py`."""
  both = theirs.join(ours)
  for names in (('mean accuracy', 'change'), ('gap: p < 0.05', 'change: p < 0.05')):
    yield [column for name in names for column in (name, *(f'{name}: {layout}' for layout in LAYOUTS))], both


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--peer-python', metavar='PYTHON', help='of an environment with evalstats')
  parser.add_argument('--trials', type=int, default=400, help='tables of each design')
  parser.add_argument('--seed', type=int, default=0, help='that of coverage.py, for the same tables')
  parser.add_argument('--out', metavar='FILE', help='CSV of all shares')
  parser.add_argument('--judge', metavar='DIR', help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.judge:
    warnings.simplefilter('ignore')  # that it detected the kind of scores, once a table
    return judge(pathlib.Path(arguments.judge))
  if not arguments.peer_python:
    parser.error('--peer-python: give the interpreter of an environment with evalstats')
  table = measure(arguments.trials, arguments.seed, arguments.peer_python)
  print(table.round(3).to_string())
  if arguments.out:
    table.to_csv(arguments.out, index_label='design')


if __name__ == '__main__':
  main()
