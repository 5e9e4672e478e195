"""The numbers of a report: its tables, and groups of numbers, from its inputs."""

from collections.abc import Mapping, Sequence
import dataclasses
import re
from typing import Any

import numpy as np
import pandas as pd

from robust_t5x.analysis import comparison as comparison_lib
from robust_t5x.models import families
from robust_t5x.reports import words
from robust_t5x.reports.tables import Column, Table
from robust_t5x.results import schema

FOCUS = (
  comparison_lib.UNOBSERVED,
  'correct',
)  # the group that best and worst phrasings are shown of, where there is one
NO_CASES = 'Case-level metrics and PSS need the scores of every example; these inputs have accuracies per phrasing.'
_DESIGNED = (comparison_lib.OBSERVED, comparison_lib.UNOBSERVED)


@dataclasses.dataclass(frozen=True)
class Member:
  """A model of a family: its name, its parameters and its accuracy under each group."""

  model: str
  parameters: float
  values: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Family:
  """Models that differ in size alone, smallest first."""

  name: str
  members: tuple[Member, ...]


@dataclasses.dataclass(frozen=True)
class Summary:
  """The numbers that several parts of a report share.

  Attributes:
    values: (model, group, metric) -> interval.
    gaps: model -> interval of the observed gap.
    changes: for each model that can be paired with the first its change: model, groups -> interval, gap.
  """

  values: Mapping[tuple[str, str, str], Any]
  gaps: Mapping[str, Any]
  changes: Sequence[Mapping[str, Any]]


def summarise(comparison: Any) -> Summary:
  """Every metric with its interval."""
  models = comparison.models
  values = {
    (model, group, name): _known(comparison, comparison.interval(model, group, name))
    for model in models
    for group in comparison.groups
    for name in comparison.metric_names
  }
  gaps = {model: comparison.gap(model) for model in models} if comparison.has_gap else {}
  changes = [
    {
      'model': model,
      'groups': {group: _known(comparison, comparison.change(model, group)) for group in comparison.groups},
      'gap': comparison.gap_change(model) if gaps else None,
    }
    for model in comparison.paired
  ]
  return Summary(values, gaps, changes)


def _known(comparison: Any, value: comparison_lib.Interval) -> comparison_lib.Interval:
  """Without ends where nothing could be resampled: a single phrasing whose examples are not given."""
  fixed = comparison.grain != schema.EXAMPLE and value.low == value.high
  return dataclasses.replace(value, low=np.nan, high=np.nan) if fixed else value


def accuracy_table(comparison: Any, summary: Summary) -> Table:
  """A row for each model: every group, its spread over phrasings and its worst phrasing, and the gap."""
  columns = [Column('model'), Column('seeds', 'count')]
  for group in comparison.groups:
    columns += [Column(group, 'percent'), Column(f'{group}: sd', 'percent'), Column(f'{group}: worst', 'percent')]
  columns += [Column('gap, points', 'points')] if summary.gaps else []
  rows = []
  for model in comparison.models:
    row: list[Any] = [model, len(comparison.runs[model])]
    for group in comparison.groups:
      get = lambda name, m=model, g=group: summary.values[m, g, name]  # noqa: E731
      row += [get('AvgP'), get('sd').estimate, get('worst phrasing').estimate]
    rows.append((*row, summary.gaps[model]) if summary.gaps else tuple(row))
  return Table(
    'accuracy', 'Accuracy by model and group of phrasings, mean over datasets', tuple(columns), rows,
    'sd and worst are over the phrasings of a dataset, then averaged over datasets.',
  )  # fmt: skip


def change_table(comparison: Any, summary: Summary) -> Table | None:
  """A row for each model but the first: its paired change."""
  if not summary.changes:
    return None
  columns = [Column('model'), *(Column(f'{group}, points', 'points') for group in comparison.groups)]
  columns += [Column('gap, points', 'points')] if summary.gaps else []
  rows = [
    (c['model'], *(c['groups'][g] for g in comparison.groups), *([c['gap']] if summary.gaps else []))
    for c in summary.changes
  ]
  return Table(
    'change', f'Change against {comparison.models[0]}, paired over examples and phrasings', tuple(columns), rows
  )


def dataset_table(comparison: Any) -> Table:
  """A row for each dataset and model: mean accuracy under each group, gap, spread and worst phrasing."""
  frame, groups, rows = comparison.phrasings, comparison.groups, []
  gap = comparison.has_gap
  for dataset, part in frame.groupby('dataset', sort=False):
    for model in comparison.models:
      known = part[part[model].notna()]
      if not len(known):
        continue
      mean = known.groupby('group')[model].mean()
      focus = next((g for g in FOCUS if g in mean.index), mean.index[0])
      accuracies = known.loc[known['group'] == focus, model]
      row: list[Any] = [dataset, model, *(mean.get(g) for g in groups)]
      if gap:
        row.append(_difference(mean.get(comparison_lib.UNOBSERVED), mean.get(comparison_lib.OBSERVED)))
      rows.append((*row, accuracies.max() - accuracies.min(), accuracies.min()))
  columns = [Column('dataset'), Column('model'), *(Column(g, 'percent') for g in groups)]
  columns += [Column('gap, points', 'points')] if gap else []
  columns += [Column('spread', 'percent'), Column('worst phrasing', 'percent')]
  return Table(
    'datasets', 'Accuracy by dataset and model', tuple(columns), rows,
    f'Spread (best less worst) and worst are over {focus_of(groups)} phrasings where a dataset has them.',
  )  # fmt: skip


def metric_table(comparison: Any, summary: Summary) -> Table:
  """A row for each model and group: every metric."""
  names = comparison.metric_names
  rows = [
    (model, group, *(summary.values[model, group, name] for name in names))
    for model in comparison.models
    for group in comparison.groups
  ]
  return Table(
    'metrics_by_group', 'Every metric, mean over datasets',
    (Column('model'), Column('phrasings'), *(Column(name, 'percent') for name in names)), rows,
    "Worst phrasing: one phrasing for all examples of a dataset; case-level worst: each example's own worst."
    if comparison.grain == schema.EXAMPLE
    else NO_CASES,
  )  # fmt: skip


def metric_frame(comparison: Any, summary: Summary) -> pd.DataFrame:
  """Every metric and gap with its interval, a row each."""
  rows = [(*key, value) for key, value in summary.values.items()]
  rows += [(model, 'gap', 'observed gap', value) for model, value in summary.gaps.items()]
  return pd.DataFrame(
    [
      {'model': m, 'group': g, 'metric': name, 'estimate': v.estimate, 'low': v.low, 'high': v.high}
      for m, g, name, v in rows
    ]
  )


def phrasing_table(comparison: Any) -> Table:
  """A row for each phrasing: its accuracy under each model, lowest first."""
  models = list(comparison.models)
  frame = comparison.phrasings.sort_values(models[-1], kind='stable')
  texts = frame['template'].where(frame['template'].notna() & (frame['template'] != ''), frame['instruction_id'])
  rows = list(zip(frame['dataset'], frame['group'], texts, *(frame[m] for m in models), strict=True))
  return Table(
    'phrasings', 'Accuracy under each phrasing, lowest first',
    (Column('dataset'), Column('group'), Column('phrasing'), *(Column(m, 'percent') for m in models)), rows,
  )  # fmt: skip


def group_table(comparison: Any, summary: Summary) -> Table | None:
  """Groups beside observed and unobserved phrasings, such as incorrect or negated ones, against those."""
  others = [g for g in comparison.groups if g not in _DESIGNED]
  reference = next(
    (g for g in (comparison_lib.UNOBSERVED, 'correct', comparison_lib.OBSERVED) if g in comparison.groups), None
  )
  if not others or reference is None or others == [reference]:
    return None
  rows = []
  for model in comparison.models:
    base = summary.values[model, reference, 'AvgP'].estimate
    for group in (reference, *(g for g in others if g != reference)):
      value = summary.values[model, group, 'AvgP']
      count = int(((comparison.phrasings['group'] == group) & comparison.phrasings[model].notna()).sum())
      difference = None if group == reference else value.estimate - base
      rows.append((model, group, count, value, difference))
  columns = (
    Column('model'), Column('phrasings'), Column('number', 'count'), Column('accuracy', 'percent'),
    Column(f'against {reference}, points', 'points'),
  )  # fmt: skip
  return Table(
    'groups', f'A closer look: other groups of phrasings against {reference} ones', columns, rows,
    'A model that reads its instruction does worse when that is incorrect, negated or about something else.',
  )  # fmt: skip


def extremes(comparison: Any, most: int = 24) -> list[dict[str, Any]]:
  """Best and worst phrasing of each dataset for the first model, the widest spread first, at most `most` datasets."""
  model, frame = comparison.models[0], comparison.phrasings
  found = []
  for dataset, part in frame.groupby('dataset', sort=False):
    known = part[part[model].notna()]
    group = next((g for g in FOCUS if (known['group'] == g).any()), None)
    known = known if group is None else known[known['group'] == group]
    if len(known) < 2:
      continue
    best, worst = known.loc[known[model].idxmax()], known.loc[known[model].idxmin()]
    found.append(
      {
        'dataset': dataset, 'group': best['group'] if group is None else group, 'best': _card(best, comparison.models),
        'worst': _card(worst, comparison.models), 'high': float(best[model]), 'low': float(worst[model]),
      }
    )  # fmt: skip
  found.sort(key=lambda item: item['low'] - item['high'])
  return found[:most]


def examples(table: pd.DataFrame, best: str, worst: str, dataset: str, most: int = 3) -> list[tuple[str, ...]]:
  """Examples on which the worst phrasing loses most against the best: id, right answer, output under each."""
  rows = table[(table['dataset'] == dataset) & table['instruction_id'].isin([best, worst])]
  wide = rows.pivot(index='example_id', columns='instruction_id', values=['score', 'prediction', 'gold'])
  if not len(wide) or not {best, worst} <= set(wide['score'].columns):
    return []
  loss = (wide['score'][best] - wide['score'][worst]).astype(float)
  order = loss.sort_values(ascending=False, kind='stable').index[:most]
  return [
    (str(e), wide['gold'][best][e], wide['prediction'][best][e], wide['prediction'][worst][e])
    for e in order
    if loss[e] > 0
  ]  # fmt: skip


def scaling(comparison: Any) -> list[Family]:
  """Models of one family in at least two sizes, told by their names: flan-t5-small, Flan-T5-XL, T0-3B."""
  frame, found = comparison.phrasings, {}
  for model in comparison.models:
    read = family_and_size(model)
    if read is None:
      continue
    means = frame.groupby(['dataset', 'group'])[model].mean().groupby('group').mean().dropna()
    found.setdefault(read[0], []).append(Member(model, read[1], means.to_dict()))
  return [
    Family(name, tuple(sorted(members, key=lambda m: m.parameters)))
    for name, members in found.items()
    if len({m.parameters for m in members}) > 1
  ]


def family_and_size(name: str) -> tuple[str, float] | None:
  """Family and parameters that a model's name tells, or None: ('flan-t5', 3e9) of 'flan-t5-xl'."""
  match = re.search(r'(?i)[-_ ](small|base|large|xxl|xl|(\d+(?:\.\d+)?)([bm]))(?![a-z0-9])', name)
  if match is None:
    return None
  family = (name[: match.start()] + name[match.end() :]).strip('-_ ').lower()
  if match[2]:
    return family, float(match[2]) * (1e9 if match[3].lower() == 'b' else 1e6)
  network = families.config('t5_1_0' if re.fullmatch(r't5', family) else 't5_1_1', match[1].lower())
  return family, parameters(network)


def parameters(config: Any) -> float:
  """Weights of a T5: embedding, output layer where it is not tied, attention and MLP."""
  width = config.num_heads * config.head_dim
  attention = 4 * config.emb_dim * width
  mlp = (len(config.mlp_activations) + 1) * config.emb_dim * config.mlp_dim
  stacks = config.num_encoder_layers * (attention + mlp) + config.num_decoder_layers * (2 * attention + mlp)
  return float(stacks + (1 if config.logits_via_embedding else 2) * config.vocab_size * config.emb_dim)


def scaling_table(found: Sequence[Family], groups: Sequence[str]) -> Table | None:
  """A row for each model of a family."""
  if not found:
    return None
  groups = [g for g in groups if any(g in m.values for f in found for m in f.members)]
  both = set(_DESIGNED) <= set(groups)
  rows = []
  for family in found:
    for member in family.members:
      row = [family.name, member.model, member.parameters / 1e6, *(member.values.get(g) for g in groups)]
      if both:
        row.append(_difference(*(member.values.get(g) for g in reversed(_DESIGNED))))
      rows.append(tuple(row))
  columns = [Column('family'), Column('model'), Column('million parameters', 'count')]
  columns += [Column(g, 'percent') for g in groups] + ([Column('gap, points', 'points')] if both else [])
  return Table('scaling', 'Accuracy by size of the model', tuple(columns), rows)


def agreement(comparison: Any) -> dict[str, Any]:
  """The section on agreement: of answers over phrasings, and of models about phrasings."""
  section: dict[str, Any] = {'id': 'agreement', 'title': 'Agreement', 'notes': [], 'charts': [], 'tables': []}
  if comparison.grain == schema.EXAMPLE:
    rows = []
    for model in comparison.models:
      for group in comparison.groups:
        found = comparison.of(model).answer_agreement(model, group)
        rows.append(
          (model, group, found['consistency'], found["Fleiss' kappa"], comparison.interval(model, group, 'PSS'))
        )
    columns = (
      Column('model'), Column('phrasings'), Column('consistency', 'percent'), Column("Fleiss' κ", 'number'),
      Column('PSS', 'number'),
    )  # fmt: skip
    section['tables'].append(
      Table(
        'agreement', 'Agreement of the answers under different phrasings', columns, rows,
        'Consistency: pairs of phrasings that lead to the same answer. κ: that beyond chance, 1 at best. PSS: mean distance '
        'of the scores of two phrasings, 0 where all phrasings score alike.',
      )
    )  # fmt: skip
  else:
    section['notes'].append(
      'Consistency, κ and PSS need the answers to every example; these inputs have accuracies per phrasing.'
    )
  rows = []
  for cohort in comparison.cohorts:
    if len(cohort.models) > 2:
      for group in cohort.groups:
        rows += [
          (dataset, group, len(cohort.models), value)
          for dataset, value in cohort.kendalls_w(group).items()
          if value == value
        ]
  if rows:
    columns = (Column('dataset'), Column('phrasings'), Column('models', 'count'), Column("Kendall's W", 'number'))
    section['tables'].append(
      Table(
        'kendalls_w', 'Agreement of the models on which phrasings are hard', columns, rows,
        'W is 1 where all models rank the phrasings alike; m models whose rankings have nothing in common have 1/m on average.',
      )
    )  # fmt: skip
  return section


def estimated(comparison: Any) -> dict[str, Any] | None:
  """The section on estimates for all phrasings, where only a sample of the cells was evaluated."""
  from robust_t5x.analysis import prompteval

  cohort = comparison.cohorts[0]
  if not any(record.get('fingerprint', {}).get('cells') for record in cohort.records.values()):
    return None
  names = {'mean': 'mean', 'worst': 'worst', 'p5': '5%', 'p50': 'median', 'p95': '95%', 'best': 'best'}
  rows = [
    (
      row['dataset'], row['model'], row['group'], f'{row["evaluated"]:,} of {row["cells"]:,}',
      *(comparison_lib.Interval(row[n], row[f'{n}_low'], row[f'{n}_high']) for n in names),
    )
    for _, row in prompteval.estimates(cohort).iterrows()
  ]  # fmt: skip
  columns = (Column('dataset'), Column('model'), Column('phrasings'), Column('cells evaluated'))
  columns += tuple(Column(name, 'percent') for name in names.values())
  table = Table(
    'estimates', 'Accuracy over all phrasings, estimated from the sampled cells', columns, rows,
    'PromptEval (Polo et al. 2024): a Rasch model of phrasings and examples fills in the cells that were not evaluated. '
    '5%, median and 95%: the accuracy below which that share of the phrasings lies.',
  )  # fmt: skip
  return {'id': 'estimates', 'title': 'Estimates for all phrasings', 'notes': [], 'charts': [], 'tables': [table]}


def focus_of(groups: Sequence[str]) -> str:
  """The group whose phrasings are looked at one by one."""
  return next((group for group in FOCUS if group in groups), groups[0])


def _card(row: pd.Series, models: Sequence[str]) -> dict[str, Any]:
  text = row['template'] if isinstance(row['template'], str) and row['template'] else ''
  return {
    'id': row['instruction_id'],
    'text': text or row['instruction_id'],
    'accuracies': [(m, model, float(row[model])) for m, model in enumerate(models) if row[model] == row[model]],
  }


def _difference(a: float | None, b: float | None) -> float | None:
  return None if a is None or b is None or np.isnan(a) or np.isnan(b) else float(a - b)


def made_table(comparison: Any) -> Table:
  """What made each model's results."""
  rows = []
  for model in comparison.models:
    record = comparison.records[model]
    print_ = record.get('fingerprint', {})
    versions = ', '.join(f'{k} {v}' for k, v in record.get('versions', {}).items())
    rows.append(
      (
        model, len(comparison.runs[model]), words.scorer_of(record), str(print_.get('split', '')), record.get('rows'),
        str(print_.get('backbone') or '')[:12], str(print_.get('adapter') or 'none')[:12],
        str(record.get('finished', '')), versions,
      )
    )  # fmt: skip
  names = ('model', 'seeds', 'scorer', 'split', 'rows', 'backbone', 'adapter', 'finished', 'versions')
  kinds = {'seeds': 'count', 'rows': 'count'}
  return Table('made', 'Runs', tuple(Column(n, kinds.get(n, 'text')) for n in names), rows)
