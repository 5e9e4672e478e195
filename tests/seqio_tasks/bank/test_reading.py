"""Tests of the instruction bank: reading, validation, rendering, selection."""

import pathlib
import re
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
import pytest

from seqio_tasks.bank import instruction, reading, templates

FIELDS = {'first_word': ('sentence',), 'word_after': ('sentence', 'word')}
GOOD = """
family: mini
collection: mini_tuning
role: evaluation
instructions:
  first_word:
    t01: 'Which word opens this: {sentence}'
    t02: "{sentence}\\nOpening word:"
  word_after:
    t01: 'In "{sentence}", what follows {word}?'
"""


def _write(directory: pathlib.Path, name: str, text: str) -> str:
  path = directory / name
  path.write_text(text, encoding='utf-8')
  return str(path)


def _problems(directory, *texts, fields=None, vocabulary=None):
  paths = [_write(directory, f'bank{i}.yaml', text) for i, text in enumerate(texts)]
  with pytest.raises(instruction.BankError) as error:
    reading.validate(paths, fields, vocabulary)
  for problem in error.value.problems:
    assert problem in str(error.value)
  return error.value.problems


def test_a_good_file_is_read_in_order(tmp_path):
  bank = reading.Bank.from_files([_write(tmp_path, 'a.yaml', GOOD)], FIELDS)
  assert [i.id for i in bank] == [
    'mini_tuning/first_word/t01',
    'mini_tuning/first_word/t02',
    'mini_tuning/word_after/t01',
  ]
  last = bank['mini_tuning/word_after/t01']
  assert last == instruction.Instruction(
    id='mini_tuning/word_after/t01',
    task='word_after',
    role='evaluation',
    collection='mini_tuning',
    template='In "{sentence}", what follows {word}?',
    fields=('sentence', 'word'),
  )
  assert last.key == 't01'
  assert bank.tasks == ('first_word', 'word_after')


def test_select_by_task_role_and_collection(tmp_path):
  other = GOOD.replace('mini_tuning', 'mini_alignment').replace('evaluation', 'alignment')
  other = other.replace('opens', 'begins').replace('Opening', 'Initial').replace('what', 'which')
  bank = reading.Bank.from_files([_write(tmp_path, 'a.yaml', GOOD), _write(tmp_path, 'b.yaml', other)])
  assert len(bank) == 6
  assert len(bank.select('first_word')) == 4
  assert [i.id for i in bank.select('word_after', roles=['alignment'])] == ['mini_alignment/word_after/t01']
  assert len(bank.select(collections=['mini_tuning'])) == 3
  assert len(bank.select(roles=['evaluation'], collections=['mini_alignment'])) == 0


def test_package_files_of_an_unknown_family_are_an_error():
  with pytest.raises(instruction.BankError, match="no bank file of the family 'nonesuch'"):
    reading.Bank.from_package('nonesuch')


def test_package_files_take_the_family_and_what_follows_an_underscore(tmp_path, monkeypatch):
  monkeypatch.setattr(reading, '_BANKS_DIRECTORY', tmp_path)
  _write(tmp_path, 'mini_tuning.yaml', GOOD)
  _write(tmp_path, 'minimal_x.yaml', 'not a bank')
  assert len(reading.Bank.from_package('mini', FIELDS)) == 3


def test_all_faults_of_a_file_are_reported_together(tmp_path):
  problems = _problems(
    tmp_path,
    """
family: mini
collection: mini_tuning
role: evaluation
author: nobody
instructions:
  first_word:
    t01: 'no field at all'
    t02: '{sentence} and {sentence}'
    t03: '{sentence} with {wrd}'
    t04: 'braces {sentence} } here'
    t05: '{sentence.upper}'
    t06: 7
    yes: 'a boolean key {sentence}'
  juggling:
    t01: '{ball}'
""",
    fields=FIELDS,
  )

  def expect(*parts):
    assert [p for p in problems if all(part in p for part in parts)], (parts, problems)

  file = str(tmp_path / 'bank0.yaml')
  expect(file, "unknown key 'author'", 'family, collection, role, instructions')
  expect(file, 'mini_tuning/first_word/t01', "'sentence' is missing", 'must hold {sentence} once')
  expect(file, 'mini_tuning/first_word/t02', "'sentence' stands 2 times")
  expect(file, 'mini_tuning/first_word/t03', "unknown field 'wrd'", 'fields are sentence')
  expect(file, 'mini_tuning/first_word/t04', 'brace', 'use no other braces')
  expect(file, 'mini_tuning/first_word/t05', 'brace')
  expect(file, 'mini_tuning/first_word/t06', 'must be text')
  expect(file, 'key True', 'quote')
  expect(file, 'mini_tuning/juggling', 'unknown task', 'first_word, word_after')
  assert len(problems) == 9


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('[1, 2]', 'holds no mapping'),
    ('a: [', 'is not YAML'),
    (GOOD.replace('role: evaluation', 'role: judge'), "unknown role 'judge'; use one of eval"),
    (GOOD.replace('role: evaluation\n', ''), "key 'role' must be one word"),
    (GOOD.replace('t02', 't01', 1), 'instructions/first_word/t01: duplicate id'),
    ('family: a\ncollection: b\nrole: random\ninstructions: {}', "key 'instructions' must map"),
  ],
)
def test_malformed_files(tmp_path, text, message):
  problems = _problems(tmp_path, text)
  assert any(re.search(message, p) for p in problems), problems


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(instruction.BankError, match='absent.yaml: cannot be read'):
    reading.validate([tmp_path / 'absent.yaml'])


def test_an_evaluation_phrasing_in_a_training_role_is_found_whatever_its_dress(tmp_path):
  training = """
family: mini
collection: mini_alignment
role: alignment
instructions:
  first_word:
    p01: '  which word OPENS this - {sentence}!'
"""
  problems = _problems(tmp_path, GOOD, training)
  assert len(problems) == 1
  assert 'mini_alignment/first_word/p01' in problems[0]
  assert 'also the evaluation phrasing mini_tuning/first_word/t01' in problems[0]
  # And in the other order of files.
  problems = _problems(tmp_path, training, GOOD)
  assert len(problems) == 1 and 'training role of mini_alignment/first_word/p01' in problems[0]


def test_duplicates_within_a_bank(tmp_path):
  same = GOOD.replace('"{sentence}\\nOpening word:"', "'Which word opens this? {sentence}'")
  problems = _problems(tmp_path, same)
  assert len(problems) == 1 and 'the same phrasing as mini_tuning/first_word/t01' in problems[0]
  problems = _problems(tmp_path, GOOD, GOOD)
  assert len(problems) == 3 and all('duplicate id' in p for p in problems)


class _FoldingVocabulary:
  """Folds "e" and "a", to make two phrasings one that the bank by itself can tell apart."""

  def encode(self, text):
    return [ord(c) for c in text.replace('e', 'a')]


def test_phrasings_that_a_vocabulary_cannot_tell_apart(tmp_path):
  text = GOOD.replace('"{sentence}\\nOpening word:"', "'Which word opans this: {sentence}'")
  assert len(reading.validate([_write(tmp_path, 'fine.yaml', text)], FIELDS)) == 3
  problems = _problems(tmp_path, text, vocabulary=_FoldingVocabulary())
  assert len(problems) == 1
  assert 't02: the vocabulary encodes it just as mini_tuning/first_word/t01' in problems[0]


def test_a_sentencepiece_vocabulary_folds_line_breaks(tmp_path, tiny_vocabulary_path):
  import seqio

  vocabulary = seqio.SentencePieceVocabulary(tiny_vocabulary_path, extra_ids=0)
  text = GOOD.replace("'Which word opens this: {sentence}'", "'{sentence} Opening word:'")
  problems = _problems(tmp_path, text, vocabulary=vocabulary)
  assert any('the vocabulary encodes it just as' in p for p in problems)


def test_render_knows_field_names_only():
  assert templates.render('a {x}-{y}{x}', {'x': '1', 'y': '{x}'}) == 'a 1-{x}1'
  assert templates.render('no field', {'x': '1'}) == 'no field'
  with pytest.raises(ValueError, match="'y', which the example lacks; it has \\['x'\\]"):
    templates.render('{y}', {'x': '1'})
  for template in ('{x.__class__}', '{x[0]}', '{x!r}', '{x:>9}', '{}', '{{x}}', '{x', 'x}'):
    with pytest.raises(ValueError, match='brace'):
      templates.render(template, {'x': '1'})


@given(st.text(), st.text())
def test_values_are_inserted_as_they_are(x, y):
  assert templates.render('<{x}|{y}>', {'x': x, 'y': y}) == f'<{x}|{y}>'


def test_normalise_folds_case_punctuation_and_space():
  expected = 'dont stop {word1} now'
  assert templates.normalise("Don't  stop:\n{word1} - NOW!") == expected
  assert templates.normalise("dont stop '{word1}' now") == expected
  assert templates.normalise('{word1}') != templates.normalise('word1')


def test_near_duplicates_by_hand():
  def make(key, template, task='more_letters'):
    return instruction.make_instruction('c', task, key, 'alignment', template)

  a = make('a', 'Which is longer, {word1} or {word2}?')
  b = make('b', 'Which is longer, {word2} or {word1}?')  # the same words: 1
  c = make('c', 'Which one is longer, {word1} or {word2}?')  # 6 of 7 words; ratio 12 / 13
  d = make('d', 'Count letters. {word1} {word2}')
  e = make('e', 'Which is longer, {word1} or {word2}?', task='other')
  assert templates.similarity(a.template, b.template) == 1.0
  assert templates.similarity(a.template, c.template) == pytest.approx(12 / 13)
  pairs = reading.near_duplicates([a, b, c, d, e], 0.92)
  assert [pair[:2] for pair in pairs] == [
    ('c/more_letters/a', 'c/more_letters/b'),
    ('c/more_letters/a', 'c/more_letters/c'),
  ]
  with pytest.raises(ValueError, match='threshold'):
    reading.near_duplicates([a], 1.5)


def test_a_bank_refuses_repeated_ids_and_unknown_roles():
  i = instruction.make_instruction('c', 't', 'k', 'judge', 'x')
  with pytest.raises(instruction.BankError) as error:
    reading.Bank([i, i])
  assert 'c/t/k: the id stands 2 times' in str(error.value)
  assert "unknown role 'judge'" in str(error.value)


def test_importing_the_data_layer_imports_nothing_heavy():
  code = (
    'import sys, seqio_tasks.bank.reading, seqio_tasks.pipeline.phrasings, seqio_tasks.pipeline.registration, '
    'seqio_tasks.suites.lmentry; '
    "print([m for m in ('tensorflow', 'seqio', 'jax') if m in sys.modules])"
  )
  root = pathlib.Path(__file__).resolve().parents[3]
  out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=root)
  assert out.stdout.strip() == '[]'
