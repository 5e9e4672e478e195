"""The section on which phrasing to use."""

import pandas as pd

from robust_t5x.analysis.choice import recommend
from robust_t5x.reports import choice
from robust_t5x.reports.inputs import read


def test_the_best_phrasing_of_each_dataset_stands_with_what_it_is_worth(evaluations, tmp_path):
  before, after = evaluations
  inputs = read([before, *after])
  section = choice.section(inputs)
  best, gains = section.tables
  assert [row[:2] for row in best.rows] == [(m, d) for m in inputs.models for d in ('first', 'second')]
  found = recommend(inputs.of('aligned'), 'aligned', 'unobserved')
  assert best.rows[2][2] == found[0].instruction_id and best.rows[2][4] == found[0].expected
  assert [row[:3] for row in gains.rows] == [(m, n, 2) for m in inputs.models for n in (10, 20)]
  assert len(best.columns) == 7  # no default wording
  assert section.notes[0].startswith('no adapter: the unobserved phrasing that is best on 20 examples scores ')
  table = pd.DataFrame(
    {'model': 'm', 'dataset': 'd', 'group': 'all', 'instruction_id': ['a', 'b'], 'score': [0.4, 0.6]}
  )
  table.to_csv(tmp_path / 't.csv', index=False)
  assert choice.section(read([str(tmp_path / 't.csv')])) is None
