"""Tests of which examples are evaluated, trained on and shown."""

import pytest

from seqio_tasks.datasets import Dataset, readings
from seqio_tasks.datasets.sources import question
from seqio_tasks.pipeline.registration import RegistrationError
from seqio_tasks.suites import splits


def _dataset(sizes=None, **counts):
  return _asking({s: [f'{s}{i}' for i in range(n)] for s, n in counts.items()}, sizes or {})


def _asking(questions, sizes=()):
  """A dataset with a split for each list of questions; ids are split and number."""
  made = {
    split: [{'example_id': f'{split}{i}', 'fields': {'q': q}, 'options': [], 'gold': ''} for i, q in enumerate(texts)]
    for split, texts in questions.items()
  }
  return Dataset('d', 'b', (), {s: lambda e=e: e for s, e in made.items()}, sizes=dict(sizes))


def _ids(examples):
  return [example['example_id'] for example in examples]


def _read(made):
  return {split: _ids(read()) for split, read in made.readers.items()}


def test_what_is_evaluated():
  made = splits.evaluated(_dataset(train=9, test=3, validation=2), 2, 0)
  assert _read(made) == {
    'test': ['test0', 'test1'], 'validation': ['validation0', 'validation1'], 'train': ['train0', 'train1'],
  }  # fmt: skip
  assert made.sizes == {} and made.shots == ()
  assert _read(splits.evaluated(_dataset(other=1), None, 0)) == {'other': ['other0']}
  assert _read(splits.evaluated(_dataset(train=1, dev=1), None, 0)) == {'dev': ['dev0'], 'train': ['train0']}
  assert _read(splits.evaluated(_dataset(train=1), None, 0)) == {'train': ['train0']}


def test_what_is_shown_is_not_evaluated():
  made = splits.evaluated(_dataset(train=9, test=3), None, 2)
  assert _ids(made.shots) == ['train0', 'train1'] and len(_read(made)['test']) == 3
  assert _read(made)['train'] == [f'train{i}' for i in range(2, 9)]
  made = splits.evaluated(_dataset(test=3, sizes={'test': 3}), None, 2)
  assert _ids(made.shots) == ['test0', 'test1'] and _read(made) == {'test': ['test2']} and made.sizes == {'test': 1}
  with pytest.raises(RegistrationError, match='d has 3 examples to show, not 4; ask for fewer'):
    splits.evaluated(_dataset(test=3), None, 4)


def test_an_example_that_is_asked_is_not_shown():
  made = splits.evaluated(_asking({'dev': ['a', 'b', ' a\n', 'c', 'b', 'd'], 'test': ['b', 'a', 'x']}), 1, 2)
  assert _ids(made.shots) == ['dev3', 'dev5'] and _read(made) == {'test': ['test0']}
  assert readings()['d, split dev, to show'] == {
    'used': 2,
    'left_out': {
      'an example to show that is asked itself': {'rows': 4, 'first': "d, split dev: example 'dev0' is asked itself"}
    },
  }
  # Where a split shows from itself, what is left of it is asked; its doubled questions are, and are not shown.
  made = splits.evaluated(_asking({'test': ['a', 'b', 'a', 'c', 'd']}, {'test': 5}), None, 2)
  assert _ids(made.shots) == ['test1', 'test3'] and _read(made) == {'test': ['test0', 'test2', 'test4']}
  assert made.sizes == {'test': 3}
  with pytest.raises(
    RegistrationError,
    match='d has 1 examples to show, not 2, since 1 of its split dev are asked themselves; ask for fewer',
  ):
    splits.evaluated(_asking({'dev': ['a', 'b'], 'test': ['a']}), None, 2)


def test_options_tell_questions_apart_and_their_order_does_not():
  def asks(q, *options):
    return question({'fields': {'q': q}, 'options': options})

  assert asks('which?', 'a', 'b') == asks('which? ', 'b', 'a')
  assert len({asks('which?', 'a', 'b'), asks('which?', 'a', 'c'), asks('Which?', 'a', 'b'), asks('which?')}) == 4


def test_doubled_questions_are_counted_and_stay():
  dataset = _asking({'validation': ['a', 'b', 'a', 'a'], 'train': ['c', 'c']})
  made = splits.evaluated(dataset, None, 0)
  readings_before = readings()
  assert _ids(made.readers['validation']()) == ['validation0', 'validation1', 'validation2', 'validation3']
  new = {where: reading for where, reading in readings().items() if readings_before.get(where) != reading}
  told = "d, split validation: example 'validation2' asks the same as 'validation0'"
  assert new == {'d, split validation': {'used': 4, 'left_out': {}, 'doubled': {'rows': 2, 'first': told}}}


@pytest.mark.parametrize('count', [0, 4])
def test_sizes_that_are_known_are_kept_to(count):
  dataset = _dataset(test=3, train=9, sizes={'test': 3, 'train': 9})
  assert splits.evaluated(dataset, 3, 0).sizes == {'test': 3, 'train': 3}
  with pytest.raises(
    RegistrationError, match=f'num_examples is {count}, but d has 3 examples in its split test; choose 1 to 3'
  ):
    splits.evaluated(dataset, count, 0)


def test_what_is_trained_on():
  made = splits.trained_on(_dataset(dev=4, validation=2, test=1, sizes={'dev': 4}), None, 3)
  assert _read(made) == {'train': ['dev0', 'dev1', 'dev2'], 'validation': ['validation0', 'validation1']}
  assert made.sizes == {'train': 3}
  assert list(splits.trained_on(_dataset(validation=2), None, None).readers) == ['train']
  assert splits.trained_on(_dataset(test=2), None, None) is None
  assert [
    splits.training_size(d) for d in (_dataset(train=4), _dataset(dev=4, sizes={'dev': 5}), _dataset(test=1))
  ] == [4, 5, 0]


def test_splits_may_depend_on_the_vocabulary():
  dataset = Dataset(
    'd', 'b', (), _dataset(train=1, validation=1).splits, splits_for=lambda v: {'train': lambda: [{'example_id': v}]}
  )
  assert _read(splits.trained_on(dataset, 'words', None)) == {'train': ['words'], 'validation': ['validation0']}
