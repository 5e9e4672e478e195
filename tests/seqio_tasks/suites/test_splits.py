"""Tests of which examples are evaluated, trained on and shown."""

import pytest

from seqio_tasks.datasets import Dataset
from seqio_tasks.pipeline.registration import RegistrationError
from seqio_tasks.suites import splits


def _dataset(sizes=None, **counts):
  return Dataset(
    'd', 'b', (), {s: lambda s=s, n=n: [f'{s}{i}' for i in range(n)] for s, n in counts.items()}, sizes=sizes or {}
  )  # fmt: skip


def _read(made):
  return {split: list(read()) for split, read in made.readers.items()}


def test_what_is_evaluated():
  made = splits.evaluated(_dataset(train=9, test=3, validation=2), 2, 0)
  assert _read(made) == {'test': ['test0', 'test1'], 'validation': ['validation0', 'validation1']}
  assert made.sizes == {} and made.shots == ()
  assert _read(splits.evaluated(_dataset(other=1), None, 0)) == {'other': ['other0']}


def test_what_is_shown_is_not_evaluated():
  made = splits.evaluated(_dataset(train=9, test=3), None, 2)
  assert made.shots == ['train0', 'train1'] and len(_read(made)['test']) == 3
  made = splits.evaluated(_dataset(test=3, sizes={'test': 3}), None, 2)
  assert made.shots == ['test0', 'test1'] and _read(made) == {'test': ['test2']} and made.sizes == {'test': 1}
  with pytest.raises(RegistrationError, match='d has 3 examples to show, not 4; ask for fewer'):
    splits.evaluated(_dataset(test=3), None, 4)


@pytest.mark.parametrize('count', [0, 4])
def test_sizes_that_are_known_are_kept_to(count):
  dataset = _dataset(test=3, train=9, sizes={'test': 3, 'train': 9})
  assert splits.evaluated(dataset, 3, 0).sizes == {'test': 3}
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
  dataset = Dataset('d', 'b', (), _dataset(train=1, validation=1).splits, splits_for=lambda v: {'train': lambda: [v]})
  assert _read(splits.trained_on(dataset, 'words', None)) == {'train': ['words'], 'validation': ['validation0']}
