"""Examples in memory as a tf.data pipeline's first element, and what tells two sources of examples apart.

TensorFlow is imported by `as_dataset`, not with this module.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
import functools
import hashlib
import itertools
import json
from typing import TYPE_CHECKING, Any

from seqio_tasks.bank.fields import LETTERS
from seqio_tasks.bank.instruction import Instruction
from seqio_tasks.bank.layouts import LayoutError
from seqio_tasks.datasets.sources import DatasetError, Example, item_of
from seqio_tasks.pipeline import flattening, phrasings

if TYPE_CHECKING:
  import tensorflow as tf


def as_dataset(
  where: str, examples: Sequence[Example], flat: flattening.FlatPhrasings, shuffle: bool, seed: int | None, ranked: bool
) -> tf.data.Dataset:
  """What `flat` needs of each example.

  Args:
    where: name of task and split, for messages.
    examples: at least one.
    flat: the phrasings.
    shuffle: whether examples come in random order.
    seed: of that order.
    ranked: whether every example must have options.

  Raises:
    DatasetError: if there is no example, or one lacks what a phrasing needs.
  """
  import numpy as np
  import tensorflow as tf

  check_any(where, examples)
  order: Sequence[int] = range(len(examples))
  if shuffle:
    order = np.random.default_rng(None if seed is None else int(seed)).permutation(len(examples)).tolist()
  columns: dict[str, list[Any]] = collections.defaultdict(list)
  for i in order:
    example = examples[i]
    made = features_of(where, example, flat, ranked)
    columns['example_id'].append(str(example['example_id']))
    for name in phrasings.OF_ANSWERS:
      columns[name].append(made[name])
    for name, text in made['texts'].items():
      columns[phrasings.FIELD_PREFIX + name].append(text)
  return tf.data.Dataset.from_tensor_slices(dict(columns))


def features_of(where: str, example: Example, flat: flattening.FlatPhrasings, ranked: bool = False) -> dict[str, Any]:
  """What `flat` needs of an example; see `as_dataset`."""
  try:
    made = flat.features(item_of(example))
  except LayoutError as e:
    raise DatasetError(f'{where}: example {example["example_id"]!r}: {e}') from e
  if ranked and '' in made['option_list']:
    raise DatasetError(
      f'{where}: example {example["example_id"]!r} has no options to rank; evaluate the task without __rank'
    )
  if ranked and '[]' in made['right_options']:
    raise DatasetError(
      f'{where}: none of the options of example {example["example_id"]!r} is right; mend it, or evaluate the task '
      'without __rank'
    )
  return made


def check_any(where: str, examples: Sequence[Example]) -> None:
  """Raises DatasetError if there is no example."""
  if not examples:
    raise DatasetError(f'{where} has no example; ask for at least one')


def check_letters(where: str, examples: Sequence[Example], instructions: Sequence[Instruction]) -> None:
  """Raises DatasetError if an instruction lists options by letter, and an example has more than there are letters."""
  by_letter = [i.id for i in instructions if flattening.lists_letters(i.layout)]
  many = [e for e in examples if len(e['options']) > LETTERS] if by_letter else []
  if many:
    raise DatasetError(
      f'{where}: {len(many)} of {len(examples)} examples have more than {LETTERS} options, the first is {many[0]["example_id"]!r} with '
      f'{len(many[0]["options"])}, and {len(by_letter)} phrasings list options by letter, the first is {by_letter[0]}; leave these '
      'examples out, or take phrasings (BANKS, COLLECTIONS) that list options by number or without labels'
    )


def identity(examples: Any) -> Any:
  """Something to compare examples by: a hash of a list, the parts of a partial, or a function."""
  if isinstance(examples, functools.partial):
    arguments = (*examples.args, *itertools.chain(*sorted(examples.keywords.items())))
    return examples.func, tuple(map(_identity_of_argument, arguments))
  if callable(examples):
    return examples
  text = json.dumps(list(examples), sort_keys=True)
  return hashlib.sha256(text.encode('utf-8')).hexdigest()


def _identity_of_argument(value: Any) -> Any:
  """As `identity`, for partials among a partial's arguments."""
  if isinstance(value, functools.partial):
    return identity(value)
  if isinstance(value, tuple) and {*map(type, value)} == {str}:  # all the words of a vocabulary, for every task
    return value
  return tuple(map(_identity_of_argument, value)) if isinstance(value, tuple | list) else value
