"""Registers the tasks that a dataset is evaluated by: flat ones, and the same with a row for each option."""

from __future__ import annotations

import collections
from collections.abc import Iterable
import dataclasses
import functools
from typing import TYPE_CHECKING

from seqio_tasks.bank.instruction import Instruction
from seqio_tasks.datasets import variants
from seqio_tasks.datasets.sources import Dataset, item_of
from seqio_tasks.pipeline import phrasings, registration, seqio_metrics
from seqio_tasks.suites.groups import Group, Served
from seqio_tasks.suites.splits import evaluated

if TYPE_CHECKING:
  import seqio


@dataclasses.dataclass
class Made:
  """Names of tasks.

  Attributes:
    groups: (group, name) of the tasks of all phrasings of a group.
    collections: (what the name ends in, name) of the tasks of all phrasings of a collection.
    ranked: (what the name ends in, name) of these two for rank classification.
    single: of the tasks of one phrasing.
  """

  groups: list[tuple[Group, str]] = dataclasses.field(default_factory=list)
  collections: list[tuple[str, str]] = dataclasses.field(default_factory=list)
  ranked: list[tuple[str, str]] = dataclasses.field(default_factory=list)
  single: list[str] = dataclasses.field(default_factory=list)


def register(
  dataset: Dataset,
  served: Served,
  vocabulary: seqio.Vocabulary,
  num_examples: int | None,
  num_shots: int,
  single_tasks: bool,
  content_free: str | None = None,
) -> Made:
  """Registers them.

  Args:
    dataset: to evaluate on.
    served: its phrasings.
    vocabulary: of inputs and targets.
    num_examples: of each split, the first ones; by default all.
    num_shots: examples shown before each evaluated one.
    single_tasks: whether tasks of one phrasing are registered.
    content_free: a text in place of what is evaluated, not of what is shown; see `variants.content_free`.

  Raises:
    RegistrationError: if there are too few examples.
  """
  name = f'{dataset.name}_{num_shots}shot' if num_shots else dataset.name
  splits = evaluated(dataset, num_examples, num_shots)
  readers = splits.readers
  if content_free is not None:
    readers = {split: variants.content_free(read, content_free) for split, read in readers.items()}
  flat = functools.partial(
    registration.register_evaluation_task,
    dataset=name,
    examples_by_split=readers,
    vocabulary=vocabulary,
    num_input_examples=splits.sizes,
    metric_fns=(seqio_metrics.METRICS[dataset.metric, dataset.parts],),
    examples=tuple(item_of(e) for e in splits.shots),
  )

  def rank(task: str, instructions: Iterable[Instruction], group: str) -> str:
    preprocessor = phrasings.rank_options(instructions, flat.keywords['examples'], group)
    metrics = (seqio_metrics.rank_accuracy,)
    return registration.register_examples_task(
      f'{task}__rank', readers, vocabulary, preprocessor, splits.sizes, metrics
    )

  made = Made()
  shares = collections.Counter((i.collection, i.key) for i in served.members)
  taken = {group.suffix for group in served.groups}
  for group in served.groups:
    instructions = [i for i in group.instructions if num_shots or i.layout.template is not None]
    if not instructions:
      continue
    task = flat(f'{name}_eval{group.suffix}', group=group.counted, instructions=instructions)
    made.groups.append((group, task))
    if dataset.own is None:
      made.ranked.append((f'{group.suffix}__rank', rank(task, instructions, group.counted)))
      for collection in dict.fromkeys(i.collection for i in instructions):
        members = [i for i in instructions if i.collection == collection]
        # A collection may have phrasings of several groups.
        suffix = f'_{collection}' if f'_{collection}' not in taken else f'_{collection}_{group.name}'
        taken.add(suffix)
        task = flat(f'{name}_eval{suffix}', group=group.counted, instructions=members)
        made.collections.append((suffix, task))
        made.ranked.append((f'{suffix}__rank', rank(task, members, group.counted)))
    for instruction in instructions if single_tasks else ():
      key = instruction.key
      if dataset.own is None:
        shared = shares[instruction.collection, instruction.key] > 1
        key = f'{instruction.collection}_{instruction.task}_{key}' if shared else f'{instruction.collection}_{key}'
      made.single.append(flat(f'{name}__{key}', group=group.counted, instructions=[instruction]))
      if dataset.own is None:
        made.single.append(rank(f'{name}__{key}', [instruction], group.counted))
  return made
