"""Tests of flattening: the pipeline's texts are those that the layouts give."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from seqio_tasks.bank import instruction, templates
from seqio_tasks.bank.layouts import STYLES, Answer, Block, Derivation, FewShot, Layout, LayoutError
from seqio_tasks.pipeline import flattening

TEXTS = st.text(min_size=1, max_size=12)


def _instruction(key, layout):
  return instruction.make_instruction('c', 't', key, 'evaluation', layout.template, layout)


LAYOUTS = [
  Layout('{question}'),
  Layout('{question}\n{options}', {'options': STYLES['letters']}),
  Layout('{options} {question}', {'options': STYLES['inline_or']}, answer=Answer('{label}', 'lower')),
  Layout('{n_options} {option_1} {brace_open} {first}', derived={'first': Derivation('question', (('prepend', '*'),))}),
  Layout('{options}', {'options': Block('{option}', ' {question} ')}, answer=Answer(mapping=(('*', 'x'),))),
  Layout('{question} {options}?', {'options': STYLES['letters']}),
]


def _filled(flat, features, i):
  text = templates.render(flat.templates[i], features['texts'])
  return text, features['golds'][flat.answer_index[i]], features['option_list'][flat.answer_index[i]]


@given(TEXTS, st.lists(TEXTS, min_size=2, max_size=5, unique=True), st.integers(0, 4))
def test_flat_templates_give_what_layouts_give(question, options, index):
  item = {'question': question, 'options': options, 'answer': options[index % len(options)]}
  flat = flattening.flatten(_instruction(f'k{i}', layout) for i, layout in enumerate(LAYOUTS))
  features = flat.features(item, separator='\x00')
  for i, layout in enumerate(LAYOUTS):
    rendered = layout.render(item)
    assert _filled(flat, features, i) == (rendered.input_text, rendered.output_text, '\x00'.join(rendered.label_space))


def test_what_is_the_same_is_computed_once():
  flat = flattening.flatten(_instruction(f'k{i}', layout) for i, layout in enumerate(LAYOUTS))
  texts = flat.features({'question': 'q', 'options': ['a', 'b'], 'answer': 'a'})['texts']
  assert sum(text == 'A. a\nB. b' for text in texts.values()) == 1
  assert flat.answer_index[1] == flat.answer_index[5]


def test_a_field_that_is_called_as_a_computed_text_keeps_its_own():
  layouts = [
    Layout('{question} {options}', {'options': STYLES['plain']}),
    Layout('{part_0} of {part_1}: {n_options} {option_1}'),
  ]
  flat = flattening.flatten(_instruction(f'k{i}', layout) for i, layout in enumerate(layouts))
  item = {'question': 'q', 'part_0': 'one', 'part_1': 'two', 'options': ['a', 'b'], 'answer': 'a'}
  features = flat.features(item)
  assert [_filled(flat, features, i)[0] for i in (0, 1)] == ['q a\nb', 'one of two: 2 a']


def test_few_shot_texts():
  examples = [{'question': 'e', 'options': ['x', 'y'], 'answer': 'y'}]
  item = {'question': 'q', 'options': ['a', 'b'], 'answer': 'a'}
  form = FewShot('', '{question}={answer};', '{question}=')
  layouts = [Layout('{question}', few_shot=form), Layout('{question} {options}:', {'options': STYLES['plain']})]
  flat = flattening.flatten([_instruction(f'k{i}', layout) for i, layout in enumerate(layouts)], examples)
  features = flat.features(item)
  assert _filled(flat, features, 0)[0] == 'e=y;q='
  assert _filled(flat, features, 1)[0] == 'e x\ny: y\n\nq a\nb:'


def test_alternatives_come_in_the_form_of_the_answer():
  flat = flattening.flatten([_instruction('a', LAYOUTS[0]), _instruction('b', LAYOUTS[1])])
  item = {'question': 'q', 'options': ['a', 'b', 'c'], 'answer': 'a', 'alternatives': ['c']}
  features = flat.features(item)
  assert features['alternatives'] == ['["c"]', '["C"]']
  assert features['right_options'] == ['[0, 2]'] * 2 and features['right_list'] == ['0\x1f2'] * 2
  assert features['option_texts'] == ['[]', '["a", "b", "c"]']


def test_what_an_item_must_have():
  assert flattening.needed_fields(LAYOUTS[3]) == {'question'}
  assert flattening.needed_fields(LAYOUTS[4]) == {'question'}
  assert flattening.needed_fields(Layout('{subject} {answer}')) == {'subject'}
  names = '{option_1} {n_options} {brace_open} {option_count} {n_options_asked} {brace_style}'
  assert flattening.needed_fields(Layout(names)) == {'option_count', 'n_options_asked', 'brace_style'}
  flat = flattening.flatten([_instruction('k', Layout('{subject}'))])
  with pytest.raises(LayoutError, match=r"fields \['subject'\], which the item lacks"):
    flat.features({'question': 'q', 'answer': 'x'})


def test_a_layout_without_the_form_is_named():
  only_few = instruction.make_instruction(
    'c', 't', 'k', 'evaluation', None, Layout(None, few_shot=FewShot('', 'e', 'i'))
  )
  with pytest.raises(LayoutError, match='c/t/k: has no zero-shot form'):
    flattening.flatten([only_few])


def test_what_may_be_answered_in_an_order_of_its_own_is_not_what_the_options_say():
  answer = Answer(mapping=(('entailment', 'Yes'), ('contradiction', 'No')), label_space=('No', 'Yes'))
  made = _instruction('k', Layout('{q}', answer=answer))
  item = {'q': 'q', 'options': ['entailment', 'contradiction'], 'answer': 'entailment'}
  features = flattening.flatten([made]).features(item)
  assert (features['golds'], features['options']) == (['Yes'], ['["No", "Yes"]'])
  assert (features['right_options'], features['option_texts']) == (['[1]'], ['[]'])


def test_which_layouts_end_with_the_letters():
  assert [flattening.lists_letters(layout) for layout in LAYOUTS] == [False, True, True, False, False, True]
  assert not flattening.lists_letters(Layout('{options}', {'options': STYLES['numbers']}))
  few = Block('{label} {option}', limit=4)
  assert not flattening.lists_letters(Layout('{options}', {'options': few}, answer=Answer()))
  # An option that is not listed has a label, too.
  assert flattening.lists_letters(Layout('{options}', {'options': few}))
  form = FewShot('', '{answer}', '{q}', example_answer=Answer('{label}'))
  assert flattening.lists_letters(Layout('{q}', few_shot=form))
