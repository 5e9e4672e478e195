"""Registers tasks and mixtures, by explicit calls that may be repeated, and finds them again.

Nothing is registered on import. Registering a name again with the same content does nothing; with
other content it is an error, since two parts of a program would then mean different things by it.
What is known of a task stands on the task itself: what is taken out of SeqIO's registries is gone.
Tasks go into SeqIO's registries, whose import takes seconds, unless they are registered in `waiting`: then they are known here
alone until `publish`. TensorFlow and seqio are imported by the functions that need them, not with this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import hashlib
import logging
import sys
from typing import TYPE_CHECKING

from seqio_tasks.bank.instruction import Instruction
from seqio_tasks.bank.layouts import Item
from seqio_tasks.errors import UserError
from seqio_tasks.pipeline import phrasings, seqio_metrics
from seqio_tasks.pipeline.evaluation import EvaluationTask, Examples
from seqio_tasks.pipeline.tasks import ExamplesMixture, ExamplesTask

if TYPE_CHECKING:
  import seqio


class RegistrationError(UserError):
  """A task or mixture cannot be registered, or is not; the message names it and the cure."""


class _Waiting:
  """Tasks and mixtures that SeqIO has not been told of, by name."""

  def __init__(self) -> None:
    self.is_open = False
    self.made: dict[str, ExamplesTask | ExamplesMixture] = {}


_waiting = _Waiting()


@contextlib.contextmanager
def waiting() -> Iterator[None]:
  """What is registered meanwhile waits for `publish`; the next registration of other tasks forgets it."""
  _waiting.made.clear()
  _waiting.is_open = True
  try:
    yield
  finally:
    _waiting.is_open = False


def publish() -> None:
  """Puts what waits into SeqIO's registries; imports seqio and TensorFlow."""
  from seqio_tasks.pipeline import providers

  for made in _waiting.made.values():
    providers.add(made)
  _waiting.made.clear()


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
  counts = {split: len(examples) for split, examples in examples_by_split.items() if not callable(examples)}
  counts |= dict(num_input_examples or {})
  made = ExamplesTask(name, dict(examples_by_split), vocabulary, preprocessor, counts, tuple(metric_fns), evaluation)
  return _register(made)


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
  preprocessor = phrasings.expand_phrasings(instructions, examples, group)
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
  if not tasks:
    raise RegistrationError(f'mixture {name!r} has no task; name at least one')
  tasks = tuple(tasks)
  evaluation = tasks if evaluation_tasks is None else tuple(evaluation_tasks)
  weights = tuple((rates or {}).get(task, 1.0) for task in tasks)
  return _register(ExamplesMixture(name, tasks, weights, evaluation))


def names() -> list[str]:
  """All tasks, and then all mixtures."""
  waiting_mixtures = [n for n, made in _waiting.made.items() if isinstance(made, ExamplesMixture)]
  tasks = [n for n in _waiting.made if n not in waiting_mixtures]
  known = [list(registry.names()) for registry in _registries()] or [[], []]
  return [*tasks, *known[0], *waiting_mixtures, *known[1]]


def find(name: str) -> ExamplesTask | ExamplesMixture | None:
  """What was registered by that name here; None if nothing was, or others did it."""
  if name in _waiting.made:
    return _waiting.made[name]
  return getattr(_provider(name), 'made_of', None)


def parts(name: str) -> list[tuple[ExamplesTask | seqio.Task, float]]:
  """The tasks of a mixture by name, or a task itself, and how much each counts; SeqIO's where others registered it.

  Raises:
    RegistrationError: if the name is unknown.
  """
  made = _waiting.made.get(name)
  if isinstance(made, ExamplesMixture):
    return [(_part(task), rate) for task, rate in sorted(zip(made.tasks, made.rates, strict=True))]
  if made is not None:
    return [(made, 1.0)]
  provider = _provider(name)
  if provider is None:
    raise RegistrationError(f'no task or mixture {name!r} is registered; register it first')
  tasks = [(task, provider.get_rate(task)) for task in provider.tasks] if _is_mixture(provider) else [(provider, 1.0)]
  return [(getattr(task, 'made_of', task), rate) for task, rate in tasks]


def _part(name: str) -> ExamplesTask | seqio.Task:
  """A task of a mixture that waits; what stood in SeqIO's registries with the same content does not wait."""
  provider = _provider(name)
  return _waiting.made[name] if provider is None else getattr(provider, 'made_of', provider)


def _is_mixture(provider: seqio.Task | seqio.Mixture | None) -> bool:
  return hasattr(provider, 'tasks')


def evaluation_tasks(name: str) -> list[str]:
  """The flat tasks that a registered mixture, or a flat task by itself, is evaluated by.

  For a mixture to train on these are the tasks of all groups.

  Raises:
    RegistrationError: if the name is unknown.
  """
  found = find(name)
  if isinstance(found, ExamplesMixture):
    return list(found.evaluation_tasks)
  if found is not None and found.evaluation is not None:
    return [name]
  mixtures = sorted(
    n for n in names() if isinstance(_waiting.made.get(n), ExamplesMixture) or _is_mixture(_provider(n))
  )
  raise RegistrationError(
    f'no mixture or evaluation task {name!r} is registered; register it first, the mixtures are {mixtures}'
  )


def content_hashes(name: str, split: str) -> dict[str, str]:
  """What a registered task, or each task of a mixture, reads of a split.

  Returns:
    name of the task -> SHA-256 over its examples and phrasings, or over its file of lines; other tasks are left out.
  """
  found = {}
  for task, _ in parts(name):
    if isinstance(task, ExamplesTask):
      found[task.name] = task.content_hash(split)
    elif _reads_lines(task):
      digest = hashlib.sha256()
      for path in task.source.list_shards(split):
        with open(path, 'rb') as f:
          digest.update(hashlib.file_digest(f, 'sha256').digest())
      found[task.name] = digest.hexdigest()
  return found


def _reads_lines(task: seqio.Task) -> bool:
  import seqio

  return isinstance(task.source, seqio.TextLineDataSource)


def evaluation_task(name: str) -> EvaluationTask:
  """Dataset, group, phrasings and examples of a flat task; RegistrationError if the name is unknown."""
  found = find(name)
  if not isinstance(found, ExamplesTask) or found.evaluation is None:
    raise RegistrationError(f'no evaluation task {name!r} is registered; register it first')
  return found.evaluation


def _register(made: ExamplesTask | ExamplesMixture) -> str:
  """Registers what was made, unless it is there; an error if something else is."""
  if not _waiting.is_open:
    _waiting.made.clear()
  name = made.name
  if name in _waiting.made or _provider(name) is not None:
    found = find(name)
    if type(found) is type(made) and found is not None and found.content == made.content:
      logging.debug('%s is already registered', name)
      return name
    raise RegistrationError(
      f'{name!r} is already registered with other content; register it under another name, or '
      'remove it first with seqio.TaskRegistry.remove or seqio.MixtureRegistry.remove'
    )
  lacking = [task for task in getattr(made, 'tasks', ()) if task not in _waiting.made and _provider(task) is None]
  if lacking:
    raise RegistrationError(
      f'mixture {name!r} is of the task {lacking[0]!r}, which is not registered; register it first'
    )
  if _waiting.is_open:
    _waiting.made[name] = made
  else:
    from seqio_tasks.pipeline import providers

    providers.add(made)
  return name


def _registries() -> tuple[type[seqio.TaskRegistry], type[seqio.MixtureRegistry]] | tuple[()]:
  """SeqIO's; none where it has not been imported, so that nothing can have been registered there."""
  if 'seqio' not in sys.modules:
    return ()
  import seqio

  return seqio.TaskRegistry, seqio.MixtureRegistry


def _provider(name: str) -> seqio.Task | seqio.Mixture | None:
  """What SeqIO has by that name."""
  return next((registry.get(name) for registry in _registries() if name in registry.names()), None)
