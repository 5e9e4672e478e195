"""Tests of the instruction bank: reading, validation, selection."""

import re

import pytest

from seqio_tasks.bank import instruction, reading

FIELDS = {'first_word': ('sentence',), 'word_after': ('sentence', 'word')}


def test_a_good_file_is_read_in_order(write, good):
  bank = reading.Bank.from_files([write('a.yaml', good)], FIELDS)
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


def test_select_by_task_role_and_collection(write, good):
  other = good.replace('mini_tuning', 'mini_alignment').replace('evaluation', 'alignment')
  other = other.replace('opens', 'begins').replace('Opening', 'Initial').replace('what', 'which')
  bank = reading.Bank.from_files([write('a.yaml', good), write('b.yaml', other)])
  assert len(bank) == 6
  assert len(bank.select('first_word')) == 4
  assert [i.id for i in bank.select('word_after', roles=['alignment'])] == ['mini_alignment/word_after/t01']
  assert len(bank.select(collections=['mini_tuning'])) == 3
  assert len(bank.select(roles=['evaluation'], collections=['mini_alignment'])) == 0


def test_package_files_of_an_unknown_family_are_an_error():
  with pytest.raises(instruction.BankError, match="no bank file of the family 'nonesuch'"):
    reading.Bank.from_package('nonesuch')


def test_package_files_take_the_family_and_what_follows_an_underscore(tmp_path, monkeypatch, write, good):
  monkeypatch.setattr(reading, '_BANKS_DIRECTORY', tmp_path)
  write('mini_tuning.yaml', good)
  write('minimal_x.yaml', 'not a bank')
  assert len(reading.Bank.from_package('mini', FIELDS)) == 3


def test_all_faults_of_a_file_are_reported_together(tmp_path, problems):
  found = problems(
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
    assert [p for p in found if all(part in p for part in parts)], (parts, found)

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
  assert len(found) == 9


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('[1, 2]', 'holds no mapping'),
    ('a: [', 'is not YAML'),
    (('role: evaluation', 'role: judge'), "unknown role 'judge'; use one of eval"),
    (('role: evaluation\n', ''), "key 'role' must be one word"),
    (('t02', 't01', 1), 'instructions/first_word/t01: duplicate id'),
    ('family: a\ncollection: b\nrole: random\ninstructions: {}', "key 'instructions' must map"),
  ],
)
def test_malformed_files(problems, good, text, message):
  found = problems(text if isinstance(text, str) else good.replace(*text))
  assert any(re.search(message, p) for p in found), found


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(instruction.BankError, match='absent.yaml: cannot be read'):
    reading.validate([tmp_path / 'absent.yaml'])


def test_a_bank_refuses_repeated_ids_and_unknown_roles():
  i = instruction.make_instruction('c', 't', 'k', 'judge', 'x')
  with pytest.raises(instruction.BankError) as error:
    reading.Bank([i, i])
  assert 'c/t/k: the id stands 2 times' in str(error.value)
  assert "unknown role 'judge'" in str(error.value)


def test_banks_are_files_and_directories_of_them(tmp_path, write, good):
  path = write('one.yaml', good)
  assert len(reading.read_banks([path])) == len(reading.read_banks([str(tmp_path)])) == 3
  write(
    'one.yaml', good.replace("    t01: 'In", "    t02: 'Say, in \"{sentence}\", the word after {word}'\n    t01: 'In")
  )
  assert len(reading.read_banks([path])) == 4  # a changed file is read anew
  (tmp_path / 'empty').mkdir()
  with pytest.raises(instruction.BankError, match='holds no .yaml file'):
    reading.read_banks([str(tmp_path / 'empty')])


@pytest.mark.parametrize(
  ('entry', 'fault'),
  [
    ("'Which is it?'", 'the template has no field of the data'),
    ("'Which of the {n_options}?'", 'the template has no field of the data'),
    ('{template: "Say {options}.", options: {item: "{label}", separator: " or "}}', 'the template has no field of the data'),
    ('{template: "{question}", few_shot: {example: "{question} {answer}", input: "And?"}}', 'the input of few_shot has no field'),
    ('{template: "{question} {options}", options: {item: "{label}. {option}", shuffle: 3}, answer: {form: "{label}"}}', 'the answer is a label'),
    ('{template: "{question} {options}", answer: {form: "{label}", labels: numbers}}', 'the answer is a label in numbers'),
    ('{template: "{question}", answer: {form: "({label})"}}', 'the answer is a label in upper'),
    ('{template: "{question} {options}", options: {item: "{label}", shuffle: 1, limit: 2}, answer: label}', 'a block of options has shuffle'),
    (r"'Ask\\n{question}'", 'the template holds a backslash'),
    ('{template: "{question}", few_shot: {example: "{question}", input: "{question}"}}', 'the example of few_shot does not show'),
    ('{template: "{question} {options}", options: {item: "{label}. {option}", shuffle: 3}, answer: label}', ''),
    ('{template: "{question} {options}", options: lower_letters, answer: {form: "{label}"}}', ''),
    ('{template: "{question}", few_shot: {example: "{question} {answer}", input: "{question}"}}', ''),
    ('{template: "Which? {options}"}', ''),
    ('{template: "{option_1} or {option_2}?"}', ''),
  ],
)  # fmt: skip
def test_a_phrasing_whose_forms_do_not_fit_is_named(tmp_path, entry, fault):
  path = tmp_path / 'bank.yaml'
  path.write_text(f'family: f\ncollection: c\nrole: evaluation\ninstructions:\n  t:\n    k: {entry}\n')
  if not fault:
    assert len(reading.validate([path])) == 1
    return
  with pytest.raises(instruction.BankError, match=f'c/t/k: {fault}'):
    reading.validate([path])


def test_what_is_published_or_no_question_of_the_task_may_have_other_forms(tmp_path):
  path = tmp_path / 'bank.yaml'
  path.write_text('family: f\ncollection: c\nrole: incorrect\ninstructions:\n  t:\n    k: "Which is it?"\n')
  assert len(reading.validate([path])) == 1
  path.write_text(
    'family: f\ncollection: c\nrole: evaluation\nverbatim: true\ninstructions:\n  t:\n'
    r"    k: {template: 'A \nabla \n {question} {options}', answer: {form: '{label}', labels: numbers}}" '\n'
  )  # fmt: skip
  assert len(reading.validate([path])) == 1
