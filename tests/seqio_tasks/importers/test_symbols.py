"""Tests of texts whose parts are not known yet."""

import pytest

from seqio_tasks.importers import symbols
from seqio_tasks.importers.symbols import AnswerIndex, Count, Raised, Symbol, Text, Unsupported

FIELD = Symbol('field', 'item', 'question')


def test_texts_merge_what_is_literal():
  text = symbols.join('a', Text(['b', FIELD]), '', 'c', 3)
  assert text.parts == ('ab', FIELD, 'c', Symbol('number', 'item', 3)) and text.symbol is None
  assert Text([FIELD]).symbol == FIELD
  assert symbols.join('a', 'b') == 'ab'
  with pytest.raises(Unsupported, match='grows too long'):
    symbols.join(*['x' * 999] * 1002)


def test_what_values_are_when_they_are_formatted():
  count = Count(3)
  count.owner = 1
  option = Symbol('option', 'item', 0)
  assert symbols.parts_of(count) == (Symbol('count', 1, 3),)
  assert symbols.parts_of(None) == ('None',)
  assert symbols.parts_of(['a', Text([option])]) == ('[', "'a'", ', ', Symbol('option', 'item', 0, (('python',),)), ']')
  for value in (AnswerIndex(1), [Text([FIELD])], object()):
    with pytest.raises(Unsupported, match='printed'):
      symbols.parts_of(value)


def test_format_strings():
  text = symbols.format_text('{} {1} {x}{{}}', ['a', Text([FIELD])], {'x': 'b'})
  assert text.parts == ('a ', FIELD, ' b{}')
  for template, error in (
    ('{0.real}', Unsupported),
    ('{:>3}', Unsupported),
    ('{', Raised),
    ('{y}', Raised),
    ('{5}', Raised),
  ):
    with pytest.raises(error):
      symbols.format_text(template, ['a'], {})


def test_methods_of_a_field_are_written_down():
  text = Text([FIELD])
  assert symbols.text_method(text, 'replace', ('a', ''), {}).symbol.detail == (('remove', 'a'),)
  assert symbols.text_method(text, 'split', (': ',), {}).part(1, 2).symbol.detail == (('split', ': ', -1, 2, 1),)
  replaced = symbols.text_method(Text(['aba', FIELD]), 'replace', ('a', 'c'), {})
  assert replaced.parts == ('cbc', Symbol('field', 'item', 'question', (('replace', 'a', 'c'),)))
  with pytest.raises(Unsupported, match='method upper of a field'):
    symbols.text_method(text, 'upper', (), {})


def test_only_literal_text_is_cut_off():
  assert symbols.slice_text(Text(['ab', FIELD, 'cd']), 1, -1).parts == ('b', FIELD, 'c')
  for lower, upper in ((3, None), (None, -3), (-1, None), (None, 2)):
    with pytest.raises(Unsupported, match='a symbol is cut'):
      symbols.slice_text(Text(['ab', FIELD, 'cd']), lower, upper)


def test_letters_in_order_are_labels():
  made = symbols.labels_of(['a', 'b'])
  assert [t.symbol for t in made] == [Symbol('label', 'item', i, ('lower',)) for i in (0, 1)]
  assert symbols.label_text(made[1].symbol) == 'b' and symbols.chr_(ord('B')).symbol.detail == ('upper',)
  assert symbols.labels_of(['b', 'c']) == ['b', 'c'] and symbols.chr_(ord('?')) == '?'


def test_an_answer_is_the_option_that_it_is():
  option, answer = Symbol('option', 'item', 1), Symbol('answer', 'item', 1)
  assert symbols.same(option, answer) and not symbols.same(Symbol('option', 0, 1), answer)
  assert not symbols.same(FIELD, answer)
