"""What a report says: its sentence, its tables and its groups of numbers, from its inputs."""

from collections.abc import Mapping, Sequence
import dataclasses
import re
from typing import Any

import numpy as np
import pandas as pd

from robust_t5x import analysis, families, results
from robust_t5x.report_tables import Column, Table, percent, points

FOCUS = (analysis.UNOBSERVED, 'correct')  # the group that best and worst phrasings are shown of, where there is one
NO_CASES = 'Case-level metrics and PSS need the scores of every example; these inputs have accuracies per phrasing.'
_DESIGNED = (analysis.OBSERVED, analysis.UNOBSERVED)


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


def _known(comparison: Any, value: analysis.Interval) -> analysis.Interval:
  """Without ends where nothing could be resampled: a single phrasing whose examples are not given."""
  fixed = comparison.grain != results.EXAMPLE and value.low == value.high
  return dataclasses.replace(value, low=np.nan, high=np.nan) if fixed else value


def finding(comparison: Any, summary: Summary) -> str:
  """The result in words: in full for up to four models, in its range for more."""
  count = comparison.phrasings['dataset'].nunique()
  over = f'Over {count} task{"s" if count > 1 else ""}'
  return _of_many(over, comparison, summary) if len(comparison.models) > 4 else _of_few(over, comparison, summary)


def _of_few(over: str, comparison: Any, summary: Summary) -> str:
  sentences = []
  for model in comparison.models:
    changes = next((c for c in summary.changes if c['model'] == model), None)
    if changes is not None:
      sentences.append(_change_in_words(changes))
      continue
    parts = [
      f'{percent(value.estimate)} under {group} phrasings'
      for group in comparison.groups
      if (value := summary.values[model, group, 'AvgP']).estimate == value.estimate
    ]
    text = f'{over}, the' if not sentences else 'The'
    text += f' model {model} scores {_and(parts)}'
    gap = summary.gaps.get(model)
    if gap is not None and gap.estimate == gap.estimate:
      text += f': a gap of {points(gap)}'
    sentences.append(text + '.')
  return ' '.join(sentences)


def _change_in_words(change: Mapping[str, Any]) -> str:
  parts = [
    f'under {group} phrasings by {points(value)}'
    + ('' if value.excludes_zero or np.isnan(value.low) else ' (which cannot be told from no change)')
    for group, value in change['groups'].items()
    if value.estimate == value.estimate
  ]
  if change['gap']:
    parts.append(f'and the gap by {points(change["gap"])}')
  name = change['model']
  return f'{name[0].upper()}{name[1:]}, accuracy changes {", ".join(parts)}.'


def _of_many(over: str, comparison: Any, summary: Summary) -> str:
  parts = []
  for group in comparison.groups[:2]:
    known = [(v, m) for m in comparison.models if (v := summary.values[m, group, 'AvgP']).estimate == v.estimate]
    (low, worst), (high, best) = (f(known, key=lambda pair: pair[0].estimate) for f in (min, max))
    parts.append(f'from {percent(low.estimate)} ({worst}) to {percent(high.estimate)} ({best}) under {group} phrasings')
  text = f'{over}, the accuracy of {len(comparison.models)} models runs {_and(parts)}.'
  gaps = [(v, m) for m, v in summary.gaps.items() if v.estimate == v.estimate]
  if gaps:
    (low, worst), (high, best) = (f(gaps, key=lambda pair: pair[0].estimate) for f in (min, max))
    below = sum(v.high < 0 for v, _ in gaps)
    text += (
      f' The interval of the gap lies below zero for {below} of {len(gaps)} models; the gap runs from '
      f'{points(low)} ({worst}) to {points(high)} ({best}).'
    )
  return text


def _and(parts: Sequence[str]) -> str:
  return parts[0] if len(parts) == 1 else f'{", ".join(parts[:-1])} and {parts[-1]}'


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
        row.append(_difference(mean.get(analysis.UNOBSERVED), mean.get(analysis.OBSERVED)))
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
    if comparison.grain == results.EXAMPLE
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
  reference = next((g for g in (analysis.UNOBSERVED, 'correct', analysis.OBSERVED) if g in comparison.groups), None)
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


def intervals_note(comparison: Any) -> str:
  """How the intervals are made."""
  if comparison.grain == results.EXAMPLE:
    return 'Intervals: 95%, two-way bootstrap over examples and phrasings, paired where models are compared.'
  return (
    'Intervals: 95%, bootstrap over phrasings alone, paired where models are compared: these inputs have accuracies per '
    'phrasing, so the choice of examples is not covered.'
  )


def facts(comparison: Any) -> list[tuple[str, str]]:
  """What was measured, in a few numbers."""
  frame = comparison.phrasings
  counts = [f'{int((frame["group"] == g).sum()):,} {g}' for g in comparison.groups]
  by_example = comparison.grain == results.EXAMPLE
  return [
    ('models', str(len(comparison.models))),
    ('datasets', str(frame['dataset'].nunique())),
    ('phrasings', ', '.join(counts)),
    ('examples', f'{comparison.num_examples:,}' if by_example else 'not given one by one'),
    ('scorer', ', '.join(sorted({scorer_of(r) for r in comparison.records.values()}))),
  ]


def scorer_of(record: Mapping[str, Any]) -> str:
  """The scorer that a record names."""
  scorer = record.get('fingerprint', {}).get('scorer', 'not recorded')
  return scorer if isinstance(scorer, str) else ', '.join(scorer)


def warnings(comparison: Any) -> list[str]:
  """What a reader should know before believing the numbers."""
  found = []
  for model in comparison.models:
    share, cut = comparison.unmatched.get(model, 0.0), comparison.records[model].get('truncated_inputs', 0)
    if share > 0:
      found.append(f'{percent(share)} of the outputs of {model}, where there were options, were none of them.')
    for note in _left_out(comparison.records[model], model):
      found.append(note)
    if cut:
      found.append(f'{cut:,} inputs of {model} were longer than the model was given room for and were cut.')
  return found


def _left_out(record: Mapping[str, Any], model: str) -> list[str]:
  """How many rows of a published table could not be used, by reason."""
  reasons: dict[str, int] = {}
  for entry in record.get('left_out', []):
    if model in (entry['content'].get('Model', model), entry['content'].get('model')):
      reason = re.sub(r" is '[^']*', not", ' is not', entry['reason'])
      reasons[reason] = reasons.get(reason, 0) + 1
  return [f'{count:,} rows of {model} were left out: {reason}.' for reason, count in reasons.items()]


def methods(comparison: Any) -> list[str]:
  """How the numbers came about, in words."""
  scorers = sorted({scorer_of(r) for r in comparison.records.values()})
  described = {
    'exact_match': 'exact match of the greedy output with a right answer, case and punctuation folded',
    'rank_likelihood': 'whether the option with the highest log-likelihood is right',
    'lmentry': "LMentry's own rules on the greedy output",
  }
  seeds = {model: len(runs) for model, runs in comparison.runs.items() if len(runs) > 1}
  return [
    'Every example was answered under every phrasing of its dataset. A phrasing is observed if it stems from a '
    'collection that the model was tuned on, unobserved if it is an equivalent that was not.',
    'Score: ' + '; '.join(f'{s}: {described.get(s, "as published")}' for s in scorers) + '.',
    'A metric is computed for each dataset and then averaged over datasets. ' + intervals_note(comparison)
    + ' Drawn with replacement, phrasings within each group, 1,000 times, from seed 0; the datasets are taken as given.',
    ('Seeds: ' + ', '.join(f'{count} of {model}' for model, count in seeds.items()) + '; they are averaged, and the '
     'intervals do not cover their choice.') if seeds else 'One run of each model: training seeds are not covered.',
  ]  # fmt: skip


def made_table(comparison: Any) -> Table:
  """What made each model's results."""
  rows = []
  for model in comparison.models:
    record = comparison.records[model]
    print_ = record.get('fingerprint', {})
    versions = ', '.join(f'{k} {v}' for k, v in record.get('versions', {}).items())
    rows.append(
      (
        model, len(comparison.runs[model]), scorer_of(record), str(print_.get('split', '')), record.get('rows'),
        str(print_.get('backbone') or '')[:12], str(print_.get('prompt') or 'none')[:12],
        str(record.get('finished', '')), versions,
      )
    )  # fmt: skip
  names = ('model', 'seeds', 'scorer', 'split', 'rows', 'backbone', 'prompt', 'finished', 'versions')
  kinds = {'seeds': 'count', 'rows': 'count'}
  return Table('made', 'Runs', tuple(Column(n, kinds.get(n, 'text')) for n in names), rows)
