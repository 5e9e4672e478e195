"""The one writer of SVG: elements, titles, shapes, scales and what charts are made of.

Charts of a report take the width they are given: positions are percentages of the drawing (`track`, `axis`, `scatter`), so
that marks and texts keep their size on a phone. Charts that are scaled as a whole (sweeps.charts) place the same parts in
units of the drawing.

Colours are classes that the page's style sheet knows (`m0`, `m1`, ...: see templates/report.css.j2) and every model or
series has a shape besides; group is told by filling.
"""

from collections.abc import Sequence
import dataclasses
import math

import markupsafe
from markupsafe import Markup

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

Range = tuple[float, float]


def element(tag: str, content: str = '', /, **attributes: object) -> Markup:
  """An element, its texts escaped; content that is markup stays as it is.

  >>> element('text', 'a < b', x=3, text_anchor='end', class_='value')
  Markup('<text x="3" text-anchor="end" class="value">a &lt; b</text>')

  Args:
    tag: its name.
    content: what it holds.
    **attributes: an underscore is a hyphen, one at the end is for Python only; those that are None are left out.
  """
  given = ''.join(
    f' {name.rstrip("_").replace("_", "-")}="{markupsafe.escape(value)}"'
    for name, value in attributes.items()
    if value is not None
  )
  return Markup(f'<{tag}{given}>{markupsafe.escape(content)}</{tag}>' if content else f'<{tag}{given}/>')


def joined(parts: Sequence[Markup]) -> Markup:
  """Elements one after another."""
  return Markup().join(parts)


def title(text: str) -> Markup:
  """What a mark is called, shown where a pointer rests on it and read out; nothing where it has no name."""
  return element('title', text) if text else Markup()


def line(x1: object, y1: object, x2: object, y2: object, css: str, name: str = '') -> Markup:
  """A straight line."""
  return element('line', title(name), class_=css, x1=x1, x2=x2, y1=y1, y2=y2)


def label(text: str, x: object, y: object, anchor: str | None = None, **more: object) -> Markup:
  """A text of a chart: at its place begins, is centred on or ends what it says."""
  return element('text', text, x=x, y=y, text_anchor=anchor, **more)


def place(value: float, limits: Range, ends: Range) -> float:
  """Where a value of a scale lies between two ends of a drawing.

  >>> place(0.25, (0.0, 0.5), (10, 90))
  50.0
  """
  return ends[0] + (ends[1] - ends[0]) * (value - limits[0]) / ((limits[1] - limits[0]) or 1)


def round_ticks(low: float, high: float, most: int = 5) -> list[float]:
  """Values between two ends that are 1, 2 or 5 times a power of ten apart, at most `most` steps of them.

  >>> round_ticks(0.13, 0.58)
  [0.2, 0.3, 0.4, 0.5]
  """
  power = 10.0 ** math.floor(math.log10((high - low) / most))
  step = next(s * power for s in (1, 2, 5, 10) if s * power >= (high - low) / most * (1 - 1e-9))
  first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
  return [round(i * step, 12) for i in range(first, last + 1)]


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


def definitions() -> Markup:
  """The shapes, which stand once in the page."""
  symbols = joined([element('path', id=f's-{name}', d=d) for name, d in SHAPES.items()])
  return element('svg', element('defs', symbols), width=0, height=0, aria_hidden='true', class_='defs')


def shape(model: int) -> str:
  """Shape of a model's marks; with the colours, 56 models can be told apart."""
  return tuple(SHAPES)[model % len(SHAPES)]


def key(model: int, hollow: bool = False) -> Markup:
  """A model's mark alone, for legends."""
  mark = _use('50%', '50%', model, hollow)
  return element('svg', mark, class_='key', width=14, height=14, aria_hidden='true')


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
  limits: Range = (0.0, 1.0),
  height: int = 26,
  focusable: bool = False,
  bar: float | None = None,
) -> Markup:
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
  middle = f'{height / 2:g}'
  parts = [line(_across(t, limits), 0, _across(t, limits), height, 'tick') for t in ticks]
  parts += [line(_across(a, limits), middle, _across(b, limits), middle, css) for a, b, css in spans]
  parts += [_mark(mark, _across(mark.x, limits), f'{mark.y:g}', focusable) for mark in marks]
  if bar is not None:
    parts.append(line(_across(bar, limits), 2, _across(bar, limits), height - 2, 'bar'))
  role = {'role': 'group'} if focusable else {'aria_hidden': 'true'}
  return element('svg', joined(parts), class_='track', width='100%', height=height, **role)


def stack(parts: Sequence[tuple[float, int, str, str]], height: int = 26) -> Markup:
  """A bar from end to end of a track, cut into parts.

  Args:
    parts: (share of the bar, colour, what is written on it, what it is called), from the left.
    height: in pixels.
  """
  out, start = [], 0.0
  for share, colour, words, name in parts:
    left, right = _across(start, (0.0, 1.0)), _across(start + share, (0.0, 1.0))
    width = _percent(float(right[:-1]) - float(left[:-1]))
    out.append(
      element(
        'rect', title(name), x=left, y=4, width=width, height=height - 8, class_=f'm{colour % COLOURS}', role='img'
      )
    )
    if words:
      out.append(label(words, _across(start + share / 2, (0.0, 1.0)), height / 2, 'middle', dy='.35em', class_='on'))
    start += share
  return element('svg', joined(out), class_='track', width='100%', height=height, role='group')


def swatch(colour: int) -> Markup:
  """A colour alone, for legends of bars."""
  square = element('rect', x=1, y=1, width=12, height=12, class_=f'm{colour % COLOURS}')
  return element('svg', square, class_='key', width=14, height=14, aria_hidden='true')


def axis(ticks: Sequence[float], limits: Range, labels: Sequence[str]) -> Markup:
  """The scale of tracks: labels at the ticks."""
  anchors = ['start', *['middle'] * (len(ticks) - 2), 'end']
  parts = [
    label(text, _across(tick, limits), 12, anchor)
    for tick, text, anchor in zip(ticks, labels, anchors[: len(ticks)], strict=True)
  ]
  return element('svg', joined(parts), class_='axis', width='100%', height=16, aria_hidden='true')


def scatter(
  marks: Sequence[Mark],
  x_ticks: Sequence[tuple[float, str]],
  y_ticks: Sequence[tuple[float, str]],
  lines: Sequence[tuple[float, float, float, float, str]] = (),
  limits: tuple[float, float, float, float] = (0.0, 1.0, 0.0, 1.0),
  focusable: bool = False,
  name: str = '',
) -> Markup:
  """A plane of marks; its height is set by the page.

  Args:
    marks: the points, y upwards.
    x_ticks: (value, label) below.
    y_ticks: (value, label) at the left.
    lines: (x1, y1, x2, y2, CSS class), drawn under the marks.
    limits: (left, right, bottom, top) of the values.
    focusable: whether the marks can be reached by keyboard and tap.
    name: what the chart shows, for screen readers.
  """

  def across(value: float) -> str:
    return _percent(place(value, limits[:2], (9, 97)))

  def down(value: float) -> str:
    return _percent(place(value, limits[2:], (92, 3)))

  parts = []
  for value, text in x_ticks:
    parts += [
      line(across(value), '3%', across(value), '92%', 'tick'),
      label(text, across(value), '98%', 'middle'),
    ]
  for value, text in y_ticks:
    parts += [
      line('9%', down(value), '97%', down(value), 'tick'),
      label(text, '8%', down(value), 'end', dy='.33em'),
    ]
  parts += [line(across(a), down(b), across(c), down(d), css) for a, b, c, d, css in lines]
  parts += [_mark(mark, across(mark.x), down(mark.y), focusable) for mark in marks]
  role = 'group' if focusable else 'img'
  return element('svg', joined(parts), class_='plane', role=role, aria_label=name)


def _percent(value: float) -> str:
  return f'{value:.2f}%'


def _across(value: float, limits: Range) -> str:
  return _percent(place(value, limits, (_INSET, 100 - _INSET)))


def _mark(mark: Mark, x: str, y: str, focusable: bool) -> Markup:
  if not focusable:
    return _use(x, y, mark.model, mark.hollow, mark.title)
  return _use(x, y, mark.model, mark.hollow, mark.title, 'pt ', role='img', data_p=mark.key)


def _use(x: str, y: str, model: int, hollow: bool, name: str = '', css: str = '', **more: object) -> Markup:
  classes = f'{css}m{model % COLOURS}{" hollow" if hollow else ""}'
  return element('use', title(name), class_=classes, href=f'#s-{shape(model)}', x=x, y=y, **more)
