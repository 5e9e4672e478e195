"""The picture of what the uncertainty is made of."""

import numpy as np
import pandas as pd
import pytest

from robust_t5x.reports import plots, uncertainty
from robust_t5x.reports.inputs import read


def test_the_section_says_what_is_unsure(evaluations):
  before, after = evaluations
  inputs = read([before, *after])
  rows = uncertainty.rows(inputs)
  assert [(r.model, r.group) for r in rows] == [
    (m, g) for m in ('no adapter', 'aligned') for g in ('observed', 'unobserved')
  ]
  section = uncertainty.section(rows)
  shares, components = section.tables
  for row, of in zip(shares.rows, rows, strict=True):
    half = inputs.of(of.model).contrast({of.group: 1}, [(of.model, 1)]).half_width()
    assert row[2] == pytest.approx(half)
    assert sum(row[3:7]) == pytest.approx(1)
  # Seeds are in the second model alone.
  assert shares.rows[0][6] == 0
  names = [c.name for c in components.columns]
  assert components.rows[0][names.index('seeds')] is None and components.rows[2][names.index('seeds')].has_ends
  (_, bars) = section.charts
  assert len(bars.rows) == 4 and bars.rows[0].svg.count('<rect') == sum(v > 0 for v in shares.rows[0][3:7])
  figure = plots.uncertainty(rows)
  lengths = [sum(p.get_width() for p in figure.axes[0].patches if p.get_y() == -y - 0.35) for y in range(4)]
  assert lengths == pytest.approx([100 * row[2] for row in shares.rows])
  plots.plt.close(figure)


def test_accuracies_of_phrasings_do_not_tell_wording_from_data(tmp_path):
  """Their spread holds the noise of the examples, so that no share of it is known to be that of the phrasings."""
  table = pd.DataFrame({'dataset': 'd', 'instruction_id': ['a', 'b'], 'score': [0.4, 0.6]})
  table.to_csv(tmp_path / 'm.csv', index=False)
  assert uncertainty.rows(read([str(tmp_path / 'm.csv')])) == []
  assert uncertainty.section([]) is None


def test_one_cell_tells_nothing(tmp_path):
  (tmp_path / 'm.csv').write_text('dataset,instruction_id,example_id,score\nd,i,e,1\n')
  (row,) = uncertainty.rows(read([str(tmp_path / 'm.csv')]))
  assert np.isnan(row.found.half_width) and uncertainty.section([row]) is None
