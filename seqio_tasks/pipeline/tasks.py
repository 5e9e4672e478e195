"""Tasks and mixtures as they are made, without SeqIO: what they hold, and what reads it.

`providers` makes SeqIO's tasks and mixtures of them, which keep them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

from seqio_tasks.datasets.sources import Example
from seqio_tasks.pipeline.evaluation import EvaluationTask, Examples, content_hash
from seqio_tasks.pipeline.examples import identity
from seqio_tasks.pipeline.phrasings import ExpandPhrasings, RankOptions, StackPhrasings
from seqio_tasks.pipeline.reading import Reader


@dataclasses.dataclass(frozen=True)
class ExamplesTask:
  """A task over examples that are held in memory.

  Attributes:
    name: of the task.
    examples: of each split, or a function that reads them.
    vocabulary: of inputs and targets.
    preprocessor: that puts its examples under phrasings.
    counts: of examples, by split, where they are known.
    metric_fns: functions of (targets, predictions), both lists of decoded strings.
    evaluation: what it holds, if it is a flat evaluation task.
  """

  name: str
  examples: Mapping[str, Examples]
  vocabulary: Any
  preprocessor: StackPhrasings | ExpandPhrasings | RankOptions
  counts: Mapping[str, int]
  metric_fns: tuple[Callable[..., Mapping[str, float]], ...] = ()
  evaluation: EvaluationTask | None = None

  @property
  def splits(self) -> tuple[str, ...]:
    """Their names."""
    return tuple(self.examples)

  @property
  def content(self) -> Any:
    """Equal if two tasks are the same but for their names."""
    return (
      tuple((split, identity(examples)) for split, examples in self.examples.items()),
      self.vocabulary,
      self.preprocessor,
      tuple(sorted(self.counts.items())),
      self.metric_fns,
      self.evaluation,
    )

  def reader(self, split: str, lengths: Mapping[str, int] | None) -> Reader:
    """Its examples of a split under its phrasings, read without TensorFlow.

    Args:
      split: one of its splits.
      lengths: most tokens of 'inputs' and 'targets'; longer ones are cut.
    """
    return Reader(f'{self.name}:{split}', self.read(split), self.preprocessor.flat, self.vocabulary, lengths)

  def content_hash(self, split: str) -> str:
    """SHA-256 over the examples of a split and the phrasings."""
    flat = self.preprocessor.flat
    return content_hash(flat.instructions, flat.examples, self.read(split))

  def read(self, split: str) -> Sequence[Example]:
    """The examples of a split."""
    examples = self.examples[split]
    return examples() if callable(examples) else examples


@dataclasses.dataclass(frozen=True)
class ExamplesMixture:
  """A mixture of `ExamplesTask`s.

  Attributes:
    name: of the mixture.
    tasks: their names.
    rates: how much each counts.
    evaluation_tasks: names of the flat tasks that it is evaluated by.
  """

  name: str
  tasks: tuple[str, ...]
  rates: tuple[float, ...]
  evaluation_tasks: tuple[str, ...]

  @property
  def content(self) -> Any:
    """Equal if two mixtures are the same but for their names."""
    return self.tasks, self.evaluation_tasks, self.rates
