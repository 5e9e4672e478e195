"""What a report says in words: the finding, what was measured, what to mind, how the numbers came about."""

from collections.abc import Iterable, Mapping, Sequence
import re
from typing import Literal

import numpy as np

from robust_t5x.analysis.agreement import KAPPA
from robust_t5x.analysis.comparison import Comparison
from robust_t5x.analysis.decisions import LEVEL
from robust_t5x.analysis.perturbations import pairs
from robust_t5x.analysis.sensitivity import without_room
from robust_t5x.reports.inputs import Inputs
from robust_t5x.reports.summary import GAP, GAP_CHANGE, Change, Summary
from robust_t5x.reports.tables import percent, points
from robust_t5x.results.published import model_of
from robust_t5x.results.schema import EXAMPLE, OBSERVED, UNOBSERVED, Record, sample_of
from robust_t5x.results.scorers import SCORERS
from seqio_tasks.datasets.sources import Reading, Reason

_WORD = re.compile(r'\w+')
_BLOCK_NUMBER = re.compile(
  r'(?:(?<=\{options)|(?<=\{labels))_\d+(?=\})'
)  # that blocks of options have in imported banks


def finding(inputs: Inputs, summary: Summary) -> str:
  """The result in words: in full for up to four models, in its range for more."""
  if len(inputs.models) <= 4:
    return _of_few(inputs, summary)
  return _of_many(_over(inputs.phrasings['dataset'].nunique()), inputs, summary)


def _over(count: int) -> str:
  return f'Over {count} task{"s" if count > 1 else ""}'


def _of_few(inputs: Inputs, summary: Summary) -> str:
  sentences = []
  for model in inputs.models:
    change = next((c for c in summary.changes if c.model == model), None)
    if change is not None:
      sentences.append(_change_in_words(change, summary, _other_scorer(inputs, model)))
      continue
    perturbed = {pair.kind: pair.change.interval() for pair in pairs(inputs.of(model), model)}
    parts = [
      f'{percent(value.estimate)} under {group} phrasings'
      for group in inputs.groups
      if group not in perturbed and (value := summary.values[model, group, 'AvgP']).is_known
    ]
    count = len(inputs.of(model).datasets)
    whole = count == inputs.phrasings['dataset'].nunique()
    text = 'The' if sentences and whole else f'{_over(count)}, the'
    text += f' model {model} scores {_and(parts)}'
    gap = summary.gaps.get(model)
    if gap is not None and gap.is_known:
      text += f': a gap of {points(gap)}{_where(inputs, model)}{_verdict(summary, model, GAP)}'
    sentences.append(text + '.')
    if perturbed:
      # Not the accuracy of the group: phrasings that there is nothing to perturb in have no part in it.
      changes = [f'{kind} by {points(change)}' for kind, change in perturbed.items()]
      sentences.append(f'Against the same phrasings without it, accuracy changes with {_and(changes)}.')
  return ' '.join(sentences)


def _where(inputs: Inputs, model: str) -> str:
  """Over which datasets a gap is, where some have phrasings of one group only and count in that group's accuracy alone."""
  datasets = inputs.of(model).datasets.values()
  both = sum({OBSERVED, UNOBSERVED} <= set(groups) for groups in datasets)
  return '' if both == len(datasets) else f' over the {both} task{"s" if both > 1 else ""} with both'


def _verdict(summary: Summary, model: str, what: str) -> str:
  """What the tests say of a difference, behind its number; nothing where that is that it differs, as its interval shows."""
  decision = summary.decisions.get((model, what))
  return f' ({decision.words})' if decision and decision.words not in ('', 'different') else ''


def _other_scorer(inputs: Inputs, model: str) -> str:
  """How a model was scored, and the first one, where they were not scored alike."""
  own, first = (scorer_of(inputs.records[name]) for name in (model, inputs.models[0]))
  return '' if own == first else f'{model} is scored by {own}, {inputs.models[0]} by {first}'


def _change_in_words(change: Change, summary: Summary, other_scorer: str) -> str:
  parts = [
    f'under {group} phrasings by {points(value)}{_verdict(summary, change.model, group)}'
    for group, value in change.groups.items()
    if value.is_known
  ]
  if change.gap and change.gap.is_known:
    parts.append(f'and the gap by {points(change.gap)}{_verdict(summary, change.model, GAP_CHANGE)}')
  name = change.model
  said = f'{name[0].upper()}{name[1:]}, accuracy changes {", ".join(parts)}'
  return said + (f', but {other_scorer}.' if other_scorer else '.')


def _of_many(over: str, inputs: Inputs, summary: Summary) -> str:
  parts = []
  for group in inputs.groups[:2]:
    known = [(v, m) for m in inputs.models if (v := summary.values[m, group, 'AvgP']).is_known]
    (low, worst), (high, best) = (f(known, key=lambda pair: pair[0].estimate) for f in (min, max))
    parts.append(f'from {percent(low.estimate)} ({worst}) to {percent(high.estimate)} ({best}) under {group} phrasings')
  text = f'{over}, the accuracy of {len(inputs.models)} models runs {_and(parts)}.'
  gaps = [(v, m) for m, v in summary.gaps.items() if v.is_known]
  if gaps:
    (low, worst), (high, best) = (f(gaps, key=lambda pair: pair[0].estimate) for f in (min, max))
    below = sum(v.high < 0 for v, _ in gaps)
    small = [
      d for m, _ in summary.gaps.items() if (d := summary.decisions.get((m, GAP))) and d.p_values.equivalent < LEVEL
    ]
    within = f' and is equivalent to none within {100 * small[0].margin:g} points for {len(small)}' if small else ''
    text += (
      f' The interval of the gap lies below zero for {below} of {len(gaps)} models{within}; the gap runs from '
      f'{points(low)} ({worst}) to {points(high)} ({best}).'
    )
  return text


def _and(parts: Sequence[str]) -> str:
  return parts[0] if len(parts) == 1 else f'{", ".join(parts[:-1])} and {parts[-1]}'


def _some(names: Sequence[str]) -> str:
  return _and(names) if len(names) <= 5 else f'{", ".join(names[:5])} and {len(names) - 5} more'


def without_datasets(inputs: Inputs, metrics: Sequence[str]) -> str:
  """Which datasets have no part in the means of some metrics or measures of agreement, and why; nothing where all have."""
  told = []
  for cohort in inputs.cohorts:
    of = f' of {_some(cohort.models)}' if len(inputs.cohorts) > 1 else ''
    for group in (g for g in inputs.groups if g in cohort.groups):
      alike: dict[tuple[str, ...], list[str]] = {}
      for name, datasets in cohort.left_out(group).items():
        if name in metrics:
          alike.setdefault(tuple(datasets), []).append(name)
      count = sum(group in groups for groups in cohort.datasets.values())
      for lacking, names in alike.items():
        reason = (
          'no two answers to compare, or a model that gives one answer throughout'
          if names == [KAPPA]
          else 'no two phrasings to compare'
        )
        told.append(
          f'The mean of {_and(names)} under {group} phrasings{of} is without {len(lacking)} of {count} datasets '
          f'({_some(lacking)}): {reason}.'
        )
  return ' '.join(told)


def intervals_note(inputs: Inputs) -> str:
  """How the intervals are made."""
  if inputs.grain == EXAMPLE:
    return (
      "Intervals: 95%. Those of mean accuracies, gaps and changes are of examples, phrasings and seeds like these (Student's, "
      'over crossed factors); all others are of these very phrasings, on other examples. Changes are paired. How often they '
      'hold the truth: docs/statistics.md of robust_t5x.'
    )
  return (
    "Intervals: 95%, of phrasings like these (Student's), paired where models are compared: these inputs have accuracies per "
    'phrasing, so the choice of examples is not covered.'
  )


def facts(inputs: Inputs) -> list[tuple[str, str]]:
  """What was measured, in a few numbers."""
  frame = inputs.phrasings
  counts = [f'{int((frame["group"] == g).sum()):,} {g}' for g in inputs.groups]
  by_example = inputs.grain == EXAMPLE
  return [
    ('models', str(len(inputs.models))),
    ('datasets', str(frame['dataset'].nunique())),
    ('phrasings', ', '.join(counts)),
    ('examples', f'{inputs.num_examples:,}' if by_example else 'not given one by one'),
    ('scorer', ', '.join(sorted({scorer_of(r) for r in inputs.records.values()}))),
  ]


def scorer_of(record: Record) -> str:
  """The scorer that a record names."""
  scorer = record.get('fingerprint', {}).get('scorer', 'not recorded')
  return scorer if isinstance(scorer, str) else ', '.join(scorer)


def warnings(inputs: Inputs, places: bool = True) -> list[str]:
  """What a reader should know before believing the numbers.

  Args:
    inputs: the models.
    places: whether the first row of each fault of the data is named, with its file.
  """
  found = _of_data((inputs.records[model] for model in inputs.models), places) + _seen(inputs, places)
  for model in inputs.models:
    share, cut = inputs.unmatched.get(model, 0.0), _count(inputs, model, 'truncated_inputs')
    if share > 0:
      found.append(f'Of all outputs of {model}, {percent(share)} should be one of some options and are none of them.')
    found += left_out(inputs.records, model)
    cells = sample_of(inputs.records[model])
    found += _partial(inputs, model)
    if other := _other_scorer(inputs, model):
      found.append(f'{other}: what lies between them is in part the difference of the scorers.')
    if cells:
      how = f'CELL_BUDGET {cells["budget"]}' if 'budget' in cells else f'STOP_WIDTH {cells["width"]}'
      found.append(
        f'Only a sample of the cells of {model} was evaluated ({how}, seed {cells["seed"]}): the '
        'accuracy of a phrasing rests on few examples, so spread, best and worst are exaggerated. The estimates below '
        'correct for it.'
      )
    if cut:
      found.append(f'{cut:,} inputs of {model} were longer than the model was given room for and were cut.')
    for group in inputs.of(model).groups:
      found += _without_room(inputs, model, group)
    if too_long := _count(inputs, model, 'cut_answers'):
      found.append(
        f'{too_long:,} right answers of {model} are longer than its outputs may be, so that it cannot give them.'
      )
    if ties := _count(inputs, model, 'ties'):
      found.append(
        f'{ties:,} rankings of {model} are ties; each counts as the share of its best options that is right, and agreement '
        'takes the first of them.'
      )
  return found


def _partial(inputs: Inputs, model: str) -> list[str]:
  """What a model was not evaluated on, so that its means, and those of its phrasings, are over other data than others'."""
  own = inputs.of(model)
  found = []
  for group in own.groups:
    known = [d for d, groups in own.datasets.items() if group in groups]
    of = list(dict.fromkeys(d for c in inputs.cohorts for d, groups in c.datasets.items() if group in groups))
    if known and len(known) < len(of):
      found.append(
        f'{model} has results of {len(known)} of {len(of)} datasets under {group} phrasings; its means are over these alone.'
      )
  aside = set_aside(own, model)
  runs = own.runs_of(model)
  cells = [scores[runs] for groups in own.datasets.values() for scores in groups.values()]
  missing = sum(int(np.isnan(scores).sum()) for scores in cells)
  if missing and not aside and not sample_of(inputs.records[model]):
    found.append(
      f'{missing:,} of {sum(scores.size for scores in cells):,} cells of {model} have no score, so that its phrasings were not all '
      'answered on the same examples: differences between them are in part those of the examples.'
    )
  return found + aside


def set_aside(comparison: Comparison, model: str) -> list[str]:
  """How many cells of a model do not count, as others that it is compared with have no score there; empty where all do."""
  own = [source for source in comparison.sources if source.label == model]
  aside = sum(source.set_aside for source in own)
  if not aside:
    return []
  return [
    f'{aside:,} of {aside + sum(len(source.table) for source in own):,} cells of {model} are left out, since another evaluation stopped '
    'before it came to them: the numbers are of the cells that all evaluations have.'
  ]


def _is_whole(inputs: Inputs) -> bool:
  """Whether it is known that every example was answered under every phrasing."""
  scores = [scores for c in inputs.cohorts for groups in c.datasets.values() for scores in groups.values()]
  return inputs.grain == EXAMPLE and not any(np.isnan(part).any() for part in scores)


def _without_room(inputs: Inputs, model: str, group: str) -> list[str]:
  """Where a small spread over phrasings is no robustness: at the floor and at the ceiling."""
  by_place: dict[str, list[str]] = {}
  for dataset, place in without_room(inputs.of(model), model, group).items():
    by_place.setdefault(place, []).append(dataset)
  reasons = {'floor': 'no phrasing is better than guessing', 'ceiling': 'under every phrasing 98% or more is right'}
  return [
    f'{model} is at the {place} under all {group} phrasings of {_some(datasets)} ({reasons[place]}): a small spread there is no robustness.'
    for place, datasets in by_place.items()
  ]


def _count(inputs: Inputs, model: str, name: Literal['truncated_inputs', 'cut_answers', 'ties']) -> int:
  """A number of rows that the records of a model's results have, all of its seeds together."""
  return sum(source.record.get(name, 0) for source in inputs.of(model).sources if source.label == model)


def _of_data(records: Iterable[Record], places: bool) -> list[str]:
  """How many rows of the data could not be used, by reason, and how many are doubled; what models share is told once."""
  data: dict[str, Reading] = {}
  for record in records:
    data |= record.get('data', {})
  reasons: dict[str, list[Reason]] = {}
  for reading in data.values():
    for reason, entry in reading['left_out'].items():
      reasons.setdefault(reason, []).append(entry)
  found = [
    f'{sum(e["rows"] for e in entries) or len(entries):,} {"rows" if entries[0]["rows"] else "files"} of the data were left out '
    f'({reason}){_first(entries, places)}.'
    for reason, entries in reasons.items()
  ]
  doubled = [reading['doubled'] for reading in data.values() if 'doubled' in reading]
  if doubled:
    found.append(
      f'{sum(e["rows"] for e in doubled):,} examples of the data ask the same as an earlier one, and count like any other'
      f'{_first(doubled, places)}.'
    )
  unserved = [reading['unserved'] for reading in data.values() if 'unserved' in reading]
  if unserved:
    found.append(
      f'{sum(e["rows"] for e in unserved):,} phrasings do not fit the data and were left out{_first(unserved, places)}.'
    )
  return found


def _seen(inputs: Inputs, places: bool) -> list[str]:
  """How many phrasings that should be new have the words of one that the model was tuned on, by the templates that are told."""
  found: dict[str, str] = {}
  for cohort in inputs.cohorts:
    told = cohort.phrasings[cohort.phrasings['template'].fillna('') != '']
    words = told['template'].map(
      {t: ' '.join(_WORD.findall(_BLOCK_NUMBER.sub('', t.casefold()))) for t in told['template'].unique()}
    )
    is_observed, is_new = told['group'] == OBSERVED, told['group'] == UNOBSERVED
    known = dict(
      zip(
        zip(told['dataset'][is_observed], words[is_observed], strict=True),
        told['instruction_id'][is_observed],
        strict=True,
      )
    )
    for dataset, text, name in zip(told['dataset'][is_new], words[is_new], told['instruction_id'][is_new], strict=True):
      if (dataset, text) in known:
        found[name] = known[dataset, text]
  if not found:
    return []
  first = next(f'; the first: {name}, which reads like {other}' for name, other in found.items()) if places else ''
  return [
    f'{len(found):,} unobserved phrasings have the words of an observed one, so that they are not new to the model{first}.'
  ]


def _first(entries: Sequence[Reason], places: bool) -> str:
  return f'; the first: {entries[0]["first"]}' if places else ''


def left_out(records: Mapping[str, Record], model: str) -> list[str]:
  """How many rows of a published table could not be used, by reason; the first model's record has those of models without others."""
  reasons: dict[tuple[str, str], int] = {}
  for entry in records[model].get('left_out', []):
    place = model_of(entry, model), re.sub(r" is '[^']*', not", ' is not', entry['reason'])
    reasons[place] = reasons.get(place, 0) + 1
  return [
    f'{count:,} rows of {name or "no model"} were left out{"" if name in records else ", and it has no other"}: {reason}.'
    for (name, reason), count in reasons.items()
  ]


def methods(inputs: Inputs) -> list[str]:
  """How the numbers came about, in words."""
  scorers = sorted({scorer_of(r) for r in inputs.records.values()})
  described = {name: SCORERS[name].words if name in SCORERS else 'as published' for name in scorers}
  seeds = {model: len(runs) for model, runs in inputs.runs.items() if len(runs) > 1}
  return [
    ('Every example was answered under every phrasing of its dataset. ' if _is_whole(inputs) else '')
    + 'A phrasing is observed if it stems from a collection that the model was tuned on, unobserved if it is an equivalent '
    'that was not.',
    'Score: ' + '; '.join(f'{name}: {said}' for name, said in described.items()) + '.',
    *dict.fromkeys(told for record in inputs.records.values() for told in record.get('taken', [])),
    'A metric is computed for each dataset and then averaged over the datasets that have it, which are taken as given. ' + intervals_note(inputs)
    + (' Draws and resamples of the examples: 1,000, from seed 0.' if inputs.grain == EXAMPLE else ''),
    ('Seeds: ' + ', '.join(f'{count} of {model}' for model, count in seeds.items()) + '; they are averaged, and the '
     'intervals are of seeds like these.') if seeds else 'One run of each model: training seeds are not covered.',
  ]  # fmt: skip
