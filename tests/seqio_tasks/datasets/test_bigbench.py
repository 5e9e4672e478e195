"""Tests of BIG-bench's reader."""

import json

import pytest

from seqio_tasks import datasets


def _bigbench(tmp_path, name, examples, **more):
  (tmp_path / name).mkdir(parents=True)
  (tmp_path / name / 'task.json').write_text(json.dumps({'examples': examples, **more}))


def test_bigbench(tmp_path, caplog):
  _bigbench(
    tmp_path, 'one',
    [
      {'input': 'q', 'target_scores': {'a': 0, 'b': 1, 'c': 1}},
      {'input': 'q', 'target_scores': {'a': 0}},
      {'input': 'q', 'target': ['x', 'y']},
      {'input': 3},
    ],
    task_prefix=' P ',
  )  # fmt: skip
  _bigbench(tmp_path, 'two/first', [{'input': 'q', 'target_scores': {'a': 1, 'b': 0}}])
  _bigbench(tmp_path, 'two/second', [{'input': 'r', 'target_scores': {'a': 1, 'b': 0}}])
  one, two = datasets.bigbench(tmp_path)
  scored, free = one.splits['test']()
  assert (scored['gold'], scored['alternatives'], scored['fields']['task_prefix']) == ('b', ['c'], 'P')
  assert (free['gold'], free['alternatives'], free['options']) == ('x', ['y'], [])
  assert 'example 1: no option has a score above 0' in caplog.text and "example 3: has no text 'input'" in caplog.text
  assert two.parts and [e['example_id'] for e in two.splits['test']()] == ['first/0', 'second/0']
  with pytest.raises(datasets.DatasetError, match=r"has no tasks \['three'\]; there are one, two"):
    datasets.bigbench(tmp_path, ['three'])
