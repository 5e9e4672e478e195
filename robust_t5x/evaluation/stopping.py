"""Evaluates cells in rounds, and stops where the mean accuracy is known as well as is asked.

Every phrasing of every task has its examples in a random order of its own, and a round takes the next ones of each, as many as it
counts in the mean: so cells are balanced over datasets and over their phrasings, and the intervals are those of `analysis.sequential`, which hold whenever one stops. Each group of
phrasings stops by itself. A round is kept as soon as it is done, so that an interrupted evaluation goes on with the next.
"""

import collections
from collections.abc import Callable, Sequence
import dataclasses
import functools
import itertools
import zlib

import numpy as np
import pandas as pd

from robust_t5x.analysis import sequential
from robust_t5x.analysis.sequential import ConfidenceSequence
from robust_t5x.analysis.statistics import Interval
from robust_t5x.evaluation.rows import Row
from robust_t5x.results.runs import Run
from robust_t5x.results.schema import OBSERVED, UNOBSERVED, ResultsError, Stopped, Valid
from robust_t5x.runtime import processes, progress, signals
from robust_t5x.runtime.errors import UsageError
from robust_t5x.runtime.progress import OnDone
from seqio_tasks.pipeline.registration import EvaluationTask

LEVEL = 0.95
_CELL = ('dataset', 'example_id', 'instruction_id')
Tasks = Sequence[tuple[EvaluationTask, Sequence[Row]]]
# Of tasks and rows of theirs: the table of those, in the same order. It tells how far it is.
Score = Callable[[Tasks, OnDone], pd.DataFrame]


@dataclasses.dataclass
class _Stratum:
  """The cells of a task under a phrasing: which task and group, the places of its rows in random order, how many are done."""

  task: int
  group: str
  order: np.ndarray
  done: int = 0


class Rounds:
  """Which cells come next, and what the scores of those before say."""

  def __init__(self, tasks: Tasks, half_width: float, seed: int):
    """Prepares.

    Args:
      tasks: and all of their rows.
      half_width: of the interval of each group's mean accuracy, as a share, at which the group has enough.
      seed: of the orders.
    """
    self.number = 0
    self._half = half_width
    self._strata: list[_Stratum] = []
    phrasings: collections.Counter[tuple[str, str]] = collections.Counter()
    for t, (task, rows) in enumerate(tasks):
      places: dict[str, list[int]] = {}
      for place, row in enumerate(rows):
        places.setdefault(row['instruction_id'], []).append(place)
      for name, own in places.items():
        rng = np.random.default_rng([seed, zlib.crc32(task.name.encode()), zlib.crc32(name.encode())])
        self._strata.append(_Stratum(t, task.group, rng.permutation(own)))
      phrasings[task.dataset, task.group] += len(places)
    datasets = collections.Counter(group for _, group in phrasings)
    self._sequences: dict[str, ConfidenceSequence] = {}
    self._weights: dict[str, list[float]] = {}
    for group in datasets:
      members = self._of(group)
      weights = [1 / datasets[group] / phrasings[tasks[s.task][0].dataset, group] for s in members]
      self._weights[group] = weights
      self._sequences[group] = ConfidenceSequence([len(s.order) for s in members], weights, half_width)
    self._drawn: list[tuple[_Stratum, np.ndarray]] = []

  @property
  def groups(self) -> list[str]:
    """Groups of phrasings, each with its own mean."""
    return list(self._sequences)

  def wanting(self) -> np.ndarray:
    """Which groups have not enough, one truth value each."""
    return np.array([s.interval(LEVEL).half_width > self._half + 1e-12 for s in self._sequences.values()])

  def next(self, wanted: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """The next cells of the groups that want some: tasks, and the places of their rows."""
    self._drawn = []
    for group in itertools.compress(self._sequences, wanted):
      members = self._of(group)
      before, sizes = [s.done for s in members], [len(s.order) for s in members]
      after = sequential.sizes_after(before, sizes, self._weights[group], self.number)
      for stratum, until in zip(members, after, strict=True):
        self._drawn.append((stratum, stratum.order[stratum.done : until]))
        stratum.done = until
    self.number += 1
    self._drawn.sort(key=lambda pair: pair[0].task)
    return [(s.task, places) for s, places in self._drawn]

  def add(self, scores: np.ndarray) -> None:
    """Takes the scores of the cells of the last round, in their order."""
    ends = np.cumsum([len(places) for _, places in self._drawn])[:-1]
    found: dict[str, list[np.ndarray]] = {}
    for (stratum, _), own in zip(self._drawn, np.split(scores, ends), strict=True):
      found.setdefault(stratum.group, []).append(own)
    for group, of_strata in found.items():
      self._sequences[group].add(of_strata)
      self._sequences[group].interval(LEVEL)
      self._sequences[group].interval((1 + LEVEL) / 2)  # of the gap

  def stopped(self) -> Stopped:
    """What is known of the mean accuracies and the gap."""
    found: Stopped = {
      'half_width': self._half, 'level': LEVEL, 'rounds': self.number,
      'groups': {g: _valid(s.interval(LEVEL), [s]) for g, s in self._sequences.items()},
    }  # fmt: skip
    if {UNOBSERVED, OBSERVED} <= set(self._sequences):
      new, seen = self._sequences[UNOBSERVED], self._sequences[OBSERVED]
      found['gap'] = _valid(sequential.difference(new, seen, LEVEL), [new, seen])
    return found

  def _of(self, group: str) -> list[_Stratum]:
    return [s for s in self._strata if s.group == group]


def check(half_width: float, budget: object) -> None:
  """Raises UsageError for a width, in points, at which nothing can stop, or a budget of cells beside it."""
  if not 0 < half_width < 50:
    raise UsageError(f'STOP_WIDTH is {half_width!r}; give a number of points above 0 and below 50, or None')
  if budget is not None:
    raise UsageError('STOP_WIDTH and CELL_BUDGET both say how many cells are evaluated; set one of them')


def evaluate(
  tasks: Tasks, half_width: float, seed: int, score: Score, run: Run | None, label: str
) -> tuple[pd.DataFrame, Stopped] | None:
  """Evaluates round by round until every group has enough.

  Args:
    tasks: and all of their rows.
    half_width: of the interval of each group's mean accuracy, as a share.
    seed: of the order of the cells.
    score: evaluates cells.
    run: keeps the rounds; None on all processes but the main one.
    label: of the model.

  Returns:
    the rows of all tasks in their order, and what is known; None where there is no run.

  Raises:
    ResultsError: if a round was kept whose cells are not these.
  """
  rounds, tables, places = Rounds(tasks, half_width, seed), [], []
  starts = np.cumsum([0, *(len(rows) for _, rows in tasks)])
  directory = run.directory if run else ''
  with progress.Progress(f'evaluating {label}', int(starts[-1])) as bar:
    while (wanted := processes.from_main(rounds.wanting())).any():
      cells = rounds.next(wanted)
      name = f'round {rounds.number}'
      if processes.from_main(np.asarray(run is not None and run.has_shard(name))):
        table = run.shard(name) if run else None
        bar.advance(sum(len(own) for _, own in cells), name, known=True)
      else:
        parts = [(tasks[t][0], [tasks[t][1][p] for p in own]) for t, own in cells]
        table = score(parts, functools.partial(bar.advance_of, 1, note=name))
        if run:
          run.add_shard(name, table)
      if run and table is not None:
        table = _in_order(
          table, [(tasks[t][0].dataset, tasks[t][1][p]) for t, own in cells for p in own], directory, name
        )
        rounds.add(table['score'].to_numpy(float))
        tables.append(table)
        places += [starts[t] + own for t, own in cells]
        signals.keeps(f'all up to round {rounds.number} is kept in {directory}; the same command goes on with the next')
  if not run:
    return None
  whole = pd.concat(tables, ignore_index=True).iloc[np.argsort(np.concatenate(places))].reset_index(drop=True)
  return whole, rounds.stopped()


def in_words(stopped: Stopped) -> list[str]:
  """What is known of each group, a sentence each."""
  found = []
  for group, valid in stopped['groups'].items():
    evaluated, cells = valid['evaluated'], valid['cells']
    how = (
      f'after {evaluated:,} of {cells:,} cells ({evaluated / cells:.0%})' if evaluated < cells else 'after all cells'
    )
    found.append(
      f'{group}: {how} the mean accuracy is {100 * valid["estimate"]:.1f}%, of all cells '
      f'{100 * valid["low"]:.1f} to {100 * valid["high"]:.1f}%'
    )
  return found


def _in_order(table: pd.DataFrame, rows: Sequence[tuple[str, Row]], directory: str, name: str) -> pd.DataFrame:
  """The table of a round with its rows in the order of the cells, which is another where MIXTURES has tasks in another order.

  Raises:
    ResultsError: if these are not its cells.
  """
  wanted = [(dataset, row['example_id'], row['instruction_id']) for dataset, row in rows]
  places = {cell: i for i, cell in enumerate(zip(*(table[key] for key in _CELL), strict=True))}
  if len(table) != len(wanted) or places.keys() != set(wanted):
    raise ResultsError(
      f'{directory}: the cells of {name} are not those of this evaluation; delete it and evaluate again'
    )
  return table.iloc[[places[cell] for cell in wanted]].reset_index(drop=True)


def _valid(interval: Interval, of: Sequence[ConfidenceSequence]) -> Valid:
  return Valid(
    evaluated=sum(s.evaluated for s in of), cells=sum(s.cells for s in of), estimate=interval.estimate,
    low=interval.low, high=interval.high,
  )  # fmt: skip
