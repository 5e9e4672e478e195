"""Budgets of cells: what they may be, and which rows they leave."""

import collections

import pytest

from robust_t5x.evaluation import checks
from robust_t5x.evaluation.cells import check_budget, sample_cells
from robust_t5x.runtime.errors import UsageError
from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.bank.layouts import Layout
from seqio_tasks.pipeline.evaluation import EvaluationTask

ROWS = [{'example_id': f'e{e}', 'instruction_id': f'i{i}'} for e in range(6) for i in range(4)]


@pytest.mark.parametrize('budget', [0, -1, True, 0.0, 1.0, 1.5, 'all'])
def test_what_is_no_budget_is_refused(budget):
  with pytest.raises(UsageError, match='give a whole number of cells for each task, a share'):
    check_budget(budget)


def evaluation_task(name, phrasings, examples):
  instructions = tuple(
    make_instruction('c', name, f'k{i}', 'evaluation', '{a}', Layout('{a}')) for i in range(phrasings)
  )
  rows = [{'example_id': str(i), 'fields': {'a': 'x'}, 'gold': 'y', 'options': []} for i in range(examples)]
  return EvaluationTask(name, name, 'unobserved', instructions, splits={'test': rows})


def test_every_phrasing_needs_a_cell():
  for good in (None, 9, 0.5):
    check_budget(good)
  tasks = [evaluation_task('other', 2, 4), evaluation_task('task', 9, 3)]
  checks.check(tasks, cell_budget=9)
  checks.check(tasks, cell_budget=0.34)
  for budget, count in ((8, 8), (0.3, 8)):
    with pytest.raises(UsageError, match=f'{count} cells of task; its 9 phrasings need one each'):
      checks.check(tasks, cell_budget=budget)
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
