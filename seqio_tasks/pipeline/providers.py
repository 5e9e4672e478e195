"""SeqIO's tasks and mixtures of what `tasks` holds, each with what it was made of.

Imports seqio and TensorFlow, and so is itself imported only where SeqIO's registries are written or read.
"""

from __future__ import annotations

from typing import Any

import seqio
import tensorflow as tf

from seqio_tasks.pipeline import cutting, phrasings, seqio_metrics
from seqio_tasks.pipeline.examples import as_dataset
from seqio_tasks.pipeline.tasks import ExamplesMixture, ExamplesTask

# Seqio shuffles after preprocessing, in a buffer that is saved with the iterator. The source
# already permutes all examples, so the buffer need not be large.
_SHUFFLE_BUFFER_SIZE = 256


class SeqioTask(seqio.Task):
  """SeqIO's task of an `ExamplesTask`.

  Attributes:
    made_of: that task.
  """

  def __init__(self, *args: Any, made_of: ExamplesTask, **kwargs: Any):
    super().__init__(*args, **kwargs)
    self.made_of = made_of


class SeqioMixture(seqio.Mixture):
  """SeqIO's mixture of an `ExamplesMixture`.

  Attributes:
    made_of: that mixture.
  """

  def __init__(self, *args: Any, made_of: ExamplesMixture, **kwargs: Any):
    super().__init__(*args, **kwargs)
    self.made_of = made_of


def add(made: ExamplesTask | ExamplesMixture) -> None:
  """Puts a task or mixture into SeqIO's registry; those of a mixture must stand there."""
  if isinstance(made, ExamplesMixture):
    rates = list(zip(made.tasks, made.rates, strict=True))
    seqio.MixtureRegistry.add(made.name, rates, mixture_cls=SeqioMixture, made_of=made)
  else:
    _add_task(made)


def _add_task(task: ExamplesTask) -> None:
  preprocessor = task.preprocessor
  if not isinstance(task.vocabulary, seqio.Vocabulary):
    seqio.Vocabulary.register(type(task.vocabulary))  # has its methods, and was made without it

  # The third argument is asked for by SeqIO.
  def dataset_fn(split: str, shuffle_files: bool, seed: int | None = None) -> tf.data.Dataset:
    return as_dataset(f'{task.name}:{split}', task.read(split), preprocessor.flat, shuffle_files, seed, ranked)

  stacked = isinstance(preprocessor, phrasings.StackPhrasings)
  ranked = isinstance(preprocessor, phrasings.RankOptions)
  output_features = {
    'inputs': seqio.Feature(task.vocabulary, rank=2 if stacked else 1),
    'targets': seqio.Feature(task.vocabulary),
  }
  if stacked:  # mixtures drop what is not declared
    counts_vocabulary = seqio.PassThroughVocabulary(size=0)
    output_features['truncated_tokens'] = seqio.Feature(counts_vocabulary, add_eos=False, dtype=tf.int32)
  # Phrasings are drawn anew in every epoch, so a cache holds what comes before; otherwise it holds uncut tokens.
  placeholder = seqio.CacheDatasetPlaceholder()
  seqio.TaskRegistry.add(
    task.name,
    source=seqio.FunctionDataSource(dataset_fn, splits=task.splits, num_input_examples=dict(task.counts) or None),
    preprocessors=[placeholder, preprocessor] if stacked else [preprocessor, placeholder, cutting.CutToLength(ranked)],
    output_features=output_features,
    postprocess_fn=seqio_metrics.option_score_target if ranked else seqio_metrics.gold_or_prediction,
    metric_fns=list(task.metric_fns),
    shuffle_buffer_size=_SHUFFLE_BUFFER_SIZE,
    task_cls=SeqioTask,
    made_of=task,
  )
