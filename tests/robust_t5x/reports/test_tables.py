"""Tables: how cells read, and LaTeX that compiles."""

import re

import numpy as np
import pytest

from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports import tables


def test_latex_is_balanced_and_escaped():
  table = tables.Table(
    'x', 'A 50% share of a_b & c', (tables.Column('name_1'), tables.Column('gap', 'points')),
    [('{x} & \\cmd $5 #1 ~ ^', Interval(-0.01, -0.02, 0.0)), ('a|b\nc', None)],
  )  # fmt: skip
  text = table.latex()
  bare = re.sub(r'\\[{}]', '', text)
  assert bare.count('{') == bare.count('}')
  assert re.findall(r'\\begin\{(\w+)\}', text) == re.findall(r'\\end\{(\w+)\}', text)[::-1]
  body = text.split(r'\midrule')[1].split(r'\bottomrule')[0]
  rows = [line for line in body.splitlines() if line]
  assert [len(re.findall(r'(?<!\\)&', row)) for row in rows] == [1, 1]
  assert r'\{x\} \& \textbackslash{}cmd \$5 \#1 \textasciitilde{} \textasciicircum{}' in rows[0]
  assert r'$-$1.0 {\small [$-$2.0, 0.0]} \\' in rows[0]
  assert not re.search(r'(?<!\\)[%#_]', body)
  assert table.frame()['gap low'].tolist()[0] == -0.02


@pytest.mark.parametrize(
  ('value', 'kind', 'expected'),
  [
    (0.4753, 'percent', '47.5%'), (-0.00001, 'points', '0.0'), (-0.0123, 'points', '\u22121.2'), (0.0123, 'points', '+1.2'),
    (None, 'percent', ''), (np.nan, 'number', ''), (0.0004, 'p', '< 0.001'), (0.0312, 'p', '0.031'), (12345, 'count', '12,345'),
    (Interval(0.5, 0.4, 0.6), 'percent', '50.0% [40.0%, 60.0%]'),
    (Interval(0.5, np.nan, np.nan), 'percent', '50.0%'),
  ],
)  # fmt: skip
def test_cells_read_as_they_should(value, kind, expected):
  assert tables.text(value, kind) == expected
