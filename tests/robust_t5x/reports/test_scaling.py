"""Families and sizes that models' names tell."""

import pandas as pd
import pytest

from robust_t5x.reports import inputs
from robust_t5x.reports.scaling import family_and_size, find_families, scaling_table


@pytest.mark.parametrize(
  ('name', 'family', 'size'),
  [
    # Published sizes: Flan-T5 of 80M, 250M, 780M, 3B, 11B (Chung et al. 2022, table 1), to two digits.
    ('flan-t5-small', 'flan-t5', 80e6), ('Flan-T5-Base', 'flan-t5', 250e6), ('flan_t5_large', 'flan_t5', 780e6),
    ('Flan-T5-XL', 'flan-t5', 3e9), ('flan-t5-xxl', 'flan-t5', 11e9), ('Alpaca-7B', 'alpaca', 7e9), ('T0-3B', 't0', 3e9),
    ('t5-base', 't5', 220e6),
  ],
)  # fmt: skip
def test_sizes_told_by_names(name, family, size):
  found = family_and_size(name)
  assert found[0] == family
  assert found[1] == pytest.approx(size, rel=0.06)


def test_names_without_a_size():
  assert family_and_size('T0++') is None
  assert family_and_size('with aligned adapter') is None
  for name in ('bart-large', 'mt5-base', 'codet5-base', 'roberta-base'):  # whose sizes are not T5's
    assert family_and_size(name) is None


def test_a_familys_gap_is_over_the_datasets_with_both(tmp_path):
  """The second dataset has observed phrasings alone, which count in their accuracy and not in the gap."""
  rows = [
    (f'flan-t5-{size}', dataset, group, f'{dataset}{group}', score)
    for size, more in (('base', 0.0), ('xl', 0.25))
    for dataset, group, score in (('d', 'observed', 0.5), ('d', 'unobserved', 0.25 + more), ('e', 'observed', 0.0))
  ]
  path = tmp_path / 't.csv'
  pd.DataFrame(rows, columns=['model', 'dataset', 'group', 'instruction_id', 'score']).to_csv(path, index=False)
  found = find_families(inputs.read([str(path)]))
  assert [(m.gap, m.values['observed']) for m in found[0].members] == [(-0.25, 0.25), (0.0, 0.25)]
  assert [row[-1] for row in scaling_table(found, ['observed', 'unobserved']).rows] == [-0.25, 0.0]
  one = pd.read_csv(path).query('group == "observed"')
  one.to_csv(path, index=False)
  assert [m.gap for m in find_families(inputs.read([str(path)]))[0].members] == [None, None]
