"""SeqIO's tasks and mixtures with what they were made of, so that nothing is kept beside SeqIO's own registries.

Imports seqio, and so is itself imported only where a task is made or looked up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import seqio

from seqio_tasks.datasets.sources import Example
from seqio_tasks.pipeline.evaluation import EvaluationTask, Examples, content_hash
from seqio_tasks.pipeline.phrasings import ExpandPhrasings, RankOptions, StackPhrasings
from seqio_tasks.pipeline.reading import Reader


class ExamplesTask(seqio.Task):
  """A task over examples that are held in memory.

  Attributes:
    content: what it was registered with, to tell whether it is registered anew with the same.
    evaluation: what it holds, if it is a flat evaluation task.
    preprocessor: that puts its examples under phrasings.
  """

  def __init__(
    self,
    *args: Any,
    content: Any,
    evaluation: EvaluationTask | None,
    examples: Mapping[str, Examples],
    preprocessor: StackPhrasings | ExpandPhrasings | RankOptions,
    **kwargs: Any,
  ):
    super().__init__(*args, **kwargs)
    self.content = content
    self.evaluation = evaluation
    self.preprocessor = preprocessor
    self._examples = examples

  def reader(self, split: str, lengths: Mapping[str, int] | None) -> Reader:
    """Its examples of a split under its phrasings, read without TensorFlow.

    Args:
      split: one of its splits.
      lengths: most tokens of 'inputs' and 'targets'; longer ones are cut.
    """
    vocabulary = self.output_features['inputs'].vocabulary
    return Reader(f'{self.name}:{split}', self._read(split), self.preprocessor.flat, vocabulary, lengths)

  def content_hash(self, split: str) -> str:
    """SHA-256 over the examples of a split and the phrasings."""
    flat = self.preprocessor.flat
    return content_hash(flat.instructions, flat.examples, self._read(split))

  def _read(self, split: str) -> Sequence[Example]:
    examples = self._examples[split]
    return examples() if callable(examples) else examples


class ExamplesMixture(seqio.Mixture):
  """A mixture of `ExamplesTask`s.

  Attributes:
    content: what it was registered with, to tell whether it is registered anew with the same.
    evaluation_tasks: names of the flat tasks that it is evaluated by.
  """

  def __init__(self, *args: Any, content: Any, evaluation_tasks: Sequence[str], **kwargs: Any):
    super().__init__(*args, **kwargs)
    self.content = content
    self.evaluation_tasks = tuple(evaluation_tasks)
