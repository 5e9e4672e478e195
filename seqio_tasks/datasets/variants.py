"""Data made from others: without their content, and with a model's own answers for right ones."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import functools

from seqio_tasks.datasets.sources import Dataset, DatasetError, Example, Reader

# Example id -> place of an option.
Choices = Mapping[str, int]


def content_free(read: Reader, text: str) -> Reader:
  """A reader of examples whose fields all say the same, such as "N/A", with their own options and right answers.

  What a model answers to them is what phrasing and options bring about by themselves, and the examples that are shown before: its
  accuracy is the one that takes no question, and its scores calibrate others (Zhao et al. 2021, arXiv 2102.09690).
  """
  return functools.partial(_blank, read, text)


def answered(dataset: Dataset, choices: Choices, split: str) -> Dataset:
  """A dataset in one of whose splits the given options are right, instead of those that are; examples without one are left out.

  Args:
    dataset: with options.
    choices: of a model, for the examples of that split.
    split: to train on.

  Raises:
    DatasetError: if there is no such split.
  """
  if split not in dataset.splits:
    raise DatasetError(f'{dataset.name} has no split {split!r} to give answers to; it has {", ".join(dataset.splits)}')
  read: Reader = functools.partial(_answered, dataset.splits[split], tuple(sorted(choices.items())))
  splits = {**dataset.splits, split: read}
  return dataclasses.replace(dataset, splits=splits, sizes={s: n for s, n in dataset.sizes.items() if s != split})


def _blank(read: Reader, text: str) -> tuple[Example, ...]:
  return tuple({**e, 'fields': dict.fromkeys(e['fields'], text)} for e in read())


@functools.lru_cache(maxsize=256)
def _answered(read: Reader, choices: tuple[tuple[str, int], ...]) -> tuple[Example, ...]:
  chosen = dict(choices)
  made = []
  for example in read():
    index = chosen.get(str(example['example_id']))
    if index is None:
      continue
    if index >= len(example['options']):
      raise DatasetError(
        f'example {example["example_id"]!r} has {len(example["options"])} options, and option {index + 1} was chosen; evaluate '
        'the data as they are now'
      )
    # What else was right is not what the model said.
    kept = {k: v for k, v in example.items() if k != 'alternatives'}
    made.append({**kept, 'gold': example['options'][index], 'gold_index': index})
  return tuple(made)
