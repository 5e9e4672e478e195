"""The charts of a report's page, from a comparison."""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import math

from markupsafe import Markup
import numpy as np
import pandas as pd

from robust_t5x.analysis.representation import ANSWER, INPUT, Representation
from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports import svg
from robust_t5x.reports.inputs import words_of
from robust_t5x.reports.scaling import Family
from robust_t5x.reports.tables import percent, points, text
from robust_t5x.results.schema import OBSERVED

MAX_POINTS = 6000  # marks of phrasings in a page; beyond, each line keeps its ends and evenly spaced ranks
_OPEN = 12  # datasets whose phrasings are unfolded from the start


@dataclasses.dataclass(frozen=True)
class Line:
  """A line of a chart: its label, its drawing, what stands behind it.

  Attributes:
    label: model, or what else the line is of.
    svg: the drawing.
    value: what stands behind it, in words.
    group: of the phrasings, where the label does not say it.
    model: index of the model, for its mark; None where the label has none.
    hollow: whether the mark is an outline.
  """

  label: str
  svg: Markup
  value: str
  group: str = ''
  model: int | None = None
  hollow: bool = False


@dataclasses.dataclass(frozen=True)
class Lines:
  """Lines on one scale."""

  rows: Sequence[Line]
  axis: Markup


@dataclasses.dataclass(frozen=True)
class Panel:
  """The lines of one dataset, and whether they are unfolded."""

  dataset: str
  open: bool
  lines: Sequence[Line]


@dataclasses.dataclass(frozen=True)
class Strips:
  """Every phrasing a point.

  Attributes:
    panels: one for each dataset.
    axis: their scale.
    json: the phrasings that points refer to by number: dataset, group, id, text, accuracies.
    total: number of points that there are.
    drawn: number of points that are drawn.
  """

  panels: Sequence[Panel]
  axis: Markup
  json: Markup
  total: int
  drawn: int


def limits(values: Sequence[float | None]) -> svg.Range:
  """Ends of a scale that holds all values: 0 to 1, or the tenths around them where they lie close together."""
  known = [v for v in values if v is not None and not np.isnan(v)]
  if not known:
    return 0.0, 1.0
  low, high = math.floor(10 * min(known) - 1e-9) / 10, math.ceil(10 * max(known) + 1e-9) / 10
  low, high = max(low, 0.0), min(high, 1.0)
  return (low, high) if high - low <= 0.5 else (0.0, 1.0)


def ticks(ends: svg.Range) -> list[float]:
  """Round values from one end of a scale to the other."""
  step = 0.25 if ends == (0.0, 1.0) else 0.1 if ends[1] - ends[0] > 0.2 else 0.05
  return [round(ends[0] + step * i, 4) for i in range(round((ends[1] - ends[0]) / step) + 1)]


def axis(ends: svg.Range) -> Markup:
  """The scale's labels."""
  return svg.axis(ticks(ends), ends, [f'{100 * t:.0f}%' for t in ticks(ends)])


def is_hollow(group: str) -> bool:
  """Observed phrasings are drawn as outlines, all others filled."""
  return group == OBSERVED


def overview(models: Sequence[str], groups: Sequence[str], values: Mapping[tuple[str, str], Interval]) -> Lines:
  """Mean accuracy of every model under every group with its interval, a line each."""
  found = [v for v in values.values() if v.is_known]
  ends = limits([e for v in found for e in (v.low, v.high, v.estimate)])
  rows = []
  for m, model in enumerate(models):
    for group in groups:
      value = values.get((model, group))
      if value is not None and value.is_known:
        drawing = _interval(value, m, is_hollow(group), ticks(ends), ends)
        rows.append(Line(model, drawing, text(value, 'percent'), group, m, is_hollow(group)))
  return Lines(rows, axis(ends))


def dumbbells(rows: Sequence[tuple[int, float | None, float | None]]) -> list[Markup]:
  """For a table's rows (model, observed, unobserved): both on one line, joined."""
  ends = limits([v for row in rows for v in row[1:]])
  out = []
  for model, observed, unobserved in rows:
    both = ((observed, True), (unobserved, False))
    pair = [(v, hollow) for v, hollow in both if v is not None and not np.isnan(v)]
    span = [(pair[0][0], pair[1][0], f'span m{model % svg.COLOURS}')] if len(pair) == 2 else []
    marks = [svg.Mark(v, 9, model, hollow) for v, hollow in pair]
    out.append(svg.track(marks, span, (ends[0], ends[1]), ends, height=18))
  return out


def strips(phrasings: pd.DataFrame, models: Sequence[str]) -> Strips:
  """Every phrasing a point: for each dataset a line for each group and model.

  Args:
    phrasings: see analysis.comparison.Comparison.
    models: its models.
  """
  models = list(models)
  pooled = _pooled(phrasings, models)
  frames = {} if pooled is None else {f'mean of all {phrasings["dataset"].nunique()} datasets': pooled}
  spread = phrasings.groupby('dataset')[models].agg(lambda a: a.max() - a.min()).max(axis=1)
  names = spread.sort_values(ascending=False, kind='stable').index
  frames |= {name: phrasings[phrasings['dataset'] == name] for name in names}
  ends = limits(phrasings[models].to_numpy().ravel().tolist())
  lines = sum(len(models) * frame['group'].nunique() for frame in frames.values())
  total = int(sum(frame[models].notna().to_numpy().sum() for frame in frames.values()))
  per_line = None if total <= MAX_POINTS else max(MAX_POINTS // max(lines, 1), 8)
  panels: list[Panel] = []
  listed: list[list[object]] = []
  drawn = 0
  for number, (name, frame) in enumerate(frames.items()):
    panel: list[Line] = []
    for group, part in frame.groupby('group', sort=False):
      accuracies = part[models].to_numpy(float)
      keep = _kept(accuracies, per_line)
      keys = {row: len(listed) + i for i, row in enumerate(keep)}
      listed += [_listed(part.iloc[row], name, models) for row in keep]
      for m, model in enumerate(models):
        column = accuracies[:, m]
        shown = [row for row in keep if not np.isnan(column[row])]
        if not shown:
          continue
        levels = svg.beeswarm([column[row] for row in shown])
        marks = [
          svg.Mark(column[row], y, m, is_hollow(group), _title(part.iloc[row], column[row], model), keys[row])
          for row, y in zip(shown, levels, strict=True)
        ]
        drawn += len(marks)
        mean = float(np.nanmean(column))
        span = [(np.nanmin(column), np.nanmax(column), f'range m{m % svg.COLOURS}')]
        drawing = svg.track(marks, span, ticks(ends), ends, focusable=True, bar=mean)
        panel.append(Line(model, drawing, percent(mean), group, m, is_hollow(group)))
    panels.append(Panel(name, number < _OPEN, panel))
  return Strips(panels, axis(ends), as_script(listed), total, drawn)


def paired(phrasings: pd.DataFrame, first: str, second: str, m: int) -> Markup:
  """Every phrasing's accuracy under two models: above the diagonal the second is better."""
  both = phrasings[phrasings[[first, second]].notna().all(axis=1)]
  if len(both) > MAX_POINTS // 3:
    order = (both[second] - both[first]).sort_values(kind='stable').index
    both = both.loc[order[np.linspace(0, len(order) - 1, MAX_POINTS // 3).round().astype(int)]]
  low, high = limits(both[[first, second]].to_numpy().ravel().tolist())
  named = [(t, f'{100 * t:.0f}') for t in ticks((low, high))]
  marks = [
    svg.Mark(
      row[first], row[second], m, is_hollow(row['group']),
      f'{row["dataset"]}, {row["group"]}: {words_of(row)} ({percent(row[first])} → {percent(row[second])})',
    )
    for _, row in both.iterrows()
  ]  # fmt: skip
  return svg.scatter(
    marks, named, named, [(low, low, high, high, 'guide')], (low, high, low, high), focusable=True,
    name=f'accuracy of every phrasing with {first} (across) and with {second} (up)',
  )  # fmt: skip


def changes(rows: Sequence[tuple[str, int, bool, Interval]]) -> Lines:
  """Differences with their intervals around zero: rows of (label, model, hollow, interval), those of them that are known."""
  rows = [row for row in rows if row[-1].is_known]
  reach = max([abs(e) for *_, v in rows for e in (v.low, v.high, v.estimate) if not np.isnan(e)] or [0.05])
  reach = math.ceil(20 * reach + 1e-9) / 20
  ends = (-reach, reach)
  lines = []
  for label, m, hollow, value in rows:
    lines.append(Line(label, _interval(value, m, hollow, (-reach, 0, reach), ends), points(value)))
  names = [points_label(-reach), '0', points_label(reach)]
  return Lines(lines, svg.axis((-reach, 0, reach), ends, names))


def points_label(value: float) -> str:
  """A difference of shares in points, for an axis."""
  return f'{100 * value:+.0f}'.replace('-', '\u2212')


def scaling(families: Sequence[Family], models: Sequence[str], groups: Sequence[str]) -> Markup:
  """Accuracy against parameters, a line for each family and group."""
  sizes = [math.log10(member.parameters) for family in families for member in family.members]
  values = [member.values[g] for family in families for member in family.members for g in groups if g in member.values]
  low, high = limits(values)
  left, right = min(sizes), max(sizes)
  pad = 0.06 * (right - left or 1)
  marks, lines = [], []
  for family in families:
    for group in groups:
      path = [(math.log10(x.parameters), x.values[group], x) for x in family.members if group in x.values]
      for m, (x, y, member) in zip((models.index(p[2].model) for p in path), path, strict=True):
        marks.append(svg.Mark(x, y, m, is_hollow(group), f'{member.model}, {group}: {percent(y)}'))
      css = 'path observed' if is_hollow(group) else 'path'
      lines += [(a[0], a[1], b[0], b[1], css) for a, b in zip(path, path[1:], strict=False)]
  named = {}
  for family in families:
    for member in family.members:
      named[round(math.log10(member.parameters), 2)] = _size(member.parameters)
  return svg.scatter(
    marks, list(named.items()), [(t, f'{100 * t:.0f}') for t in ticks((low, high))], lines,
    (left - pad, right + pad, low, high), name='accuracy by number of parameters',
  )  # fmt: skip


def representation_map(found: Representation) -> Markup:
  """The phrasings on two principal components, a plane for each model and place."""
  frame = found.phrasings
  datasets = list(frame['dataset'].unique())
  figures = []
  for place, x, y in ((ANSWER, 'x', 'y'), (INPUT, 'u', 'v')):
    ends = (*_padded(frame[x]), *_padded(frame[y]))
    for model, part in frame.groupby('model', sort=False):
      marks = [
        svg.Mark(
          row[x], row[y], datasets.index(row['dataset']), is_hollow(row['group']),
          f'{row["dataset"]}, {row["group"]}, {percent(row["accuracy"]) or "accuracy unknown"}: {words_of(row)}',
        )
        for _, row in part.iterrows()
      ]  # fmt: skip
      plane = svg.scatter(marks, [], [], (), ends, focusable=True, name=f'map of the phrasings, {model}, {place}')
      caption = svg.element('figcaption', f'{model}, {place}')
      figures.append(svg.element('figure', caption + plane, class_='card'))
  keys = [svg.element('li', svg.key(d) + name) for d, name in enumerate(datasets)]
  legend = svg.element('ul', svg.joined(keys), class_='legend')
  return legend + svg.element('div', svg.joined(figures), class_='planes')


def as_script(content: object) -> Markup:
  """JSON for a script element of a page."""
  return Markup(json.dumps(content, ensure_ascii=False, separators=(',', ':')).replace('<', '\\u003c'))


def _interval(value: Interval, m: int, hollow: bool, at: Sequence[float], ends: svg.Range) -> Markup:
  """A track with one mark and its interval."""
  span = [(value.low, value.high, f'span m{m % svg.COLOURS}')] if value.has_ends else []
  return svg.track([svg.Mark(value.estimate, 13, m, hollow)], span, at, ends)


def _padded(values: pd.Series) -> svg.Range:
  low, high = float(values.min()), float(values.max())
  pad = 0.04 * (high - low or 1)
  return low - pad, high + pad


def _size(parameters: float) -> str:
  return f'{parameters / 1e9:.3g}B' if parameters >= 1e9 else f'{parameters / 1e6:.3g}M'


def _pooled(phrasings: pd.DataFrame, models: list[str]) -> pd.DataFrame | None:
  """Accuracy of each phrasing over all datasets, where they all have the same ones."""
  if phrasings['dataset'].nunique() < 2:
    return None
  sets = {tuple(sorted(part['instruction_id'])) for _, part in phrasings.groupby('dataset')}
  if len(sets) != 1:
    return None
  keys = ['group', 'instruction_id']
  mean = phrasings.groupby(keys, sort=False)[models].mean().reset_index()
  mean['template'] = mean['instruction_id'].map(
    dict(zip(phrasings['instruction_id'], phrasings['template'], strict=True))
  )
  return mean.assign(dataset='')


def _kept(accuracies: np.ndarray, budget: int | None) -> list[int]:
  """Rows that are drawn: all, or the ends and evenly spaced ranks of the first model that has values."""
  rows = np.flatnonzero(~np.isnan(accuracies).all(axis=1))
  if budget is None or len(rows) <= budget:
    return rows.tolist()
  order = rows[np.argsort(np.nan_to_num(np.nanmean(accuracies[rows], axis=1)), kind='stable')]
  return sorted(order[np.linspace(0, len(order) - 1, budget).round().astype(int)].tolist())


def _listed(row: pd.Series, dataset: str, models: Sequence[str]) -> list[object]:
  accuracies = [None if np.isnan(row[m]) else round(float(row[m]), 4) for m in models]
  return [dataset, row['group'], row['instruction_id'], words_of(row), accuracies]


def _title(row: pd.Series, accuracy: float, model: str) -> str:
  return f'{percent(accuracy)} {model}: {words_of(row)}'
