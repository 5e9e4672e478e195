"""Tests of operators on texts with symbols in them."""

import ast

import pytest

from seqio_tasks.importers.operations import Operations, range_
from seqio_tasks.importers.symbols import AnswerIndex, Count, Raised, SplitText, Symbol, Text, Unsupported

FIELD, ANSWER = Symbol('field', 'item', 'question'), Symbol('answer', 'item', 1)
OPTIONS = [Text([Symbol('option', 'item', i)]) for i in range(3)]


def test_decisions_follow_a_plan_and_are_not_contradicted():
  operations = Operations()
  operations.begin([False])
  text = Text([FIELD])
  assert not operations.equal(text, 'x') and operations.equal('y', text)
  assert operations.equal(text, 'y') and not operations.equal(text, 'x') and not operations.equal(text, 'z')
  assert operations.decisions == [(FIELD, 'x', False), (FIELD, 'y', True)]
  operations.begin([])
  assert operations.decisions == [] and operations.equal(text, 'x')


def test_what_can_be_told_without_data_is_no_decision():
  operations = Operations()
  label = Text([Symbol('label', 'item', 1, ('upper',))])
  assert operations.equal(label, 'B') and not operations.equal(label, 'A')
  assert operations.equal(OPTIONS[1], Text([ANSWER])) and not operations.equal(OPTIONS[0], Text([ANSWER]))
  assert operations.compare(ast.In(), OPTIONS[0], OPTIONS) and operations.compare(ast.Lt(), 1, 2)
  assert not operations.equal(Text([FIELD]), 3) and operations.true(Text([FIELD]))
  assert operations.decisions == []
  with pytest.raises(Unsupported, match='a text is searched'):
    operations.compare(ast.In(), 'x', Text([FIELD]))


def test_the_index_of_the_answer_is_known_as_such():
  operations = Operations()
  index = operations.index(OPTIONS, Text([ANSWER]))
  assert isinstance(index, AnswerIndex) and index == 1
  letters = [Text([Symbol('label', 'item', i, ('upper',))]) for i in range(3)]
  assert operations.answer_element(letters, index).symbol == Symbol('answer_label', 'item', 1, ('upper',))
  assert operations.answer_element(['x', 'y'], index).symbol == Symbol('mapped', 'item', 1, ('by index', 'x', 'y'))
  with pytest.raises(Raised, match='is not in the list'):
    operations.index(['x'], 'y')


def test_counts_and_lookups():
  operations = Operations()
  count = operations.length(OPTIONS)
  assert isinstance(count, Count) and count == 3 and operations.length('abc') == 3
  assert operations.lookup({3: 'three'}, count).symbol == Symbol('count_word', 'item', 3, ('three',))
  assert operations.lookup({'a': '1'}, Text([ANSWER])).symbol == Symbol('mapped', 'item', 1, (('a', '1'),))
  assert operations.lookup({'a': 1}, 'a') == 1
  with pytest.raises(Raised, match="KeyError: 'b'"):
    operations.lookup({'a': 1}, 'b')


def test_sums_parts_and_ranges():
  operations = Operations()
  assert operations.add('a', Text([FIELD])).parts == ('a', FIELD) and operations.add([1], [2]) == [1, 2]
  with pytest.raises(Raised, match='only a string'):
    operations.add('a', 1)
  split = SplitText(FIELD, ':', -1)
  assert [t.symbol.detail[0][-2:] for t in operations.elements(split, 2)] == [(2, 0), (2, 1)]
  with pytest.raises(Unsupported, match='are counted'):
    operations.elements(split)
  assert range_(1, 3) == [1, 2]
