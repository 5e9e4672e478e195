"""Tests of the phrasings that come with the package: how many, for what, and how different."""

import collections
import csv
import re

import pytest

from seqio_tasks import datasets
from seqio_tasks.bank import checks, likeness, reading
from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.datasets import lmentry_phrasings
from seqio_tasks.pipeline import flattening

# No two phrasings of a task may be more alike than this; see `bank.likeness`.
FLOOR = 0.75
# Nor may one that is trained on be as like as this to one that is evaluated, or published for evaluation. How near they
# come below it is what `robust-t5x tasks validate` prints.
TRAINED = 0.65
BBL = (
  'bbq_lite_json', 'code_line_description', 'conceptual_combinations', 'hindu_knowledge', 'known_unknowns',
  'language_identification', 'linguistics_puzzles', 'logic_grid_puzzle', 'logical_deduction', 'misconceptions_russian',
  'novel_concepts', 'operators', 'parsinlu_reading_comprehension', 'play_dialog_same_or_different', 'strange_stories',
  'strategyqa', 'symbol_interpretation', 'vitaminc_fact_verification', 'winowhy',
)  # fmt: skip


@pytest.fixture(scope='module')
def bank():
  return reading.read_banks(['package'])


def _counts(bank, task):
  return collections.Counter(i.role for i in bank if i.task == task)


def test_numbers_of_phrasings(bank):
  for task in ('multiple_choice', 'yes_no', 'classification'):
    counts = _counts(bank, task)
    assert counts['evaluation'] >= 40 and counts['alignment'] >= 20, task
  for task in BBL:
    counts = _counts(bank, task)
    assert counts['evaluation'] >= 10 and counts['alignment'] >= 5, task
  for task in bank.tasks:
    counts = _counts(bank, task)
    assert counts['evaluation'] >= 10, task
    assert counts['alignment'] >= (10 if task.startswith('lmentry_') else 5), task
  assert len(bank) > 1000


def test_every_task_can_be_aligned_with_four_phrasings(bank):
  for task in bank.tasks:
    forms = collections.Counter(i.layout.default_answer for i in bank.select(task, ['alignment']))
    assert max(forms.values()) >= 4, task


def test_with_and_without_the_subject(bank):
  uses = ['subject' in i.fields for i in bank.select('multiple_choice')]
  assert 0.2 < sum(uses) / len(uses) < 0.5


def test_no_phrasing_is_a_trivial_edit_of_another(bank):
  assert likeness.near_duplicates(bank, FLOOR) == []


def test_phrasings_vary(bank):
  for task in ('multiple_choice', 'classification', *BBL[:2]):
    members = list(bank.select(task, ['evaluation']))
    styles = {i.layout.blocks['options'] for i in members if 'options' in i.layout.blocks}
    assert len(styles) >= 5, task
    lengths = sorted(len(i.template.split()) for i in members)
    assert lengths[-1] >= 2 * lengths[0], task
    first = [i for i in members if i.template.index('{options}') < i.template.index(_question(i))]
    assert 0 < len(first) < len(members), task


def _question(instruction):
  return next(f'{{{name}}}' for name in ('question', 'text') if f'{{{name}}}' in instruction.template)


def test_labels_are_asked_for_only_where_options_have_them(bank):
  for instruction in bank:
    asks = any(word in instruction.template.casefold() for word in ('letter', 'number of the', 'by letter'))
    listed = instruction.layout.blocks.get('options')
    if asks and listed is not None and instruction.task in ('multiple_choice', 'classification', *BBL):
      assert listed.labelled, instruction.id


def _of_roles(bank, *roles):
  return [i for i in bank if i.role in roles]


def _shared_task(instruction):
  """One name for a task that the mini suite and LMentry share."""
  return instruction.task.removeprefix('lmentry_')


@pytest.fixture(scope='module')
def everything():
  return reading.read_banks(['package', *map(str, reading.package_files('mini'))])


def test_no_evaluation_phrasing_is_trained_on(everything):
  """Whatever their case, punctuation, names of fields and order of words, and in the suite's tasks LMentry's too."""
  assert list(checks.clashes([('all', i) for i in everything])) == []
  trained = _of_roles(everything, *checks.TRAINING_ROLES)
  found = likeness.nearest(_of_roles(everything, 'evaluation'), trained, _shared_task)
  assert len(found) == 946 + 260 + 126
  assert [n for n in found if n.likeness == 1.0] == []
  assert [n for n in found if n.likeness >= TRAINED and n.id.startswith('mini_reported/')] == []


def test_no_two_roles_share_a_phrasing_of_a_task(everything):
  for role in {i.role for i in everything}:
    others = [i for i in everything if i.role != role]
    found = likeness.nearest(_of_roles(everything, role), others)
    assert [n for n in found if n.likeness == 1.0] == [], role


def test_what_is_trained_on_stays_away_from_what_is_evaluated(bank):
  found = likeness.nearest(_of_roles(bank, 'alignment'), _of_roles(bank, 'evaluation'))
  assert [n for n in found if n.likeness >= TRAINED] == []


def test_what_is_trained_on_stays_away_from_what_is_published(bank, shared_data):
  """LMentry's and BIG-Bench Hard's published phrasings, of every judgement, as far as they are at hand."""
  published = []
  for path in sorted((shared_data / 'lmentry/instances').glob('*.json')):
    phrasings = lmentry_phrasings.read_phrasings(shared_data / 'lmentry', path.stem)
    published += [(f'lmentry_{path.stem}', p.index, p.instruction.template) for p in phrasings]
  for path in sorted((shared_data / 'bbh/paraphrases').glob('*.csv')):
    with path.open(encoding='utf-8-sig', newline='') as f:
      published += [(f'bbh_{path.stem}', row['prompt idx'], row['prompt template']) for row in csv.DictReader(f)]
  assert len(published) > 3000
  made = [_published(*p) for p in published]
  found = likeness.nearest(_of_roles(bank, 'alignment'), made)
  assert len(found) > 300
  assert [n for n in found if n.likeness >= TRAINED] == []


def _published(task, index, text):
  """As an instruction, without the "Q:" and "A:" around it and without braces that are no field's."""
  text = re.sub(r'^\s*(Q|Question)\s*:|\b(A|Answer)\s*:\s*$', ' ', text, flags=re.IGNORECASE)
  text = re.sub(r'\{(\w+)\}|[{}]', lambda brace: f'{{{brace[1]}}}' if brace[1] else ' ', text)
  return make_instruction('published', task, str(index), 'evaluation', text)


def test_t5_tells_all_phrasings_apart(bank, shared_data):
  import seqio

  path = shared_data / 'vocab' / 't5.sentencepiece.model'
  vocabulary = seqio.SentencePieceVocabulary(str(path), extra_ids=100)
  assert list(checks.token_clashes([('all', i) for i in bank], vocabulary)) == []


WORDING = (
  'goal_step_wikihow/step_inference', 'goal_step_wikihow/goal_inference', 'similarities_abstraction', 'phrase_relatedness',
  'general_knowledge',
)  # fmt: skip


def test_every_phrasing_fits_the_published_data(bank, shared_data):
  made = [
    *datasets.mmlu(shared_data / 'mmlu', all_subjects=False),
    *datasets.bigbench(shared_data / 'bigbench'),
    *datasets.bigbench(shared_data / 'bigbench_more', WORDING),
    *datasets.bbh(shared_data / 'bbh'),
    *datasets.lmentry(shared_data / 'lmentry'),
  ]
  served = set()
  for dataset in made:
    members = [i for i in bank if i.task in dataset.bank_tasks]
    assert members, dataset.name
    item = datasets.item_of(dataset.splits['test']()[0])
    features = flattening.flatten(members).features(item)
    assert all(features['golds'][k] for k in range(len(features['golds'])))
    served.update(i.task for i in members)
  unserved = {*bank.tasks} - served
  assert unserved == {'yes_no', 'classification', 'vitaminc_fact_verification', 'super_natural_instructions'}
