"""Tests of the checks that look at phrasings side by side."""

import pytest

from seqio_tasks.bank import checks, instruction, reading

FIELDS = {'first_word': ('sentence',), 'word_after': ('sentence', 'word')}


def test_an_evaluation_phrasing_in_a_training_role_is_found_whatever_its_dress(problems, good):
  training = """
family: mini
collection: mini_alignment
role: alignment
instructions:
  first_word:
    p01: '  which word OPENS this - {sentence}!'
"""
  found = problems(good, training)
  assert len(found) == 1
  assert 'mini_alignment/first_word/p01' in found[0]
  assert 'also the evaluation phrasing mini_tuning/first_word/t01' in found[0]
  # And in the other order of files.
  found = problems(training, good)
  assert len(found) == 1 and 'training role of mini_alignment/first_word/p01' in found[0]


def test_duplicates_within_a_bank(problems, good):
  same = good.replace('"{sentence}\\nOpening word:"', "'Which word opens this? {sentence}'")
  found = problems(same)
  assert len(found) == 1 and 'the same phrasing as mini_tuning/first_word/t01' in found[0]
  found = problems(good, good)
  assert len(found) == 3 and all('duplicate id' in p for p in found)


class _FoldingVocabulary:
  """Folds "e" and "a", to make two phrasings one that the bank by itself can tell apart."""

  def encode(self, text):
    return [ord(c) for c in text.replace('e', 'a')]


def test_phrasings_that_a_vocabulary_cannot_tell_apart(problems, write, good):
  text = good.replace('"{sentence}\\nOpening word:"', "'Which word opans this: {sentence}'")
  assert len(reading.validate([write('fine.yaml', text)], FIELDS)) == 3
  found = problems(text, vocabulary=_FoldingVocabulary())
  assert len(found) == 1
  assert 't02: the vocabulary encodes it just as mini_tuning/first_word/t01' in found[0]


def test_a_sentencepiece_vocabulary_folds_line_breaks(problems, good, vocabulary):
  text = good.replace("'Which word opens this: {sentence}'", "'{sentence} Opening word:'")
  found = problems(text, vocabulary=vocabulary)
  assert any('the vocabulary encodes it just as' in p for p in found)


@pytest.mark.parametrize(
  ('template', 'fault'),
  [
    ('{x} {y}', None),
    ('{x}', None),
    ('{y}', "'x' is missing"),
    ('{x} {x}', "'x' stands 2"),
    ('{x} {z}', "unknown field 'z'"),
  ],
)
def test_each_field_stands_once_but_for_those_with_a_question_mark(template, fault):
  made = instruction.make_instruction('c', 't', 'k', 'evaluation', template)
  found = list(checks.field_faults(made, ('x', 'y?')))
  assert not found if fault is None else len(found) == 1 and fault in found[0]


def test_an_evaluation_phrasing_is_trained_on_under_other_names_of_fields(problems, write, good):
  """Only where one is trained on: the order of fields makes two evaluation phrasings."""
  training = """
family: other
collection: other_alignment
role: ROLE
instructions:
  first_word:
    p01: 'Which word opens this: {text}'
"""
  with_other_fields = {'first_word': ('sentence?', 'text?'), 'word_after': ('sentence', 'word')}
  for role in checks.TRAINING_ROLES:
    for files in ((good, training.replace('ROLE', role)), (training.replace('ROLE', role), good)):
      found = problems(*files, fields=with_other_fields)
      assert len(found) == 1 and 'which field stands where' in found[0], found
  default = good.replace('role: evaluation', 'role: default')
  assert (
    'also the default phrasing' in problems(default, training.replace('ROLE', 'alignment'), fields=with_other_fields)[0]
  )
  files = [write('good.yaml', good), write('other.yaml', training.replace('ROLE', 'evaluation'))]
  assert len(reading.validate(files, with_other_fields)) == 4


def test_a_perturbed_phrasing_may_double_what_it_was_made_of_but_nothing_trained_on(problems, write, good):
  changed = """
family: mini
collection: mini_tuning
role: case
instructions:
  first_word:
    t01_case: 'which word opens this: {sentence}'
"""
  files = [write('good.yaml', good), write('case.yaml', changed)]
  assert len(reading.validate(files, vocabulary=_FoldingVocabulary())) == 4
  training = changed.replace('role: case', 'role: alignment').replace('t01_case', 'a01')
  for texts in ((changed, training), (training, changed)):
    found = problems(*texts)
    assert len(found) == 1 and ('also the case phrasing' in found[0] or 'training role' in found[0])
