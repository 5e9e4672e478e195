"""Tests of the mini suite as datasets."""

import copy

import pytest

from robust_t5x.served import texts
from seqio_tasks import datasets, suites
from seqio_tasks.mini import suite
from seqio_tasks.mini import vocabulary as words
from seqio_tasks.pipeline import registration


def test_a_dataset_for_each_task():
  made = datasets.mini(num_train_examples=7, num_eval_examples=3, seed=5)
  assert [d.name for d in made] == [f'mini_{task}' for task in suite.TASKS] and {d.benchmark for d in made} == {'mini'}
  for dataset in made:
    for split, size in {'train': 7, 'validation': 3, 'test': 3}.items():
      examples = dataset.splits[split]()
      assert len(examples) == dataset.sizes[split] == size
      assert {tuple(e['fields']) for e in examples} == {dataset.fields}
      assert [*examples] == suite.generate(dataset.bank_tasks[0], split, size, 5)
      assert dataset.splits[split]() is examples  # a run hashes them and reads them
  assert [d.name for d in datasets.mini(['last_word'])] == ['mini_last_word']


def test_training_may_draw_on_all_words_of_a_vocabulary(vocabulary):
  (plain,), (wide,) = (datasets.mini(['first_word'], 50, vocabulary_words=w) for w in (False, True))
  assert plain.splits_for is None
  assert wide.splits['train']() == plain.splits['train']()
  (split,) = wide.splits_for(vocabulary).values()
  assert [*split()] == suite.generate('first_word', 'train', 50, more_words=words.whole_words(vocabulary))
  assert split() != plain.splits['train']()


def test_a_vocabulary_of_bytes_has_no_words_to_draw_on():
  (wide,) = datasets.mini(['first_word'], 50, vocabulary_words=True)
  assert wide.splits_for(texts.Bytes()) == {}


def test_a_vocabulary_is_searched_for_words_once(vocabulary, monkeypatch):
  asked = []
  monkeypatch.setattr(words, 'whole_words', lambda v: asked.append(v) or ('word', 'other'))
  made = datasets.mini(num_train_examples=2, vocabulary_words=True)
  another = copy.copy(vocabulary)
  for asking in (vocabulary, another):
    for dataset in made:
      assert set(dataset.splits_for(asking)) == {'train'}
  assert [*map(id, asked)] == [id(vocabulary), id(another)]


def test_what_is_aligned_and_how_much_tasks_count():
  made = datasets.mini(alignment_tasks=['first_word'], held_tasks=['last_word'], tuning_rates={'word_after': 3})
  assert {d.name: d.alignment for d in made[:3]} == {
    'mini_first_word': 'paraphrases', 'mini_last_word': 'held', 'mini_word_after': 'none'
  }  # fmt: skip
  assert {d.tuning_rate for d in made if d.name != 'mini_word_after'} == {1.0} and made[2].tuning_rate == 3
  assert {d.alignment for d in datasets.mini()} == {'paraphrases'}


def test_tasks_to_align_and_to_hold_are_checked():
  for wrong, message in (
    ({'tasks': ['second_word']}, 'tasks: the mini suite has no task second_word'),
    ({'alignment_tasks': ['second_word']}, 'alignment_tasks: the mini suite has no task second_word'),
    ({'held_tasks': ['second_word']}, 'held_tasks: the mini suite has no task second_word'),
    ({'tuning_rates': {'second_word': 2}}, 'tuning_rates: the mini suite has no task second_word'),
    ({'held_tasks': ['first_word']}, 'held_tasks: first_word is aligned too'),
  ):
    with pytest.raises(datasets.DatasetError, match=message):
      datasets.mini(**wrong)


@pytest.mark.usefixtures('empty_registries')
def test_our_phrasings_are_observed_only_by_models_tuned_on_them(vocabulary):
  for observed, group in (([], 'unobserved'), (['mini_tuning'], 'observed')):
    tasks = suites.evaluation_tasks(
      [
        lambda vocabulary, o=observed: suites.register(
          vocabulary, datasets.mini(num_eval_examples=2), observed_collections=o
        )
      ],
      vocabulary,
      ['mini_eval_observed'],
    )
    assert len(tasks) == 13 and {t.group for t in tasks} == {group}
    assert {i.collection for t in tasks for i in t.instructions} == {'mini_tuning'}
    for name in registration.evaluation_tasks('mini_eval_unobserved'):
      assert registration.evaluation_task(name).group == 'unobserved'
    _forget()


def _forget():
  import seqio

  seqio.TaskRegistry.reset()
  seqio.MixtureRegistry.reset()
