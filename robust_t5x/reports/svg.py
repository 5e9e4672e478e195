"""Charts of a report as inline SVG that takes the width it is given.

Positions are percentages of the drawing, so that marks and texts keep their size on a phone. Colours are classes
(`m0`, `m1`, ...: see templates/report.css) and every model has a shape besides; group is told by filling.
"""

from collections.abc import Sequence
import dataclasses

import markupsafe

SHAPES = {
  'circle': 'M-4.5,0A4.5,4.5 0 1 0 4.5,0A4.5,4.5 0 1 0 -4.5,0Z',
  'square': 'M-4,-4H4V4H-4Z',
  'triangle': 'M0,-5.2L4.8,4H-4.8Z',
  'diamond': 'M0,-5.6L5.2,0L0,5.6L-5.2,0Z',
  'down': 'M0,5.2L4.8,-4H-4.8Z',
  'plus': 'M-1.7,-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z',
  'pentagon': 'M0,-5.3L5,-1.6L3.1,4.3H-3.1L-5,-1.6Z',
  'hourglass': 'M-4.6,-4.8H4.6L1,0L4.6,4.8H-4.6L-1,0Z',
}
COLOURS = 7  # classes m0 to m6
_INSET = 2.0  # percent kept free at both ends of a track, so that marks at 0 and 1 are whole


@dataclasses.dataclass(frozen=True)
class Mark:
  """A point of a chart.

  Attributes:
    x: across, a value of the chart's range.
    y: pixels down in a track, a value of the chart's range in a scatter.
    model: index of the model, which gives colour and shape.
    hollow: whether only its outline is drawn.
    title: what is read out and shown.
    key: index of its phrasing in the page's list, or None.
  """

  x: float
  y: float
  model: int
  hollow: bool = False
  title: str = ''
  key: int | None = None


def definitions() -> markupsafe.Markup:
  """The shapes, which stand once in the page."""
  symbols = ''.join(f'<path id="s-{name}" d="{d}"/>' for name, d in SHAPES.items())
  return markupsafe.Markup(f'<svg width="0" height="0" aria-hidden="true" class="defs"><defs>{symbols}</defs></svg>')


def shape(model: int) -> str:
  """Shape of a model's marks; with the colours, 56 models can be told apart."""
  return tuple(SHAPES)[model % len(SHAPES)]


def key(model: int, hollow: bool = False) -> markupsafe.Markup:
  """A model's mark alone, for legends."""
  return markupsafe.Markup(
    f'<svg class="key" width="14" height="14" aria-hidden="true">{_use("50%", "50%", model, hollow)}</svg>'
  )


def beeswarm(values: Sequence[float], height: int = 26, reach: float = 0.012) -> list[float]:
  """Pixels down for values of one track, so that neighbours do not hide each other.

  Args:
    values: across, 0 to 1.
    height: of the track.
    reach: how near across two marks would touch.
  """
  middle, step = height / 2, 4.5
  levels = [middle + step * k for k in (0, -1, 1, -2, 2) if 5 <= middle + step * k <= height - 5]
  last = [-1.0] * len(levels)
  out = [middle] * len(values)
  for i in sorted(range(len(values)), key=values.__getitem__):
    free = next((k for k, x in enumerate(last) if values[i] - x >= reach), None)
    level = min(range(len(last)), key=last.__getitem__) if free is None else free
    last[level], out[i] = values[i], levels[level]
  return out


def track(
  marks: Sequence[Mark],
  spans: Sequence[tuple[float, float, str]] = (),
  ticks: Sequence[float] = (),
  limits: tuple[float, float] = (0.0, 1.0),
  height: int = 26,
  focusable: bool = False,
  bar: float | None = None,
) -> markupsafe.Markup:
  """One line of a chart: marks on a common scale, which the page's grid puts beside its label.

  Args:
    marks: the points.
    spans: (from, to, CSS class) of horizontal lines, drawn under the marks.
    ticks: values of thin vertical lines.
    limits: values at the left and right end.
    height: in pixels.
    focusable: whether the marks can be reached by keyboard and tap.
    bar: value of an upright bar, such as their mean.
  """
  middle = height / 2
  parts = [f'<line class="tick" x1="{_x(t, limits)}" x2="{_x(t, limits)}" y1="0" y2="{height}"/>' for t in ticks]
  parts += [
    f'<line class="{css}" x1="{_x(a, limits)}" x2="{_x(b, limits)}" y1="{middle:g}" y2="{middle:g}"/>'
    for a, b, css in spans
  ]
  parts += [_mark(mark, _x(mark.x, limits), f'{mark.y:g}', focusable) for mark in marks]
  if bar is not None:
    parts.append(f'<line class="bar" x1="{_x(bar, limits)}" x2="{_x(bar, limits)}" y1="2" y2="{height - 2}"/>')
  role = 'role="group"' if focusable else 'aria-hidden="true"'
  return markupsafe.Markup(f'<svg class="track" width="100%" height="{height}" {role}>{"".join(parts)}</svg>')


def axis(ticks: Sequence[float], limits: tuple[float, float], labels: Sequence[str]) -> markupsafe.Markup:
  """The scale of tracks: labels at the ticks."""
  parts = []
  for i, (tick, label) in enumerate(zip(ticks, labels, strict=True)):
    anchor = 'start' if i == 0 else 'end' if i == len(ticks) - 1 else 'middle'
    parts.append(f'<text x="{_x(tick, limits)}" y="12" text-anchor="{anchor}">{markupsafe.escape(label)}</text>')
  return markupsafe.Markup(f'<svg class="axis" width="100%" height="16" aria-hidden="true">{"".join(parts)}</svg>')


def scatter(
  marks: Sequence[Mark],
  x_ticks: Sequence[tuple[float, str]],
  y_ticks: Sequence[tuple[float, str]],
  lines: Sequence[tuple[float, float, float, float, str]] = (),
  limits: tuple[float, float, float, float] = (0.0, 1.0, 0.0, 1.0),
  focusable: bool = False,
  label: str = '',
) -> markupsafe.Markup:
  """A plane of marks; its height is set by the page.

  Args:
    marks: the points, y upwards.
    x_ticks: (value, label) below.
    y_ticks: (value, label) at the left.
    lines: (x1, y1, x2, y2, CSS class), drawn under the marks.
    limits: (left, right, bottom, top) of the values.
    focusable: whether the marks can be reached by keyboard and tap.
    label: what the chart shows, for screen readers.
  """

  def across(value):
    return f'{9 + 88 * (value - limits[0]) / ((limits[1] - limits[0]) or 1):.2f}%'

  def down(value):
    return f'{92 - 89 * (value - limits[2]) / ((limits[3] - limits[2]) or 1):.2f}%'

  parts = []
  for value, name in x_ticks:
    parts.append(f'<line class="tick" x1="{across(value)}" x2="{across(value)}" y1="3%" y2="92%"/>')
    parts.append(f'<text x="{across(value)}" y="98%" text-anchor="middle">{markupsafe.escape(name)}</text>')
  for value, name in y_ticks:
    parts.append(f'<line class="tick" x1="9%" x2="97%" y1="{down(value)}" y2="{down(value)}"/>')
    parts.append(f'<text x="8%" y="{down(value)}" dy=".33em" text-anchor="end">{markupsafe.escape(name)}</text>')
  parts += [
    f'<line class="{css}" x1="{across(a)}" y1="{down(b)}" x2="{across(c)}" y2="{down(d)}"/>'
    for a, b, c, d, css in lines
  ]
  parts += [_mark(mark, across(mark.x), down(mark.y), focusable) for mark in marks]
  role = 'group' if focusable else 'img'
  return markupsafe.Markup(
    f'<svg class="plane" role="{role}" aria-label="{markupsafe.escape(label)}">{"".join(parts)}</svg>'
  )


def _x(value: float, limits: tuple[float, float]) -> str:
  share = (value - limits[0]) / ((limits[1] - limits[0]) or 1)
  return f'{_INSET + (100 - 2 * _INSET) * share:.2f}%'


def _mark(mark: Mark, x: str, y: str, focusable: bool) -> str:
  title = f'<title>{markupsafe.escape(mark.title)}</title>' if mark.title else ''
  if not focusable:
    return _use(x, y, mark.model, mark.hollow, title)
  number = '' if mark.key is None else f' data-p="{mark.key}"'
  return _use(x, y, mark.model, mark.hollow, title, f' role="img"{number}', 'pt ')


def _use(x: str, y: str, model: int, hollow: bool, title: str = '', more: str = '', css: str = '') -> str:
  classes = f'{css}m{model % COLOURS}{" hollow" if hollow else ""}'
  return f'<use class="{classes}" href="#s-{shape(model)}" x="{x}" y="{y}"{more}>{title}</use>'
