"""Budgets of cells: what they may be, and which rows they leave."""

import collections

import pytest

from robust_t5x.evaluation.cells import check_budget, sample_cells
from robust_t5x.runtime.errors import UsageError

ROWS = [{'example_id': f'e{e}', 'instruction_id': f'i{i}'} for e in range(6) for i in range(4)]


@pytest.mark.parametrize('budget', [0, -1, True, 0.0, 1.0, 1.5, 'all'])
def test_what_is_no_budget_is_refused(budget):
  with pytest.raises(UsageError, match='give a whole number of cells for each task, a share'):
    check_budget(budget, {})


def test_every_phrasing_needs_a_cell():
  check_budget(None, {'task': 9})
  check_budget(9, {'task': 9})
  with pytest.raises(UsageError, match='8 cells of task; its 9 phrasings need one each'):
    check_budget(8, {'other': 2, 'task': 9})
  with pytest.raises(UsageError, match='CELL_BUDGET is 0.1, which is 2 cells of task'):
    sample_cells(ROWS, 'task', 0.1, 0)


def test_a_sample_is_even_and_the_tasks_own():
  assert sample_cells(ROWS, 'task', None, 0) is ROWS
  assert sample_cells(ROWS, 'task', 24, 0) is ROWS
  chosen = sample_cells(ROWS, 'task', 0.5, 0)
  assert len(chosen) == 12 and chosen == [row for row in ROWS if row in chosen]
  for name, count in (('example_id', 2), ('instruction_id', 3)):
    assert set(collections.Counter(row[name] for row in chosen).values()) == {count}
  assert chosen == sample_cells(ROWS, 'task', 12, 0)
  assert chosen != sample_cells(ROWS, 'task', 12, 1) and chosen != sample_cells(ROWS, 'another task', 12, 0)
