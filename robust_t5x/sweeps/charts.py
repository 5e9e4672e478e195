"""Response curves of a sweep as SVG: a metric against the values of one axis.

The drawings take their colours from the page (`data-s`, `baseline`), so they follow its light or dark scheme, and are small
enough to be read on a phone. They are scaled as a whole: positions are units of the drawing.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import math

from markupsafe import Markup
import numpy as np

from robust_t5x.reports.svg import SHAPES, Range, element, joined, label, line, place, round_ticks, title

COLOURS = 6  # series beyond this number are all drawn in grey
_WIDTH, _HEIGHT = 440, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 14, 34
_ROW, _STEP = 22, 13  # of dot plots: height of a value's name and of each series
_LOG = 8  # a ratio of largest to smallest value from which on an axis is logarithmic
_SHAPES = tuple(SHAPES.values())

Place = Callable[[float], tuple[float, float]]  # of a metric's value: x and y


@dataclasses.dataclass(frozen=True)
class Point:
  """A metric of one setting.

  Attributes:
    seeds: seed -> value.
    mean: over the seeds.
    low: lower end of the interval of the mean; None where there is none.
    high: upper end.
  """

  seeds: Mapping[int, float]
  mean: float
  low: float | None = None
  high: float | None = None


@dataclasses.dataclass(frozen=True)
class Series:
  """A line of a chart: what is the same along it, and value of the axis -> point."""

  label: str
  points: Mapping[object, Point]


@dataclasses.dataclass(frozen=True)
class _Look:
  """How a series is drawn: its colour's name in the page, its shape, and its place beside the others."""

  colour: str
  shape: int
  lane: int


@dataclasses.dataclass(frozen=True)
class _Scale:
  """The metric's axis."""

  ends: Range
  ticks: Sequence[float]

  def place(self, value: float, start: float, end: float) -> float:
    """Where a value lies between two ends of the drawing; of what is wider than the axis, the part that fits."""
    return round(place(min(max(value, self.ends[0]), self.ends[1]), self.ends, (start, end)), 1)

  def name(self, tick: float) -> str:
    """A tick in percent, with as many decimals as tell neighbours apart."""
    return _percent(tick, int(len(self.ticks) > 1 and self.ticks[1] - self.ticks[0] < 0.00999))


def draw(values: Sequence[object], series: Sequence[Series], baselines: Mapping[str, float], name: str) -> Markup:
  """An SVG element: curves where all values are numbers, otherwise rows of dots.

  More series than there are colours become thin grey lines without their seeds, with the mean of those that have all
  values in front.

  Args:
    values: of the axis, in order.
    series: one or more.
    baselines: label -> value, drawn as dashed lines.
    name: read out by screen readers.
  """
  if len(series) > COLOURS:
    series = [*(_means_only(one) for one in series), _mean(values, series)]
  numbers = [float(v) for v in values if isinstance(v, int | float)]
  scale = _scale(series, baselines)
  if len(values) > 1 and len(numbers) == len(values):
    height, parts = _curves(numbers, series, baselines, scale)
  else:
    height, parts = _rows(values, series, baselines, scale)
  return element('svg', joined(parts), viewBox=f'0 0 {_WIDTH} {height}', role='img', aria_label=name)


def marker(index: int) -> Markup:
  """The mark of a series, for a legend."""
  mark = element('path', data_s=index, d=_SHAPES[index])
  return element('svg', mark, class_='key', viewBox='-7 -7 14 14', aria_hidden='true')


def _means_only(series: Series) -> Series:
  return Series(series.label, {value: Point({}, point.mean) for value, point in series.points.items()})


def _mean(values: Sequence[object], series: Sequence[Series]) -> Series:
  """Mean of the series that have all values: one that lacks some would bend the curve."""
  whole = [one for one in series if all(v in one.points for v in values)]
  means = {v: Point({}, float(np.mean([one.points[v].mean for one in whole]))) for v in values if whole}
  return Series(f'mean of {len(whole)}', means)


def _curves(
  values: Sequence[float], series: Sequence[Series], baselines: Mapping[str, float], scale: _Scale
) -> tuple[int, list[Markup]]:
  """Value on the x axis, metric on the y axis; height and parts of the drawing."""
  xs = _positions(values)
  bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT

  def down(metric: float) -> float:
    return scale.place(metric, bottom, _TOP)

  def above(x: float) -> Place:
    return lambda metric: (x, down(metric))

  parts = []
  for tick in scale.ticks:
    y = down(tick)
    parts += [line(_LEFT, y, right, y, 'grid'), label(scale.name(tick), _LEFT - 6, y + 4, 'end')]
  last = -math.inf
  for value, x in sorted(zip(values, xs, strict=True), key=lambda pair: pair[1]):
    parts.append(line(x, bottom, x, bottom + 5, 'grid'))
    text = f'{value:g}'
    if x - last > 8 * len(text) + 6:  # else it would run into its neighbour
      parts.append(label(text, x, bottom + 19, 'middle'))
      last = x
  for text, metric in baselines.items():
    parts.append(line(_LEFT, down(metric), right, down(metric), 'baseline', f'{text}: {_percent(metric, 1)}'))
  looks = _looks(series)
  lanes = 1 + max(look.lane for look in looks)
  for one, look in zip(series, looks, strict=True):
    shift = (look.lane - (lanes - 1) / 2) * 5
    at = sorted(((x + shift, one.points[v]) for v, x in zip(values, xs, strict=True) if v in one.points), key=_x)
    if at:
      path = 'L'.join(f'{x:.1f},{down(point.mean)}' for x, point in at)
      parts.append(element('path', class_='line', data_s=look.colour, d=f'M{path}'))
    for x, point in at:
      parts += _marks(one.label, point, look, above(x))
  return _HEIGHT, parts


def _x(pair: tuple[float, Point]) -> float:
  return pair[0]


def _rows(
  values: Sequence[object], series: Sequence[Series], baselines: Mapping[str, float], scale: _Scale
) -> tuple[int, list[Markup]]:
  """A row for each value, metric on the x axis; height and parts of the drawing."""
  left = 14
  looks = _looks(series)
  row = _ROW + _STEP * (1 + max(look.lane for look in looks))
  bottom = 8 + row * len(values)

  def across(metric: float) -> float:
    return scale.place(metric, left, _WIDTH - _RIGHT)

  def beside(y: float) -> Place:
    return lambda metric: (across(metric), y)

  parts = []
  for tick in scale.ticks:
    x = across(tick)
    parts += [line(x, 8, x, bottom, 'grid'), label(scale.name(tick), x, bottom + 17, 'middle')]
  for text, metric in baselines.items():
    parts.append(line(across(metric), 8, across(metric), bottom, 'baseline', f'{text}: {_percent(metric, 1)}'))
  for number, value in enumerate(values):
    top = 8 + row * number
    parts.append(label(str(value), left, top + 14, class_='value'))
    for one, look in zip(series, looks, strict=True):
      if value in one.points:
        y = top + _ROW + _STEP * (look.lane + 0.5) - 2
        parts += _marks(one.label, one.points[value], look, beside(y))
  return bottom + 26, parts


def _marks(name: str, point: Point, look: _Look, at: Place) -> list[Markup]:
  """Seeds as dots, the interval as a bar, the mean as a mark; `at` gives a value's x and y."""
  parts = []
  if point.low is not None and point.high is not None:
    ends = [f'{x:.1f},{y:.1f}' for x, y in (at(point.low), at(point.high))]
    parts.append(element('path', class_='interval', data_s=look.colour, d=f'M{"L".join(ends)}'))
  for seed, value in point.seeds.items() if len(point.seeds) > 1 else ():
    x, y = at(value)
    said = title(f'seed {seed}: {_percent(value, 1)}')
    parts.append(element('circle', said, class_='seed', data_s=look.colour, cx=f'{x:.1f}', cy=f'{y:.1f}', r=2.6))
  x, y = at(point.mean)
  interval = (
    '' if point.low is None or point.high is None else f' [{_percent(point.low, 1)}, {_percent(point.high, 1)}]'
  )
  said = title(f'{name}: ' * bool(name) + _percent(point.mean, 1) + interval)
  where = f'translate({x:.1f},{y:.1f})'
  parts.append(element('path', said, class_='mean', data_s=look.colour, d=_SHAPES[look.shape], transform=where))
  return parts


def _scale(series: Sequence[Series], baselines: Mapping[str, float]) -> _Scale:
  """An axis that holds all means and seeds, and of intervals what is not far from them."""
  points = [point for one in series for point in one.points.values()]
  values = [*baselines.values(), *(v for point in points for v in (*point.seeds.values(), point.mean))]
  low, high = min(values), max(values)
  # An interval of few seeds may be far wider than all that was measured; it is cut at a third more.
  room = max((high - low) / 3, 0.02)
  for point in points:
    if point.low is not None and point.high is not None:
      values += [max(point.low, low - room), min(point.high, high + room)]
  low, high = min(values), max(values)
  pad = max((high - low) * 0.06, 0.005)
  return _Scale((low - pad, high + pad), round_ticks(low - pad, high + pad))


def _positions(values: Sequence[float]) -> list[float]:
  """x of each value."""
  logarithmic = min(values) > 0 and max(values) / min(values) >= _LOG
  scaled = np.log(values) if logarithmic else np.asarray(values)
  limits = float(scaled.min()), float(scaled.max())
  inset = 24
  return [round(place(float(v), limits, (_LEFT + inset, _WIDTH - _RIGHT - inset)), 1) for v in scaled]


def _looks(series: Sequence[Series]) -> list[_Look]:
  """The look of each series; of very many the last, their mean, is in front."""
  if len(series) <= COLOURS:
    return [_Look(str(i), i, i) for i in range(len(series))]
  return [_Look('rest', 0, 0)] * (len(series) - 1) + [_Look('mean', 0, 0)]


def _percent(value: float, digits: int = 0) -> str:
  text = f'{100 * value:.{digits}f}'
  return ('0%' if digits == 0 else '0.0%') if float(text) == 0 else f'{text.replace("-", "−")}%'
