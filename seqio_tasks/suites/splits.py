"""Which splits of a dataset are evaluated, trained on and shown from, and how much of each is used."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import functools
import itertools
from typing import TYPE_CHECKING

from seqio_tasks.datasets.sources import Dataset, Example, Reader, Reason, counting_doubles, keep_reading, question
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
  """The splits test and validation, or what else there is beside train, or that; and train, to be asked for its answers.

  Args:
    dataset: whose splits they are.
    num_examples: of each split, the first ones; by default all.
    num_shots: examples to show, the first ones of the split dev, train or validation; where there is none, of the split
      itself, which are then not evaluated. An example that is asked in an evaluated split too is not shown.

  Raises:
    RegistrationError: if there are fewer examples than are asked for, as far as that is known.
  """
  names = [s for s in _EVALUATION if s in dataset.splits] or [s for s in dataset.splits if s != 'train'] or ['train']
  shown, shots = _shown(dataset, names, num_shots) if num_shots else ({}, ())
  for split, size in dataset.sizes.items():
    most = size - len(shown.get(split, ()))
    if split in names and num_examples is not None and not 1 <= num_examples <= most:
      raise RegistrationError(
        f'num_examples is {num_examples}, but {dataset.name} has {most} examples in its split {split}; choose 1 to {most}'
      )
  # What a model answers to the examples of training can be what it is trained on (`results.votes`).
  if 'train' in dataset.splits and 'train' not in names:
    names.append('train')
  readers = {s: functools.partial(counting_doubles, dataset.splits[s], f'{dataset.name}, split {s}') for s in names}
  return Splits(
    {s: _cut(readers[s], num_examples, shown.get(s, ())) for s in names},
    {s: _cut_size(dataset.sizes[s], num_examples, len(shown.get(s, ()))) for s in names if s in dataset.sizes},
    shots,
  )


def _shown(
  dataset: Dataset, names: Sequence[str], num_shots: int
) -> tuple[Mapping[str, tuple[int, ...]], Sequence[Example]]:
  """(split -> the places of the examples to show, the examples); what is asked itself is passed over, and counted."""
  split = _first(_EXEMPLARS, dataset.splits) or names[0]
  asked = collections.Counter(question(e) for s in names for e in dataset.splits[s]())
  itself = int(split in names)  # what is shown is not asked
  examples = dataset.splits[split]()
  places: list[int] = []
  passed: list[int] = []
  for place, example in enumerate(examples):
    if len(places) == num_shots:
      break
    (passed if asked[question(example)] > itself else places).append(place)
  where = f'{dataset.name}, split {split}'
  if len(places) < num_shots:
    raise RegistrationError(
      f'{dataset.name} has {len(places)} examples to show, not {num_shots}'
      f'{f", since {len(passed)} of its split {split} are asked themselves" if passed else ""}; ask for fewer'
    )
  if passed:
    told = f'{where}: example {examples[passed[0]]["example_id"]!r} is asked itself'
    reason: Reason = {'rows': len(passed), 'first': told}
    keep_reading(
      f'{where}, to show', {'used': num_shots, 'left_out': {'an example to show that is asked itself': reason}}
    )
  return {split: tuple(places)}, tuple(examples[place] for place in places)


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
    {name: _cut(readers[s], num_examples) for name, s in sources.items()},
    {name: _cut_size(dataset.sizes[s], num_examples) for name, s in sources.items() if s in dataset.sizes},
  )


def has_training(dataset: Dataset) -> bool:
  """Whether there are examples to train on."""
  return _first(_TRAINING, dataset.splits) is not None


def training_size(dataset: Dataset) -> int:
  """How many examples there are to train on; reads them where that is not known otherwise."""
  split = _first(_TRAINING, dataset.splits)
  if split is None:
    return 0
  return dataset.sizes[split] if split in dataset.sizes else len(dataset.splits[split]())


def _cut(read: Reader, most: int | None, without: tuple[int, ...] = ()) -> Reader:
  return read if most is None and not without else functools.partial(_slice, read, most, without)


def _cut_size(size: int, most: int | None, fewer: int = 0) -> int:
  return max(size - fewer, 0) if most is None else min(max(size - fewer, 0), most)


def _slice(read: Reader, most: int | None, without: tuple[int, ...]) -> Sequence[Example]:
  kept = (example for place, example in enumerate(read()) if place not in without)
  return tuple(itertools.islice(kept, most))


def _first(names: Sequence[str], among: Iterable[str]) -> str | None:
  return next((n for n in names if n in among), None)
