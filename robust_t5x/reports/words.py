"""What a report says in words: the finding, what was measured, what to mind, how the numbers came about."""

from collections.abc import Mapping, Sequence
import re
from typing import Any

import numpy as np

from robust_t5x.reports.tables import percent, points
from robust_t5x.results import schema
from robust_t5x.results.scorers import SCORERS


def finding(comparison: Any, summary: Any) -> str:
  """The result in words: in full for up to four models, in its range for more."""
  count = comparison.phrasings['dataset'].nunique()
  over = f'Over {count} task{"s" if count > 1 else ""}'
  return _of_many(over, comparison, summary) if len(comparison.models) > 4 else _of_few(over, comparison, summary)


def _of_few(over: str, comparison: Any, summary: Any) -> str:
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


def _of_many(over: str, comparison: Any, summary: Any) -> str:
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


def intervals_note(comparison: Any) -> str:
  """How the intervals are made."""
  if comparison.grain == schema.EXAMPLE:
    return 'Intervals: 95%, two-way bootstrap over examples and phrasings, paired where models are compared.'
  return (
    'Intervals: 95%, bootstrap over phrasings alone, paired where models are compared: these inputs have accuracies per '
    'phrasing, so the choice of examples is not covered.'
  )


def facts(comparison: Any) -> list[tuple[str, str]]:
  """What was measured, in a few numbers."""
  frame = comparison.phrasings
  counts = [f'{int((frame["group"] == g).sum()):,} {g}' for g in comparison.groups]
  by_example = comparison.grain == schema.EXAMPLE
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
    cells = comparison.records[model].get('fingerprint', {}).get('cells')
    if cells:
      found.append(
        f'Only a sample of the cells of {model} was evaluated (CELL_BUDGET {cells["budget"]}, seed {cells["seed"]}): the '
        'accuracy of a phrasing rests on few examples, so spread, best and worst are exaggerated. The estimates below '
        'correct for it.'
      )
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
  described = {name: SCORERS[name].words if name in SCORERS else 'as published' for name in scorers}
  seeds = {model: len(runs) for model, runs in comparison.runs.items() if len(runs) > 1}
  return [
    'Every example was answered under every phrasing of its dataset. A phrasing is observed if it stems from a '
    'collection that the model was tuned on, unobserved if it is an equivalent that was not.',
    'Score: ' + '; '.join(f'{name}: {said}' for name, said in described.items()) + '.',
    'A metric is computed for each dataset and then averaged over datasets. ' + intervals_note(comparison)
    + ' Drawn with replacement, phrasings within each group, 1,000 times, from seed 0; the datasets are taken as given.',
    ('Seeds: ' + ', '.join(f'{count} of {model}' for model, count in seeds.items()) + '; they are averaged, and the '
     'intervals do not cover their choice.') if seeds else 'One run of each model: training seeds are not covered.',
  ]  # fmt: skip
