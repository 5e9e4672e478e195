"""Tests of the schema of bank files beyond plain templates."""

import pytest
import yaml

from seqio_tasks.bank import instruction, reading, schema
from seqio_tasks.bank.layouts import STYLES, Answer, Block, Derivation, FewShot

GOOD = r"""
family: mine
verbatim: true
blocks:
  labels: {item: "'{label}'", separator: ", ", last_separator: " or ", labels: lower}
derived:
  hypothesis: {from: question, steps: [{split: {separator: "H: ", parts: 2, index: 1}}, strip, {remove: x}, {prepend: y}]}
  other: {from: question, steps: [{replace: {text: a, by: b}}]}
instructions:
  nli:
    plain: {template: "{question}", collection: one, role: evaluation}
    rich:
      collection: two
      role: negation
      source: "NIV2/QA/12"
      template: "{hypothesis} {labels} {options}"
      options: {item: "<{option}>", separator: ""}
      answer: {form: "{label}.", labels: lower, label_form: "{label}"}
      few_shot:
        prefix: "P"
        example: "{other} {answer}"
        input: "{question}"
        example_answer: text
        answer: {mapping: {entailment: "yes", "*": "no"}, label_space: ["yes", "no"]}
"""


def _read(tmp_path, text):
  path = tmp_path / 'bank.yaml'
  path.write_text(text, encoding='utf-8')
  return reading.Bank.from_files([path])


def test_everything_that_the_schema_has(tmp_path):
  plain, rich = _read(tmp_path, GOOD)
  assert (plain.id, plain.role, plain.verbatim) == ('one/nli/plain', 'evaluation', True)
  assert (rich.id, rich.role, rich.source) == ('two/nli/rich', 'negation', 'NIV2/QA/12')
  layout = rich.layout
  assert layout.blocks == {'labels': Block("'{label}'", ', ', ' or ', 'lower'), 'options': Block('<{option}>', '')}
  steps = (('split', 'H: ', -1, 2, 1), ('strip',), ('remove', 'x'), ('prepend', 'y'))
  assert layout.derived['hypothesis'] == Derivation('question', steps)
  assert layout.answer == Answer('{label}.', 'lower', label_form='{label}')
  assert layout.few_shot == FewShot(
    'P',
    '{other} {answer}',
    '{question}',
    Answer(),
    Answer(mapping=(('entailment', 'yes'), ('*', 'no')), label_space=('yes', 'no')),
  )


def test_files_are_read_as_they_were_written(tmp_path):
  bank = _read(tmp_path, GOOD)
  text = schema.file_text('mine', bank, verbatim=True)
  again = _read(tmp_path, text)
  items = [{'question': 'p H: a x b ', 'options': ['entailment', 'other'], 'answer': 'other'}]
  for one, other in zip(bank, again, strict=True):
    assert (one.id, one.role, one.source, one.verbatim) == (other.id, other.role, other.source, other.verbatim)
    assert one.layout.render(items[0]) == other.layout.render(items[0])
  assert again['two/nli/rich'].layout.render(items[0], items) == bank['two/nli/rich'].layout.render(items[0], items)


def test_default_style_and_answers(tmp_path):
  text = """
family: mine
collection: mine
role: evaluation
instructions:
  t:
    a: '{question} {options}'
    b: {template: '{options} {question}', options: bullets}
    c: {template: 'Pick {options} {question}', options: numbers, answer: label}
    d: {template: 'Say {options} {question}', answer: text}
"""
  a, b, c, d = _read(tmp_path, text)
  assert a.layout.blocks['options'] == STYLES['letters'] and a.layout.default_answer == Answer('{label}')
  assert b.layout.default_answer == Answer()
  assert c.layout.answer == Answer('{label}', 'numbers')
  assert d.layout.answer == Answer()


@pytest.mark.parametrize(
  ('entry', 'message'),
  [
    ({'template': '{options}', 'options': 'letter'}, "unknown option style 'letter'; use one of letters, "),
    ({'template': '{question}', 'options': 'letters'}, 'the template has no {options}'),
    ({'template': '{options}', 'options': {'separator': ','}}, 'must be a mapping with the key item'),
    ({'template': '{options}', 'options': {'item': 'x'}}, 'must hold {option} or {label}'),
    ({'template': '{options}', 'options': {'item': '{option}', 'labels': 'roman'}}, "unknown labels 'roman'"),
    (
      {'template': '{options}', 'options': {'item': '{option}', 'limit': 'x'}},
      "'limit' is 'x'; it must be of the type int",
    ),
    ({'template': '{options}', 'options': {'item': '{option}', 'of': 'x'}}, 'use own, item or example'),
    ({'template': '{options}', 'options': 'bullets', 'answer': 'label'}, 'lists no options with labels'),
    ({'template': '{question}', 'answer': 'lettre'}, "answer is 'lettre'; use label, text or a mapping"),
    ({'template': '{question}', 'answer': {'form': 'x'}}, 'must hold {option}, {label} or a field'),
    ({'template': '{question}', 'answer': {'mapping': {'a': True}}}, 'must hold texts; quote yes, no and numbers'),
    ({'template': '{question}', 'answr': 'text'}, "unknown key 'answr'; the keys are template, options"),
    ({'template': '{question}', 'few_shot': {'input': 'x'}}, 'must be a mapping with the keys example and input'),
    ({'template': '{question}', 'few_shot': {'input': 1, 'example': 'x'}}, 'input of few_shot is 1'),
    ({'template': '{question}', 'few_shot': {'input': '{', 'example': 'x'}}, 'use no other braces'),
    ({'template': '{question}', 'source': 3}, "'source' is 3"),
    ({'template': '{question}', 'role': 'test'}, "unknown role 'test'; use one of evaluation, alignment"),
    ({'options': 'letters'}, 'the template is None'),
  ],
)
def test_faults_name_file_id_and_cure(tmp_path, entry, message):
  content = {'family': 'f', 'collection': 'c', 'role': 'evaluation', 'instructions': {'t': {'good': '{q}', 'k': entry}}}
  with pytest.raises(instruction.BankError) as error:
    _read(tmp_path, yaml.safe_dump(content))
  found = [p for p in error.value.problems if message in p]
  assert found, error.value.problems
  assert found[0].startswith(f'{tmp_path / "bank.yaml"}: c/t/k: ')


@pytest.mark.parametrize(
  ('part', 'message'),
  [
    ({'blocks': {'b c': {'item': '{label}'}}}, 'blocks/b c: the name must be one word'),
    ({'blocks': {'b': {'itm': '{label}'}}}, 'blocks/b: must be a mapping with the key item'),
    ({'blocks': None}, None),
    ({'blocks': []}, "key 'blocks' must map"),
    ({'blocks': {'b': {'item': '{label}', 'limit': 0}}}, 'blocks/b: limit is 0; it must be at least 1'),
    ({'derived': {'d': {'from': 3, 'steps': []}}}, 'derived/d: from is 3; it must be the name of a field'),
    ({'derived': {'d': {'from': 'q', 'steps': [{'split': {'separator': '', 'index': 0}}]}}}, 'derived/d: unknown step'),
    (
      {'derived': {'d': {'from': 'q', 'steps': [{'split': {'separator': '.', 'index': 0, 'most': 'x'}}]}}},
      'derived/d: unknown step',
    ),
    ({'blocks': 'x'}, "key 'blocks' must map"),
    ({'derived': {'d': {'from': 'q'}}}, 'derived/d: must be a mapping such as'),
    (
      {'derived': {'d': {'from': 'q', 'steps': [{'cut': 3}]}}},
      "derived/d: unknown step {'cut': 3}; the steps are split",
    ),
    (
      {'derived': {'d': {'from': 'q', 'steps': [{'split': {'separator': '.', 'index': 0, 'most': 10**30}}]}}},
      'derived/d: unknown step',
    ),
    ({'verbatim': 'yes'}, "key 'verbatim' is 'yes'"),
  ],
)
def test_faults_of_what_a_file_shares(tmp_path, part, message):
  content = {'family': 'f', 'collection': 'c', 'role': 'evaluation', **part, 'instructions': {'t': {'k': '{q}'}}}
  if message is None:
    assert len(_read(tmp_path, yaml.safe_dump(content))) == 1
    return
  with pytest.raises(instruction.BankError) as error:
    _read(tmp_path, yaml.safe_dump(content))
  assert any(message in p for p in error.value.problems), error.value.problems


def test_published_doubles_are_kept_but_not_across_training_roles(tmp_path):
  def bank(role, verbatim):
    entries = {'a': '{q}', 'b': {'template': '{q}', 'role': role}}
    content = {
      'family': 'f',
      'collection': 'c',
      'role': 'evaluation',
      'verbatim': verbatim,
      'instructions': {'t': entries},
    }
    return yaml.safe_dump(content)

  assert len(_read(tmp_path, bank('evaluation', True))) == 2
  for role, verbatim in (('evaluation', False), ('alignment', True)):
    with pytest.raises(instruction.BankError, match='c/t/a'):
      _read(tmp_path, bank(role, verbatim))


def test_a_template_that_tells_the_right_answer_is_a_fault(tmp_path):
  text = 'family: f\ncollection: c\nrole: evaluation\ninstructions:\n  t: {k: {template: "{question} Is it {answer}?", answer: text}}\n'
  for name in ('answer', 'answer_index', 'alternatives', 'verdict'):
    derived = 'derived: {verdict: {from: answer, steps: [strip]}}\ninstructions:'
    with pytest.raises(
      instruction.BankError, match='c/t/k: the template names {answer}, .*would tell the right answer'
    ):
      _read(tmp_path, text.replace('{answer}', f'{{{name}}}').replace('instructions:', derived))
  assert len(_read(tmp_path, text.replace('{answer}', '{data_answer}'))) == 1


def test_answers_that_are_no_choice_are_a_fault(tmp_path):
  text = 'family: f\ncollection: c\nrole: evaluation\ninstructions:\n  t: {k: {template: "{q}?", answer: {label_space: SPACE}}}\n'
  for space in ('[yes please]', '[sure, sure]'):
    with pytest.raises(instruction.BankError, match='c/t/k: label_space of the answer is .*; give two texts or more'):
      _read(tmp_path, text.replace('SPACE', space))


def test_the_order_of_options_is_written_and_read(write):
  text = """
family: f
collection: c
role: option_order
blocks:
  listed: {item: '{label}) {option}', shuffle: 7}
instructions:
  quiz:
    a: "{question} {listed}"
    b: {template: "{question} {listed}", answer: label}
    c: {template: "Now: {question} {listed}", answer: {form: '({label})', shuffle: 7}}
"""
  read = reading.validate([write('a.yaml', text)])
  assert {i.layout.default_answer.shuffle for i in read} == {7}
  again = reading.validate([write('b.yaml', schema.file_text('f', read))])
  item = {'question': 'Q', 'options': ['x', 'y', 'z'], 'answer': 'y'}
  assert [i.layout.render(item) for i in again] == [i.layout.render(item) for i in read]
