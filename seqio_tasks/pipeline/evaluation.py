"""What a flat evaluation task holds: examples of a dataset, each under every phrasing of a group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import hashlib
import json

from seqio_tasks.bank.instruction import Instruction
from seqio_tasks.bank.layouts import Item
from seqio_tasks.datasets.sources import DatasetError, Example

Examples = Sequence[Example] | Callable[[], Sequence[Example]]


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
    if split not in self.splits:
      raise DatasetError(f'task {self.name} has no split {split!r}; choose among {", ".join(self.splits)}')
    content = {
      'instructions': [[i.id, repr(i.layout)] for i in self.instructions],
      'shown': list(self.examples),
      'examples': list(self._examples(split)),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode('utf-8')).hexdigest()

  def example_without_options(self, split: str) -> str | None:
    """The id of an example for which no answers are listed that could be ranked; None if there is none."""
    if all(i.layout.default_answer.label_space is not None for i in self.instructions):
      return None
    return next((str(e['example_id']) for e in self._examples(split) if not e['options']), None)

  def _examples(self, split: str) -> Sequence[Example]:
    examples = self.splits.get(split, ())
    return examples() if callable(examples) else examples
