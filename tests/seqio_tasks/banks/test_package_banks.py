"""Tests of the phrasings that come with the package: how many, for what, and how different."""

import collections

import pytest

from seqio_tasks import datasets
from seqio_tasks.bank import checks, reading
from seqio_tasks.pipeline import flattening

# No two phrasings of a task may be more alike than this; see `templates.similarity`.
FLOOR = 0.75
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
  assert reading.near_duplicates(bank, FLOOR) == []


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


def test_no_word_of_a_training_phrasing_is_evaluated(bank):
  everything = reading.read_banks(['package', *map(str, reading.package_files('mini'))])
  assert list(checks.clashes([('all', i) for i in everything])) == []


def test_t5_tells_all_phrasings_apart(bank, shared_data):
  import seqio

  path = shared_data / 'vocab' / 't5.sentencepiece.model'
  vocabulary = seqio.SentencePieceVocabulary(str(path), extra_ids=100)
  assert list(checks.token_clashes([('all', i) for i in bank], vocabulary)) == []


def test_every_phrasing_fits_the_published_data(bank, shared_data):
  made = [
    *datasets.mmlu(shared_data / 'mmlu', all_subjects=False),
    *datasets.bigbench(shared_data / 'bigbench'),
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
