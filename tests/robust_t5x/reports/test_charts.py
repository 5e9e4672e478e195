"""The charts of a report's page."""

import json

import numpy as np
import pandas as pd

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
