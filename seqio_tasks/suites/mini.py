"""The mini suite: its tasks and mixtures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import functools
import itertools
from typing import TYPE_CHECKING

from seqio_tasks.bank import instruction as instruction_lib
from seqio_tasks.bank import reading
from seqio_tasks.mini import vocabulary as vocabulary_lib
from seqio_tasks.pipeline import phrasings, registration

if TYPE_CHECKING:
  import seqio


# Group of phrasings -> the collections that it is made of.
MINI_GROUPS = {
  'observed': ('mini_tuning',),
  'unobserved': ('mini_heldout',),
  'development': ('mini_development', 'mini_development_more'),
}
MINI_ALIGNMENT_COLLECTIONS = ('mini_alignment', 'mini_paraphrases', 'mini_paraphrases_more')
_TRAINING_KINDS = ('tuning', 'alignment', 'resampling')


def register_mini_suite(
  vocabulary: seqio.Vocabulary,
  num_paraphrases: int = 1,
  bank: reading.Bank | None = None,
  num_train_examples: int = 20_000,
  num_eval_examples: int = 100,
  seed: int = 0,
  generate: Callable[..., Sequence[registration.Example]] | None = None,
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
    from seqio_tasks.mini import suite

    generate = suite.generate
  bank = reading.Bank.from_package('mini') if bank is None else bank
  observed = bank.select(roles=['evaluation'], collections=MINI_GROUPS['observed'])
  if not len(observed):
    raise registration.RegistrationError(
      f'the bank has no phrasing of the collection {MINI_GROUPS["observed"][0]!r} with the role '
      "'evaluation'; add its file to the bank"
    )
  aligned = observed.tasks if alignment_tasks is None else alignment_tasks
  for argument, named in (('alignment_tasks', aligned), ('held_tasks', held_tasks)):
    unknown = sorted(set(named) - set(observed.tasks))
    if unknown:
      raise registration.RegistrationError(
        f'{argument}: the mini suite has no task {", ".join(unknown)}; choose among {", ".join(observed.tasks)}'
      )
  both = sorted(set(aligned) & set(held_tasks))
  if both:
    raise registration.RegistrationError(
      f'held_tasks: {", ".join(both)} {"is" if len(both) == 1 else "are"} aligned too; name the tasks to align in '
      'alignment_tasks, without those to hold'
    )
  reading.check_fields(bank, {task: tuple(generate(task, 'train', 1, seed)[0]['fields']) for task in observed.tasks})
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
      names[kind].append(
        registration.register_examples_task(f'{dataset}_{kind}', train, vocabulary, preprocessor, train_counts)
      )
    held_out = {split: examples[split] for split in ('validation', 'test')}
    held_out_counts = {split: counts[split] for split in held_out}
    register = functools.partial(
      registration.register_evaluation_task,
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
  mixtures = [
    registration.register_mixture(f'mini_{kind}', names[kind], flat, rates) for kind in _TRAINING_KINDS if names[kind]
  ]
  mixtures += [
    registration.register_mixture(f'mini_eval_{group}', names[group]) for group in MINI_GROUPS if names[group]
  ]
  return [name for kind in _TRAINING_KINDS for name in names[kind]] + flat + single + mixtures


def _check_keys(bank: reading.Bank) -> None:
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
    raise instruction_lib.BankError(problems)
