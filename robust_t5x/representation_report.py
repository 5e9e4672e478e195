"""Distances between phrasings as numbers, tables and a map; see robust_t5x.representation for what is measured.

A directory holds `represent.json` (what was measured), `distances.csv`, `correlations.csv`, `phrasings.csv`, `represent.md`
and the map as `map.png` and `map.pdf`.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import os
from typing import Any

import numpy as np
import pandas as pd

from robust_t5x import analysis, representation, results, statistics
from robust_t5x.report_tables import Column, Table, text

_RECORD = 'represent.json'
_FRAMES = ('distances', 'correlations', 'phrasings')
_ALL = 'all'


@dataclasses.dataclass(frozen=True)
class Representation:
  """What was found.

  Attributes:
    distances: a row per model, place, measure and quantity ('between phrasings', 'between examples', 'ratio' and 'GROUP to
      canonical'; also 'change of ...' of the model with prompt, paired): estimate, low, high.
    correlations: a row per model, place, measure and group of phrasings: rho, low, high, number of phrasings.
    phrasings: a row per model, dataset and phrasing: group, instruction_id, template, accuracy, lost (accuracy), a column
      per place and measure with the mean distance to the canonical place, and x, y and u, v on the maps of the decoder and
      of the encoder.
    shares: place -> share of variance of the two axes of its map.
  """

  distances: pd.DataFrame
  correlations: pd.DataFrame
  phrasings: pd.DataFrame
  shares: Mapping[str, Sequence[float]]


def column(place: str, measure: str) -> str:
  """Name of a distance in Representation.phrasings."""
  return f'{place}, {measure}'


class Collector:
  """Takes the states of one dataset after another and keeps what is needed of them."""

  def __init__(self, models: Sequence[str], accuracies: Mapping[str, pd.Series]):
    """Args: labels of the models; accuracy of each phrasing by (dataset, instruction id), for models that have one."""
    self._models, self._accuracies = tuple(models), accuracies
    self._canonical: dict[tuple[str, str], list[dict[str, np.ndarray]]] = {}
    self._between: dict[tuple[str, str], list[np.ndarray]] = {}
    self._examples: dict[tuple[str, str], list[np.ndarray]] = {}
    self._rows: list[pd.DataFrame] = []
    self._means: dict[str, list[np.ndarray]] = {representation.DECODER: [], representation.ENCODER: []}

  def add(self, dataset: str, phrasings: pd.DataFrame, states: Mapping[str, representation.States]) -> None:
    """Measures a dataset.

    Args:
      dataset: its name.
      phrasings: group, instruction_id and template of each of the k phrasings.
      states: model -> its states.
    """
    observed = (phrasings['group'] == analysis.OBSERVED).to_numpy()
    rows = {model: phrasings.assign(model=model, dataset=dataset) for model in self._models}
    for place, measure in representation.MEASURES:
      arrays = [states[model].place(place) for model in self._models]
      found = np.stack([representation.to_canonical(a, observed, measure) for a in arrays])  # [M, N, k]
      for model, one in zip(self._models, found, strict=True):
        rows[model][column(place, measure)] = one.mean(0)
      groups = {group: found[:, :, (phrasings['group'] == group).to_numpy()] for group in phrasings['group'].unique()}
      self._canonical.setdefault((place, measure), []).append(groups)
      self._between.setdefault((place, measure), []).append(
        np.stack([representation.between_phrasings(a, measure) for a in arrays])
      )
      self._examples.setdefault((place, measure), []).append(
        np.array([representation.between_examples(a, measure) for a in arrays])
      )
    for place, kept in self._means.items():
      kept.append(np.stack([states[model].place(place).mean(0) for model in self._models]))  # [M, k, D]
    for model in self._models:
      rows[model]['accuracy'] = self._accuracy(model, dataset, phrasings)
      rows[model]['lost'] = _lost(rows[model]['accuracy'].to_numpy(), observed)
      self._rows.append(rows[model])

  def _accuracy(self, model: str, dataset: str, phrasings: pd.DataFrame) -> np.ndarray:
    if model not in self._accuracies:
      return np.full(len(phrasings), np.nan)
    keys = pd.MultiIndex.from_product([[dataset], phrasings['instruction_id']])
    found = self._accuracies[model].reindex(keys).to_numpy(float)
    if np.isnan(found).any():
      raise representation.RepresentationError(
        f'RESULTS: the evaluation {model} has no phrasing {phrasings["instruction_id"][np.isnan(found)].iloc[0]!r} of '
        f'{dataset}; give an evaluation of the same mixtures'
      )
    return found

  def finish(self) -> Representation:
    """All that was found."""
    phrasings = pd.concat(self._rows, ignore_index=True)
    shares = {}
    for place, names in ((representation.DECODER, ('x', 'y')), (representation.ENCODER, ('u', 'v'))):
      means = self._means[place]
      # Axes are those of the model without prompt, so that both maps are the same.
      points, share = representation.principal_components(
        np.concatenate(means, axis=1), np.concatenate([m[0] for m in means])
      )
      shares[place] = [round(float(s), 4) for s in share]
      rows = [points[m, a:b] for a, b in _spans([x.shape[1] for x in means]) for m in range(len(self._models))]
      phrasings[list(names)] = np.concatenate(rows)
    return Representation(self._distances(), self._correlations(phrasings), phrasings, shares)

  def _distances(self) -> pd.DataFrame:
    rows = []
    for place, measure in representation.MEASURES:
      values = {'between phrasings': _bootstrap([{'x': b[:, :, None]} for b in self._between[place, measure]], 'x')}
      datasets = self._canonical[place, measure]
      for group in dict.fromkeys(g for groups in datasets for g in groups):
        chosen = [{group: g[group]} for g in datasets if group in g]
        values[f'{group} to canonical'] = _bootstrap(chosen, group)
      examples = np.mean(self._examples[place, measure], axis=0)
      for m, model in enumerate(self._models):
        for name, resampled in values.items():
          rows.append((model, place, measure, name, statistics.interval(resampled[:, m])))
          if m:
            rows.append(
              (model, place, measure, f'change of {name}', statistics.interval(resampled[:, m] - resampled[:, 0]))
            )
        rows.append((model, place, measure, 'between examples', analysis.Interval(float(examples[m]), np.nan, np.nan)))
        ratios = values['between phrasings'] / examples
        rows.append((model, place, measure, 'ratio', statistics.interval(ratios[:, m])))
        if m:
          rows.append((model, place, measure, 'change of ratio', statistics.interval(ratios[:, m] - ratios[:, 0])))
    return pd.DataFrame(
      [(*row[:4], row[4].estimate, row[4].low, row[4].high) for row in rows],
      columns=['model', 'place', 'measure', 'quantity', 'estimate', 'low', 'high'],
    )

  def _correlations(self, phrasings: pd.DataFrame) -> pd.DataFrame:
    rows = []
    groups = phrasings['group'].unique()
    others = [g for g in groups if g != analysis.OBSERVED]
    for model in self._models:
      if model not in self._accuracies:
        continue
      for group in (*others, *([_ALL] if len(groups) > 1 else [])):
        part = phrasings[(phrasings['model'] == model) & ((phrasings['group'] == group) | (group == _ALL))]
        parts = [p for _, p in part.groupby('dataset', sort=False)]
        for place, measure in representation.MEASURES:
          name = column(place, measure)
          values = representation.rank_correlation(
            [p[name].to_numpy() for p in parts], [p['lost'].to_numpy() for p in parts]
          )
          rho = statistics.interval(values)
          rows.append((model, group, place, measure, rho.estimate, rho.low, rho.high, len(part)))
    names = ['model', 'group', 'place', 'measure', 'rho', 'low', 'high', 'phrasings']
    return pd.DataFrame(rows, columns=names)


def tables(found: Representation) -> list[Table]:
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
    shown.append(Table('distance_change', 'Change of the distances by the prompt, paired', columns, rows))
  if len(found.correlations):
    rows = [
      (r.place, r.measure, r.model, r.group, r.phrasings, analysis.Interval(r.rho, r.low, r.high))
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
    values = [cell.loc[(p, representation.COSINE)] for p in (representation.ENCODER, representation.DECODER)]
    words = [text(analysis.Interval(v.estimate, v.low, v.high), 'number') for v in values]
    parts.append(f'{model} {words[0]} times as far in the encoder and {words[1]} times at the first decoder step')
  sentence = f'As against two examples, two phrasings of one example lie apart (cosine): {"; ".join(parts)}.'
  rows = found.correlations.query('place == @representation.DECODER and measure == @representation.COSINE')
  for r in rows[rows['group'] != _ALL].itertuples():
    rho = analysis.Interval(r.rho, r.low, r.high)
    told = '' if rho.excludes_zero else ' (which cannot be told from none)'
    sentence += (
      f' {r.model[0].upper()}{r.model[1:]}, the rank correlation over {r.group} phrasings of distance at the first decoder step '
      f'and lost accuracy is {text(rho, "number")}{told}.'
    )
  return sentence


def write(found: Representation, out: str, record: Mapping[str, Any]) -> None:
  """Writes all files of a representation; `represent.json` last, so that a directory with it is whole."""
  from robust_t5x import plots

  for name in _FRAMES:
    results.write_atomically(os.path.join(out, f'{name}.csv'), getattr(found, name).to_csv(index=False))
  lines = [
    '# Distances between phrasings',
    f'**{finding(found)}**',
    '![Map of the phrasings](map.png)',
    map_note(found),
  ]
  for table in tables(found):
    lines += [f'## {table.caption}', table.markdown()] + ([table.note] if table.note else [])
    results.write_atomically(os.path.join(out, f'{table.name}.tex'), table.latex())
  results.write_atomically(os.path.join(out, 'represent.md'), '\n\n'.join(lines) + '\n')
  plots.save(plots.representation_map(found), os.path.join(out, 'map'))
  whole = dict(record) | {'shares': dict(found.shares)}
  results.write_atomically(os.path.join(out, _RECORD), json.dumps(whole, indent=2) + '\n')


def read(directory: str) -> Representation:
  """Reads what `write` wrote.

  Raises:
    ResultsError: if the directory holds no finished representation.
  """
  path = os.path.join(directory, _RECORD)
  if not os.path.isfile(path):
    raise results.ResultsError(
      f'{directory} has no {_RECORD}; give the OUTPUT_DIR of a finished `robust-t5x represent`'
    )
  with open(path, encoding='utf-8') as f:
    record = json.load(f)
  frames = [pd.read_csv(os.path.join(directory, f'{name}.csv')) for name in _FRAMES]
  return Representation(*frames, shares=record['shares'])


def map_note(found: Representation) -> str:
  """What the map shows."""
  shares = {place: sum(values[:2]) for place, values in found.shares.items()}
  return (
    'Every point is a phrasing, the mean of its examples on the first two principal components of the model without '
    f'prompt; they hold {100 * shares[representation.DECODER]:.0f}% of the variance at the first decoder step and '
    f'{100 * shares[representation.ENCODER]:.0f}% in the encoder. Outline: observed phrasings; filled: the others.'
  )


def section(found: Representation) -> dict[str, Any]:
  """The part of a report: id, title, notes, charts and tables."""
  from robust_t5x import report_charts

  return {
    'id': 'representation',
    'title': 'Where phrasings lie in the model',
    'notes': [finding(found), map_note(found)],
    'charts': [report_charts.representation_map(found)],
    'tables': tables(found),
  }


def _bootstrap(datasets: Sequence[Mapping[str, np.ndarray]], group: str) -> np.ndarray:
  """Means [1 + R, M] over datasets, examples and phrasings, of the data and of resamples of both."""
  resampled = statistics.resample(list(datasets))
  return statistics.over_datasets(resampled, lambda groups: groups[group].metric('AvgP'))


def _lost(accuracy: np.ndarray, observed: np.ndarray) -> np.ndarray:
  """Accuracy that each phrasing loses against the observed phrasings' mean, or against that of all if none is."""
  return accuracy[observed if observed.any() else slice(None)].mean() - accuracy


def _spans(sizes: Sequence[int]) -> list[tuple[int, int]]:
  ends = np.cumsum(sizes)
  return [(int(e - s), int(e)) for s, e in zip(sizes, ends, strict=True)]


def _cell(part: pd.DataFrame, quantity: str) -> Any:
  row = part[part['quantity'] == quantity]
  return analysis.Interval(*row[['estimate', 'low', 'high']].iloc[0]) if len(row) else None
