"""SeqIO's tasks and mixtures with what they were made of, so that nothing is kept beside SeqIO's own registries.

Imports seqio, and so is itself imported only where a task is made or looked up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import seqio

from seqio_tasks.pipeline.evaluation import EvaluationTask, Examples, content_hash
from seqio_tasks.pipeline.flattening import FlatPhrasings


class ExamplesTask(seqio.Task):
  """A task over examples that are held in memory.

  Attributes:
    content: what it was registered with, to tell whether it is registered anew with the same.
    evaluation: what it holds, if it is a flat evaluation task.
  """

  def __init__(
    self,
    *args: Any,
    content: Any,
    evaluation: EvaluationTask | None,
    examples: Mapping[str, Examples],
    phrasings: FlatPhrasings,
    **kwargs: Any,
  ):
    super().__init__(*args, **kwargs)
    self.content = content
    self.evaluation = evaluation
    self._examples, self._phrasings = examples, phrasings

  def content_hash(self, split: str) -> str:
    """SHA-256 over the examples of a split and the phrasings."""
    examples = self._examples[split]
    return content_hash(
      self._phrasings.instructions, self._phrasings.examples, examples() if callable(examples) else examples
    )


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
