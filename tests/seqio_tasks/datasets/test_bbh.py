"""Tests of BIG-Bench Hard's reader."""

import json

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
