"""Tests of layouts: option blocks, derived fields, answers and few-shot forms."""

import dataclasses

import pytest

from seqio_tasks.bank import layouts
from seqio_tasks.bank.layouts import (
  STYLES,
  Answer,
  Block,
  Derivation,
  FewShot,
  Layout,
  LayoutError,
  few_shot_form,
)

ITEM = {'question': 'How many?', 'options': ['one', 'two', 'three'], 'answer': 'two'}


@pytest.mark.parametrize(
  ('style', 'listed', 'answer', 'space'),
  [
    ('letters', 'A. one\nB. two\nC. three', 'B', ('A', 'B', 'C')),
    ('letters_parenthesised', '(A) one\n(B) two\n(C) three', 'B', ('A', 'B', 'C')),
    ('letters_closed', 'A) one\nB) two\nC) three', 'B', ('A', 'B', 'C')),
    ('lower_letters', 'a) one\nb) two\nc) three', 'b', ('a', 'b', 'c')),
    ('numbers', '1. one\n2. two\n3. three', '2', ('1', '2', '3')),
    ('numbers_closed', '1) one\n2) two\n3) three', '2', ('1', '2', '3')),
    ('bullets', '- one\n- two\n- three', 'two', ('one', 'two', 'three')),
    ('plain', 'one\ntwo\nthree', 'two', ('one', 'two', 'three')),
    ('inline', 'one, two, three', 'two', ('one', 'two', 'three')),
    ('inline_or', 'one, two or three', 'two', ('one', 'two', 'three')),
    ('inline_letters', '(A) one (B) two (C) three', 'B', ('A', 'B', 'C')),
    ('quoted', "'one', 'two', 'three'", 'two', ('one', 'two', 'three')),
    ('slashes', 'one / two / three', 'two', ('one', 'two', 'three')),
  ],
)
def test_styles(style, listed, answer, space):
  rendered = Layout('{question}|{options}', {'options': STYLES[style]}).render(ITEM)
  assert rendered == ('How many?|' + listed, answer, space)


def test_every_style_is_tested_above():
  assert len(STYLES) == 13


def test_data_with_braces_and_markup_stay_as_they_are():
  item = {'question': '{options} {x.y} {{', 'options': ['{question}', '%s'], 'answer': '%s'}
  rendered = Layout('{question}\n{options}', {'options': STYLES['bullets']}).render(item)
  assert rendered.input_text == '{options} {x.y} {{\n- {question}\n- %s'
  assert rendered.output_text == '%s'


def test_a_separator_may_hold_a_field_and_a_block_may_be_cut():
  block = Block('{option}', ' ({question}) ', ' | ', limit=2)
  assert Layout('{options}', {'options': block}).render(ITEM).input_text == 'one | two'
  block = Block('{option}', ' ({question}) ', ' | ')
  assert Layout('{options}', {'options': block}).render(ITEM).input_text == 'one (How many?) two | three'


def test_options_as_python_prints_them():
  item = ITEM | {'options': ["it's", 'b"', 'c'], 'answer': 'c'}
  block = Block('{option}', ', ', python=True)
  assert Layout('[{options}]', {'options': block}).render(item).input_text == str(item['options'])


def test_counts_single_options_and_braces():
  template = '{n_options} {n_options_word} {option_3} {brace_open}{answer}{brace_close}'
  assert Layout(template).render(ITEM).input_text == '3 three three {two}'
  assert Layout('{n_options} {n_options_word}').render(ITEM | {'options': ['two', 'four']}).input_text == '2 two'
  with pytest.raises(LayoutError, match='option_4, but the item has 3'):
    Layout('{option_4}').render(ITEM)


def test_derived_fields():
  item = {'question': 'Premise: a b Hypothesis: c', 'answer': 'x', 'options': []}
  steps = (('split', ' Hypothesis: ', -1, 2, 0), ('remove', 'Premise: '), ('prepend', '> '), ('replace', 'b', 'd'))
  derived = {'premise': Derivation('question', steps)}
  assert Layout('{premise}', {}, derived).render(item).input_text == '> a d'
  with pytest.raises(LayoutError, match='parts .* into 1, not 2'):
    Layout('{premise}', {}, derived).render(item | {'question': 'no parts'})
  last = {'x': Derivation('question', (('split', ' ', -1, 0, -2), ('strip',)))}
  assert Layout('{x}', {}, last).render(item).input_text == 'Hypothesis:'
  with pytest.raises(LayoutError, match='no part -2'):
    Layout('{x}', {}, last).render(item | {'question': 'one'})


@pytest.mark.parametrize(
  ('answer', 'text', 'space', 'right'),
  [
    (Answer(), 'two', ('one', 'two', 'three'), (1,)),
    (Answer(' {label}. ', 'lower'), ' b. ', (' a. ', ' b. ', ' c. '), (1,)),
    (Answer('({label}).', label_form='{label}'), '(B).', ('A', 'B', 'C'), (1,)),
    (Answer(mapping=(('two', 'Yes'), ('*', 'No')), label_space=('Yes', 'No')), 'Yes', ('Yes', 'No'), (0,)),
    (Answer(mapping=(('one', 'Yes'), ('*', 'No')), label_space=('Yes', 'No')), 'No', ('Yes', 'No'), (1,)),
    (Answer('{label}', index=0), 'A', ('A', 'B', 'C'), (0,)),
    (Answer('Q: {question}'), 'Q: How many?', (), ()),
  ],
)
def test_forms_of_the_answer(answer, text, space, right):
  rendered = Layout('{question}', answer=answer).render(ITEM)
  assert (rendered.output_text, rendered.label_space) == (text, space)
  assert answer.right(ITEM) == right


@pytest.mark.parametrize('answer', [Answer(), Answer('{label}')])
@pytest.mark.parametrize(
  ('item', 'right'),
  [
    ({'options': ['a', 'b', 'c'], 'answer': 'a', 'alternatives': ['c']}, (0, 2)),
    ({'options': ['same', 'other', 'same'], 'answer': 'same', 'answer_index': 2}, (0, 2)),
    ({'options': ['9', '-9', 'C++', 'C'], 'answer': '-9', 'alternatives': ['C++']}, (1, 2)),
    ({'options': ['a', 'A'], 'answer': 'A', 'answer_index': 1}, (1,)),
  ],
)
def test_which_options_are_right(answer, item, right):
  assert answer.right(item) == right


def test_alternatives_are_right_in_a_label_space_of_its_own():
  answer = Answer(mapping=(('a', 'x'), ('b', 'y'), ('c', 'z')), label_space=('z', 'y', 'x'))
  item = {'options': ['a', 'b', 'c'], 'answer': 'a', 'answer_index': 0, 'alternatives': ['c']}
  assert answer.right(item) == (0, 2)
  assert Answer(label_space=('yes', 'no')).right({'answer': 'maybe'}) == ()
  assert Answer('{label}').alternatives(item) == ['C']
  assert Answer('{option}, of {topic}').alternatives(item | {'topic': 'x'}) == ['c, of x']


def test_an_answer_that_is_no_option_is_an_error():
  with pytest.raises(LayoutError, match="'four' is not among the options"):
    Layout('{options}', {'options': STYLES['letters']}).render(ITEM | {'answer': 'four'})
  with pytest.raises(LayoutError, match=r"'two' is not among \['one'\]"):
    Layout('{question}', answer=Answer(mapping=(('one', 'x'),))).render(ITEM)


def test_equal_options_are_told_apart_by_the_index():
  item = {'options': ['same', 'same'], 'answer': 'same'}
  layout = Layout('{options}', {'options': STYLES['letters']})
  assert layout.render(item).output_text == 'A'
  assert layout.render(item | {'answer_index': 1}).output_text == 'B'


def test_few_shot_forms():
  form = FewShot('Read:\n', '{number}. {question} {options} = {answer}\n', '{question} {options} =')
  layout = Layout('{question}', {'options': STYLES['inline_letters']}, few_shot=form)
  other = {'question': 'Which?', 'options': ['x', 'y'], 'answer': 'x'}
  rendered = layout.render(ITEM, [other, ITEM])
  assert rendered.input_text == (
    'Read:\n1. Which? (A) x (B) y = A\n2. How many? (A) one (B) two (C) three = B\nHow many? (A) one (B) two (C) three ='
  )
  assert rendered.output_text == 'B'
  assert layout.render(ITEM).input_text == 'How many?'
  with pytest.raises(LayoutError, match='no few-shot form'):
    Layout('{question}').render(ITEM, [other])
  with pytest.raises(LayoutError, match='no zero-shot form'):
    Layout(None, few_shot=form).render(ITEM)


def test_a_field_of_the_data_goes_before_what_a_few_shot_form_counts():
  layout = Layout('{number} then?')
  layout = dataclasses.replace(layout, few_shot=few_shot_form(layout))
  item, other = ({'number': n, 'item_number': 'x', 'answer': 'a', 'options': []} for n in ('40', '7'))
  assert layout.render(item, [other]).input_text == '7 then? a\n\n40 then?'


@pytest.mark.parametrize(
  ('layout', 'shows'),
  [
    (Layout('{question} {answer}'), True),
    (Layout('{question}', few_shot=FewShot('', '{question} {answer}', '{question}')), False),
    (Layout('{question}', few_shot=FewShot('{answer}', '{question} {answer}', '{question}')), True),
    (Layout(None, few_shot=FewShot('', '{question}', '{question} {answer}')), True),
    (Layout('{data_answer}'), False),
  ],
)
def test_what_shows_the_answer(layout, shows):
  assert layout.shows_the_answer is shows


def test_whose_options_a_block_lists_in_an_example():
  other = {'question': 'Which?', 'options': ['x', 'y', 'z', 'w'], 'answer': 'x'}

  def listed(**of):
    blocks = {'options': Block('{option}', ',', **of)}
    return (
      Layout('', blocks, few_shot=FewShot('{options}|', '{options}|', '{options}')).render(ITEM, [other]).input_text
    )

  assert listed() == 'one,two,three|x,y,z,w|one,two,three'
  assert listed(of='item') == 'one,two,three|one,two,three|one,two,three'
  assert listed(of='example') == 'x,y,z,w|x,y,z,w|x,y,z,w'
  assert listed(limit_to_item=True) == 'one,two,three|x,y,z|one,two,three'


def test_the_few_shot_form_of_a_layout_without_one():
  layout = Layout('Q: {question}\n{options}\nA:', {'options': STYLES['letters']})
  shown = Layout(layout.template, layout.blocks, few_shot=layouts.few_shot_form(layout)).render(ITEM, [ITEM])
  assert shown.input_text == (
    'Q: How many?\nA. one\nB. two\nC. three\nA: B\n\nQ: How many?\nA. one\nB. two\nC. three\nA:'
  )


def test_missing_fields_are_named():
  with pytest.raises(LayoutError, match=r"names the field 'subject', which the item lacks; it has \['answer'"):
    Layout('{subject}').render(ITEM)
  with pytest.raises(LayoutError, match='the item has none'):
    Layout('{options}', {'options': STYLES['plain']}).render({'answer': 'x'})


def test_labels_of_a_shuffled_list_are_those_that_stand_there():
  block = layouts.Block('{label}. {option}', shuffle=5)
  item = {'options': ['no', 'yes'], 'answer': 'yes'}
  layout = layouts.Layout('{options}', {'options': block})
  assert layout.render(item) == ('A. yes\nB. no', 'A', ('B', 'A'))
  assert layout.default_answer.right(item) == (1,)


def test_there_are_no_letters_beyond_z():
  item = {'options': [f'o{i}' for i in range(27)], 'answer': 'o26'}
  assert Layout('{options}', {'options': STYLES['numbers']}).render(item).output_text == '27'
  for style in ('letters', 'lower_letters'):
    with pytest.raises(
      LayoutError, match='more options than the 26 letters; take a phrasing that lists options by number'
    ):
      Layout('{options}', {'options': STYLES[style]}).render(item)
    item['answer'] = 'o0'  # the right one has a letter, others have none
  whole = item | {'options': item['options'][:26]}
  assert Layout('{options}', {'options': STYLES['letters']}).render(whole).label_space[-1] == 'Z'
