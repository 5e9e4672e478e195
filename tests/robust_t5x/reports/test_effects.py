"""One model against another, as tables and words."""

import pytest

from robust_t5x.analysis.effects import compare_two, effects
from robust_t5x.reports.effects import explanations, finding, tables, write


@pytest.fixture
def comparison(two_evaluations):
  return compare_two(*map(str, two_evaluations))


def test_tables_and_words_say_the_same(comparison):
  found = effects(comparison)
  shown = tables(comparison, found)
  assert list(shown) == ['observed', 'unobserved']
  assert [row[0] for row in shown['unobserved'].rows] == ['all', 'first', 'second']
  whole = shown['unobserved'].rows[0]
  assert f'{100 * whole[3].estimate:+.1f} points' in finding(comparison, found)
  assert any('McNemar' in line for line in explanations(comparison))


def test_all_files_are_written(comparison, tmp_path):
  write(comparison, effects(comparison), str(tmp_path / 'out'))
  assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
    'compare.csv', 'compare.md', 'compare.pdf', 'compare.png', 'compare_observed.tex', 'compare_unobserved.tex',
    'mcnemar.csv',
  ]  # fmt: skip
