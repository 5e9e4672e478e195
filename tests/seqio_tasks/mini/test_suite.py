"""The mini suite: answers recomputed here from the fields, splits, and the phrasings' groups."""

import collections
import json
import re

import pytest

from seqio_tasks.bank import likeness, reading
from seqio_tasks.bank import templates as templates_lib
from seqio_tasks.datasets import lmentry_instances, lmentry_phrasings
from seqio_tasks.mini import suite

CATEGORY_OF = {word: name for name, words in suite.categories().items() for word in words}


def _sentence(fields):
  return fields['sentence'].removesuffix('.').split(' ')


def _odd(fields):
  words = fields['words'].split(', ')
  counts = collections.Counter(CATEGORY_OF[word] for word in words)
  assert sorted(counts.values())[0] == 1
  assert len(counts) == 2
  return next(word for word in words if counts[CATEGORY_OF[word]] == 1)


SOLUTIONS = {
  'first_word': lambda f: _sentence(f)[0],
  'last_word': lambda f: _sentence(f)[-1],
  'word_after': lambda f: _sentence(f)[_sentence(f).index(f['query']) + 1],
  'word_before': lambda f: _sentence(f)[_sentence(f).index(f['query']) - 1],
  'first_letter': lambda f: f['word'][0],
  'last_letter': lambda f: f['word'][-1],
  'more_letters': lambda f: f['word1'] if len(f['word1']) > len(f['word2']) else f['word2'],
  'less_letters': lambda f: f['word1'] if len(f['word1']) < len(f['word2']) else f['word2'],
  'first_alphabetically': lambda f: sorted([f['word1'], f['word2']])[0],
  'bigger_number': lambda f: str(max(int(f['n1']), int(f['n2']))),
  'smaller_number': lambda f: str(min(int(f['n1']), int(f['n2']))),
  'count_words': lambda f: str(len(_sentence(f))),
  'odd_one_out': _odd,
}


def test_tasks():
  assert set(SOLUTIONS) == set(suite.TASKS) == set(reading.Bank.from_package('mini').tasks)
  assert len(suite.TASKS) >= 12
  assert suite.TASKS == reading.Bank.from_package('mini').tasks


@pytest.mark.parametrize('task', suite.TASKS)
def test_examples(task):
  seen = {}
  for split in suite.SPLITS:
    examples = suite.generate(task, split, 300, seed=3)
    assert examples == suite.generate(task, split, 300, seed=3)
    assert len({example['example_id'] for example in examples}) == 300
    for example in examples:
      assert tuple(example['fields']) == suite.FIELDS[task]
      assert example['gold'] == SOLUTIONS[task](example['fields'])
      if example['options']:
        assert example['gold'] in example['options']
    seen[split] = {json.dumps(example['fields']) for example in examples}
    assert len(seen[split]) == 300
  if task not in ('first_letter', 'last_letter'):
    train, validation, test = seen.values()
    assert not train & validation
    assert not train & test
    assert not validation & test
  assert suite.generate(task, 'test', 300, seed=4) != examples


def test_answers_are_balanced():
  for task, first in {'bigger_number': 'n1', 'more_letters': 'word1', 'first_alphabetically': 'word1'}.items():
    examples = suite.generate(task, 'test', 400)
    assert 150 < sum(e['gold'] == e['fields'][first] for e in examples) < 250


def test_bad_requests():
  with pytest.raises(ValueError, match="unknown task 'last_wrd'"):
    suite.generate('last_wrd', 'test', 1)
  with pytest.raises(ValueError, match="unknown split 'dev'"):
    suite.generate('last_word', 'dev', 1)


def test_a_word_has_one_category():
  assert sum(map(len, suite.categories().values())) == len(CATEGORY_OF)


def test_phrasings_per_task():
  phrasings = reading.Bank.from_package('mini')
  wanted = {'mini_tuning': 10, 'mini_alignment': 10, 'mini_development': 5, 'mini_heldout': 10}
  for task in phrasings.tasks:
    for collection, count in wanted.items():
      assert len(list(phrasings.select(task, collections=[collection]))) >= count


def test_groups_are_apart():
  """No phrasing of a group is one of another, whatever its case, punctuation and order of words."""
  phrasings = reading.Bank.from_package('mini')
  collection = {i.id: i.id.split('/')[0] for i in phrasings}
  alike = [(a, b, value) for a, b, value in likeness.near_duplicates(phrasings, 1.0) if collection[a] != collection[b]]
  assert not alike


def _bare(template):
  """A phrasing's words without "Q:" and "A:", its fields without names."""
  words = templates_lib.normalise(re.sub(r'\{\w+\}', ' {x} ', template)).split()
  words = words[1:] if words[:1] == ['q'] else words
  return words[:-1] if words[-1:] == ['a'] else words


def test_no_phrasing_is_published(shared_data):
  """None is LMentry's or one of its published paraphrases."""
  directory = shared_data / 'lmentry'
  published = {}
  for task in lmentry_instances.TASKS:
    content = json.loads((directory / 'instances' / f'{task}.json').read_text())
    templates = list(content['more_info']['input_templates'])
    templates += [p.instruction.template for p in lmentry_phrasings.read_phrasings(directory, task)]
    published |= {tuple(_bare(template)): template for template in templates}
  assert len(published) > 500
  ours = {i.id: tuple(_bare(i.template)) for i in reading.Bank.from_package('mini')}
  assert not {id_: published[words] for id_, words in ours.items() if words in published}
