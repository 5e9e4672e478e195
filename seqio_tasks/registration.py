"""Registers SeqIO tasks and mixtures, by explicit calls that may be repeated.

Nothing is registered on import. Registering a name again with the same content does nothing; with
other content it is an error, since two parts of a program would then mean different things by it.
TensorFlow and seqio are imported by the functions, not with this module.

Names of the mini suite, for each of its tasks:
  mini_<task>_tuning       observed phrasings, one for each example: instruction tuning
  mini_<task>_alignment    an observed phrasing and paraphrases of it: training of the prompt
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

from seqio_tasks import bank as bank_lib
from seqio_tasks import flattening, layouts, phrasings, seqio_metrics
from seqio_tasks import vocabulary as vocabulary_lib

if TYPE_CHECKING:
  import seqio
  import tensorflow as tf

Example = Mapping[str, Any]
Examples = Sequence[Example] | Callable[[], Sequence[Example]]

# Group of phrasings -> the collections that it is made of.
MINI_GROUPS = {
  'observed': ('mini_tuning',),
  'unobserved': ('mini_heldout',),
  'development': ('mini_development', 'mini_development_more'),
}
MINI_ALIGNMENT_COLLECTIONS = ('mini_alignment', 'mini_paraphrases', 'mini_paraphrases_more')
_TRAINING_KINDS = ('tuning', 'alignment', 'resampling')
# Seqio shuffles after preprocessing, in a buffer that is saved with the iterator. The source
# already permutes all examples, so the buffer need not be large.
_SHUFFLE_BUFFER_SIZE = 256


class RegistrationError(ValueError):
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
  instructions: tuple[bank_lib.Instruction, ...]
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
  instructions: Iterable[bank_lib.Instruction],
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


def register_mini_suite(
  vocabulary: seqio.Vocabulary,
  num_paraphrases: int = 1,
  bank: bank_lib.Bank | None = None,
  num_train_examples: int = 20_000,
  num_eval_examples: int = 100,
  seed: int = 0,
  generate: Callable[..., Sequence[Example]] | None = None,
  observed_collections: Sequence[str] = MINI_GROUPS['observed'],
  alignment_collections: Sequence[str] = MINI_ALIGNMENT_COLLECTIONS,
  alignment_tasks: Sequence[str] | None = None,
  held_tasks: Sequence[str] = (),
  vocabulary_words: bool = False,
  tuning_rates: Mapping[str, float] | None = None,
) -> list[str]:
  """Registers the tasks and mixtures of the mini suite; the module's docstring has their names.

  Groups for which a task has no phrasing in the bank are left out, alignment among them.

  Args:
    vocabulary: of inputs and targets.
    num_paraphrases: paraphrases of each example in the alignment tasks, beside the observed
      phrasing: K - 1.
    bank: phrasings; those of the package by default. The tasks are those with observed phrasings.
    num_train_examples: examples of each task's split "train".
    num_eval_examples: examples of each task's splits "validation" and "test".
    seed: of the generated examples.
    generate: function of (task, split, num_examples, seed[, more_words]) that makes examples;
      `seqio_tasks.mini_suite.generate` by default.
    observed_collections: that the model was tuned on. For one that was not tuned on ours, results of the mixture
      mini_eval_observed count as unobserved.
    alignment_collections: whose phrasings with the role "alignment" are the paraphrases.
    alignment_tasks: tasks that are aligned; None for all. The others are tasks that alignment never sees.
    held_tasks: of these others, tasks that are in the mixture mini_alignment under observed phrasings alone, half of which
      are paraphrases of the other half: for an objective that holds the model to what it knew.
    vocabulary_words: make training examples of all words of the vocabulary, not of the suite's own lists alone.
    tuning_rates: how much each task counts in the mixture mini_tuning; 1 for those not named.

  Returns:
    the names of the tasks and then of the mixtures.

  Raises:
    BankError: if a template does not hold just the fields of its task, or two evaluation groups
      of a task share a key, which names a task.
    RegistrationError: if a name is taken by other content, or the bank has no observed phrasing.
  """
  if generate is None:
    from seqio_tasks import mini_suite

    generate = mini_suite.generate
  bank = bank_lib.Bank.from_package('mini') if bank is None else bank
  observed = bank.select(roles=['evaluation'], collections=MINI_GROUPS['observed'])
  if not len(observed):
    raise RegistrationError(
      f'the bank has no phrasing of the collection {MINI_GROUPS["observed"][0]!r} with the role '
      "'evaluation'; add its file to the bank"
    )
  aligned = observed.tasks if alignment_tasks is None else alignment_tasks
  for argument, named in (('alignment_tasks', aligned), ('held_tasks', held_tasks)):
    unknown = sorted(set(named) - set(observed.tasks))
    if unknown:
      raise RegistrationError(
        f'{argument}: the mini suite has no task {", ".join(unknown)}; choose among {", ".join(observed.tasks)}'
      )
  both = sorted(set(aligned) & set(held_tasks))
  if both:
    raise RegistrationError(
      f'held_tasks: {", ".join(both)} {"is" if len(both) == 1 else "are"} aligned too; name the tasks to align in '
      'alignment_tasks, without those to hold'
    )
  bank_lib.check_fields(bank, {task: tuple(generate(task, 'train', 1, seed)[0]['fields']) for task in observed.tasks})
  _check_keys(bank)
  counts = {
    'train': num_train_examples,
    'validation': num_eval_examples,
    'test': num_eval_examples,
  }
  more_words = {'more_words': vocabulary_lib.whole_words(vocabulary)} if vocabulary_words else {}
  names: dict[str, list[str]] = {kind: [] for kind in (*_TRAINING_KINDS, *MINI_GROUPS)}
  single = []
  for task in observed.tasks:
    dataset = f'mini_{task}'
    examples = {split: functools.partial(generate, task, split, n, seed) for split, n in counts.items()}
    train = {'train': functools.partial(examples['train'], **more_words), 'validation': examples['validation']}
    train_counts = {split: counts[split] for split in train}
    canonical = tuple(observed.select(task))
    preprocessors = {'tuning': phrasings.stack_phrasings(1, canonical)}
    paraphrases = tuple(bank.select(task, ['alignment'], alignment_collections))
    if task in held_tasks:
      half = len(canonical) // 2
      preprocessors['alignment'] = phrasings.stack_phrasings(1 + num_paraphrases, canonical[:half], canonical[half:])
    elif paraphrases and task in aligned:
      preprocessors['alignment'] = phrasings.stack_phrasings(1 + num_paraphrases, canonical, paraphrases)
      preprocessors['resampling'] = phrasings.stack_phrasings(1, (*canonical, *paraphrases))
    for kind, preprocessor in preprocessors.items():
      names[kind].append(register_examples_task(f'{dataset}_{kind}', train, vocabulary, preprocessor, train_counts))
    held_out = {split: examples[split] for split in ('validation', 'test')}
    held_out_counts = {split: counts[split] for split in held_out}
    register = functools.partial(
      register_evaluation_task,
      dataset=dataset,
      examples_by_split=held_out,
      vocabulary=vocabulary,
      num_input_examples=held_out_counts,
    )
    for group, collections_ in MINI_GROUPS.items():
      instructions = tuple(bank.select(task, collections=collections_))
      is_new = group == 'observed' and not set(collections_) & set(observed_collections)
      counted = 'unobserved' if is_new else group
      if instructions:
        names[group].append(register(f'{dataset}_eval_{group}', group=counted, instructions=instructions))
      for instruction in instructions:
        single.append(register(f'{dataset}__{instruction.key}', group=counted, instructions=[instruction]))
  flat = [name for group in MINI_GROUPS for name in names[group]]
  rates = {f'mini_{task}_tuning': rate for task, rate in (tuning_rates or {}).items()}
  mixtures = [register_mixture(f'mini_{kind}', names[kind], flat, rates) for kind in _TRAINING_KINDS if names[kind]]
  mixtures += [register_mixture(f'mini_eval_{group}', names[group]) for group in MINI_GROUPS if names[group]]
  return [name for kind in _TRAINING_KINDS for name in names[kind]] + flat + single + mixtures


def _check_keys(bank: bank_lib.Bank) -> None:
  """BankError if two phrasings would name the same task mini_<task>__<key>."""
  seen: dict[tuple[str, str], str] = {}
  problems = []
  for i in bank.select(collections=itertools.chain(*MINI_GROUPS.values())):
    other = seen.setdefault((i.task, i.key), i.id)
    if other != i.id:
      problems.append(
        f'{i.id}: its key is also that of {other}, and both would name the task '
        f'mini_{i.task}__{i.key}; give it another key'
      )
  if problems:
    raise bank_lib.BankError(problems)


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
