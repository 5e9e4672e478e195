"""Registers SeqIO tasks and mixtures, by explicit calls that may be repeated, and finds them again.

Nothing is registered on import. Registering a name again with the same content does nothing; with
other content it is an error, since two parts of a program would then mean different things by it.
What is known of a task stands on the task itself: what is taken out of SeqIO's registries is gone.
TensorFlow and seqio are imported by the functions, not with this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
import hashlib
import logging
from typing import TYPE_CHECKING, Any

from seqio_tasks.bank.instruction import Instruction
from seqio_tasks.bank.layouts import Item
from seqio_tasks.errors import UserError
from seqio_tasks.pipeline import cutting, phrasings, seqio_metrics
from seqio_tasks.pipeline.evaluation import EvaluationTask, Examples
from seqio_tasks.pipeline.examples import as_dataset, identity

if TYPE_CHECKING:
  import seqio
  import tensorflow as tf


# Seqio shuffles after preprocessing, in a buffer that is saved with the iterator. The source
# already permutes all examples, so the buffer need not be large.
_SHUFFLE_BUFFER_SIZE = 256


class RegistrationError(UserError):
  """A task or mixture cannot be registered, or is not; the message names it and the cure."""


def register_examples_task(
  name: str,
  examples_by_split: Mapping[str, Examples],
  vocabulary: seqio.Vocabulary,
  preprocessor: phrasings.StackPhrasings | phrasings.ExpandPhrasings | phrasings.RankOptions,
  num_input_examples: Mapping[str, int] | None = None,
  metric_fns: Sequence[Callable[..., Mapping[str, float]]] = (),
  evaluation: EvaluationTask | None = None,
) -> str:
  """Registers a task over examples that are held in memory.

  Args:
    name: of the task.
    examples_by_split: for each split a list of examples, or a function without arguments that
      returns one and is called when the split is read; see `datasets`.
    vocabulary: of inputs and targets.
    preprocessor: made by `phrasings.stack_phrasings` (inputs of rank 2), `expand_phrasings` or `rank_options`.
    num_input_examples: number of examples of each split; needed for splits given by a function,
      so that SeqIO knows it, otherwise counted.
    metric_fns: functions of (targets, predictions), both lists of decoded strings.
    evaluation: what a flat evaluation task holds, for `evaluation_task`.

  Returns:
    the name.

  Raises:
    RegistrationError: if the name is taken by other content.
  """
  import seqio
  import tensorflow as tf

  from seqio_tasks.pipeline import providers

  counts = {split: len(examples) for split, examples in examples_by_split.items() if not callable(examples)} | dict(
    num_input_examples or {}
  )
  content = (
    tuple((split, identity(examples)) for split, examples in examples_by_split.items()),
    vocabulary,
    preprocessor,
    tuple(sorted(counts.items())),
    tuple(metric_fns),
    evaluation,
  )
  if _is_registered(name, content, seqio.TaskRegistry):
    return name
  examples_by_split = dict(examples_by_split)

  # The third argument is asked for by SeqIO.
  def dataset_fn(split: str, shuffle_files: bool, seed: int | None = None) -> tf.data.Dataset:
    examples = examples_by_split[split]
    examples = examples() if callable(examples) else examples
    return as_dataset(f'{name}:{split}', examples, preprocessor.flat, shuffle_files, seed, ranked)

  stacked = isinstance(preprocessor, phrasings.StackPhrasings)
  ranked = isinstance(preprocessor, phrasings.RankOptions)
  output_features = {
    'inputs': seqio.Feature(vocabulary, rank=2 if stacked else 1),
    'targets': seqio.Feature(vocabulary),
  }
  if stacked:  # mixtures drop what is not declared
    counts_vocabulary = seqio.PassThroughVocabulary(size=0)
    output_features['truncated_tokens'] = seqio.Feature(counts_vocabulary, add_eos=False, dtype=tf.int32)
  # Phrasings are drawn anew in every epoch, so a cache holds what comes before; otherwise it holds uncut tokens.
  placeholder = seqio.CacheDatasetPlaceholder()
  seqio.TaskRegistry.add(
    name,
    source=seqio.FunctionDataSource(dataset_fn, splits=tuple(examples_by_split), num_input_examples=counts or None),
    preprocessors=[placeholder, preprocessor] if stacked else [preprocessor, placeholder, cutting.CutToLength(ranked)],
    output_features=output_features,
    postprocess_fn=seqio_metrics.option_score_target if ranked else seqio_metrics.gold_or_prediction,
    metric_fns=list(metric_fns),
    shuffle_buffer_size=_SHUFFLE_BUFFER_SIZE,
    task_cls=providers.ExamplesTask,
    content=content,
    evaluation=evaluation,
    examples=examples_by_split,
    preprocessor=preprocessor,
  )
  return name


def register_evaluation_task(
  name: str,
  dataset: str,
  group: str,
  instructions: Iterable[Instruction],
  examples_by_split: Mapping[str, Examples],
  vocabulary: seqio.Vocabulary,
  num_input_examples: Mapping[str, int] | None = None,
  metric_fns: Sequence[Callable[..., Mapping[str, float]]] = (seqio_metrics.exact_match,),
  examples: Sequence[Item] = (),
) -> str:
  """Registers a flat evaluation task: every example under every instruction.

  Args:
    name: of the task.
    dataset: name that its results go by.
    group: of the instructions, e.g. "observed".
    instructions: of one task of the bank.
    examples_by_split: see `register_examples_task`.
    vocabulary: of inputs and targets.
    num_input_examples: see `register_examples_task`.
    metric_fns: see `register_examples_task`.
    examples: shown before each example, in the few-shot form.

  Returns:
    the name.

  Raises:
    RegistrationError: if the name is taken by other content.
  """
  instructions = tuple(instructions)
  evaluation = EvaluationTask(name, dataset, group, instructions, tuple(examples), dict(examples_by_split))
  preprocessor = phrasings.expand_phrasings(instructions, examples)
  return register_examples_task(
    name, examples_by_split, vocabulary, preprocessor, num_input_examples, metric_fns, evaluation
  )


def register_mixture(
  name: str,
  tasks: Sequence[str],
  evaluation_tasks: Sequence[str] | None = None,
  rates: Mapping[str, float] | None = None,
) -> str:
  """Registers a mixture of tasks.

  Args:
    name: of the mixture.
    tasks: names of registered tasks.
    evaluation_tasks: names of the flat tasks that the mixture is evaluated by; its own tasks by
      default.
    rates: how much each task counts; by default all alike.

  Returns:
    the name.

  Raises:
    RegistrationError: if the name is taken by other content, or there is no task.
  """
  import seqio

  from seqio_tasks.pipeline import providers

  if not tasks:
    raise RegistrationError(f'mixture {name!r} has no task; name at least one')
  tasks = tuple(tasks)
  evaluation = tasks if evaluation_tasks is None else tuple(evaluation_tasks)
  weights = tuple((rates or {}).get(task, 1.0) for task in tasks)
  content = (tasks, evaluation, weights)
  if not _is_registered(name, content, seqio.MixtureRegistry):
    seqio.MixtureRegistry.add(
      name,
      list(zip(tasks, weights, strict=True)),
      mixture_cls=providers.ExamplesMixture,
      content=content,
      evaluation_tasks=evaluation,
    )
  return name


def evaluation_tasks(name: str) -> list[str]:
  """The flat tasks that a registered mixture, or a flat task by itself, is evaluated by.

  For a mixture to train on these are the tasks of all groups.

  Raises:
    RegistrationError: if the name is unknown.
  """
  import seqio

  from seqio_tasks.pipeline import providers

  if name in seqio.MixtureRegistry.names():
    mixture = seqio.MixtureRegistry.get(name)
    if isinstance(mixture, providers.ExamplesMixture):
      return list(mixture.evaluation_tasks)
  if _evaluation(name) is not None:
    return [name]
  raise RegistrationError(
    f'no mixture or evaluation task {name!r} is registered; register it first, the '
    f'mixtures are {sorted(seqio.MixtureRegistry.names())}'
  )


def content_hashes(name: str, split: str) -> dict[str, str]:
  """What a registered task, or each task of a mixture, reads of a split.

  Returns:
    name of the task -> SHA-256 over its examples and phrasings, or over its file of lines; other tasks are left out.
  """
  import seqio

  from seqio_tasks.pipeline import providers

  found = {}
  for task in seqio.get_subtasks(seqio.get_mixture_or_task(name)):
    if isinstance(task, providers.ExamplesTask):
      found[task.name] = task.content_hash(split)
    elif isinstance(task.source, seqio.TextLineDataSource):
      digest = hashlib.sha256()
      for path in task.source.list_shards(split):
        with open(path, 'rb') as f:
          digest.update(hashlib.file_digest(f, 'sha256').digest())
      found[task.name] = digest.hexdigest()
  return found


def evaluation_task(name: str) -> EvaluationTask:
  """Dataset, group, phrasings and examples of a flat task; RegistrationError if the name is unknown."""
  evaluation = _evaluation(name)
  if evaluation is None:
    raise RegistrationError(f'no evaluation task {name!r} is registered; register it first')
  return evaluation


def _evaluation(name: str) -> EvaluationTask | None:
  import seqio

  from seqio_tasks.pipeline import providers

  task = seqio.TaskRegistry.get(name) if name in seqio.TaskRegistry.names() else None
  return task.evaluation if isinstance(task, providers.ExamplesTask) else None


def _is_registered(name: str, content: Any, registry: type[seqio.TaskRegistry] | type[seqio.MixtureRegistry]) -> bool:
  """Whether the name stands in the registry with this content; an error if with other content."""
  import seqio

  from seqio_tasks.pipeline import providers

  if name not in seqio.TaskRegistry.names() and name not in seqio.MixtureRegistry.names():
    return False
  provider = registry.get(name) if name in registry.names() else None
  if isinstance(provider, providers.ExamplesTask | providers.ExamplesMixture) and provider.content == content:
    logging.debug('%s is already registered', name)
    return True
  raise RegistrationError(
    f'{name!r} is already registered with other content; register it under another name, or '
    'remove it first with seqio.TaskRegistry.remove or seqio.MixtureRegistry.remove'
  )
