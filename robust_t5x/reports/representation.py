"""Distances between phrasings as numbers, tables and a map; see robust_t5x.representation for what is measured.

A directory holds `represent.json` (what was measured), `distances.csv`, `correlations.csv`, `phrasings.csv`, `represent.md`
and the map as `map.png` and `map.pdf`.
"""

from collections.abc import Mapping
import json
import os
from typing import Any

import pandas as pd

from robust_t5x.analysis import comparison, representation
from robust_t5x.reports.tables import Column, Table, text
from robust_t5x.results import schema
from robust_t5x.runtime import files

_RECORD = 'represent.json'
_FRAMES = ('distances', 'correlations', 'phrasings')


def tables(found: representation.Representation) -> list[Table]:
  """The distances and the correlations as tables."""
  shown = []
  frame = found.distances
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
  if len(found.correlations):
    rows = [
      (r.place, r.measure, r.model, r.group, r.phrasings, comparison.Interval(r.rho, r.low, r.high))
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


def finding(found: representation.Representation) -> str:
  """The result in words."""
  parts = []
  for model in found.distances['model'].unique():
    cell = found.distances.query('model == @model and quantity == "ratio"').set_index(['place', 'measure'])
    values = [cell.loc[(p, representation.COSINE)] for p in (representation.ENCODER, representation.DECODER)]
    words = [text(comparison.Interval(v.estimate, v.low, v.high), 'number') for v in values]
    parts.append(f'{model} {words[0]} times as far in the encoder and {words[1]} times at the first decoder step')
  sentence = f'As against two examples, two phrasings of one example lie apart (cosine): {"; ".join(parts)}.'
  rows = found.correlations.query('place == @representation.DECODER and measure == @representation.COSINE')
  for r in rows[rows['group'] != representation.ALL].itertuples():
    rho = comparison.Interval(r.rho, r.low, r.high)
    told = '' if rho.excludes_zero else ' (which cannot be told from none)'
    sentence += (
      f' {r.model[0].upper()}{r.model[1:]}, the rank correlation over {r.group} phrasings of distance at the first decoder step '
      f'and lost accuracy is {text(rho, "number")}{told}.'
    )
  return sentence


def write(found: representation.Representation, out: str, record: Mapping[str, Any]) -> None:
  """Writes all files of a representation; `represent.json` last, so that a directory with it is whole."""
  from robust_t5x.reports import plots

  for name in _FRAMES:
    files.write_atomically(os.path.join(out, f'{name}.csv'), getattr(found, name).to_csv(index=False))
  lines = [
    '# Distances between phrasings',
    f'**{finding(found)}**',
    '![Map of the phrasings](map.png)',
    map_note(found),
  ]
  for table in tables(found):
    lines += [f'## {table.caption}', table.markdown()] + ([table.note] if table.note else [])
    files.write_atomically(os.path.join(out, f'{table.name}.tex'), table.latex())
  files.write_atomically(os.path.join(out, 'represent.md'), '\n\n'.join(lines) + '\n')
  plots.save(plots.representation_map(found), os.path.join(out, 'map'))
  whole = dict(record) | {'shares': dict(found.shares)}
  files.write_atomically(os.path.join(out, _RECORD), json.dumps(whole, indent=2) + '\n')


def read(directory: str) -> representation.Representation:
  """Reads what `write` wrote.

  Raises:
    ResultsError: if the directory holds no finished representation.
  """
  path = os.path.join(directory, _RECORD)
  if not os.path.isfile(path):
    raise schema.ResultsError(f'{directory} has no {_RECORD}; give the OUTPUT_DIR of a finished `robust-t5x represent`')
  with open(path, encoding='utf-8') as f:
    record = json.load(f)
  frames = [pd.read_csv(os.path.join(directory, f'{name}.csv')) for name in _FRAMES]
  return representation.Representation(*frames, shares=record['shares'])


def map_note(found: representation.Representation) -> str:
  """What the map shows."""
  shares = {place: sum(values[:2]) for place, values in found.shares.items()}
  return (
    'Every point is a phrasing, the mean of its examples on the first two principal components of the model without '
    f'adapter; they hold {100 * shares[representation.DECODER]:.0f}% of the variance at the first decoder step and '
    f'{100 * shares[representation.ENCODER]:.0f}% in the encoder. Outline: observed phrasings; filled: the others.'
  )


def section(found: representation.Representation) -> dict[str, Any]:
  """The part of a report: id, title, notes, charts and tables."""
  from robust_t5x.reports import charts

  return {
    'id': 'representation',
    'title': 'Where phrasings lie in the model',
    'notes': [finding(found), map_note(found)],
    'charts': [charts.representation_map(found)],
    'tables': tables(found),
  }


def _cell(part: pd.DataFrame, quantity: str) -> Any:
  row = part[part['quantity'] == quantity]
  return comparison.Interval(*row[['estimate', 'low', 'high']].iloc[0]) if len(row) else None
