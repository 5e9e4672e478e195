"""Tests of instructions and of the error that lists a bank's faults."""

import pytest

from seqio_tasks.bank.instruction import BankError, Instruction, make_instruction
from seqio_tasks.bank.layouts import Layout


def test_an_instruction_has_its_id_and_its_fields():
  made = make_instruction('mine', 'quiz', 'k1', 'evaluation', '{b} {a} {b}', source='QA/1')
  assert (made.id, made.key, made.fields, made.source) == ('mine/quiz/k1', 'k1', ('b', 'a'), 'QA/1')
  assert made.layout == Layout('{b} {a} {b}')
  assert made == Instruction('mine/quiz/k1', 'quiz', 'evaluation', 'mine', '{b} {a} {b}', ('b', 'a'), source='QA/1')
  assert make_instruction('mine', 'quiz', 'k1', 'evaluation', None, Layout(None)).template == ''
  with pytest.raises(ValueError, match='brace'):
    make_instruction('mine', 'quiz', 'k1', 'evaluation', '{a b}')


def test_the_error_lists_every_fault():
  error = BankError(['one', 'two'])
  assert error.problems == ('one', 'two') and str(error).startswith('The instruction bank has 2 faults:')
  assert 'has 1 fault:' in str(BankError(['one']))
