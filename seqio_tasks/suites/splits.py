"""Which splits of a dataset are evaluated, trained on and shown from, and how much of each is used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import functools
import itertools
from typing import TYPE_CHECKING

from seqio_tasks.datasets.sources import Dataset, Example, Reader
from seqio_tasks.pipeline.registration import RegistrationError

if TYPE_CHECKING:
  import seqio

_TRAINING = ('train', 'dev', 'validation')
_EVALUATION = ('test', 'validation')
_EXEMPLARS = ('dev', 'train', 'validation')


@dataclasses.dataclass(frozen=True)
class Splits:
  """Examples of some splits.

  Attributes:
    readers: split -> function that reads its examples.
    sizes: split -> how many they are, where that is known without reading them.
    shots: examples to show before each of them.
  """

  readers: Mapping[str, Reader]
  sizes: Mapping[str, int]
  shots: Sequence[Example] = ()


def evaluated(dataset: Dataset, num_examples: int | None, num_shots: int) -> Splits:
  """The splits test and validation, or what else there is.

  Args:
    dataset: whose splits they are.
    num_examples: of each split, the first ones; by default all.
    num_shots: examples to show, from the split dev, train or validation; where there is none, the first ones of the
      split itself, which are then not evaluated.

  Raises:
    RegistrationError: if there are fewer examples than are asked for, as far as that is known.
  """
  names = [s for s in _EVALUATION if s in dataset.splits] or list(dataset.splits)
  shots: Sequence[Example] = ()
  source = None
  if num_shots:
    source = _first(_EXEMPLARS, dataset.splits) or names[0]
    shots = dataset.splits[source]()[:num_shots]
    if len(shots) < num_shots:
      raise RegistrationError(f'{dataset.name} has {len(shots)} examples to show, not {num_shots}; ask for fewer')
  skipped = {s: num_shots if s == source else 0 for s in names}
  for split, size in dataset.sizes.items():
    most = size - skipped.get(split, 0)
    if split in names and num_examples is not None and not 1 <= num_examples <= most:
      raise RegistrationError(
        f'num_examples is {num_examples}, but {dataset.name} has {most} examples in its split {split}; choose 1 to {most}'
      )
  return Splits(
    {s: _cut(dataset.splits[s], num_examples, skipped[s]) for s in names},
    {s: _cut_size(dataset.sizes[s], num_examples, skipped[s]) for s in names if s in dataset.sizes},
    shots,
  )


def trained_on(dataset: Dataset, vocabulary: seqio.Vocabulary, num_examples: int | None) -> Splits | None:
  """The splits "train" and, where there is such, "validation"; None if there is nothing to train on.

  Args:
    dataset: whose splits they are; its split dev or validation stands in for one that it lacks.
    vocabulary: of the model.
    num_examples: of each split, the first ones; by default all.
  """
  split = _first(_TRAINING, dataset.splits)
  if split is None:
    return None
  sources = {'train': split}
  if 'validation' in dataset.splits and split != 'validation':
    sources['validation'] = 'validation'
  readers = {**dataset.splits, **(dataset.splits_for(vocabulary) if dataset.splits_for is not None else {})}
  return Splits(
    {name: _cut(readers[s], num_examples, 0) for name, s in sources.items()},
    {name: _cut_size(dataset.sizes[s], num_examples, 0) for name, s in sources.items() if s in dataset.sizes},
  )


def training_size(dataset: Dataset) -> int:
  """How many examples there are to train on; reads them where that is not known otherwise."""
  split = _first(_TRAINING, dataset.splits)
  if split is None:
    return 0
  return dataset.sizes[split] if split in dataset.sizes else len(dataset.splits[split]())


def _cut(read: Reader, most: int | None, skipped: int) -> Reader:
  return read if most is None and not skipped else functools.partial(_slice, read, most, skipped)


def _cut_size(size: int, most: int | None, skipped: int) -> int:
  return max(size - skipped, 0) if most is None else min(max(size - skipped, 0), most)


def _slice(read: Reader, most: int | None, skipped: int) -> Sequence[Example]:
  return tuple(itertools.islice(read(), skipped, None if most is None else skipped + most))


def _first(names: Sequence[str], among: Iterable[str]) -> str | None:
  return next((n for n in names if n in among), None)
