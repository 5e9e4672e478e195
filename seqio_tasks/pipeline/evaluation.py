"""What a flat evaluation task holds: examples of a dataset, each under every phrasing of a group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import hashlib
import json

from seqio_tasks.bank.instruction import Instruction
from seqio_tasks.bank.layouts import Item
from seqio_tasks.datasets.sources import DatasetError, Example, item_of
from seqio_tasks.pipeline.examples import check_letters
from seqio_tasks.pipeline.flattening import flatten

Examples = Sequence[Example] | Callable[[], Sequence[Example]]


def content_hash(instructions: Iterable[Instruction], shown: Iterable[Item], examples: Iterable[Example]) -> str:
  """SHA-256 over phrasings, examples that are shown with them, and the examples that they are for."""
  content = {
    # What is as before options could be shuffled has the hash that it had.
    'instructions': [[i.id, repr(i.layout).replace(', shuffle=None', '')] for i in instructions],
    'shown': list(shown),
    'examples': list(examples),
  }
  return hashlib.sha256(json.dumps(content, sort_keys=True).encode('utf-8')).hexdigest()


@dataclasses.dataclass(frozen=True)
class EvaluationTask:
  """A flat evaluation task.

  Attributes:
    name: of the SeqIO task.
    dataset: e.g. "mini_first_word"; tasks of one dataset differ in their phrasings only.
    group: of its phrasings, e.g. "observed".
    instructions: the phrasings.
    examples: shown before each example; empty for zero-shot tasks.
    splits: split -> its examples, or a function that reads them.
  """

  name: str
  dataset: str
  group: str
  instructions: tuple[Instruction, ...]
  examples: tuple[Item, ...] = ()
  splits: Mapping[str, Examples] = dataclasses.field(default_factory=dict, compare=False, repr=False)

  def content_hash(self, split: str) -> str:
    """SHA-256 over the examples of a split and the phrasings: what the task's results depend on.

    Raises:
      DatasetError: if there is no such split.
    """
    self.check_split(split)
    return content_hash(self.instructions, self.examples, self._examples(split))

  def example_ids(self, split: str) -> set[str]:
    """Of the examples of a split."""
    return {str(example['example_id']) for example in self._examples(split)}

  def check_split(self, split: str) -> None:
    """Raises DatasetError if there is no such split."""
    if split not in self.splits:
      raise DatasetError(f'SPLIT: task {self.name} has no split {split!r}; choose among {", ".join(self.splits)}')

  def check_letters(self, split: str) -> None:
    """Raises DatasetError if a phrasing lists options by letter, and an example has more than there are letters."""
    check_letters(f'{self.name}:{split}', self._examples(split), self.instructions)

  def unrankable(self, split: str) -> str | None:
    """What keeps the options of a split's examples from being ranked: an example and its fault; None if nothing does."""
    answers = flatten(self.instructions, self.examples).answers
    for example in self._examples(split):
      item = item_of(example)
      for answer in answers:
        if not answer.space(item):
          return f'example {example["example_id"]} lacks options'
        if not answer.right(item):
          return f'example {example["example_id"]} has no right answer among its options'
    return None

  def _examples(self, split: str) -> Sequence[Example]:
    examples = self.splits.get(split, ())
    return examples() if callable(examples) else examples
