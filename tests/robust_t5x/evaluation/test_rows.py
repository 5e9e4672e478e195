"""Rows of evaluation tasks: read, and put in order by example and phrasing."""

import types

import numpy as np
import pytest

from robust_t5x.evaluation import rows
from robust_t5x.runtime.errors import UsageError
from seqio_tasks.pipeline.tasks import ExamplesTask


def _task(group, *ids):
  instructions = tuple(types.SimpleNamespace(id=i, template=f'{i}: {{x}}') for i in ids)
  return types.SimpleNamespace(name=group, dataset='d', group=group, instructions=instructions)


def _read(examples):
  """Stands in for `read_task`: examples of a task under each phrasing, phrasing by phrasing."""

  def read_task(name, lengths, split):
    del lengths, split
    ids = {'observed': ['o1', 'o2'], 'unobserved': ['u1']}[name]
    kept = [(i, n, e) for i in ids for n, e in examples[name]]
    return [{'example_id': e, 'instruction_id': i, 'inputs': np.array([n]), 'truncated_tokens': 0} for i, n, e in kept]

  return read_task


def test_a_grid_is_in_the_order_of_examples_and_phrasings(monkeypatch):
  both = [(1, 'e1'), (2, 'e2'), (3, 'e3')]
  monkeypatch.setattr(rows, 'read_task', _read({'observed': both, 'unobserved': both[::-1]}))
  tasks = [_task('observed', 'o1', 'o2'), _task('unobserved', 'u1')]
  frame, inputs = rows.read_grid(tasks, {}, 'test', max_examples=2)
  assert frame['example_id'].tolist() == ['e1'] * 3 + ['e2'] * 3
  assert frame['instruction_id'].tolist() == ['o1', 'o2', 'u1'] * 2
  assert frame['group'].tolist() == ['observed', 'observed', 'unobserved'] * 2
  assert frame['template'].tolist()[2] == 'u1: {x}'
  assert np.concatenate(inputs).tolist() == [1, 1, 1, 2, 2, 2]


def test_tasks_with_other_examples_are_refused(monkeypatch):
  monkeypatch.setattr(rows, 'read_task', _read({'observed': [(1, 'e1'), (2, 'e2')], 'unobserved': [(1, 'e1')]}))
  with pytest.raises(UsageError, match='d: its tasks observed, unobserved do not have the same examples'):
    rows.read_grid([_task('observed', 'o1', 'o2'), _task('unobserved', 'u1')], {}, 'test', 5)


def test_a_split_that_a_task_lacks_is_named(monkeypatch):
  task = ExamplesTask('t', {'train': [], 'test': []}, None, None, {}, evaluation=_task('observed', 'o1'))
  monkeypatch.setattr(rows.registration, 'find', lambda name: task)
  with pytest.raises(UsageError, match="SPLIT: task t has no split 'dev', only train, test"):
    rows.read_task('t', {'inputs': 4}, 'dev')
