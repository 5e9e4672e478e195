"""Response curves of a sweep as SVG: a metric against the values of one axis.

The drawings take their colours from the page (classes `s0` to `s5`, `rest`, `baseline`), so they follow its light or dark
scheme, and are small enough to be read on a phone.
"""

from collections.abc import Mapping, Sequence
import dataclasses
from html import escape
import math

import numpy as np

COLOURS = 6  # series beyond this number are all drawn in grey
_WIDTH, _HEIGHT = 440, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 14, 34
_ROW, _STEP = 22, 13  # of dot plots: height of a value's name and of each series
_LOG = 8  # a ratio of largest to smallest value from which on an axis is logarithmic
_MARKERS = (
  'M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z', 'M-4,-4h8v8h-8z', 'M0,-5l5,9h-10z', 'M0,-5.5l5,5.5l-5,5.5l-5,-5.5z',
  'M0,5l5,-9h-10z', 'M-5,-2h3v-3h4v3h3v4h-3v3h-4v-3h-3z',
)  # fmt: skip


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


def draw(values: Sequence[object], series: Sequence[Series], baselines: Mapping[str, float], title: str) -> str:
  """An SVG element: curves where all values are numbers, otherwise rows of dots.

  More series than there are colours become thin grey lines without their seeds, with the mean of those that have all
  values in front.

  Args:
    values: of the axis, in order.
    series: one or more.
    baselines: label -> value, drawn as dashed lines.
    title: read out by screen readers.
  """
  if len(series) > COLOURS:
    series = [*(_means_only(line) for line in series), _mean(values, series)]
  numbers = len(values) > 1 and all(isinstance(v, int | float) for v in values)
  low, high, ticks = _range(series, baselines)
  parts = (_curves if numbers else _rows)(values, series, baselines, low, high, ticks)
  height, body = parts
  return (
    f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title, quote=True)}">'
    + ''.join(body)
    + '</svg>'
  )


def _means_only(line: Series) -> Series:
  return Series(line.label, {value: Point({}, point.mean) for value, point in line.points.items()})


def _mean(values: Sequence[object], series: Sequence[Series]) -> Series:
  """Mean of the series that have all values: one that lacks some would bend the curve."""
  whole = [line for line in series if all(v in line.points for v in values)]
  means = {v: Point({}, float(np.mean([line.points[v].mean for line in whole]))) for v in values if whole}
  return Series(f'mean of {len(whole)}', means)


def marker(index: int) -> str:
  """The mark of a series, for a legend."""
  return (
    f'<svg class="key" viewBox="-7 -7 14 14" aria-hidden="true"><path data-s="{index}" d="{_MARKERS[index]}"/></svg>'
  )


def _on_axis(value, low, high, start, end):
  """Where a value of [low, high] lies between two ends of an axis; of what is wider than the axis, the part that fits."""
  value = min(max(value, low), high)
  return round(start + (value - low) / (high - low) * (end - start), 1)


def _digits(ticks):
  """Decimals that tell neighbouring ticks apart, in percent."""
  return int(len(ticks) > 1 and ticks[1] - ticks[0] < 0.00999)


def _curves(values, series, baselines, low, high, ticks):
  """Value on the x axis, metric on the y axis."""
  xs = _positions([float(v) for v in values])

  def place(y):
    return _on_axis(y, low, high, _HEIGHT - _BOTTOM, _TOP)

  digits = _digits(ticks)
  body = []
  for tick in ticks:
    y = place(tick)
    body.append(f'<path class="grid" d="M{_LEFT},{y}H{_WIDTH - _RIGHT}"/>')
    body.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{_percent(tick, digits)}</text>')
  last = -math.inf
  for value, x in sorted(zip(values, xs, strict=True), key=lambda pair: pair[1]):
    body.append(f'<path class="grid" d="M{x},{_HEIGHT - _BOTTOM}v5"/>')
    text = f'{value:g}'
    if x - last > 8 * len(text) + 6:  # else it would run into its neighbour
      body.append(f'<text x="{x}" y="{_HEIGHT - _BOTTOM + 19}" text-anchor="middle">{text}</text>')
      last = x
  for label, value in baselines.items():
    body.append(
      f'<path class="baseline" d="M{_LEFT},{place(value)}H{_WIDTH - _RIGHT}"><title>{escape(label)}: {_percent(value, 1)}</title></path>'
    )
  looks, lanes = _looks(series)
  for line, (colour, shape, lane) in zip(series, looks, strict=True):
    style = f'data-s="{colour}"'
    shift = (lane - (lanes - 1) / 2) * 5
    at = sorted((x + shift, line.points[v]) for v, x in zip(values, xs, strict=True) if v in line.points)
    path = 'L'.join(f'{x:.1f},{place(p.mean)}' for x, p in at)
    if at:
      body.append(f'<path class="line" {style} d="M{path}"/>')
    for x, point in at:
      body += _marks(line.label, point, style, shape, lambda v, x=x: (x, place(v)))
  return _HEIGHT, body


def _rows(values, series, baselines, low, high, ticks):
  """A row for each value, metric on the x axis."""
  left = 14
  looks, lanes = _looks(series)
  row = _ROW + _STEP * lanes
  bottom = 8 + row * len(values)

  def place(x):
    return _on_axis(x, low, high, left, _WIDTH - _RIGHT)

  digits = _digits(ticks)
  body = []
  for tick in ticks:
    x = place(tick)
    body.append(f'<path class="grid" d="M{x},8V{bottom}"/>')
    body.append(f'<text x="{x}" y="{bottom + 17}" text-anchor="middle">{_percent(tick, digits)}</text>')
  for label, value in baselines.items():
    body.append(
      f'<path class="baseline" d="M{place(value)},8V{bottom}"><title>{escape(label)}: {_percent(value, 1)}</title></path>'
    )
  for number, value in enumerate(values):
    top = 8 + row * number
    body.append(f'<text class="value" x="{left}" y="{top + 14}">{escape(str(value))}</text>')
    for line, (colour, shape, lane) in zip(series, looks, strict=True):
      if value not in line.points:
        continue
      y = top + _ROW + _STEP * (lane + 0.5) - 2
      style = f'data-s="{colour}"'
      body += _marks(line.label, line.points[value], style, shape, lambda v, y=y: (place(v), y))
  return bottom + 26, body


def _marks(label, point, style, shape, place):
  """Seeds as dots, the interval as a bar, the mean as a mark; `place` gives a value's x and y."""
  marks = []
  if point.low is not None and point.high is not None:
    (x0, y0), (x1, y1) = place(point.low), place(point.high)
    marks.append(f'<path class="interval" {style} d="M{x0:.1f},{y0:.1f}L{x1:.1f},{y1:.1f}"/>')
  for seed, value in point.seeds.items():
    if len(point.seeds) > 1:
      x, y = place(value)
      marks.append(
        f'<circle class="seed" {style} cx="{x:.1f}" cy="{y:.1f}" r="2.6"><title>seed {seed}: {_percent(value, 1)}</title></circle>'
      )
  x, y = place(point.mean)
  said = f'{label}: ' if label else ''
  interval = f' [{_percent(point.low, 1)}, {_percent(point.high, 1)}]' if point.low is not None else ''
  marks.append(
    f'<path class="mean" {style} d="{_MARKERS[shape]}" transform="translate({x:.1f},{y:.1f})">'
    f'<title>{escape(said)}{_percent(point.mean, 1)}{interval}</title></path>'
  )
  return marks


def _range(series, baselines):
  """Lower and upper end of the metric's axis, and its ticks."""
  from matplotlib import ticker

  values = [*baselines.values()]
  for line in series:
    for point in line.points.values():
      values += [*point.seeds.values(), point.mean]
  low, high = min(values), max(values)
  for line in series:
    # An interval of few seeds may be far wider than all that was measured; it is cut at a third more.
    room = max((high - low) / 3, 0.02)
    for point in line.points.values():
      if point.low is not None:
        values += [max(point.low, low - room), min(point.high, high + room)]
  low, high = min(values), max(values)
  pad = max((high - low) * 0.06, 0.005)
  ticks = ticker.MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low - pad, high + pad)
  return low - pad, high + pad, [t for t in ticks if low - pad <= t <= high + pad]


def _positions(values: Sequence[float]) -> list[float]:
  """x of each value."""
  logarithmic = min(values) > 0 and max(values) / min(values) >= _LOG
  scaled = np.log(values) if logarithmic else np.asarray(values)
  share = (scaled - scaled.min()) / (scaled.max() - scaled.min())
  inset = 24
  return [round(_LEFT + inset + float(s) * (_WIDTH - _LEFT - _RIGHT - 2 * inset), 1) for s in share]


def _looks(series: Sequence[Series]) -> tuple[list[tuple[str, int, int]], int]:
  """Colour, marker and lane of each series, and the number of lanes."""
  if len(series) <= COLOURS:
    return [(str(i), i, i) for i in range(len(series))], len(series)
  return [('rest', 0, 0)] * (len(series) - 1) + [('mean', 0, 0)], 1


def _percent(value: float, digits: int = 0) -> str:
  text = f'{100 * value:.{digits}f}'
  return ('0%' if digits == 0 else '0.0%') if float(text) == 0 else f'{text.replace("-", "−")}%'
