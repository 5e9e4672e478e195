"""Tests of BIG-Bench Hard's reader."""

import json

import pytest

from seqio_tasks import datasets


def test_bbh(tmp_path, caplog):
  (tmp_path / 'ruin_names.json').write_text(
    json.dumps(
      {
        'format': 'multi_choice',
        'more_info': {'key_names': ['name', 'options']},
        'examples': {
          '1': {'movie_list': 'm', 'options': ['(A) x', '(B) y'], 'gold': 'B'},
          '2': {'movie_list': 'm', 'options': ['(A) x'], 'gold': 'B'},
        },
      }
    )
  )
  (tmp_path / 'navigate.json').write_text(
    json.dumps(
      {'format': 'classification', 'examples': {'1': {'i': 'l', 'gold': 'No'}, '2': {'i': 'r', 'gold': 'Yes'}}}
    )
  )
  navigate, ruin = datasets.bbh(tmp_path)
  (example,) = ruin.splits['test']()
  assert example['fields'] == {'movie_list': 'm', 'name': 'm'}
  assert (example['gold'], example['gold_index'], example['options']) == ('y', 1, ['x', 'y'])
  assert "example 2: the answer 'B' is not among the options" in caplog.text
  assert [e['options'] for e in navigate.splits['test']()] == [['Yes', 'No']] * 2


def test_another_layout_is_told_as_what_it_is(tmp_path):
  (tmp_path / 'noon.json').write_text('{"canary": "", "examples": [{"input": "Is it?", "target": "No"}]}')
  with pytest.raises(datasets.DatasetError, match="noon.json: is in BIG-Bench Hard's own layout.* arXiv 2401.00595"):
    datasets.bbh(tmp_path)[0].splits['test']()


def test_rows_of_other_types_are_left_out_and_counted(tmp_path):
  rows = {
    '1': 3,
    '2': {'text': None, 'gold': 'A', 'options': ['(A) x', '(B) y']},
    '3': {'text': 't', 'gold': ['A'], 'options': ['(A) x', '(B) y']},
    '4': {'text': 't', 'gold': 'A', 'options': [1, None]},
    '5': {'text': 't', 'gold': 'A', 'options': 'A'},
    '6': {'text': 't', 'gold': 'A', 'options': ['(A) x', '(A) y']},
    '7': {'gold': 'A', 'options': ['(A) x', '(B) y']},
  }
  (tmp_path / 'one.json').write_text(json.dumps({'more_info': [], 'examples': rows}))
  (example,) = datasets.bbh(tmp_path)[0].splits['test']()
  assert example['gold'] == 'x'  # the options may be all there is
  left_out = datasets.readings()[str(tmp_path / 'one.json')]['left_out']
  assert {reason: entry['rows'] for reason, entry in left_out.items()} == {
    'no right answer': 2,
    'a field without a text': 1,
    'the answer is no option': 2,
    'an empty or doubled option': 1,
  }


def test_a_single_option_is_no_choice(tmp_path):
  """Ranked, it would be right whatever the model."""
  rows = {
    '1': {'t': 'u', 'options': ['(A) x'], 'gold': 'A'},
    '2': {'t': 'u', 'options': ['(A) x', '(B) y'], 'gold': 'A'},
  }
  (tmp_path / 'one.json').write_text(json.dumps({'examples': rows}))
  (tmp_path / 'same.json').write_text(
    json.dumps({'examples': {'1': {'t': 'u', 'gold': 'No'}, '2': {'t': 'v', 'gold': 'No'}}})
  )
  one, same = datasets.bbh(tmp_path)
  (example,) = one.splits['test']()
  assert example['example_id'] == '2'
  assert datasets.readings()[str(tmp_path / 'one.json')]['left_out']['fewer than two options']['rows'] == 1
  assert [(e['gold'], e['options']) for e in same.splits['test']()] == [('No', [])] * 2  # answers are free


def test_blanks_and_capitals_make_no_option(tmp_path):
  rows = {'1': {'i': 'l', 'gold': 'No'}, '2': {'i': 'r', 'gold': 'Yes '}, '3': {'i': 's', 'gold': 'yes'}}
  (tmp_path / 'navigate.json').write_text(json.dumps({'examples': rows}))
  examples = datasets.bbh(tmp_path)[0].splits['test']()
  assert [(e['gold'], e['options']) for e in examples] == [(gold, ['Yes', 'No']) for gold in ('No', 'Yes', 'Yes')]
