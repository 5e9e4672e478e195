"""What results say: metrics, intervals and paired changes of one or more models over the same cells."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import os

import numpy as np
import pandas as pd

from robust_t5x import metrics, results, statistics

OBSERVED, UNOBSERVED = 'observed', 'unobserved'
Interval = statistics.Interval


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Evaluations of the same cells, the first model being what the others are compared with.

  Attributes:
    models: labels, in the order given.
    runs: directories of each model's evaluations; more than one are seeds.
    groups: groups of phrasings.
    datasets: dataset -> group -> scores [runs, N, k], the runs of all models one after another.
    phrasings: a row per instruction: dataset, group, instruction_id, template, accuracy of each model.
    unmatched: model -> share of the outputs, where there were options, that are none of them.
    records: model -> `run.json` of its first evaluation.
  """

  models: tuple[str, ...]
  runs: Mapping[str, tuple[str, ...]]
  groups: tuple[str, ...]
  datasets: Mapping[str, Mapping[str, np.ndarray]]
  phrasings: pd.DataFrame
  unmatched: Mapping[str, float]
  records: Mapping[str, Mapping]

  def runs_of(self, model: str) -> slice:
    """Place of a model's runs on the first axis of scores."""
    before = self.models[: self.models.index(model)]
    start = sum(len(self.runs[m]) for m in before)
    return slice(start, start + len(self.runs[model]))

  def interval(self, model: str, group: str, metric: Callable) -> Interval:
    """A metric of one model under a group, mean over its seeds and the datasets that have the group."""
    runs = self.runs_of(model)
    return self._bootstrap([group], lambda s: metric(s[group][:, runs]).mean(axis=-1))

  def change(self, model: str, group: str, metric: Callable) -> Interval:
    """A metric of a model less that of the first model, paired over examples and phrasings."""
    runs, first = self.runs_of(model), self.runs_of(self.models[0])
    return self._bootstrap([group], lambda s: metric(s[group][:, runs]).mean(-1) - metric(s[group][:, first]).mean(-1))

  @property
  def has_gap(self) -> bool:
    """Whether some dataset has observed and unobserved phrasings."""
    return any({OBSERVED, UNOBSERVED} <= set(groups) for groups in self.datasets.values())

  def gap(self, model: str) -> Interval:
    """Observed gap of a model."""
    runs = self.runs_of(model)
    return self._bootstrap([OBSERVED, UNOBSERVED], lambda s: _gap(s, runs))

  def gap_change(self, model: str) -> Interval:
    """Observed gap of a model less that of the first model, paired."""
    runs, first = self.runs_of(model), self.runs_of(self.models[0])
    return self._bootstrap([OBSERVED, UNOBSERVED], lambda s: _gap(s, runs) - _gap(s, first))

  def _bootstrap(self, groups, statistic) -> Interval:
    chosen = [
      {group: scores[group] for group in groups} for scores in self.datasets.values() if set(groups) <= set(scores)
    ]
    return statistics.two_way_bootstrap(chosen, statistic)


def _gap(scores, runs):
  return metrics.observed_gap(scores[UNOBSERVED][:, runs], scores[OBSERVED][:, runs]).mean(axis=-1)


def compare(directories: Sequence[str]) -> Comparison:
  """Reads evaluations; those with the same label are seeds of one model.

  Raises:
    ResultsError: if a directory holds no finished evaluation, or not the same cells as the first one.
  """
  if not directories:
    raise results.ResultsError('no evaluation given; name the OUTPUT_DIR of at least one `robust-t5x eval`')
  read = {directory: results.read(directory) for directory in directories}
  runs: dict[str, tuple[str, ...]] = {}
  for directory, (_, record) in read.items():
    runs[record['label']] = (*runs.get(record['label'], ()), directory)
  order = [directory for members in runs.values() for directory in members]
  cells = {directory: metrics.table_cells(read[directory][0]) for directory in order}
  reference = cells[order[0]]
  for directory in order[1:]:
    _check_same_cells(order[0], reference, directory, cells[directory])
  datasets = {
    dataset: {
      group: np.stack([cells[d][dataset][group].loc[frame.index, frame.columns].to_numpy() for d in order])
      for group, frame in groups.items()
    }
    for dataset, groups in reference.items()
  }
  templates = {k: v for _, record in read.values() for k, v in record['instructions'].items()}
  tables = {label: pd.concat([read[d][0] for d in members]) for label, members in runs.items()}
  return Comparison(
    models=tuple(runs),
    runs=runs,
    groups=tuple(dict.fromkeys(group for groups in reference.values() for group in groups)),
    datasets=datasets,
    phrasings=_phrasings(tables, templates),
    unmatched={label: float(1 - table['matched_option'].mean()) for label, table in tables.items()},
    records={label: read[members[0]][1] for label, members in runs.items()},
  )


def _phrasings(tables: Mapping[str, pd.DataFrame], templates: Mapping[str, str]) -> pd.DataFrame:
  keys = ['dataset', 'group', 'instruction_id']
  accuracy = pd.concat(
    {label: table.groupby(keys, sort=False)['score'].mean() for label, table in tables.items()}, axis=1
  ).reset_index()
  accuracy.insert(3, 'template', accuracy['instruction_id'].map(templates))
  return accuracy


def _check_same_cells(directory_a: str, a, directory_b: str, b) -> None:
  for dataset in {**a, **b}:
    groups_a, groups_b = a.get(dataset, {}), b.get(dataset, {})
    for group in {**groups_a, **groups_b}:
      if group not in groups_a or group not in groups_b:
        lacking = directory_b if group in groups_a else directory_a
        raise results.ResultsError(
          f'{lacking} has no {group} phrasings of {dataset}, which the other evaluation has; compare evaluations of '
          'the same mixtures'
        )
      same = set(groups_a[group].index) == set(groups_b[group].index)
      if not same or set(groups_a[group].columns) != set(groups_b[group].columns):
        raise results.ResultsError(
          f'{os.path.abspath(directory_a)} and {os.path.abspath(directory_b)} differ in the examples or phrasings of '
          f'{dataset} ({group}); compare evaluations with the same settings'
        )
