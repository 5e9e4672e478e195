"""Tests of reading published phrasings, on made-up files laid out as the real ones."""

import json
import re

from lmentry_files import COLUMNS, phrasing, write_phrasings
import pytest

from seqio_tasks import answers
from seqio_tasks.bank import templates
from seqio_tasks.datasets import DatasetError, lmentry_instances, lmentry_phrasings


def _render(phrasing, example):
  return templates.render(phrasing.instruction.template, example['fields'])


def test_lists_are_quoted_and_joined_as_the_templates_expect(directory):
  examples = lmentry_instances.read_instances(directory, 'any_words_from_category')
  plain, bracketed, *_ = lmentry_phrasings.read_phrasings(directory, 'any_words_from_category')
  assert _render(plain, examples[0]) == 'Plain: "owl", "hat", or "cup" of birds?\nA:'
  assert _render(bracketed, examples[0]) == 'Bracketed: ["owl", "hat", "cup"] of birds?'


def test_phrasings_with_judgement_role_and_problem(directory):
  loaded = lmentry_phrasings.read_phrasings(directory, 'any_words_from_category')
  assert [(p.index, p.correct, p.instruction.role) for p in loaded] == [
    (1, True, 'default'),
    (3, True, 'evaluation'),
    (4, False, 'incorrect'),
    (9, True, 'evaluation'),
    (12, False, 'incorrect'),
  ]
  assert loaded[0].instruction.id == 'lmentry/any_words_from_category/1'
  assert loaded[0].instruction.collection == 'lmentry'
  assert [bool(p.problem) for p in loaded] == [False, False, False, True, True]
  assert loaded[3].problem == (
    "the template names the fields ['query'], but instances have ['category', 'listed_words', 'words']"
  )
  assert 'brace' in loaded[4].problem


def test_default_templates_stand_in_for_an_absent_csv(directory):
  loaded = lmentry_phrasings.read_phrasings(directory, 'bigger_number')
  assert [(p.index, p.method, p.correct) for p in loaded] == [
    (1, 'default', True),
    (2, 'default', True),
  ]
  (example,) = lmentry_instances.read_instances(directory, 'bigger_number')
  assert _render(loaded[1], example) == '35? 7'


@pytest.mark.parametrize(
  ('rows', 'columns', 'message'),
  [
    ([phrasing('1', 'x')], [c for c in COLUMNS if c != 'correct'], r"no column \['correct'\]"),
    ([phrasing('1', 'x'), phrasing('1', 'y')], COLUMNS, "prompt idx '1': must be a whole number"),
    ([phrasing('one', 'x')], COLUMNS, "prompt idx 'one': must be a whole number"),
    (
      [phrasing('123456789', 'x'), phrasing('1234567890', 'y')],
      COLUMNS,
      "prompt idx '1234567890': must be a whole number",
    ),
    ([phrasing('1', 'x', correct='yes')], COLUMNS, "column 'correct' is 'yes'; it must be 0 or 1"),
    ([phrasing('1', '')], COLUMNS, "column 'prompt template' is empty"),
    ([], COLUMNS, 'has no phrasing'),
  ],
)
def test_malformed_phrasings_are_named(directory, rows, columns, message):
  write_phrasings(directory, 'less_letters', rows, columns)
  with pytest.raises(DatasetError, match=f'less_letters.csv.*{message}'):
    lmentry_phrasings.read_phrasings(directory, 'less_letters')


def test_rows_that_are_bad_are_told_in_short_and_left_out(directory):
  rows = [phrasing('7', 'x', method='m'), phrasing('i' * 999, 'y'), phrasing('8', 'z', correct='')]
  write_phrasings(directory, 'less_letters', rows)
  bad = []
  path = directory / 'paraphrases' / 'less_letters.csv'
  assert lmentry_phrasings.read_rows(path, lambda *row: bad.append(row)) == [(7, 'm', 'x', True)]
  (long, fault), other = bad
  assert long.startswith('iii') and len(long) < 200 and fault.startswith('must be a whole number')
  assert other == ('8', "column 'correct' is ''; it must be 0 or 1")


@pytest.mark.parametrize('defaults', [[], 'text', {'a': 'b'}, ['a', ''], ['a', 3]])
def test_default_templates_are_a_list_of_texts(directory, defaults):
  path = directory / 'instances' / 'bigger_number.json'
  path.write_text(json.dumps(json.loads(path.read_text()) | {'more_info': {'input_templates': defaults}}))
  with pytest.raises(DatasetError, match='bigger_number.json: has no more_info.input_templates'):
    lmentry_phrasings.read_phrasings(directory, 'bigger_number')


def test_instances_that_are_no_json_are_named(directory):
  (directory / 'instances' / 'first_word.json').write_text('{')
  with pytest.raises(DatasetError, match='first_word.json: is not JSON'):
    lmentry_phrasings.read_phrasings(directory, 'first_word')


def test_the_real_files_can_be_read_and_filled_in(shared_data):
  directory = shared_data / 'lmentry'
  if not directory.is_dir():
    pytest.skip(f'no LMentry data at {directory}')
  problems = {}
  for task in lmentry_instances.TASKS:
    examples = lmentry_instances.read_instances(directory, task)
    assert len(examples) == 1000
    assert all(not e['options'] or e['gold'] in e['options'] for e in examples)
    assert all(answers.lmentry_score(e['gold'], e['gold'], e['options']) == 1.0 for e in examples)
    loaded = lmentry_phrasings.read_phrasings(directory, task)
    assert [p.index for p in loaded[:3]] == [1, 2, 3]
    assert {p.method for p in loaded[:3]} == {'default'}
    for p in loaded:
      if p.problem:
        problems[p.instruction.id] = p.correct
      else:
        text = _render(p, examples[0])
        assert not re.search(r'[{}]', text)
  # One phrasing judged correct has a field that no instance has.
  assert [id_ for id_, correct in problems.items() if correct] == ['lmentry/word_before/181']
  (example, *_) = lmentry_instances.read_instances(directory, 'all_words_from_category')
  assert re.fullmatch(r'("\w+", ){4}and "\w+"', example['fields']['words'])
