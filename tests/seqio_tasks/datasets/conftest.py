"""Made-up files laid out as LMentry's."""

from lmentry_files import phrasing, write_instances, write_phrasings
import pytest


@pytest.fixture
def directory(tmp_path):
  words = [
    {'words': ['owl', 'hat', 'cup'], 'category': 'birds', 'gold': 'yes'},
    {'words': ['pan', 'pot'], 'category': 'birds', 'gold': 'no'},
  ]
  write_instances(tmp_path, 'any_words_from_category', words)
  write_instances(tmp_path, 'all_words_from_category', words)
  write_instances(
    tmp_path,
    'less_letters',
    [{'word1': 'no', 'word2': 'many', 'gold': 'no'}, {'word1': 'two', 'word2': 'a', 'gold': 'a'}],
    ['short {word1} {word2}'],
  )
  write_instances(tmp_path, 'bigger_number', [{'n1': 7, 'n2': 35, 'gold': 35}], ['big {n1} {n2}', '{n2}? {n1}'])
  write_instances(tmp_path, 'ends_with_word', [{'word': 'today'}], ['{word}'])
  write_phrasings(
    tmp_path,
    'any_words_from_category',
    [
      phrasing('1', 'Plain: {words} of {category}?\nA:', method='default'),
      phrasing('3', 'Bracketed: [{words}] of {category}?'),
      phrasing('4', 'Judged wrong: {words}', correct='0'),
      phrasing('9', 'Cannot be filled in: {words} {query}'),
      phrasing('12', 'Nor this: {words.upper()}', correct='0'),
    ],
  )
  return tmp_path
