"""Results as a comparison needs them: of one model from one place, with its cells in the order of another's."""

from collections.abc import Sequence
import functools
import os

import numpy as np
import pandas as pd

from robust_t5x.analysis import forms
from robust_t5x.results.cells import Arrays, Cells
from robust_t5x.results.reading import read_models
from robust_t5x.results.schema import EXAMPLE, Record, ResultsError, grain, sample_of
from seqio_tasks.answers import normalise
from seqio_tasks.errors import UserError


class Source:
  """The results of one model from one place.

  Attributes:
    path: the place.
    label: of the model.
    table: its results.
    record: what is known of the run.
    set_aside: number of its cells that are not in the table, since others have no score there.
    grain: of the table.
    places: where its rows stand.
  """

  def __init__(self, path: str, label: str, table: pd.DataFrame, record: Record, set_aside: int = 0):
    self.path, self.label, self.table, self.record, self.set_aside = path, label, table, record, set_aside
    self.grain = grain(table)
    try:
      self.places = Cells(table)
    except UserError as e:
      raise ResultsError(f'{path}: {e}') from e

  def scores(self) -> Arrays:
    """dataset -> group -> scores [N, k], NaN where a cell was not evaluated."""
    return self.places.fill(self.table['score'].to_numpy(float), np.nan)

  def answers(self) -> Arrays:
    """dataset -> group -> number of the answer [N, k], the same after answers.normalise, -1 where there is none.

    There is none in a dataset all of whose predictions are empty: a table of others may have scores without answers. Where
    phrasings ask for the answer in several forms, see `forms.comparable`.
    """
    codes, texts = pd.factorize(self.table['prediction'])
    same, _ = pd.factorize(np.array([normalise(text) or text for text in texts], object))
    told = self.table['prediction'].fillna('').ne('').groupby(self.table['dataset'], sort=False).transform('any')
    found = np.where(told, np.append(same, -1)[codes], -1)
    return self.places.fill(forms.comparable(self.table, found), -1)

  def aligned_to(self, other: Cells, arrays: Arrays) -> Arrays:
    """Arrays of this source with examples and phrasings in the order of another."""
    out = {}
    for dataset, groups in other.phrasings.items():
      rows = pd.Index(self.places.examples[dataset]).get_indexer(other.examples[dataset])
      out[dataset] = {
        group: arrays[dataset][group][rows][:, pd.Index(self.places.phrasings[dataset][group]).get_indexer(ids)]
        for group, ids in groups.items()
      }
    return out


def read_sources(paths: Sequence[str]) -> list[Source]:
  """The results of each model at some paths; those that others made of one model are joined (reading.read_models).

  Raises:
    ResultsError: if there are no finished results, a cell stands twice, or an evaluation is given twice.
  """
  found = [Source(r.path, r.model, r.table, r.record) for r in read_models(paths)]
  places: dict[tuple[str, str], str] = {}
  for source in found:
    place = os.path.realpath(source.path), source.label  # a place may hold runs of several models
    if place in places and source.record.get('launcher') != 'published':
      raise ResultsError(f'{places[place]} and {source.path} are the same evaluation; give it once')
    places[place] = source.path
  return found


def on_common_cells(sources: Sequence[Source]) -> list[Source]:
  """The sources on the cells that all have, where some stopped early: cells come in one order, so that changes stay paired.

  Sources as they are where none stopped early, or where a phrasing would be left without a cell.
  """
  if len(sources) < 2 or not any('width' in (sample_of(s.record) or {}) for s in sources):
    return list(sources)
  keys = ['dataset', 'group', 'instruction_id', 'example_id']
  indices = [pd.MultiIndex.from_frame(s.table[keys]) for s in sources if s.grain == EXAMPLE]
  common = functools.reduce(lambda a, b: a.intersection(b, sort=False), indices)
  phrasings = {place for index in indices for place in index.droplevel('example_id')}
  if len(indices) < len(sources) or set(common.droplevel('example_id')) != phrasings:
    return list(sources)
  found = []
  for source, index in zip(sources, indices, strict=True):
    table = source.table[index.isin(common)].reset_index(drop=True)
    aside = source.set_aside + len(source.table) - len(table)
    found.append(Source(source.path, source.label, table, source.record, aside))
  return found


def check_same_cells(first: Source, other: Source) -> None:
  """Raises ResultsError where two results differ in grain, groups, examples or phrasings."""
  if first.grain != other.grain:
    raise ResultsError(
      f'{first.path} has scores per {first.grain}, {other.path} per {other.grain}; compare results of one grain'
    )
  a, b = first.places, other.places
  for dataset in {**a.phrasings, **b.phrasings}:
    groups_a, groups_b = a.phrasings.get(dataset, {}), b.phrasings.get(dataset, {})
    for group in {**groups_a, **groups_b}:
      if group not in groups_a or group not in groups_b:
        lacking = other if group in groups_a else first
        raise ResultsError(
          f'{lacking.path} ({lacking.label}) has no {group} phrasings of {dataset}, which the other evaluation has; '
          'compare evaluations of the same mixtures'
        )
      of_one = set(a.examples[dataset]) ^ set(b.examples[dataset]) or set(groups_a[group]) ^ set(groups_b[group])
      if of_one:
        raise ResultsError(
          f'{first.path} ({first.label}) and {other.path} ({other.label}) differ in the examples or phrasings of '
          f'{dataset} ({group}): {min(of_one)!r} is in one of them only; compare results of the same examples and phrasings, as '
          'evaluations with the same settings are'
        )


def check_same_sample(first: Source, first_scores: Arrays, other: Source, other_scores: Arrays) -> None:
  """Raises ResultsError where one has scores of cells that the other lacks: changes would not be paired.

  Args:
    first: results.
    first_scores: of them.
    other: results of the same examples and phrasings.
    other_scores: of them, in the order of the first.
  """
  samples = [sample_of(source.record) for source in (first, other)]
  for dataset, groups in first_scores.items():
    for group, scores in groups.items():
      lacking, others = np.isnan(scores), np.isnan(other_scores[dataset][group])
      if (lacking == others).all():
        continue
      place = f'{dataset} ({group})'
      if any(samples):
        names = dict.fromkeys('CELL_BUDGET' if 'budget' in s else 'STOP_WIDTH' for s in samples if s)
        raise ResultsError(
          f'{first.path} ({first.label}) and {other.path} ({other.label}) have different samples of the cells of {place}; compare '
          f'evaluations with the same {" and ".join(names)} and seed, or of all cells'
        )
      source, with_score = (first, other) if (lacking & ~others).any() else (other, first)
      missing = lacking & ~others if source is first else others & ~lacking
      example, phrasing = np.argwhere(missing)[0]
      raise ResultsError(
        f'{source.path} ({source.label}) lacks the score of {_cells(int(missing.sum()))} of {place} that {with_score.path} '
        f'({with_score.label}) has, the first: example {first.places.examples[dataset][example]!r} under {first.places.phrasings[dataset][group][phrasing]!r}; '
        'add what is missing, or leave it out of both'
      )


def _cells(count: int) -> str:
  return f'{count:,} cell{"s" if count > 1 else ""}'


def check_seeds(first: Source, other: Source) -> None:
  """Raises ResultsError where two results of one label were not made alike, so that they are no seeds of one model."""
  if first.label == other.label and (found := reasons(first.record, other.record)):
    raise ResultsError(
      f'{first.path} and {other.path} have the label {first.label!r}, so they count as seeds of one model, but were not made alike: '
      f'{"; ".join(found)}; give models that are to be set side by side labels of their own (LABEL)'
    )


def reasons(first: Record, second: Record) -> list[str]:
  """Why two evaluations cannot be compared, from their records (`run.json`); empty if nothing speaks against it."""
  a, b = first.get('fingerprint', {}), second.get('fingerprint', {})
  found = []
  # T5X's output names no split.
  for what, one, other in (
    ('scorer', a.get('scorer'), b.get('scorer')),
    ('split', a.get('split'), b.get('split')),
  ):
    if one is not None and other is not None and _names(one) != _names(other):
      found.append(f'another {what}: {_names(one)} and {_names(other)}')
  one, other = (record.get('model', {}).get('vocabulary') for record in (first, second))
  if one and other and one != other:
    found.append(f'another vocabulary: hash {one[:12]} and {other[:12]}')
  tasks_a, tasks_b = a.get('tasks', {}), b.get('tasks', {})
  if isinstance(tasks_a, dict) and isinstance(tasks_b, dict):
    changed = [task for task in tasks_a if task in tasks_b and tasks_a[task] != tasks_b[task]]
    if changed:
      found.append(f'other examples or phrasings in {_some(changed)}')
  missing = sorted(set(tasks_a) ^ set(tasks_b))
  if missing and isinstance(tasks_a, dict) == isinstance(tasks_b, dict):
    found.append(f'{_some(missing)} in one of them only')
  return found


def _names(value: str | Sequence[str]) -> str:
  return value if isinstance(value, str) else ', '.join(map(str, value))


def _some(names: Sequence[str]) -> str:
  return ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')
