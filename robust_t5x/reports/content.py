"""The tables of a report, and its best and worst phrasings, from its inputs."""

from collections.abc import Sequence
import dataclasses

import numpy as np
import pandas as pd

from robust_t5x.reports.inputs import GAP_GROUPS, Inputs, focus_of, words_of
from robust_t5x.reports.summary import Summary
from robust_t5x.reports.tables import Cell, Column, Table, difference
from robust_t5x.reports.words import scorer_of, without_datasets
from robust_t5x.results.schema import EXAMPLE, OBSERVED, UNOBSERVED
from seqio_tasks.bank.instruction import PERTURBATIONS

NO_CASES = 'Case-level metrics and PSS need the scores of every example; these inputs have accuracies per phrasing.'


def accuracy_table(inputs: Inputs, summary: Summary) -> Table:
  """A row for each model: every group, its spread over phrasings and its worst phrasing, and the gap."""
  columns = [Column('model'), Column('seeds', 'count')]
  for group in inputs.groups:
    columns += [Column(group, 'percent'), Column(f'{group}: sd', 'percent'), Column(f'{group}: worst', 'percent')]
  columns += [Column('gap, points', 'points')] if summary.gaps else []
  rows = []
  for model in inputs.models:
    row: list[Cell] = [model, len(inputs.runs[model])]
    for group in inputs.groups:
      value, sd, worst = (summary.values[model, group, name] for name in ('AvgP', 'sd', 'worst phrasing'))
      row += [value, sd.estimate, worst.estimate]
    rows.append((*row, summary.gaps[model]) if summary.gaps else tuple(row))
  return Table(
    'accuracy', 'Accuracy by model and group of phrasings, mean over datasets', tuple(columns), rows,
    f'sd and worst are over the phrasings of a dataset, then averaged over datasets. {without_datasets(inputs, ("sd",))}'.rstrip(),
  )  # fmt: skip


def change_table(inputs: Inputs, summary: Summary) -> Table | None:
  """A row for each model but the first: its paired change."""
  if not summary.changes:
    return None
  columns = [Column('model'), *(Column(f'{group}, points', 'points') for group in inputs.groups)]
  columns += [Column('gap, points', 'points')] if summary.gaps else []
  rows = [
    (change.model, *(change.groups[g] for g in inputs.groups), *([change.gap] if summary.gaps else []))
    for change in summary.changes
  ]
  return Table('change', f'Change against {inputs.models[0]}, paired over examples and phrasings', tuple(columns), rows)


def dataset_table(inputs: Inputs) -> Table:
  """A row for each dataset and model: mean accuracy under each group, gap, spread and worst phrasing."""
  frame, groups, gap = inputs.phrasings, inputs.groups, inputs.has_gap
  rows: list[Sequence[Cell]] = []
  for dataset, part in frame.groupby('dataset', sort=False):
    for model in inputs.models:
      known = part[part[model].notna()]
      if not len(known):
        continue
      mean = known.groupby('group')[model].mean()
      focus = focus_of([g for g in groups if g in mean.index])
      accuracies = known.loc[known['group'] == focus, model]
      row: list[Cell] = [dataset, model, *(mean.get(g) for g in groups)]
      if gap:
        row.append(difference(mean.get(UNOBSERVED), mean.get(OBSERVED)))
      apart = accuracies.max() - accuracies.min() if len(accuracies) > 1 else None
      rows.append((*row, apart, accuracies.min()))
  columns = [Column('dataset'), Column('model'), *(Column(g, 'percent') for g in groups)]
  columns += [Column('gap, points', 'points')] if gap else []
  columns += [Column('spread', 'percent'), Column('worst phrasing', 'percent')]
  return Table(
    'datasets', 'Accuracy by dataset and model', tuple(columns), rows,
    f'Spread (best less worst) and worst are over {focus_of(groups)} phrasings where a dataset has them.',
  )  # fmt: skip


def metric_table(inputs: Inputs, summary: Summary) -> Table:
  """A row for each model and group: every metric."""
  names = inputs.metric_names
  about = (
    "Worst phrasing: one phrasing for all examples of a dataset; case-level worst: each example's own worst."
    if inputs.grain == EXAMPLE
    else NO_CASES
  )
  rows: list[Sequence[Cell]] = [
    (model, group, *(summary.values[model, group, name] for name in names))
    for model in inputs.models
    for group in inputs.groups
  ]
  return Table(
    'metrics_by_group', 'Every metric, mean over datasets',
    (Column('model'), Column('phrasings'), *(Column(name, 'percent') for name in names)), rows,
    f'{about} {without_datasets(inputs, names)}'.rstrip(),
  )  # fmt: skip


def phrasing_table(inputs: Inputs) -> Table:
  """A row for each phrasing: its accuracy under each model, lowest first."""
  models = list(inputs.models)
  frame = inputs.phrasings.sort_values(models[-1], kind='stable')
  texts = frame['template'].where(frame['template'].notna() & (frame['template'] != ''), frame['instruction_id'])
  rows = list(zip(frame['dataset'], frame['group'], texts, *(frame[m] for m in models), strict=True))
  return Table(
    'phrasings', 'Accuracy under each phrasing, lowest first',
    (Column('dataset'), Column('group'), Column('phrasing'), *(Column(m, 'percent') for m in models)), rows,
  )  # fmt: skip


def group_table(inputs: Inputs, summary: Summary) -> Table | None:
  """Groups beside observed and unobserved phrasings, such as incorrect or negated ones, against those; not perturbations."""
  others = [g for g in inputs.groups if g not in (*GAP_GROUPS, *PERTURBATIONS)]
  reference = next((g for g in (UNOBSERVED, 'correct', OBSERVED) if g in inputs.groups), None)
  if not others or reference is None or others == [reference]:
    return None
  rows = []
  for model in inputs.models:
    for group in (reference, *(g for g in others if g != reference)):
      value = summary.values[model, group, 'AvgP']
      count = int(((inputs.phrasings['group'] == group) & inputs.phrasings[model].notna()).sum())
      apart = None if group == reference else inputs.of(model).difference(model, group, reference)
      rows.append((model, group, count, value, apart))
  columns = (
    Column('model'), Column('phrasings'), Column('number', 'count'), Column('accuracy', 'percent'),
    Column(f'against {reference}, points', 'points'),
  )  # fmt: skip
  return Table(
    'groups', f'A closer look: other groups of phrasings against {reference} ones', columns, rows,
    'A model that reads its instruction does worse when that is incorrect, negated or about something else. Differences are over '
    'the datasets that have both.',
  )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Card:
  """A phrasing: its id, its text where that is known, and its accuracy under each model (index, label, value)."""

  id: str
  text: str
  accuracies: Sequence[tuple[int, str, float]]


@dataclasses.dataclass(frozen=True)
class Extremes:
  """Best and worst phrasing of a dataset.

  Attributes:
    dataset: which.
    group: of the phrasings.
    best: the phrasing with the highest accuracy.
    worst: that with the lowest.
    high: the highest accuracy.
    low: the lowest.
    examples: on which the worst loses most: id, right answer, output under each.
  """

  dataset: str
  group: str
  best: Card
  worst: Card
  high: float
  low: float
  examples: Sequence[tuple[str, str, str, str]] = ()


def extremes(inputs: Inputs, most: int = 24) -> list[Extremes]:
  """Best and worst phrasing of each dataset for the first model, the widest spread first, at most `most` datasets."""
  model, frame = inputs.models[0], inputs.phrasings
  found = []
  for dataset, part in frame.groupby('dataset', sort=False):
    known = part[part[model].notna()]
    if not len(known):
      continue
    group = focus_of(list(dict.fromkeys(known['group'])))
    known = known[known['group'] == group]
    if len(known) < 2:
      continue
    best, worst = known.loc[known[model].idxmax()], known.loc[known[model].idxmin()]
    found.append(
      Extremes(
        dataset,
        group,
        best=_card(best, inputs.models),
        worst=_card(worst, inputs.models),
        high=float(best[model]),
        low=float(worst[model]),
      )
    )
  found.sort(key=lambda item: item.low - item.high)
  found = found[:most]
  return found if inputs.grain != EXAMPLE else _with_examples(found, inputs)


def _with_examples(found: Sequence[Extremes], inputs: Inputs) -> list[Extremes]:
  table = inputs.of(inputs.models[0]).sources[0].table
  table = table[table['instruction_id'].isin({card.id for item in found for card in (item.best, item.worst)})]
  return [
    dataclasses.replace(
      item, examples=examples(table[table['group'] == item.group], item.best.id, item.worst.id, item.dataset)
    )
    for item in found
  ]


def examples(
  table: pd.DataFrame, best: str, worst: str, dataset: str, most: int = 3
) -> list[tuple[str, str, str, str]]:
  """Examples on which the worst phrasing loses most against the best: id, right answer, output under each."""
  rows = table[(table['dataset'] == dataset) & table['instruction_id'].isin([best, worst])]
  score, prediction, gold = (
    rows.pivot(index='example_id', columns='instruction_id', values=name) for name in ('score', 'prediction', 'gold')
  )
  if not len(score) or not {best, worst} <= set(score.columns):
    return []
  loss = (score[best] - score[worst]).astype(float)
  order = loss.sort_values(ascending=False, kind='stable').index[:most]
  return [
    (str(e), gold[best][e], prediction[best][e], prediction[worst][e])
    for e in order
    if loss[e] > 0
  ]  # fmt: skip


def _card(row: pd.Series, models: Sequence[str]) -> Card:
  accuracies = [(m, model, float(row[model])) for m, model in enumerate(models) if not np.isnan(row[model])]
  return Card(row['instruction_id'], words_of(row), accuracies)


def made_table(inputs: Inputs) -> Table:
  """What made each model's results."""
  rows = []
  for model in inputs.models:
    record = inputs.records[model]
    made_of = record.get('fingerprint', {})
    versions = ', '.join(f'{k} {v}' for k, v in record.get('versions', {}).items())
    rows.append(
      (
        model, len(inputs.runs[model]), scorer_of(record), str(made_of.get('split', '')), record.get('rows'),
        str(made_of.get('backbone') or '')[:12], str(made_of.get('adapter') or 'none')[:12],
        str(record.get('finished', '')), versions,
      )
    )  # fmt: skip
  names = ('model', 'seeds', 'scorer', 'split', 'rows', 'backbone', 'adapter', 'finished', 'versions')
  kinds = {'seeds': 'count', 'rows': 'count'}
  return Table('made', 'Runs', tuple(Column(n, kinds.get(n, 'text')) for n in names), rows)
