"""Tables of a report, each written once and shown as HTML, Markdown, LaTeX and CSV.

A cell is a text, a number, an `Interval` or None; the column's kind says how it reads:
'text', 'count', 'percent' (a share), 'points' (a difference of shares, in percentage points), 'half' (half of an interval of
one, in percentage points), 'number' (three decimals) or 'p' (a p-value).
"""

from collections.abc import Sequence
import dataclasses

import markupsafe
import numpy as np
import pandas as pd

from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports import escaping
from robust_t5x.reports.escaping import MINUS

Cell = str | float | Interval | None


@dataclasses.dataclass(frozen=True)
class Column:
  """A heading and how its cells read."""

  name: str
  kind: str = 'text'


@dataclasses.dataclass(frozen=True)
class Table:
  """A table.

  Attributes:
    name: what its files are called; see `stem`.
    caption: one line above it.
    columns: its columns.
    rows: tuples of cells, one for each column.
    note: what a reader must know of it.
  """

  name: str
  caption: str
  columns: tuple[Column, ...]
  rows: Sequence[Sequence[Cell]]
  note: str = ''

  @property
  def stem(self) -> str:
    """The name of its files, without their ending."""
    return escaping.file_name(self.name)

  def html(self, limit: int | None = None, chart: Sequence[str] = ()) -> markupsafe.Markup:
    """The table as HTML; numbers carry `data-v` for sorting.

    Args:
      limit: rows shown at most.
      chart: inline SVG for each row, shown as a last column.
    """
    head = ''.join(f'<th scope="col" class="{_side(c.kind)}">{markupsafe.escape(c.name)}</th>' for c in self.columns)
    head += '<th scope="col" class="chart">chart</th>' if chart else ''
    body = []
    for r, row in enumerate(self.rows[:limit]):
      cells = []
      for c, (column, value) in enumerate(zip(self.columns, row, strict=True)):
        tag, scope = ('th', ' scope="row"') if c == 0 else ('td', '')
        known = number(value)
        sort = '' if known is None else f' data-v="{known:.6g}"'
        shown = _html(value, column.kind)
        shown = shown if c else shown.replace('_', '_<wbr>')  # names may break at their joints
        cells.append(f'<{tag}{scope} class="{_side(column.kind)}"{sort}>{shown}</{tag}>')
      if chart:
        cells.append(f'<td class="chart">{chart[r]}</td>')
      body.append(f'<tr>{"".join(cells)}</tr>')
    caption = f'<caption>{markupsafe.escape(self.caption)}</caption>' if self.caption else ''
    return markupsafe.Markup(
      f'<table>{caption}<thead><tr>{head}</tr></thead><tbody>\n' + '\n'.join(body) + '\n</tbody></table>'
    )

  def markdown(self, limit: int | None = None) -> str:
    """The table as GitHub's Markdown."""
    lines = ['| ' + ' | '.join(escaping.markdown(c.name) for c in self.columns) + ' |']
    lines.append('|' + '|'.join('---' if c.kind == 'text' else '---:' for c in self.columns) + '|')
    for row in self.rows[:limit]:
      cells = (escaping.markdown(text(v, c.kind)) for c, v in zip(self.columns, row, strict=True))
      lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)

  def plain(self) -> str:
    """The table for a terminal, its columns aligned."""
    lines = [[escaping.line(c.name) for c in self.columns]]
    lines += [[escaping.line(text(v, c.kind)) for c, v in zip(self.columns, row, strict=True)] for row in self.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return '\n'.join(
      '  '.join(
        cell.ljust(width) if c.kind == 'text' else cell.rjust(width)
        for c, cell, width in zip(self.columns, line, widths, strict=True)
      ).rstrip()
      for line in lines
    )

  def latex(self) -> str:
    """The table as a LaTeX `table` with booktabs' rules; texts are escaped."""
    sides = ''.join('l' if c.kind == 'text' else 'r' for c in self.columns)
    lines = [
      f'% {escaping.line(self.caption)} Needs \\usepackage{{booktabs}}.',
      r'\begin{table}',
      r'\centering',
      rf'\caption{{{escaping.latex(self.caption)}}}',
      rf'\label{{tab:{escaping.latex_label(self.name)}}}',
      rf'\begin{{tabular}}{{{sides}}}',
      r'\toprule',
      ' & '.join(escaping.latex(c.name) for c in self.columns) + r' \\',
      r'\midrule',
    ]
    for row in self.rows:
      lines.append(' & '.join(_latex_cell(v, c.kind) for c, v in zip(self.columns, row, strict=True)) + r' \\')
    return '\n'.join([*lines, r'\bottomrule', r'\end{tabular}', r'\end{table}', ''])

  def frame(self) -> pd.DataFrame:
    """The table as numbers; an interval takes three columns."""
    columns: dict[str, list[Cell]] = {}
    for c, column in enumerate(self.columns):
      values = [row[c] for row in self.rows]
      if any(isinstance(v, Interval) for v in values):
        columns[column.name] = [getattr(v, 'estimate', v) for v in values]
        for end in ('low', 'high'):
          columns[f'{column.name} {end}'] = [getattr(v, end, None) for v in values]
      else:
        columns[column.name] = values
    return pd.DataFrame(columns)


def text(value: Cell, kind: str) -> str:
  """A cell as plain text; nothing where there is no value."""
  if isinstance(value, Interval):
    estimate = text(value.estimate, kind)
    return f'{estimate} {ends(value, kind)}' if estimate and value.has_ends else estimate
  if value is None or (not isinstance(value, str) and np.isnan(value)):
    return ''
  return _plain(value, kind)


def ends(value: Interval, kind: str) -> str:
  """The ends of an interval."""
  return f'[{_plain(value.low, kind)}, {_plain(value.high, kind)}]'


def percent(value: float | None) -> str:
  """A share as a percentage with one decimal; nothing for a value that is absent."""
  return text(value, 'percent')


def points(value: Interval) -> str:
  """A difference of shares with its interval, in percentage points."""
  unit = f'{_plain(value.estimate, "points")} points'
  return f'{unit} {ends(value, "points")}' if value.has_ends else unit


def difference(a: float | None, b: float | None) -> float | None:
  """a less b; None where one of them is absent."""
  return None if a is None or b is None or np.isnan(a) or np.isnan(b) else float(a - b)


def _plain(value: str | float, kind: str) -> str:
  if isinstance(value, str) or kind == 'text':
    return str(value)
  if kind == 'count':
    return f'{int(value):,}'
  if kind == 'percent':
    return f'{100 * value:.1f}%'.replace('-', MINUS)
  if kind == 'points':
    rounded = round(100 * float(value), 1) + 0.0  # no minus before zero
    return (f'{rounded:+.1f}' if rounded else '0.0').replace('-', MINUS)
  if kind == 'half':
    return f'±{100 * value:.1f}'
  if kind == 'p':
    return '< 0.001' if value < 0.001 else f'{value:.3f}'
  return f'{value:.3f}'.replace('-', MINUS)


def number(value: Cell) -> float | None:
  """The number of a cell, of an interval its estimate; None where there is none."""
  value = value.estimate if isinstance(value, Interval) else value
  if value is None or isinstance(value, str) or np.isnan(value):
    return None
  return float(value)


def _side(kind: str) -> str:
  return 'text' if kind == 'text' else 'num'


def _html(value: Cell, kind: str) -> str:
  if isinstance(value, Interval) and value.is_known and value.has_ends:
    return f'{_plain(value.estimate, kind)} <small>{ends(value, kind)}</small>'
  return str(markupsafe.escape(text(value, kind)))


def _latex_cell(value: Cell, kind: str) -> str:
  if isinstance(value, Interval) and value.is_known and value.has_ends:
    low, high = (escaping.latex(_plain(end, kind)) for end in (value.low, value.high))
    return rf'{escaping.latex(_plain(value.estimate, kind))} {{\small [{low}, {high}]}}'
  return escaping.latex(text(value, kind))
