"""Registers datasets under the phrasings of banks, or their own: tasks for each phrasing, mixtures for evaluation and training.

For each dataset <d> of a benchmark <b>, and each phrasing that serves it:
  <d>__<collection>_<key>         its examples under one phrasing (<collection>_<bank's task>_<key> where two share a key)
  <d>__<collection>_<key>__rank   the same for `score_batch`: a row for each option, scored by `rank_accuracy`
  <d>_eval_<group>                its examples under every phrasing of a group
  <d>_eval_<collection>           and of a collection
  <d>_eval_...__rank              the same for `score_batch`
  <d>_tuning                      an observed phrasing for each example
  <d>_alignment_<form>            an observed phrasing and paraphrases of it that ask for the answer in the same form
  <d>_resampling_<form>           one of all these phrasings for each example, drawn anew in every epoch
and the mixtures <b>_eval_<group>, <b>_eval_<collection>, <b>_eval_...__rank, <b>_tuning, <b>_alignment and <b>_resampling over all
datasets. `groups` says which groups there are. Few-shot tasks have "_<k>shot" behind the dataset's name.

A dataset that brings its own phrasings, such as those of the mini suite, needs shorter names, since these have keys of their
own and ask for the answer in one form: <d>__<key>, <d>_alignment and <d>_resampling. There are no tasks of collections and
none for `score_batch`, and a suite may leave the name of one group out: <d>_eval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
from typing import TYPE_CHECKING

from seqio_tasks.bank import reading
from seqio_tasks.bank.fields import LETTERS
from seqio_tasks.bank.instruction import Instruction
from seqio_tasks.datasets import sources, variants
from seqio_tasks.datasets.sources import Dataset, OwnPhrasings
from seqio_tasks.pipeline import registration
from seqio_tasks.pipeline.evaluation import EvaluationTask
from seqio_tasks.suites import evaluation, groups, splits, training

if TYPE_CHECKING:
  import seqio


def register(
  vocabulary: seqio.Vocabulary,
  datasets: Sequence[Dataset | Sequence[Dataset]],
  banks: Sequence[str] = ('package',),
  observed_collections: Sequence[str] = (),
  collections: Sequence[str] | None = None,
  alignment_collections: Sequence[str] | None = None,
  num_examples: int | None = None,
  num_shots: int = 0,
  num_paraphrases: int = 3,
  max_tuning_rate: float | None = None,
  single_tasks: bool = True,
  content_free: str | None = None,
  answers: Mapping[str, variants.Choices] | None = None,
  perturbations: Sequence[str] = (),
  perturbation_seed: int = 0,
) -> list[str]:
  """Registers the tasks and mixtures that the module's docstring names.

  Args:
    vocabulary: of inputs and targets.
    datasets: from the functions of `datasets`.
    banks: "package" for the phrasings that come with it, and bank files or directories of them.
    observed_collections: that the model was tuned on.
    collections: the phrasings of the banks that are used; by default all.
    alignment_collections: of the phrasings that are trained on beside observed ones, those that are used; by default all.
    num_examples: of each split, the first ones; by default all.
    num_shots: examples shown before each evaluated one, from the split dev, train or validation; where there is none,
      the first ones of the split itself, which are then not evaluated.
    num_paraphrases: beside the canonical phrasing in the alignment tasks: K - 1.
    max_tuning_rate: most that a dataset counts in the tuning mixture, in examples; by default datasets count alike, but for
      those that have a rate of their own.
    single_tasks: whether tasks of one phrasing are registered.
    content_free: a text that stands in every field of every evaluated example, such as "N/A"; see `variants.content_free`.
    answers: dataset -> example -> the option to train on instead of the right one; see `variants.answered`.
    perturbations: of phrasings that are evaluated, each a group of its own; see `bank.perturbations`.
    perturbation_seed: of these.

  Returns:
    the names of the tasks and then of the mixtures.

  Raises:
    BankError: if a bank is faulty.
    RegistrationError: if no phrasing serves a dataset, or a name is taken by other content.
  """
  chosen = [_answered(d, answers) for d in sources.chosen(datasets)]
  phrasings = _Phrasings(banks, collections, alignment_collections, chosen)
  observed = frozenset(observed_collections)
  groups.tell_unserved([d for d in chosen if d.own is None], phrasings.of_user)
  entries: list[_Entry] = []
  rates: dict[str, float] = {}
  for dataset in chosen:
    served = groups.serve(
      dataset, phrasings.of(dataset), observed, alignment_collections, perturbations, perturbation_seed
    )
    _check_served(dataset, served, phrasings.of(dataset))
    trained = training.register(dataset, served, vocabulary, num_examples, num_paraphrases)
    evaluated = evaluation.register(dataset, served, vocabulary, num_examples, num_shots, single_tasks, content_free)
    entries += _entries(dataset, trained, evaluated)
    for name in (name for kind, name in trained if kind == 'tuning'):
      if dataset.tuning_rate is not None:
        rates[name] = dataset.tuning_rate
      elif max_tuning_rate is not None:
        rates[name] = min(splits.training_size(dataset), max_tuning_rate)
  entries.sort(key=lambda entry: entry.place)
  return [entry.name for entry in entries] + _register_mixtures(entries, rates)


def _answered(dataset: Dataset, answers: Mapping[str, variants.Choices] | None) -> Dataset:
  """A dataset as `answers` of `register` asks for it; one that nothing is trained on needs none."""
  if answers is None or not splits.has_training(dataset):
    return dataset
  if dataset.name not in answers:
    raise registration.RegistrationError(
      f'answers: there are none for {dataset.name}, only for {", ".join(answers)}; evaluate it too, or leave it out'
    )
  return variants.answered(dataset, answers[dataset.name], 'train')


def register_all(
  register_tasks: Sequence[Callable[..., Iterable[str]]], vocabulary: seqio.Vocabulary, in_seqio: bool = True
) -> list[str]:
  """Makes the calls that gin files name, REGISTER_TASKS.

  Args:
    register_tasks: such as `register` with all but the vocabulary bound.
    vocabulary: of inputs and targets.
    in_seqio: whether SeqIO is to know the tasks at once, not only when `registration.publish` is called. It does where a
      call is not of this package, and so may look in SeqIO's registries for what another made.

  Returns:
    the names of tasks and mixtures.
  """
  own = all(call.__module__.partition('.')[0] == __name__.partition('.')[0] for call in register_tasks)
  with contextlib.nullcontext() if in_seqio or not own else registration.waiting():
    return [name for call in register_tasks for name in call(vocabulary=vocabulary)]


def evaluation_tasks(
  register_tasks: Sequence[Callable[..., Iterable[str]]],
  vocabulary: seqio.Vocabulary,
  mixtures: Sequence[str],
  in_seqio: bool = False,
) -> list[EvaluationTask]:
  """Makes the calls that gin files name, and returns the flat tasks that some mixtures, or tasks, are evaluated by.

  Args:
    register_tasks: see `register_all`.
    vocabulary: of inputs and targets.
    mixtures: names of what is registered.
    in_seqio: see `register_all`.

  Returns:
    the tasks in their order, each once.

  Raises:
    RegistrationError: if there is no such mixture, or two tasks have a phrasing of a dataset in common.
  """
  register_all(register_tasks, vocabulary, in_seqio)
  names = dict.fromkeys(name for mixture in mixtures for name in registration.evaluation_tasks(mixture))
  tasks = [registration.evaluation_task(name) for name in names]
  _check_apart(tasks)
  return tasks


def _check_apart(tasks: Iterable[EvaluationTask]) -> None:
  """RegistrationError if two tasks would evaluate a dataset under the same phrasing."""
  names: dict[tuple[str, str], str] = {}
  for task in tasks:
    for instruction in task.instructions:
      other = names.setdefault((task.dataset, instruction.id), task.name)
      if other != task.name:
        raise registration.RegistrationError(
          f'MIXTURES: {other} and {task.name} both have the phrasing {instruction.id}, which would be evaluated twice; name '
          'mixtures that have no phrasing in common, such as groups alone or collections alone'
        )


class _Phrasings:
  """The phrasings of the banks, and those that datasets bring, by the bank's task; each is read once."""

  def __init__(
    self,
    banks: Sequence[str],
    collections: Sequence[str] | None,
    alignment_collections: Sequence[str] | None,
    datasets: Sequence[Dataset],
  ):
    bank: Sequence[Instruction] = ()
    if any(d.own is None for d in datasets):
      bank = tuple(reading.read_banks(banks))
    _check_collections('collections', collections, bank)
    bank = [i for i in bank if collections is None or i.collection in collections]
    added = [entry for entry in banks if entry != 'package']
    ids = {i.id for i in reading.read_banks(added)} if bank and added else set()
    self.of_user = [i for i in bank if i.id in ids]
    self._banks = groups.by_task(bank)
    self._own: list[tuple[OwnPhrasings, Mapping[str, Sequence[Instruction]]]] = []
    for own in (d.own for d in datasets if d.own is not None):
      if all(known is not own for known, _ in self._own):
        self._own.append((own, groups.by_task(own.read())))
    places = (self._banks, *(tasks for _, tasks in self._own))
    _check_collections(
      'alignment_collections', alignment_collections, (i for tasks in places for t in tasks.values() for i in t)
    )

  def of(self, dataset: Dataset) -> Mapping[str, Sequence[Instruction]]:
    """Those that a dataset chooses among."""
    if dataset.own is None:
      return self._banks
    return next(tasks for own, tasks in self._own if own is dataset.own)


def _check_collections(argument: str, wanted: Sequence[str] | None, instructions: Iterable[Instruction]) -> None:
  known = {i.collection for i in instructions} if wanted is not None else set()
  missing = [c for c in wanted or () if c not in known]
  if missing:
    raise registration.RegistrationError(
      f'{argument}: the banks have no collections {missing}; they have {sorted(known)}'
    )


def _check_served(dataset: Dataset, served: groups.Served, phrasings: Mapping[str, Sequence[Instruction]]) -> None:
  """RegistrationError if no phrasing serves a dataset, or none is observed where its own phrasings should be."""
  if not served.members:
    raise registration.RegistrationError(
      f'no phrasing of the banks serves {dataset.name}, which takes those of {", ".join(dataset.bank_tasks)}'
      f'{" with the fields " + ", ".join(dataset.fields) if dataset.fields else ""}'
      f'{f" and up to {dataset.most_options} options" if (dataset.most_options or 0) > LETTERS else ""}; '
      f'the banks have phrasings of {", ".join(list(phrasings)[:20]) or "nothing"}'
    )
  if dataset.own is not None and dataset.own.observed and not served.canonical:
    raise registration.RegistrationError(
      f'{dataset.name}: there is no phrasing of the collection {" or ".join(dataset.own.observed)} with the role '
      "'evaluation'; add its file to the bank"
    )


@dataclasses.dataclass(frozen=True)
class _Entry:
  """A registered task.

  Attributes:
    place: among the others: a kind and, within it, a number.
    benchmark: that its mixture goes by.
    suffix: what its mixture's name ends in; None for tasks that are in none.
    name: of the task.
  """

  place: tuple[int, int]
  benchmark: str
  suffix: str | None
  name: str


_TRAINING, _GROUPS, _COLLECTIONS, _RANKED, _SINGLE = range(5)


def _entries(dataset: Dataset, trained: Iterable[tuple[str, str]], evaluated: evaluation.Made) -> Iterator[_Entry]:
  for kind, name in trained:
    yield _Entry((_TRAINING, training.KINDS.index(kind)), dataset.benchmark, f'_{kind}', name)
  for group, name in evaluated.groups:
    yield _Entry((_GROUPS, groups.place(group.name)), dataset.benchmark, f'_eval{group.suffix}', name)
  for place, tasks in ((_COLLECTIONS, evaluated.collections), (_RANKED, evaluated.ranked)):
    for suffix, name in tasks:
      yield _Entry((place, 0), dataset.benchmark, f'_eval{suffix}', name)
  for name in evaluated.single:
    yield _Entry((_SINGLE, 0), dataset.benchmark, None, name)


def _register_mixtures(entries: Sequence[_Entry], rates: Mapping[str, float]) -> list[str]:
  """Registers the mixtures of tasks; those to train on are evaluated by the tasks of all groups."""
  mixtures: dict[tuple[str, str], list[_Entry]] = {}
  for entry in entries:
    if entry.suffix is not None:
      mixtures.setdefault((entry.benchmark, entry.suffix), []).append(entry)
  made = []
  for (benchmark, suffix), members in mixtures.items():
    name, tasks = f'{benchmark}{suffix}', [entry.name for entry in members]
    if tasks == [name]:
      continue  # the one dataset is named as its benchmark
    flat = None
    if members[0].place[0] == _TRAINING:
      flat = [e.name for e in entries if e.benchmark == benchmark and e.place[0] == _GROUPS]
    made.append(registration.register_mixture(name, tasks, flat or None, rates))
  return made
