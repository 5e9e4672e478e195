"""The charts of a report's page."""

import json

import numpy as np
import pandas as pd

from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports import charts


def test_many_points_are_thinned_to_ranks(monkeypatch):
  monkeypatch.setattr(charts, 'MAX_POINTS', 40)
  accuracy = np.linspace(0, 1, 500)
  frame = pd.DataFrame(
    {'dataset': 'd', 'group': 'all', 'instruction_id': [f'i{i}' for i in range(500)], 'template': None, 'm': accuracy}
  )
  strips = charts.strips(frame, ['m'])
  assert (strips.total, strips.drawn) == (500, 40)
  drawn = [p[4][0] for p in json.loads(strips.json)]
  assert min(drawn) == 0
  assert max(drawn) == 1
  assert np.diff(sorted(drawn)).max() < 0.03


def test_scales_hold_all_values_in_round_steps():
  assert charts.limits([0.41, None, 0.58]) == (0.4, 0.6)
  assert charts.limits([0.1, np.nan, 0.8]) == (0.0, 1.0)
  assert charts.limits([]) == (0.0, 1.0)
  assert charts.ticks((0.4, 0.6)) == [0.4, 0.45, 0.5, 0.55, 0.6]
  assert charts.ticks((0.0, 1.0)) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_what_is_not_known_is_not_drawn():
  known, unknown = Interval(0.5, np.nan, np.nan), Interval(np.nan, np.nan, np.nan)
  drawn = charts.overview(['a', 'b'], ['observed'], {('a', 'observed'): known, ('b', 'observed'): unknown})
  (line,) = drawn.rows
  assert (line.label, line.group, line.value, line.hollow) == ('a', 'observed', '50.0%', True)
  assert 'span' not in line.svg
  joined, alone = charts.dumbbells([(0, 0.5, 0.6), (1, None, 0.4)])
  assert 'span' in joined and 'span' not in alone
