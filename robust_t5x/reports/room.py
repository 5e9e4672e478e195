"""The report's section on what a spread over phrasings is made of: noise, the room that the mean leaves, the form of answers."""

from collections.abc import Sequence

import numpy as np

from robust_t5x.analysis import room, significance
from robust_t5x.analysis.room import Room
from robust_t5x.analysis.sensitivity import without_room
from robust_t5x.reports.inputs import Inputs
from robust_t5x.reports.sections import Section
from robust_t5x.reports.tables import Cell, Column, Table

_LEVEL = 0.05
_ABOUT = (
  'sd: of the accuracies of phrasings, measured. By noise: what it would be if wording did nothing, from the noise of single answers on '
  'these examples; beyond it: the rest. At most: what the mean allows, all phrasings at 0 or 1 but one; near 0% and 100% that is little. Noise is not known where there are no scores of examples. '
)
_ABOUT_MODELS = _ABOUT + (
  "Means over datasets; one of a single example, which tells no noise, counts in the mean alone. p: Cochran's Q of all datasets, that wording does nothing in any. More than noise: datasets where it is below 5% by Holm's "
  'rule. Floor and ceiling: datasets where a small spread is no robustness.'
)
_ABOUT_DATASETS = _ABOUT + "p: Cochran's Q, that wording does nothing, as it stands."
_ABOUT_FORM = (
  'The share of all outputs that is one of the options, or has none to be, and the accuracy of those, each with its sd over phrasings '
  '(means over datasets). So a spread is told apart into the form of answers, and the answers. Right in another form: no option as it stands, but '
  'the output commits to the right one (scorer `extracted`).'
)


def section(inputs: Inputs) -> Section | None:
  """The section; None where no dataset has two phrasings."""
  found = {
    (model, group): room.of_comparison(inputs.of(model), model, group)
    for model in inputs.models
    for group in inputs.groups
    if group in inputs.of(model).groups
  }
  found = {place: rooms for place, rooms in found.items() if rooms}
  tables = [_of_models(inputs, found), _of_datasets(found)] if found else []
  forms = _forms(inputs)
  tables += [forms] if forms else []
  return Section('room', 'What the spread is made of', tables=tables) if tables else None


def _numbers(rooms: Sequence[Room]) -> list[Cell]:
  """sd, noise, beyond, most and its share: means over the datasets whose noise is known, or over all if it is of none."""
  told = [r for r in rooms if not np.isnan(r.noise)] or rooms
  mean = {name: float(np.mean([getattr(r, name) for r in told])) for name in ('sd', 'noise', 'beyond', 'most')}
  return [_known(v) for v in (*mean.values(), mean['beyond'] / mean['most'] if mean['most'] else np.nan)]


_NUMBERS = (
  Column('sd', 'percent'), Column('by noise', 'percent'), Column('beyond it', 'percent'), Column('at most', 'percent'),
  Column('beyond, of at most', 'percent'),
)  # fmt: skip


def _of_models(inputs: Inputs, found: dict[tuple[str, str], dict[str, Room]]) -> Table:
  rows: list[Sequence[Cell]] = []
  for (model, group), by_dataset in found.items():
    rooms = list(by_dataset.values())
    tested = [r for r in rooms if not np.isnan(r.p)]
    p = more = None
    if tested:
      whole = Room(0.0, 0.0, 0.0, 0.0, sum(r.q for r in tested), sum(r.freedom for r in tested))
      p = whole.p
      more = f'{int((significance.adjust([r.p for r in tested]) < _LEVEL).sum())} of {len(tested)}'
    places = list(without_room(inputs.of(model), model, group).values())
    rows.append(
      (model, group, float(np.mean([r.mean for r in rooms])), *_numbers(rooms), p, more, places.count('floor'), places.count('ceiling'))
    )  # fmt: skip
  columns = (
    Column('model'), Column('phrasings'), Column('mean', 'percent'), *_NUMBERS, Column('p', 'p'), Column('more than noise'),
    Column('at the floor', 'count'), Column('at the ceiling', 'count'),
  )  # fmt: skip
  return Table('room', 'Spread over phrasings, against noise and what the mean allows', columns, rows, _ABOUT_MODELS)


def _of_datasets(found: dict[tuple[str, str], dict[str, Room]]) -> Table:
  rows: list[Sequence[Cell]] = [
    (dataset, model, group, r.mean, *_numbers([r]), _known(r.p))
    for (model, group), rooms in found.items()
    for dataset, r in rooms.items()
  ]
  columns = (
    Column('dataset'), Column('model'), Column('phrasings'), Column('mean', 'percent'), *_NUMBERS, Column('p', 'p'),
  )  # fmt: skip
  return Table('room_datasets', 'The same by dataset', columns, rows, _ABOUT_DATASETS)


def _forms(inputs: Inputs) -> Table | None:
  rows: list[Sequence[Cell]] = []
  for model in inputs.models:
    for group in inputs.groups:
      form = room.form(inputs.of(model), model, group)
      if form is not None:
        values = (form.share, form.share_sd, form.accuracy, form.accuracy_sd, form.elsewhere)
        rows.append((model, group, *map(_known, values)))
  if not rows:
    return None
  columns = (
    Column('model'), Column('phrasings'), Column('an option', 'percent'), Column('its sd', 'percent'), Column('of those right', 'percent'),
    Column('sd of that', 'percent'), Column('right in another form', 'percent'),
  )  # fmt: skip
  return Table('form', 'The form of answers, apart from answers', columns, rows, _ABOUT_FORM)


def _known(value: float) -> float | None:
  return None if np.isnan(value) else float(value)
