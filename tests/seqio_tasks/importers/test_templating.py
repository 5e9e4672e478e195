"""Tests of writing characters and symbols as templates."""

import pytest

from seqio_tasks.bank.layouts import Answer, Block, Derivation
from seqio_tasks.importers.symbols import Symbol, Text, Unsupported
from seqio_tasks.importers.templating import Names, answer_form, tokens_of, write_template

FIELD = Symbol('field', 'item', 'question')
OPTIONS = [Symbol('option', 'item', i) for i in range(3)]


def _write(*parts, owner='item', answer=None, number=None):
  blocks, names = {}, Names()
  template = write_template(tokens_of(Text(parts)), owner, blocks, names, answer, 3, number)
  return template, blocks, names.derived


def test_fields_counts_and_braces():
  template, blocks, derived = _write('{', FIELD, '} ', Symbol('count', 'item', 3), ' ', OPTIONS[1])
  assert template == '{brace_open}{question}{brace_close} {n_options} {option_2}' and not blocks and not derived
  part = Symbol('field', 'item', 'question', (('strip',),))
  template, _, derived = _write(part, ' ', part)
  assert template == '{question_part_1} {question_part_1}'
  assert derived == {'question_part_1': Derivation('question', (('strip',),))}


def test_lists_of_options_are_blocks_with_what_surrounds_each():
  template, blocks, _ = _write('Of "', OPTIONS[0], '", "', OPTIONS[1], '" or "', OPTIONS[2], '"?')
  assert template == 'Of {options}?'
  assert blocks == {'options': Block('"{option}"', ', ', ' or ')}


def test_an_example_may_hold_the_items_fields_and_its_number():
  template, _, _ = _write(
    Symbol('number', 'item', 1), '. ', FIELD, ' ', Symbol('field', 0, 'question'), owner=0, number=1
  )
  assert template == '{number}. {item_question} {question}'
  with pytest.raises(Unsupported, match='the text of item holds the field of 0'):
    _write(Symbol('field', 0, 'question'))


def test_forms_of_answers():
  answer, label = Symbol('answer', 'item', 1), Symbol('answer_label', 'item', 1, ('lower',))
  assert answer_form([answer, '.']) == Answer('{option}.') and answer_form([label]) == Answer('{label}', 'lower')
  assert answer_form([Symbol('mapped', 'item', 1, (('x', 'y'),))]) == Answer('{option}', mapping=(('x', 'y'),))
  assert answer_form([OPTIONS[0]]) == Answer('{option}', index=0)
  for parts in (['x'], [answer, label], [FIELD]):
    with pytest.raises(Unsupported):
      answer_form(parts)
  assert _write('= ', answer, answer=Answer())[0] == '= {answer}'
  with pytest.raises(Unsupported, match='in another form'):
    _write('= ', answer, answer=Answer('{label}'))
