"""Tests of reading LMentry's instances, on made-up files laid out as the real ones."""

import json

from lmentry_files import write_instances
import pytest

from seqio_tasks.datasets import DatasetError, lmentry_instances


def test_options_of_pairs_even_where_an_answer_is_the_word_no(directory):
  examples = lmentry_instances.read_instances(directory, 'less_letters')
  assert [e['options'] for e in examples] == [['no', 'many'], ['two', 'a']]
  (example,) = lmentry_instances.read_instances(directory, 'bigger_number')
  assert example['fields'] == {'n1': '7', 'n2': '35'}
  assert example['gold'] == '35' and example['options'] == ['7', '35']


def test_missing_files_and_fields_are_named(directory, tmp_path):
  with pytest.raises(DatasetError, match='nowhere.instances: no such directory; name'):
    lmentry_instances.read_instances(tmp_path / 'nowhere', 'less_letters')
  with pytest.raises(DatasetError, match='word_after.json: no such file.*less_letters'):
    lmentry_instances.read_instances(directory, 'word_after')
  (open_one,) = lmentry_instances.read_instances(directory, 'ends_with_word')
  assert open_one['gold'] == 'ends_with_word: today'
  write_instances(
    directory,
    'word_before',
    [{'sentence': 'a b', 'word': 'b', 'gold': 'a'}, {'sentence': 'c d', 'gold': 'c'}],
  )
  with pytest.raises(DatasetError, match="word_before.json: instance '2' has no 'word'"):
    lmentry_instances.read_instances(directory, 'word_before')


def test_lists_are_quoted_and_joined(directory):
  examples = lmentry_instances.read_instances(directory, 'any_words_from_category')
  assert examples[0] == {
    'example_id': 'any_words_from_category/1',
    'fields': {
      'words': '"owl", "hat", or "cup"',
      'listed_words': '"owl", "hat", "cup"',
      'category': 'birds',
    },
    'gold': 'yes',
    'options': ['yes', 'no'],
  }
  (example, _) = lmentry_instances.read_instances(directory, 'all_words_from_category')
  assert example['fields']['words'] == '"owl", "hat", and "cup"'


@pytest.mark.parametrize(
  ('examples', 'message'),
  [
    ({'1': {'input': 'Q', 'metadata': {}}}, "is in LMentry's own layout"),
    ([1], "has no mapping 'examples'"),
    ({'1': 3}, "has no mapping 'examples'"),
    (
      {'1': {'word': 'a', 'gold': 'b'}, '2': {'word': ['a'], 'gold': 'b'}},
      "instance '2' has no 'word' that can be used",
    ),
    ({'1': {'word1': 'a', 'word2': 'b', 'gold': 'c'}}, "the answer 'c' is not among the options"),
    ({'1': {'words': ['a', ' '], 'gold': 'a'}}, "instance '1' has no 'words' that can be used"),
    ({'1': {'words': ['a'], 'gold': 'a'}}, "instance '1' has no 'words' that can be used"),
  ],
)
def test_other_layouts_and_types_are_told(tmp_path, examples, message):
  (tmp_path / 'instances').mkdir()
  (tmp_path / 'instances' / 'one.json').write_text(json.dumps({'examples': examples}))
  with pytest.raises(DatasetError, match=message):
    lmentry_instances.read_instances(tmp_path, 'one')


def test_a_file_beside_the_directory_that_is_missing_is_told_by_its_layout(tmp_path):
  beside = tmp_path / 'one.json'
  beside.write_text(json.dumps({'examples': {'1': {'input': 'Q', 'metadata': {}}}}))
  with pytest.raises(DatasetError, match="one.json: is in LMentry's own layout"):
    lmentry_instances.read_instances(tmp_path, 'one')
  beside.write_text(json.dumps({'examples': {'1': {'word': 'a', 'gold': 'a'}}}))
  with pytest.raises(DatasetError, match='instances: no such directory'):
    lmentry_instances.read_instances(tmp_path, 'one')
