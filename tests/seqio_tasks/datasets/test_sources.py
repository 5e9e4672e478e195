"""Tests of what all sources of examples share: splits by hashes, items, lists of datasets."""

import pytest

from seqio_tasks import datasets
from seqio_tasks.datasets import sources


def _examples():
  return [{'example_id': str(i), 'fields': {'question': f'q{i // 2}'}, 'gold': 'x', 'options': []} for i in range(400)]


def test_parts_of_a_hundred():
  splits = sources.split_parts(_examples, 30)
  train, test = splits['train'](), splits['test']()
  assert len(train) + len(test) == 400 and 80 < len(train) < 160
  assert not {e['fields']['question'] for e in train} & {e['fields']['question'] for e in test}
  assert sources.split_parts(_examples, 0) == {'test': _examples}
  with pytest.raises(sources.DatasetError, match='train_percent is 100'):
    sources.split_parts(_examples, 100)


def test_an_example_as_an_item():
  example = {'example_id': '1', 'fields': {'question': 'q'}, 'gold': 'b', 'options': ('a', 'b')}
  assert datasets.item_of(example) == {'question': 'q', 'options': ['a', 'b'], 'answer': 'b'}
  more = datasets.item_of(example | {'gold_index': 1, 'alternatives': ['a']})
  assert (more['answer_index'], more['alternatives']) == (1, ['a'])


def test_lists_of_datasets_as_gin_files_give_them():
  one, two, three = (sources.Dataset(name, 'b', (), {}) for name in 'xyz')
  assert sources.chosen([one, [two, three]]) == sources.chosen([[one, two], three]) == [one, two, three]
