"""Perturbations: what they change and what they leave alone, on every evaluation phrasing of the package."""

import itertools
import re

import pytest

from seqio_tasks.bank import layouts, perturbations, reading, schema
from seqio_tasks.bank.instruction import PERTURBATIONS, make_instruction
from seqio_tasks.bank.perturbations import perturb, perturbed
from seqio_tasks.bank.templates import normalise
from seqio_tasks.errors import UserError

ITEM = {'question': 'Which?', 'options': ['ant', 'bee', 'cow', 'dog'], 'answer': 'cow'}
every_kind = pytest.mark.parametrize('kind', PERTURBATIONS)


def _make(template, **layout):
  made = layouts.Layout(template, **layout)
  return make_instruction('mine', 'quiz', 'e1', 'evaluation', template, made)


@pytest.fixture(scope='module')
def package():
  return [i for i in reading.read_banks(['package']) if i.role == 'evaluation']


@every_kind
def test_fields_stay_and_a_bank_file_can_hold_it(package, kind):
  made = perturbed(package, [kind])
  assert len(made) > len(package) / 5
  base = {i.id: i for i in package}
  for new in made:
    old = base[new.source]
    assert perturbations.unperturbed(new.id, kind) == old.id and new.role == kind
    assert new.fields == old.fields and new.layout != old.layout and not schema.faults(new.layout)
    if kind in ('case', 'spacing'):
      assert normalise(new.template) == normalise(old.template)
    if kind not in ('option_labels', 'option_order'):
      assert new.layout.default_answer == old.layout.default_answer


@every_kind
def test_the_seed_says_what_is_chosen(package, kind):
  some = package[::20]
  assert perturbed(some, [kind], 1) == perturbed(some, [kind], 1) != perturbed(some, [kind], 2)


def test_some_words_are_misspelt_and_can_still_be_read():
  text = 'Please consider everything that follows before anything else. {question}'
  seen = set()
  for seed in range(200):
    new = perturb(_make(text), 'typos', seed).template
    pairs = [(a, b) for a, b in zip(text.split(), new.split(), strict=True) if a != b]
    assert 1 <= len(pairs) <= 8
    for a, b in pairs:
      assert a[0] == b[0] and abs(len(a) - len(b)) <= 1
      seen.add(len(b) - len(a))
  assert seen == {-1, 0, 1}


def test_case_spacing_and_marks():
  asked = _make('Is "{question}" so, at 10:30? Say it: yes or no.')
  assert {perturb(asked, 'case', s).template for s in range(20)} == {
    'is "{question}" so, at 10:30? say it: yes or no.',
    'IS "{question}" SO, AT 10:30? SAY IT: YES OR NO.',
    'Is "{question}" So, At 10:30? Say It: Yes Or No.',
  }
  for seed in range(20):
    spaced = perturb(asked, 'spacing', seed).template
    assert spaced != asked.template and spaced.replace(' ', '') == asked.template.replace(' ', '')
    marked = perturb(asked, 'punctuation', seed).template
    assert re.sub(r'[^\w{}:]', '', marked).startswith('Is{question}soat10:30Sayit')
    assert marked.count('"') in (0, 2)  # quotes in pairs


def test_nothing_to_perturb():
  bare = _make('{question}')
  assert {kind for kind in PERTURBATIONS if perturb(bare, kind)} == {'politeness', 'persona'}
  assert perturb(_make('{question}\n{option_1} or {option_2}'), 'option_order') is None
  limited = _make('{question} {options}', blocks={'options': layouts.Block('{option}', limit=2)})
  assert perturb(limited, 'option_order') is None
  with pytest.raises(UserError, match="no perturbation 'typo'; use some of typos, case"):
    perturb(bare, 'typo')


def test_another_separator_between_options_and_lines():
  asked = _make('Question: {question}\n{options}\nAnswer:', blocks={'options': layouts.STYLES['letters']})
  for seed in range(20):
    new = perturb(asked, 'separators', seed)
    text = new.layout.render(ITEM).input_text
    assert 'A. ant\nB. bee' not in text and 'Question: ' not in text
    assert re.sub(r'[^a-zA-Z.?]', '', text) == 'QuestionWhich?A.antB.beeC.cowD.dogAnswer'
    assert new.layout.render(ITEM).output_text == 'C'


@pytest.mark.parametrize('answer', [None, layouts.Answer('{label}'), layouts.Answer()])
def test_options_in_another_order_keep_their_places_in_tables(answer):
  asked = _make('{question}\n{options}', blocks={'options': layouts.STYLES['letters']}, answer=answer)
  orders = set()
  for seed in range(40):
    layout = perturb(asked, 'option_order', seed).layout
    made = layout.render(ITEM)
    listed = dict(line.split('. ') for line in made.input_text.split('\n')[1:])
    assert list(listed) == [*'ABCD'] and sorted(listed.values()) == ITEM['options'] != list(listed.values())
    right = layout.default_answer.right(ITEM)
    assert right == (2,)  # the item's own place
    for option, shown in zip(ITEM['options'], made.label_space, strict=True):
      assert listed.get(shown, shown) == option
    assert listed.get(made.output_text, made.output_text) == 'cow'
    orders.add(tuple(listed.values()))
  assert len(orders) > 10


def test_labels_are_written_otherwise_but_as_the_text_says():
  free = _make('{question}\n{options}\nLetter:', blocks={'options': layouts.STYLES['letters']})
  bound = _make('{question}\n{options}\nOne of (A, B):', blocks={'options': layouts.STYLES['letters']})
  numbered = _make('{question}\n{options}\nNumber:', blocks={'options': layouts.STYLES['numbers']})
  answers = {'free': set(), 'bound': set(), 'numbered': set()}
  for seed, (name, asked) in itertools.product(range(30), zip(answers, (free, bound, numbered), strict=True)):
    new = perturb(asked, 'option_labels', seed).layout.render(ITEM)
    assert new.input_text.split('\n')[3] != asked.layout.render(ITEM).input_text.split('\n')[3]
    assert new.output_text in new.input_text.split('\n')[3]
    answers[name].add(new.output_text)
  assert answers == {'free': {'C', 'c'}, 'bound': {'C'}, 'numbered': {'3'}}


def test_few_shot_forms_change_too_and_are_framed_once():
  form = layouts.FewShot('Look:\n', 'Q: {question} A: {answer}\n', 'Q: {question} A:')
  asked = _make('Question: {question}', few_shot=form)
  framed = perturb(asked, 'persona').layout.render(ITEM, [ITEM, ITEM]).input_text
  assert framed.startswith('You are a') and framed.count('You are a') == 1
  new = perturb(asked, 'separators').layout.few_shot
  line = new.example.partition('{answer}')[2]
  assert line != '\n' and new.prefix.endswith(line)  # what is chosen is chosen for all parts
  assert 'Q: ' not in new.example + new.input
