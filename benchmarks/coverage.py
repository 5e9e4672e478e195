"""How often intervals hold the truth, and tests find what is not there: the table of docs/statistics.md.

`python benchmarks/coverage.py` takes about ten minutes on one core; `--trials 100` a minute. Tables of right and wrong answers
are drawn from a known model: logit P(right) = mean + example + phrasing + seed, each normal. Every cell of the printed table is the
share of the tables whose nominal 95% interval holds the truth, or whose p-value is below 0.05 where there is nothing to find. The same
tables are given to what other tools do: lm-evaluation-harness's standard errors, bootstraps, z-tests.
"""

import argparse
from collections.abc import Iterator
import dataclasses

import numpy as np
import pandas as pd
import scipy.special
import scipy.stats

from robust_t5x.analysis import agreement, crossed, extremes, metrics, prompteval, statistics

_ABILITY, _SEED, _MEAN = 1.2, 0.15, 0.5  # standard deviations of examples and seeds, mean; in logits
# (phrasings, examples, seeds, standard deviation of the phrasings in logits)
DESIGNS = (
  (3, 50, 1, 0.4), (4, 200, 1, 0.4), (10, 20, 1, 0.4), (10, 200, 1, 0.4), (10, 100, 1, 0.05), (30, 100, 1, 0.4),
  (100, 50, 1, 0.4), (10, 1000, 1, 0.4), (4, 100, 2, 0.4), (10, 100, 3, 0.4), (10, 200, 5, 0.4),
)  # fmt: skip
# (phrasings, examples, share of the cells, standard deviation of the phrasings)
BUDGETS = ((20, 100, 0.2, 0.5), (40, 60, 0.1, 0.8), (40, 60, 0.3, 0.3), (100, 50, 0.05, 0.5), (40, 60, 0.2, 0.05))
_EXTREMES = {'best': 'MaxP', 'worst': 'worst phrasing', 'spread': 'spread', 'sd': 'sd'}
_CASES = ('case-level worst', 'case-level best', 'PSS')
_ONE = [(slice(None), 1.0)]
# What other tools do, on the tables of means.
PEERS = (
  'lm-eval, one phrasing', 'lm-eval, pooled', 'bootstrap of rows', 'bootstrap of examples', 'gap: z-test of rows', 'gap: z-test of examples',
  'change: paired z-test of rows', 'change: paired z-test of examples',
)  # fmt: skip
_RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class World:
  """What tables are drawn from: phrasings, examples, seeds, and how far phrasings lie apart."""

  phrasings: int
  examples: int
  seeds: int
  sd: float

  def table(self, rng: np.random.Generator, *effects: np.ndarray, examples: int | None = None) -> np.ndarray:
    """Scores [seeds, N, k] of the sum of effects that broadcast to it."""
    logits = np.broadcast_to(_MEAN + sum(effects), (self.seeds, examples or self.examples, self.phrasings))
    return (rng.random(logits.shape) < scipy.special.expit(logits)).astype(float)

  def ability(self, rng: np.random.Generator, examples: int | None = None) -> np.ndarray:
    return rng.normal(0, _ABILITY, (1, examples or self.examples, 1))

  def ease(self, rng: np.random.Generator, sd: float | None = None) -> np.ndarray:
    return rng.normal(0, self.sd if sd is None else sd, (1, 1, self.phrasings))

  def seed(self, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, _SEED, (self.seeds, 1, 1)) if self.seeds > 1 else np.zeros((1, 1, 1))


def _holds(interval: statistics.Interval, truth: float, slack: float = 0.0) -> bool:
  return interval.low - slack <= truth <= interval.high + slack


def draw(world: World, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
  """Scores [seeds, N, k] of one model under two groups of phrasings, `u` and `o`, and of a pair of models; nothing differs."""
  ability, seed, ease = world.ability(rng), world.seed(rng), world.ease(rng)
  tables = {'u': world.table(rng, ability, seed, ease), 'o': world.table(rng, ability, seed, world.ease(rng))}
  # Two models of one distribution, alike on examples and phrasings.
  pair = [
    world.table(rng, 0.9 * ability + 0.44 * world.ability(rng), world.seed(rng), ease, world.ease(rng, 0.25))
    for _ in range(2)
  ]
  return tables, pair


def means(world: World, tables: dict[str, np.ndarray], pair: list[np.ndarray], truth: float) -> dict[str, bool]:
  """Mean accuracy, gap and change of what `draw` gives."""
  names = [{g: tuple(f'{g}{i}' for i in range(world.phrasings)) for g in 'uo'}]
  gap = crossed.contrast([tables], names, {'u': 1, 'o': -1}, _ONE)
  models = [(slice(0, world.seeds), 1.0), (slice(world.seeds, None), -1.0)]
  change = crossed.contrast([{'u': np.concatenate(pair)}], names, {'u': 1}, models)
  return _of_peers(tables, pair, truth) | {
    'mean accuracy': _holds(crossed.contrast([tables], names, {'u': 1}, _ONE).share(), truth),
    'gap': _holds(gap.interval(), 0),
    'change': _holds(change.interval(), 0),
    'gap: p < 0.05': gap.p_value() < 0.05,
    'change: p < 0.05': change.p_value() < 0.05,
  }


def _of_peers(tables: dict[str, np.ndarray], pair: list[np.ndarray], truth: float) -> dict[str, bool]:
  """What others say of the same tables [seeds, N, k]: whether an interval holds the truth, or p is below 0.05.

  lm-eval: the mean over the documents of one phrasing (the harness's stderr), or over those of all phrasings as a group of
  tasks (its pooled_sample_stderr). Bootstraps: percentiles of the mean of resampled rows, or of examples with all of their
  rows. z-tests: of rows as if they were independent, or of each example's mean over phrasings and seeds.
  """
  scores, rng = tables['u'], np.random.default_rng(1)
  of_examples, n = scores.mean((0, 2)), scores.shape[1]
  one = scores[0, :, 0]
  pooled = np.sqrt(scores.var(1, ddof=1).mean() / scores.size)  # phrasings of one size
  rows = rng.binomial(scores.size, scores.mean(), _RESAMPLES) / scores.size  # of 0 and 1: resampling is a binomial
  examples = rng.multinomial(n, np.full(n, 1 / n), _RESAMPLES) @ of_examples / n
  z = scipy.stats.norm.ppf(0.975)
  gap, change = tables['u'] - tables['o'], pair[0] - pair[1]
  both = np.sqrt(sum(t.var(ddof=1) / t.size for t in tables.values()))
  return {
    'lm-eval, one phrasing': bool(abs(one.mean() - truth) <= z * _error(one)),
    'lm-eval, pooled': bool(abs(scores.mean() - truth) <= z * pooled),
    **{
      name: bool(np.quantile(means, 0.025) <= truth <= np.quantile(means, 0.975))
      for name, means in (('bootstrap of rows', rows), ('bootstrap of examples', examples))
    },
    'gap: z-test of rows': bool(abs(gap.mean()) > z * both),
    'gap: z-test of examples': bool(abs(gap.mean()) > z * _error(gap.mean((0, 2)))),
    'change: paired z-test of rows': bool(abs(change.mean()) > z * _error(change.ravel())),
    'change: paired z-test of examples': bool(abs(change.mean()) > z * _error(change.mean((0, 2)))),
  }


def _error(values: np.ndarray) -> float:
  return float(values.std(ddof=1) / np.sqrt(len(values)))


def of_phrasings(world: World, rng: np.random.Generator, trial: int) -> dict[str, bool]:
  """Metrics of given phrasings on one table; the truth is that of many examples."""
  ease = world.ease(rng)
  scores = world.table(rng, world.ability(rng), ease)[0]
  accuracies = scipy.special.expit(_MEAN + world.ability(rng, 4000) + ease)[0].mean(0)
  many = world.table(rng, world.ability(rng, 4000), ease, examples=4000)[0]
  weights = statistics.example_weights(world.examples, 500, trial, 0)
  draws = extremes.draw(scores, weights, rng)[:, None]
  found = {
    label: _holds(statistics.of_draws(metrics.METRICS[name](draws)), metrics.METRICS[name](accuracies[None]), 1e-3)
    for label, name in _EXTREMES.items()
  }
  for name in _CASES:
    values = metrics.CASE_METRICS[name](scores[None])[..., None]
    interval = crossed.contrast([{'u': values}], [{'u': ('one',)}], {'u': 1}, _ONE).share()
    found[name] = _holds(interval, float(metrics.METRICS[name](many)), 2e-3)
  truths = agreement.of_resamples(many.astype(int), np.ones((1, len(many))))
  for name, values in agreement.of_resamples(scores.astype(int)[None], weights).items():
    found[name] = _holds(statistics.of_resamples(values, world.examples, (-1, 1)), float(truths[name][0]), 2e-3)
  return found


def of_some_cells(design: tuple[int, int, float, float], rng: np.random.Generator, trial: int) -> dict[str, bool]:
  """PromptEval's intervals from a share of the cells, for what all cells of the same table give."""
  phrasings, examples, share, sd = design
  world = World(phrasings, examples, 1, sd)
  scores = world.table(rng, world.ability(rng), world.ease(rng))[0]
  cells = prompteval.balanced_cells(examples, phrasings, round(share * scores.size), trial)
  found = prompteval.estimate(np.where(cells, scores, np.nan), seed=trial)
  held = {'mean': _holds(found.interval('AvgP'), scores.mean(), 1e-9)}
  for label, name in _EXTREMES.items():
    held[label] = _holds(found.interval(name), float(metrics.METRICS[name](scores)), 1e-9)
  for q in (0.05, 0.5, 0.95):
    held[f'{q:.0%} point'] = _holds(found.quantile(q), float(np.quantile(scores.mean(0), q)), 1e-9)
  return held


def true_mean(world: World) -> float:
  """Mean accuracy over all examples, phrasings and seeds."""
  sd = np.sqrt(_ABILITY**2 + world.sd**2 + (_SEED**2 if world.seeds > 1 else 0))
  points, weights = np.polynomial.hermite_e.hermegauss(101)
  return float((scipy.special.expit(_MEAN + sd * points) * weights).sum() / weights.sum())


def rows(trials: int, seed: int) -> Iterator[tuple[str, dict[str, float]]]:
  """(design, share of the tables by statistic)."""
  for number, design in enumerate(DESIGNS):
    world, rng = World(*design), np.random.default_rng([seed, number])
    truth = true_mean(world)
    found = [means(world, *draw(world, rng), truth) for _ in range(trials)]
    if world.seeds == 1 and world.examples * world.phrasings <= 5000:
      others = [of_phrasings(world, rng, trial) for trial in range(trials // 2)]
      yield name_of(design), {**_shares(found), **_shares(others)}
    else:
      yield name_of(design), _shares(found)
  for number, design in enumerate(BUDGETS):
    rng = np.random.default_rng([seed, 100 + number])
    found = [of_some_cells(design, rng, trial) for trial in range(max(trials // 20, 20))]
    k, n, share, sd = design
    yield f'{k} phrasings, {n} examples, sd {sd}, {share:.0%} of the cells', _shares(found)


def name_of(design: tuple[int, int, int, float]) -> str:
  k, n, s, sd = design
  return f'{k} phrasings, {n} examples, sd {sd}' + (f', {s} seeds' if s > 1 else '')


def _shares(found: list[dict[str, bool]]) -> dict[str, float]:
  return {name: float(np.mean([f[name] for f in found])) for name in found[0]}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument(
    '--trials', type=int, default=1000, help='tables of each design; half of them for metrics of given phrasings'
  )
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--out', metavar='FILE', help='CSV of all shares')
  arguments = parser.parse_args()
  whole: dict[str, dict[str, float]] = {}
  for name, shares in rows(arguments.trials, arguments.seed):
    whole[name] = shares
    print(f'{name}: ' + ', '.join(f'{k} {v:.1%}' for k, v in shares.items()), flush=True)
  table = pd.DataFrame(whole).T
  if arguments.out:
    table.to_csv(arguments.out, index_label='design')
  for columns, kept in tables(table):
    print('\n' + '\n'.join(markdown(columns, kept)))


def markdown(columns: list[str], table: pd.DataFrame) -> list[str]:
  """The lines of a printed table."""
  lines = ['| design | ' + ' | '.join(columns) + ' |', '|' + '---|' * (len(columns) + 1)]
  return lines + [
    f'| {name} | ' + ' | '.join(f'{row[c]:.0%}' for c in columns) + ' |' for name, row in table.iterrows()
  ]


def tables(table: pd.DataFrame) -> Iterator[tuple[list[str], pd.DataFrame]]:
  """The printed tables: means, given phrasings, some cells, and what others say of the means."""
  cells = table.index.str.contains('of the cells')
  first = ['mean accuracy', 'gap', 'change', 'gap: p < 0.05', 'change: p < 0.05']
  second = [*_EXTREMES, *_CASES, agreement.CONSISTENCY, agreement.KAPPA]
  third = ['mean', '50% point', '5% point', '95% point', *_EXTREMES]
  yield first, table[~cells]
  yield second, table[~cells & table['PSS'].notna()]
  yield third, table[cells]
  yield ['mean accuracy', *PEERS[:4]], table[~cells]
  yield ['gap: p < 0.05', *PEERS[4:6], 'change: p < 0.05', *PEERS[6:]], table[~cells]


if __name__ == '__main__':
  main()
