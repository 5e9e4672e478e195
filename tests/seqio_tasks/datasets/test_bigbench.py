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
      {'input': 'q', 'target_scores': {'a': 0, 'b': 0.1 + 0.2, 'c': 0.3}},
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


@pytest.mark.parametrize(
  'scores',
  [
    {'a': float('nan'), 'b': 1},
    {'a': float('inf'), 'b': 1},
    {'a': '1', 'b': 0},
    {'a': True, 'b': 0},
    {'a': None, 'b': 1},
    {'a': -1, 'b': -2},
    {'a': 0, 'b': 0},
    {'': 1, 'b': 0},
    {},
    [1, 0],
  ],
)
def test_scores_that_tell_no_right_option_are_left_out_and_counted(tmp_path, scores):
  good = {'input': 'q', 'target_scores': {'a': 1, 'b': 10**400}}
  _bigbench(tmp_path, 'one', [{'input': 'q', 'target_scores': scores}, good])
  (example,) = datasets.bigbench(tmp_path)[0].splits['test']()
  assert (example['example_id'], example['gold']) == ('1', 'b')
  reading = datasets.readings()[str(tmp_path / 'one')]
  assert reading['used'] == 1 and [r['rows'] for r in reading['left_out'].values()] == [1]


def test_a_blank_input_is_left_out_unless_all_are(tmp_path):
  rows = [{'input': '', 'target_scores': {'a': 1, 'b': 0}}, {'input': '', 'target_scores': {'c': 1, 'd': 0}}]
  _bigbench(tmp_path, 'all', rows)
  _bigbench(tmp_path, 'some', [*rows, {'input': 'q', 'target_scores': {'a': 1, 'b': 0}}])
  assert [len(d.splits['test']()) for d in datasets.bigbench(tmp_path)] == [2, 1]


def test_a_subtask_by_itself_has_the_parts_of_its_questions_as_fields(tmp_path):
  good = {'input': "The most reasonable step of 'Fry an 'Egg'' is ", 'target_scores': {'a': 1, 'b': 0}}
  _bigbench(tmp_path, 'goal_step_wikihow/step_inference', [good, {**good, 'input': 'Which step?'}])
  _bigbench(tmp_path, 'goal_step_wikihow/step_ordering', [good])
  (steps,) = datasets.bigbench(tmp_path, ['goal_step_wikihow/step_inference'])
  assert (steps.name, steps.bank_tasks[0], steps.parts) == ('bigbench_step_inference', 'step_inference', False)
  assert steps.fields == ('question', 'task_prefix', 'goal')
  (example,) = steps.splits['test']()
  assert (example['example_id'], example['fields']['goal']) == ('0', "Fry an 'Egg'")
  left_out = datasets.readings()[str(tmp_path / 'goal_step_wikihow' / 'step_inference')]['left_out']
  assert {reason: r['rows'] for reason, r in left_out.items()} == {'a question of another form': 1}
  with pytest.raises(
    datasets.DatasetError, match='there are goal_step_wikihow, goal_step_wikihow/step_inference, goal_step'
  ):
    datasets.bigbench(tmp_path, ['goal_step_wikihow/no'])


def test_the_similarity_of_things_with_an_and_is_split_at_the_last_one(tmp_path):
  row = {'input': 'Tell me how rock and roll and rap are alike.', 'target_scores': {'a': 1, 'b': 0}}
  _bigbench(tmp_path, 'similarities_abstraction', [row])
  (example,) = datasets.bigbench(tmp_path)[0].splits['test']()
  assert (example['fields']['first'], example['fields']['second']) == ('rock and roll', 'rap')


def test_splits_to_train_and_to_choose_on_share_nothing_with_test(tmp_path):
  rows = [{'input': f'q{i}', 'target_scores': {'a': 1, 'b': 0}} for i in range(300)]
  _bigbench(tmp_path, 'one', rows)
  (one,) = datasets.bigbench(tmp_path, train_percent=50, validation_percent=20)
  found = {split: {e['example_id'] for e in read()} for split, read in one.splits.items()}
  assert list(found) == ['train', 'validation', 'test'] and sum(map(len, found.values())) == 300
  assert len(set.union(*found.values())) == 300
  assert 120 < len(found['train']) < 180 and 35 < len(found['validation']) < 85
  # The split to train on does not depend on the one to choose on.
  (other,) = datasets.bigbench(tmp_path, train_percent=50)
  assert {e['example_id'] for e in other.splits['train']()} == found['train'] and list(other.splits) == [
    'train',
    'test',
  ]
  with pytest.raises(datasets.DatasetError, match='100 together and leave nothing to test'):
    datasets.bigbench(tmp_path, train_percent=60, validation_percent=40)


def test_a_single_option_is_no_choice(tmp_path):
  """Ranked, it would be right whatever the model."""
  rows = [{'input': 'q', 'target_scores': {'a': 1}}, {'input': 'q', 'target_scores': {'a': 1, 'b': 0}}]
  _bigbench(tmp_path, 'one', rows)
  (example,) = datasets.bigbench(tmp_path)[0].splits['test']()
  assert example['example_id'] == '1'
  assert datasets.readings()[str(tmp_path / 'one')]['left_out']['fewer than two options']['rows'] == 1


def test_what_stands_beside_subtasks_is_told_and_hidden_folders_are_none(tmp_path):
  row = {'input': 'Is it?', 'target': 'yes'}
  _bigbench(tmp_path, 'one', [row], task_prefix=['no text'])
  _bigbench(tmp_path, 'one/.old', [row | {'target': 'no'}])
  (one,) = datasets.bigbench(tmp_path)
  (example,) = one.splits['test']()
  assert example['gold'] == 'yes' and example['fields']['task_prefix'] == ''
  _bigbench(tmp_path, 'one/part', [row | {'target': 'no'}])
  _bigbench(tmp_path, 'one/empty', [])
  (one,) = datasets.bigbench(tmp_path)
  assert [e['gold'] for e in one.splits['test']()] == ['no']
  for name in ('task.json', 'empty/task.json'):
    assert 'the whole file' in datasets.readings()[str(tmp_path / 'one' / name)]['left_out']


def test_what_is_left_out_of_other_tasks_is_not_told(tmp_path):
  row = {'input': 'Is it?', 'target': 'yes'}
  for name in ('one', 'one/part', 'one/other', 'two'):
    _bigbench(tmp_path, name, [row])
  whole = str(tmp_path / 'one' / 'task.json')
  datasets.bigbench(tmp_path, ['two', 'one/part'])
  assert whole not in datasets.readings()
  datasets.bigbench(tmp_path, ['one'])
  assert whole in datasets.readings()
