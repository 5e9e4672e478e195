"""Registers SeqIO tasks and mixtures, by explicit calls that may be repeated.

Nothing is registered on import. Registering a name again with the same content does nothing; with
other content it is an error, since two parts of a program would then mean different things by it.
TensorFlow and seqio are imported by the functions, not with this module.

Names of the mini suite, for each of its tasks:
  mini_<task>_tuning       observed phrasings, one for each example: instruction tuning
  mini_<task>_alignment    an observed phrasing and paraphrases of it: training of the adapter
  mini_<task>_resampling   one of all these phrasings for each example, drawn anew in every epoch
  mini_<task>_eval_<group> every example under every phrasing of a group, see `MINI_GROUPS`
  mini_<task>__<key>       every example under one evaluation phrasing
and the mixtures mini_tuning, mini_alignment, mini_resampling and mini_eval_<group> over all tasks.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import functools
import hashlib
import itertools
import json
import logging
from typing import TYPE_CHECKING, Any

from seqio_tasks.bank import instruction, layouts
from seqio_tasks.errors import UserError
from seqio_tasks.pipeline import flattening, phrasings, seqio_metrics

if TYPE_CHECKING:
  import seqio
  import tensorflow as tf


Example = Mapping[str, Any]
Examples = Sequence[Example] | Callable[[], Sequence[Example]]


# Seqio shuffles after preprocessing, in a buffer that is saved with the iterator. The source
# already permutes all examples, so the buffer need not be large.
_SHUFFLE_BUFFER_SIZE = 256


class RegistrationError(UserError):
  """A task or mixture cannot be registered; the message names it and the cure."""


@dataclasses.dataclass(frozen=True)
class EvaluationTask:
  """What a flat evaluation task holds.

  Attributes:
    name: of the SeqIO task.
    dataset: e.g. "mini_first_word"; tasks of one dataset differ in their phrasings only.
    group: of its phrasings, e.g. "observed".
    instructions: the phrasings.
    examples: shown before each example; empty for zero-shot tasks.
  """

  name: str
  dataset: str
  group: str
  instructions: tuple[instruction.Instruction, ...]
  examples: tuple[layouts.Item, ...] = ()


_CONTENTS: dict[str, Any] = {}  # name -> what it was registered with, to compare
_EVALUATION_TASKS: dict[str, EvaluationTask] = {}
_EVALUATION_EXAMPLES: dict[str, dict[str, Examples]] = {}
_EVALUATION_OF_MIXTURE: dict[str, tuple[str, ...]] = {}


def register_examples_task(
  name: str,
  examples_by_split: Mapping[str, Examples],
  vocabulary: seqio.Vocabulary,
  preprocessor: phrasings.StackPhrasings | phrasings.ExpandPhrasings | phrasings.RankOptions,
  num_input_examples: Mapping[str, int] | None = None,
  metric_fns: Sequence[Callable[..., Mapping[str, float]]] = (),
) -> str:
  """Registers a task over examples that are held in memory.

  Args:
    name: of the task.
    examples_by_split: for each split a list of examples, or a function without arguments that
      returns one and is called when the split is read. An example is a dictionary of example_id,
      fields (name -> text), gold and options.
    vocabulary: of inputs and targets.
    preprocessor: made by `phrasings.stack_phrasings` (inputs of rank 2), `expand_phrasings` or `rank_options`.
    num_input_examples: number of examples of each split; needed for splits given by a function,
      so that SeqIO knows it, otherwise counted.
    metric_fns: functions of (targets, predictions), both lists of decoded strings.

  Returns:
    the name.

  Raises:
    RegistrationError: if the name is taken by other content.
  """
  import seqio
  import tensorflow as tf

  counts = {split: len(examples) for split, examples in examples_by_split.items() if not callable(examples)} | dict(
    num_input_examples or {}
  )
  content = (
    tuple((split, _describe(examples)) for split, examples in examples_by_split.items()),
    vocabulary,
    preprocessor,
    tuple(sorted(counts.items())),
    tuple(metric_fns),
  )
  if _is_registered(name, content, seqio.TaskRegistry):
    return name
  examples_by_split = dict(examples_by_split)

  # The third argument is asked for by SeqIO.
  def dataset_fn(split: str, shuffle_files: bool, seed: int | None = None) -> tf.data.Dataset:
    examples = examples_by_split[split]
    examples = examples() if callable(examples) else examples
    return _dataset(f'{name}:{split}', examples, preprocessor.flat, shuffle_files, seed, ranked)

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
    preprocessors=[placeholder, preprocessor] if stacked else [preprocessor, placeholder, phrasings.CutToLength()],
    output_features=output_features,
    postprocess_fn=seqio_metrics.option_score_target if ranked else seqio_metrics.gold_or_prediction,
    metric_fns=list(metric_fns),
    shuffle_buffer_size=_SHUFFLE_BUFFER_SIZE,
  )
  _CONTENTS[name] = content
  return name


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

  if not tasks:
    raise RegistrationError(f'mixture {name!r} has no task; name at least one')
  tasks = tuple(tasks)
  evaluation = tasks if evaluation_tasks is None else tuple(evaluation_tasks)
  weights = tuple((rates or {}).get(task, 1.0) for task in tasks)
  if not _is_registered(name, (tasks, evaluation, weights), seqio.MixtureRegistry):
    seqio.MixtureRegistry.add(name, list(zip(tasks, weights, strict=True)))
    _CONTENTS[name] = (tasks, evaluation, weights)
  _EVALUATION_OF_MIXTURE[name] = evaluation
  return name


def evaluation_tasks(mixture_name: str) -> list[str]:
  """The flat tasks that a registered mixture, or a flat task by itself, is evaluated by.

  For a training mixture of the mini suite these are the tasks of all groups.

  Raises:
    RegistrationError: if the name is unknown.
  """
  if mixture_name in _EVALUATION_OF_MIXTURE:
    return list(_EVALUATION_OF_MIXTURE[mixture_name])
  if mixture_name in _EVALUATION_TASKS:
    return [mixture_name]
  raise RegistrationError(
    f'no mixture or evaluation task {mixture_name!r} is registered; register it first, the '
    f'mixtures are {sorted(_EVALUATION_OF_MIXTURE)}'
  )


def evaluation_task(name: str) -> EvaluationTask:
  """Dataset, group and phrasings of a flat task; RegistrationError if the name is unknown."""
  if name not in _EVALUATION_TASKS:
    raise RegistrationError(f'no evaluation task {name!r} is registered; register it first')
  return _EVALUATION_TASKS[name]


def content_hash(name: str, split: str) -> str:
  """SHA-256 over the examples of a flat task's split and its phrasings: what its results depend on.

  Raises:
    RegistrationError: if the task or the split is unknown.
  """
  task = evaluation_task(name)
  examples_by_split = _EVALUATION_EXAMPLES[name]
  if split not in examples_by_split:
    raise RegistrationError(f'task {name} has no split {split!r}; choose among {", ".join(examples_by_split)}')
  examples = examples_by_split[split]
  content = {
    'instructions': [[i.id, repr(i.layout)] for i in task.instructions],
    'shown': list(task.examples),
    'examples': list(examples() if callable(examples) else examples),
  }
  return hashlib.sha256(json.dumps(content, sort_keys=True).encode('utf-8')).hexdigest()


def example_without_options(name: str, split: str) -> str | None:
  """The id of an example of a flat task for which no answers are listed that could be ranked; None if there is none.

  Raises:
    RegistrationError: if the task is unknown.
  """
  task = evaluation_task(name)
  if all(i.layout.default_answer.label_space is not None for i in task.instructions):
    return None
  examples = _EVALUATION_EXAMPLES[name].get(split, ())
  examples = examples() if callable(examples) else examples
  return next((str(e['example_id']) for e in examples if not e['options']), None)


def register_evaluation_task(
  name: str,
  dataset: str,
  group: str,
  instructions: Iterable[instruction.Instruction],
  examples_by_split: Mapping[str, Examples],
  vocabulary: seqio.Vocabulary,
  num_input_examples: Mapping[str, int] | None = None,
  metric_fns: Sequence[Callable[..., Mapping[str, float]]] | None = None,
  examples: Sequence[layouts.Item] = (),
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
    metric_fns: `seqio_metrics.exact_match` by default.
    examples: shown before each example, in the few-shot form.

  Returns:
    the name.
  """
  instructions = tuple(instructions)
  register_examples_task(
    name,
    examples_by_split,
    vocabulary,
    phrasings.expand_phrasings(instructions, examples),
    num_input_examples,
    (seqio_metrics.exact_match,) if metric_fns is None else metric_fns,
  )
  _EVALUATION_TASKS[name] = EvaluationTask(name, dataset, group, instructions, tuple(examples))
  _EVALUATION_EXAMPLES[name] = dict(examples_by_split)
  return name


def _is_registered(name: str, content: Any, registry: Any) -> bool:
  """Whether the name stands in the registry with this content; an error if with other content."""
  import seqio

  if name not in seqio.TaskRegistry.names() and name not in seqio.MixtureRegistry.names():
    return False
  if name in registry.names() and name in _CONTENTS and _CONTENTS[name] == content:
    logging.debug('%s is already registered', name)
    return True
  raise RegistrationError(
    f'{name!r} is already registered with other content; register it under another name, or '
    'remove it first with seqio.TaskRegistry.remove or seqio.MixtureRegistry.remove'
  )


def _describe(examples: Any) -> Any:
  """Something to compare examples by: a hash of a list, the parts of a partial, or a function."""
  if isinstance(examples, functools.partial):
    arguments = (*examples.args, *itertools.chain(*sorted(examples.keywords.items())))
    return examples.func, tuple(map(_describe_argument, arguments))
  if callable(examples):
    return examples
  text = json.dumps(list(examples), sort_keys=True)
  return hashlib.sha256(text.encode('utf-8')).hexdigest()


def _describe_argument(value: Any) -> Any:
  """As `_describe`, for partials among a partial's arguments."""
  if isinstance(value, functools.partial):
    return _describe(value)
  return tuple(map(_describe_argument, value)) if isinstance(value, tuple | list) else value


def _dataset(
  where: str, examples: Sequence[Example], flat: flattening.FlatPhrasings, shuffle: bool, seed: int | None, ranked: bool
) -> tf.data.Dataset:
  """What `flat` needs of each example, in random order if asked."""
  import numpy as np
  import tensorflow as tf

  if not examples:
    raise RegistrationError(f'{where} has no example; ask for at least one')
  order = range(len(examples))
  if shuffle:
    order = np.random.default_rng(None if seed is None else int(seed)).permutation(len(examples))
  columns = collections.defaultdict(list)
  for i in order:
    example = examples[i]
    try:
      made = flat.features(item_of(example))
    except layouts.LayoutError as e:
      raise RegistrationError(f'{where}: example {example["example_id"]!r}: {e}') from e
    if ranked and '' in made['option_list']:
      raise RegistrationError(
        f'{where}: example {example["example_id"]!r} has no options to rank; evaluate the task without __rank'
      )
    columns['example_id'].append(str(example['example_id']))
    columns['golds'].append(made['golds'])
    columns['options'].append(made['options'])
    columns['option_list'].append(made['option_list'])
    columns['alternatives'].append(made['alternatives'])
    for name, text in made['texts'].items():
      columns[phrasings.FIELD_PREFIX + name].append(text)
  return tf.data.Dataset.from_tensor_slices(dict(columns))


def item_of(example: Example) -> layouts.Item:
  """An example as the item that layouts are filled in with."""
  item = {**example['fields'], 'options': list(example['options']), 'answer': str(example['gold'])}
  for name, key in (('answer_index', 'gold_index'), ('alternatives', 'alternatives')):
    if key in example:
      item[name] = example[key]
  return item
