"""Distances between phrasings as numbers, tables and a map; `analysis.representation` has what is measured.

A directory holds `represent.json` (what was measured), `distances.csv`, `correlations.csv`, `phrasings.csv`, `represent.md`
and the map as `map.png` and `map.pdf`.
"""

from collections.abc import Mapping, Sequence
import json
import os
from typing import TypedDict

import pandas as pd

from robust_t5x.analysis.representation import ALL, ANSWER, COSINE, INPUT, LAYER, Representation
from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports import escaping
from robust_t5x.reports.charts import representation_map
from robust_t5x.reports.sections import Section
from robust_t5x.reports.tables import Column, Table, text
from robust_t5x.results.schema import ResultsError
from robust_t5x.runtime import records
from robust_t5x.runtime.files import write_atomically
from seqio_tasks.errors import shorten
from seqio_tasks.tables import TableError, read_columns

_RECORD = 'represent.json'
# File -> its columns of texts, and of numbers that it must have.
_FRAMES = {
  'distances': (('model', 'place', 'measure', 'quantity'), ('estimate', 'low', 'high')),
  'correlations': (('model', 'place', 'measure', 'group'), ('rho', 'low', 'high', 'phrasings')),
  'phrasings': (('model', 'dataset', 'group', 'instruction_id', 'template'), ('accuracy', 'x', 'y', 'u', 'v')),
}


class _Record(TypedDict):
  shares: dict[str, list[float]]


def tables(found: Representation) -> list[Table]:
  """The distances and the correlations as tables."""
  shown = []
  by_layer = found.distances['place'].str.startswith(LAYER)
  frame = found.distances[~by_layer]
  changes = [q for q in frame['quantity'].unique() if q.startswith('change of ')]
  plain = [q for q in frame['quantity'].unique() if q not in changes]
  rows = [
    (place, measure, model, *(_cell(part, q) for q in plain))
    for (place, measure, model), part in frame.groupby(['place', 'measure', 'model'], sort=False)
  ]
  columns = (Column('place'), Column('measure'), Column('model'), *(Column(q, 'number') for q in plain))
  shown.append(
    Table(
      'distances', 'Distances, mean over examples and datasets', columns, rows,
      'Between phrasings: all pairs of phrasings of an example. Between examples: different examples under the same '
      'phrasing. Ratio: the first by the second; what falls only because everything grows alike leaves it as it was. Their '
      'intervals resample examples; those of distances to the canonical place phrasings too.',
    )
  )  # fmt: skip
  if changes:
    part = frame[frame['quantity'].isin(changes)]
    rows = [
      (place, measure, *(_cell(one, q) for q in changes))
      for (place, measure), one in part.groupby(['place', 'measure'], sort=False)
    ]
    columns = (Column('place'), Column('measure'), *(Column(q, 'number') for q in changes))
    shown.append(Table('distance_change', 'Change of the distances by the adapter, paired', columns, rows))
  if by_layer.any():
    frame = found.distances[by_layer]
    quantities = frame['quantity'].unique()
    rows = [
      (int(place.removeprefix(LAYER)), model, *(_cell(part, q) for q in quantities))
      for (place, model), part in frame.groupby(['place', 'model'], sort=False)
    ]
    columns = (Column('layer', 'count'), Column('model'), *(Column(q, 'number') for q in quantities))
    shown.append(
      Table(
        'distances_by_layer', 'Cosine distances of what the input is read to, behind each layer', columns, rows,
        'Quantities as above, of the mean over the input before the last norm.',
      )
    )  # fmt: skip
  if len(found.correlations):
    rows = [
      (r.place, r.measure, r.model, r.group, r.phrasings, Interval(r.rho, r.low, r.high))
      for r in found.correlations.itertuples()
    ]
    columns = (
      Column('place'), Column('measure'), Column('model'), Column('phrasings'), Column('number', 'count'),
      Column("Spearman's ρ", 'number'),
    )  # fmt: skip
    shown.append(
      Table(
        'distance_correlations', 'Rank correlation of distance to the canonical place and lost accuracy', columns, rows,
        'Within each dataset, then averaged over datasets; lost accuracy is against the mean of the observed phrasings. '
        'Above 0: phrasings that lie further away lose more.',
      )
    )  # fmt: skip
  return shown


def finding(found: Representation) -> str:
  """The result in words."""
  parts = []
  for model in found.distances['model'].unique():
    cell = found.distances.query('model == @model and quantity == "ratio"').set_index(['place', 'measure'])
    values = [cell.loc[(place, COSINE)] for place in (INPUT, ANSWER)]
    words = [text(Interval(v.estimate, v.low, v.high), 'number') for v in values]
    parts.append(
      f'{model} {words[0]} times as far where the input is read and {words[1]} times at the first answer step'
    )
  sentence = f'As against two examples, two phrasings of one example lie apart (cosine): {"; ".join(parts)}.'
  rows = found.correlations.query('place == @ANSWER and measure == @COSINE')
  for r in rows[rows['group'] != ALL].itertuples():
    rho = Interval(r.rho, r.low, r.high)
    told = '' if rho.excludes_zero else ' (which cannot be told from none)'
    sentence += (
      f' {r.model[0].upper()}{r.model[1:]}, the rank correlation over {r.group} phrasings of distance at the first answer step '
      f'and lost accuracy is {text(rho, "number")}{told}.'
    )
  return sentence


def write(found: Representation, out: str, record: Mapping[str, object]) -> None:
  """Writes all files of a representation; `represent.json` last, so that a directory with it is whole."""
  from robust_t5x.reports import plots

  for name in _FRAMES:
    write_atomically(os.path.join(out, f'{name}.csv'), getattr(found, name).to_csv(index=False))
  lines = [
    '# Distances between phrasings',
    f'**{escaping.markdown(finding(found))}**',
    '![Map of the phrasings](map.png)',
    escaping.markdown_paragraph(map_note(found)),
  ]
  for table in tables(found):
    lines += [f'## {escaping.markdown(table.caption)}', table.markdown()]
    lines += [escaping.markdown_paragraph(table.note)] if table.note else []
    write_atomically(os.path.join(out, f'{table.stem}.tex'), table.latex())
  write_atomically(os.path.join(out, 'represent.md'), '\n\n'.join(lines) + '\n')
  plots.save(plots.representation_map(found), os.path.join(out, 'map'))
  whole = {**record, 'shares': dict(found.shares)}
  write_atomically(os.path.join(out, _RECORD), json.dumps(whole, indent=2) + '\n')


def read(directory: str) -> Representation:
  """Reads what `write` wrote.

  Raises:
    ResultsError: if the directory holds no finished representation, or a file is damaged.
  """
  path = os.path.join(directory, _RECORD)
  if not os.path.isfile(path):
    raise ResultsError(f'{directory} has no {_RECORD}; give the OUTPUT_DIR of a finished `robust-t5x represent`')
  cure = 'run `robust-t5x represent` again'
  try:
    shares = records.read(path, _Record, cure)['shares']
    distances, correlations, phrasings = (
      _frame(os.path.join(directory, f'{name}.csv'), *columns) for name, columns in _FRAMES.items()
    )
  except (records.RecordError, TableError) as e:
    raise ResultsError(str(e) if cure in str(e) else f'{e}; {cure}') from e
  if not all(len(shares.get(place, ())) >= 2 for place in (INPUT, ANSWER)):
    raise ResultsError(f'{path}: shares has not two numbers for each of {INPUT} and {ANSWER}; {cure}')
  return Representation(distances, correlations, phrasings, shares)


def _frame(path: str, texts: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
  lines, cells = read_columns(path, (*texts, *numbers))
  frame = pd.DataFrame(cells)
  for column in frame.columns.difference(texts):
    values = pd.to_numeric(frame[column].where(frame[column] != ''), errors='coerce')
    wrong = values.isna() & (frame[column] != '')
    if wrong.any():
      row = int(wrong.argmax())
      raise TableError(f'{path}: line {lines[row]}: {column} is {shorten(repr(frame[column][row]))}, not a number')
    frame[column] = values
  return frame


def map_note(found: Representation) -> str:
  """What the map shows."""
  shares = {place: sum(values[:2]) for place, values in found.shares.items()}
  return (
    'Every point is a phrasing, the mean of its examples on the first two principal components of the model without '
    f'adapter; they hold {100 * shares[ANSWER]:.0f}% of the variance at the first answer step and '
    f'{100 * shares[INPUT]:.0f}% where the input is read. Outline: observed phrasings; filled: the others.'
  )


def section(found: Representation) -> Section:
  """The part of a report."""
  return Section(
    'representation',
    'Where phrasings lie in the model',
    notes=[finding(found), map_note(found)],
    charts=[representation_map(found)],
    tables=tables(found),
  )


def _cell(part: pd.DataFrame, quantity: str) -> Interval | None:
  row = part[part['quantity'] == quantity]
  return Interval(*row[['estimate', 'low', 'high']].iloc[0]) if len(row) else None
