"""Small datasets: a quiz under banks of several roles, and a suite of two tasks that brings its own phrasings."""

import functools
import json

import pytest

from seqio_tasks import datasets, suites
from seqio_tasks.bank import reading
from seqio_tasks.bank.instruction import make_instruction

BANK = """
family: test
collection: {collection}
role: {role}
instructions:
  quiz:
{entries}
"""


def _bank(tmp_path, collection, role, *entries):
  text = ''.join(f'    k{i}: {entry}\n' for i, entry in enumerate(entries))
  path = tmp_path / f'{collection}.yaml'
  path.write_text(BANK.format(collection=collection, role=role, entries=text), encoding='utf-8')
  return str(path)


@pytest.fixture
def banks(tmp_path):
  listed = '{{template: "{} {{question}} {{options}}", options: {}}}'
  return [
    _bank(tmp_path, 'seen', 'evaluation', '"what is {question}"', listed.format('pick', 'letters')),
    _bank(tmp_path, 'unseen', 'evaluation', '"tell {question}"', '"name {question}"'),
    _bank(tmp_path, 'para', 'alignment', '"say {question}"', '"write {question}"', '"give {question}"',
          *(listed.format(word, 'letters') for word in ('take', 'choose', 'find'))),
    _bank(tmp_path, 'wrong', 'incorrect', '"ignore {question}"'),
    _bank(tmp_path, 'other', 'evaluation', '"about {subject}: {question}"'),
  ]  # fmt: skip


@pytest.fixture
def quiz(tmp_path):
  path = tmp_path / 'quiz.jsonl'
  rows = [
    {'question': f'question {i}', 'o': ['cat', 'dog', 'bird'], 'answer': ['cat', 'dog'][i % 2]} for i in range(60)
  ]
  path.write_text(''.join(json.dumps(r) + '\n' for r in rows))
  return datasets.table(path, 'quiz', ['quiz'], options='o', train_percent=50)


SHAPES = [
  (('mini_tuning', 'evaluation'), 2),
  (('mini_heldout', 'evaluation'), 3),
  (('mini_alignment', 'alignment'), 4),
  (('mini_development', 'development'), 1),
]

TEMPLATES = {'first_word': '{sentence}', 'bigger_number': '{n1} {n2}'}
FIELDS = {'first_word': ('sentence',), 'bigger_number': ('n1', 'n2')}


def _generate(task, split, num_examples, seed):
  examples = []
  for i in range(num_examples):
    n1, n2 = str(i + seed), str(2 * i + 1 + seed)
    fields = {'sentence': f'{split} sentence {i}'} if task == 'first_word' else {'n1': n1, 'n2': n2}
    gold = split if task == 'first_word' else n2
    options = [] if task == 'first_word' else [n1, n2]
    examples.append({'example_id': f'{task}-{split}-{i}', 'fields': fields, 'gold': gold, 'options': options})
  return examples


def _suite_bank(templates=TEMPLATES, shapes=SHAPES):
  return reading.Bank(
    make_instruction(collection, task, f'{collection[5]}{i}', role, f'{collection} {i}: {template}')
    for task, template in templates.items()
    for (collection, role), count in shapes
    for i in range(count)
  )


@pytest.fixture
def shapes():
  """The suite's phrasings: ((collection, role), how many)."""
  return SHAPES


@pytest.fixture
def suite_bank():
  """Function of templates and shapes that makes the suite's phrasings."""
  return _suite_bank


@pytest.fixture
def generate():
  """Function of task, split, number and seed that makes the suite's examples."""
  return _generate


@pytest.fixture
def suite():
  """Function that makes the suite: tasks mini_first_word and mini_bigger_number."""

  def make(bank=None, num_train_examples=30, num_eval_examples=5, seed=4, held=()):
    phrasings = _suite_bank() if bank is None else bank
    own = datasets.OwnPhrasings(lambda: phrasings, ('mini_tuning',))
    sizes = {'train': num_train_examples, 'validation': num_eval_examples, 'test': num_eval_examples}
    return [
      datasets.Dataset(
        f'mini_{task}', 'mini', (task,),
        {split: functools.partial(_generate, task, split, n, seed) for split, n in sizes.items()},
        fields=fields, sizes=sizes, own=own, alignment='held' if task in held else 'paraphrases',
      )
      for task, fields in FIELDS.items()
    ]  # fmt: skip

  return make


@pytest.fixture
def register_suite(suite, vocabulary):
  """Function that registers the suite for a model that was tuned on it."""

  def register(num_paraphrases=2, **settings):
    return suites.register(
      vocabulary, suite(**settings), observed_collections=['mini_tuning'], num_paraphrases=num_paraphrases
    )

  return register


@pytest.fixture
def read():
  """Function of a task's or mixture's name and a split that reads its rows."""
  import seqio

  def rows(name, split='test', shuffle=False, **lengths):
    data = seqio.get_mixture_or_task(name).get_dataset(
      {'inputs': 32, 'targets': 8} | lengths, split=split, shuffle=shuffle, seed=0, num_epochs=1
    )
    return list(data.as_numpy_iterator())

  return rows
