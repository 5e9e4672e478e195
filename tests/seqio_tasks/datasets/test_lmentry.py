"""Tests of LMentry as datasets, and of the tasks that they become under published phrasings."""

import pytest
import seqio

from seqio_tasks import datasets, suites
from seqio_tasks.pipeline import registration, seqio_metrics

pytestmark = pytest.mark.usefixtures('empty_registries')


def _register(directory, tasks, vocabulary, num_examples=100):
  made = datasets.lmentry(directory, tasks, phrasings='published')
  return suites.register(vocabulary, made, num_examples=num_examples)


def test_registered_tasks(directory, vocabulary, caplog):
  tasks = ['any_words_from_category', 'less_letters']
  names = _register(directory, tasks, vocabulary, num_examples=2)
  assert names == [
    'lmentry_any_words_from_category_eval',
    'lmentry_less_letters_eval',
    'lmentry_any_words_from_category_eval_incorrect',
    'lmentry_any_words_from_category__1',
    'lmentry_any_words_from_category__3',
    'lmentry_any_words_from_category__4',
    'lmentry_less_letters__1',
    'lmentry_eval',
    'lmentry_eval_incorrect',
  ]
  assert 'lmentry/any_words_from_category/9 is left out' in caplog.text
  assert _register(directory, tasks, vocabulary, num_examples=2) == names
  assert registration.evaluation_tasks('lmentry_eval') == names[:2]
  assert registration.evaluation_task(names[2]).group == 'incorrect'
  assert registration.evaluation_task(names[0]).group == 'correct'
  assert registration.evaluation_task(names[0]).dataset == 'lmentry_any_words_from_category'
  task = seqio.TaskRegistry.get(names[0])
  rows = list(task.get_dataset(None, split='test', shuffle=False).as_numpy_iterator())
  assert [(r['example_id'].decode(), r['instruction_id'].decode()) for r in rows] == [
    (f'any_words_from_category/{i}', f'lmentry/any_words_from_category/{j}') for i in (1, 2) for j in (1, 3)
  ]
  assert rows[0]['inputs_pretokenized'] == b'Plain: "owl", "hat", or "cup" of birds?\nA:'
  assert task.metric_fns == seqio.TaskRegistry.get(names[1]).metric_fns == [seqio_metrics.lmentry]
  assert task.num_input_examples('test') == 2


def test_what_cannot_be_registered(directory):
  with pytest.raises(datasets.DatasetError, match="unknown LMentry task 'homophones'; choose among"):
    _register(directory, ['homophones'], None)
  with pytest.raises(registration.RegistrationError, match='num_examples is 100, but .* has 2 examples'):
    _register(directory, ['less_letters'], None)


def test_under_phrasings_of_a_bank(directory):
  made = datasets.lmentry(directory, ['less_letters', 'ends_with_word'], train_percent=50)
  assert [(d.name, d.bank_tasks, d.metric, d.own) for d in made] == [
    ('lmentry_less_letters', ('lmentry_less_letters',), 'lmentry', None),
    ('lmentry_ends_with_word', ('lmentry_ends_with_word',), 'lmentry', None),
  ]
  assert sorted(made[0].splits) == ['test', 'train']
  with pytest.raises(datasets.DatasetError, match="phrasings is 'own'; use package or published"):
    datasets.lmentry(directory, phrasings='own')


def test_published_phrasings_are_for_tasks_with_one_right_answer(directory):
  names = [d.name for d in datasets.lmentry(directory, phrasings='published')]
  assert 'lmentry_less_letters' in names and 'lmentry_ends_with_word' not in names


def test_the_size_is_known_where_published_phrasings_take_the_whole_file(directory):
  for settings, sizes in (
    ({'phrasings': 'published'}, {'test': 2}),
    ({'phrasings': 'published', 'train_percent': 50}, {}),
    ({}, {}),
  ):
    [made] = datasets.lmentry(directory, ['less_letters'], **settings)
    assert made.sizes == sizes
