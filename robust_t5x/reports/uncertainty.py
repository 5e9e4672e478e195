"""The report's picture of what its uncertainty is made of: wording, data, what both do together, seeds."""

from collections.abc import Sequence
import dataclasses

from markupsafe import Markup
import numpy as np

from robust_t5x.analysis.uncertainty import BOTH, DATA, RUNS, WORDING, Uncertainty, of_mean
from robust_t5x.reports import svg
from robust_t5x.reports.charts import Line, Lines
from robust_t5x.reports.inputs import Inputs
from robust_t5x.reports.sections import Section
from robust_t5x.reports.tables import Cell, Column, Table, percent
from robust_t5x.results.schema import EXAMPLE

PARTS = (WORDING, DATA, BOTH, RUNS)
_SERIES = {WORDING: 2, DATA: 1, BOTH: 0, RUNS: 3}  # colours of the page
_WRITTEN = 0.13  # shares from which a bar says its number
_ABOUT = (
  '± is half of the 95% interval of the mean accuracy. wording: the choice of phrasings; data: the choice of examples; wording × data: '
  'that other examples are hard under other phrasings, and the noise of single answers, which more of either makes smaller; seeds: '
  'training runs, and what they do to examples and to phrasings. Shares are of the variance.'
)
_COMPONENTS = (
  'Standard deviations of true accuracies: of phrasings over all examples like these, of examples over all phrasings like these, '
  'and so on; {noisy} holds the noise of single answers too. Mean over datasets of the variances. Below 0 counts as 0. How they are '
  'estimated: docs/statistics.md.'
)


@dataclasses.dataclass(frozen=True)
class Row:
  """What the uncertainty of a model under a group is made of."""

  model: str
  group: str
  found: Uncertainty


def rows(inputs: Inputs) -> list[Row]:
  """A row for each model and group that it has phrasings of; none for accuracies, whose spread holds the noise of examples, unknown."""
  if inputs.grain != EXAMPLE:
    return []
  return [
    Row(m, g, of_mean(inputs.of(m), m, g)) for m in inputs.models for g in inputs.groups if g in inputs.of(m).groups
  ]


def section(found: Sequence[Row]) -> Section | None:
  """The section; None where nothing tells the uncertainty."""
  known = [row for row in found if row.found.shares]
  if not known:
    return None
  notes, tables = [in_words(row) for row in known[:4]], [_shares(known), _components(known)]
  return Section('uncertainty', 'What the uncertainty is made of', notes, tables, [legend(known), picture(known)])


def in_words(row: Row) -> str:
  """What would make the number surer, in a sentence."""
  found = row.found
  greatest = max(found.shares, key=lambda part: found.shares[part])
  said = {
    WORDING: 'the choice of phrasings', DATA: 'the choice of examples', BOTH: 'single answers and how wording and data act together',
    RUNS: 'training seeds',
  }  # fmt: skip
  half = f'±{100 * found.half_width:.1f} points'
  text = f'{row.model}, {row.group} phrasings: {half}, of whose variance {100 * found.shares[greatest]:.0f}% is {said[greatest]}.'
  if found.shares.get(DATA) and found.shares.get(WORDING):
    text += (
      f' With examples without end it would be ±{100 * found.without(DATA, BOTH):.1f}, '
      f'with phrasings without end ±{100 * found.without(WORDING, BOTH):.1f}.'
    )
  return text


def legend(found: Sequence[Row]) -> Markup:
  """What the colours mean."""
  items = [
    svg.element('li', svg.swatch(_SERIES[part]) + part)
    for part in PARTS
    if any(row.found.shares.get(part, 0.0) > 0 for row in found)
  ]
  return svg.element('ul', svg.joined(items), class_='legend')


def picture(found: Sequence[Row]) -> Lines:
  """A bar for each model and group, as long as its variance is whole, cut into its parts."""
  lines = []
  for row in found:
    parts = [
      (share, _SERIES[part], f'{100 * share:.0f}%' if share >= _WRITTEN else '', f'{part}: {percent(share)}')
      for part in PARTS
      if (share := row.found.shares.get(part, 0.0)) > 0
    ]
    lines.append(Line(row.model, svg.stack(parts), f'±{100 * row.found.half_width:.1f} points', row.group))
  return Lines(lines, svg.axis((0.0, 0.5, 1.0), (0.0, 1.0), ('0%', 'of the variance', '100%')))


def _shares(found: Sequence[Row]) -> Table:
  columns = (
    Column('model'), Column('phrasings'), Column('interval, points', 'half'), *(Column(part, 'percent') for part in PARTS),
    Column('with examples without end', 'half'), Column('with phrasings without end', 'half'),
  )  # fmt: skip
  rows: list[Sequence[Cell]] = [
    (
      row.model, row.group, _width(row.found.half_width), *(row.found.shares.get(part) for part in PARTS),
      _width(row.found.without(DATA, BOTH)), _width(row.found.without(WORDING, BOTH)),
    )
    for row in found
  ]  # fmt: skip
  return Table('uncertainty', 'What the uncertainty of mean accuracies is made of', columns, rows, _ABOUT)


def _components(found: Sequence[Row]) -> Table:
  names = list(dict.fromkeys(name for row in found for name in row.found.components))
  columns = (Column('model'), Column('phrasings'), *(Column(name, 'percent') for name in names))
  rows: list[Sequence[Cell]] = []
  for row in found:
    sds = [row.found.components[name].sd if name in row.found.components else None for name in names]
    rows.append((row.model, row.group, *sds))
  noisy = ' and '.join(dict.fromkeys(row.found.noisy for row in found))
  return Table(
    'components', 'How far phrasings, examples and seeds differ', columns, rows, _COMPONENTS.format(noisy=noisy)
  )


def _width(value: float) -> float | None:
  return None if np.isnan(value) else value
