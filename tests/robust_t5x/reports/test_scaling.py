"""Families and sizes that models' names tell."""

import pytest

from robust_t5x.reports.scaling import family_and_size


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
