"""Tests of examples as a pipeline's first element, and of telling sources apart."""

import functools

import pytest

from seqio_tasks.bank import layouts
from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.datasets import DatasetError
from seqio_tasks.pipeline import examples, flattening

GOOD = {'example_id': '0', 'fields': {'a': 'x'}, 'gold': 'y', 'options': []}
FLAT = flattening.flatten([make_instruction('c', 't', 'k', 'evaluation', '{a}')])


def test_an_element_has_what_the_phrasings_need():
  more = [GOOD | {'example_id': str(i), 'options': ['y', 'z'], 'gold': 'z'} for i in range(1, 9)]
  rows = list(examples.as_dataset('w', [GOOD, *more], FLAT, False, None, False).as_numpy_iterator())
  assert [r['example_id'] for r in rows] == [str(i).encode() for i in range(9)]
  assert rows[1]['fields/a'] == b'x' and rows[1]['golds'].tolist() == [b'z']
  assert rows[1]['option_list'].tolist() == [b'y\x1fz'] and rows[1]['options'].tolist() == [b'["y", "z"]']

  def order(seed):
    shuffled = examples.as_dataset('w', [GOOD, *more], FLAT, True, seed, False)
    return [r['example_id'] for r in shuffled.as_numpy_iterator()]

  assert order(1) == order(1) != order(2) and sorted(order(1)) == [r['example_id'] for r in rows]


def test_faults_of_examples_are_named():
  other = GOOD | {'example_id': '1', 'fields': {'b': 'x'}}
  for made, ranked, message in (
    ([], False, 'w has no example'),
    ([GOOD, other], False, "w: example '1': the templates name the fields"),
    ([GOOD], True, "w: example '0' has no options to rank; evaluate the task without __rank"),
  ):
    with pytest.raises(DatasetError, match=message):
      examples.as_dataset('w', made, FLAT, False, None, ranked)


def test_sources_are_the_same_if_they_give_the_same():
  def read(*arguments, **named):
    return arguments, named

  partial = functools.partial(functools.partial(read, 1), [2, functools.partial(read, 3)], x=4)
  again = functools.partial(functools.partial(read, 1), (2, functools.partial(read, 3)), x=4)
  assert examples.identity(partial) == examples.identity(again)
  assert examples.identity(partial) != examples.identity(functools.partial(again, 5))
  assert examples.identity([GOOD]) == examples.identity((dict(GOOD),)) != examples.identity([GOOD, GOOD])
  assert examples.identity(read) is read


def test_more_options_than_letters_are_counted_before_any_is_read():
  many = [GOOD | {'example_id': str(i), 'options': [f'o{k}' for k in range(25 + i)]} for i in range(4)]
  by_letter = layouts.Layout('{a} {o}', {'o': layouts.STYLES['letters']})
  instructions = [*FLAT.instructions, make_instruction('c', 't', 'l', 'evaluation', by_letter.template, by_letter)]
  examples.check_letters('w', many, FLAT.instructions)
  examples.check_letters('w', many[:2], instructions)
  message = "w: 2 of 4 examples have more than 26 options, the first is '2' with 27, and 1 phrasings .* the first is c/t/l; leave"
  with pytest.raises(DatasetError, match=message):
    examples.check_letters('w', many, instructions)
