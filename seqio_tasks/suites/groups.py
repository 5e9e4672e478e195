"""Which phrasings serve a dataset, and in which groups they are evaluated.

Groups are "observed" and "unobserved" for phrasings with the role "evaluation", and for the others their roles:
"development", "default", "incorrect", "negation", "random". A phrasing is observed if the model was tuned on its
collection, which is what `observed_collections` says. Phrasings with the role "alignment" are trained on, and in no group.
Perturbations are groups as well, of a bank or made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import logging

from seqio_tasks.bank import checks, perturbations, reading
from seqio_tasks.bank.fields import LETTERS
from seqio_tasks.bank.instruction import PERTURBATIONS, ROLES, BankError, Instruction
from seqio_tasks.datasets.sources import Dataset, Reason, keep_reading, readings
from seqio_tasks.pipeline import flattening

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Group:
  """Phrasings that a dataset is evaluated under together.

  Attributes:
    name: of the group.
    counted: the group that its results are counted in, which is another where a model was not tuned on what a suite calls
      observed.
    instructions: the phrasings.
    suffix: what stands behind "_eval" in names of tasks.
  """

  name: str
  counted: str
  instructions: tuple[Instruction, ...]
  suffix: str


@dataclasses.dataclass(frozen=True)
class Served:
  """The phrasings that serve a dataset, by what they are for.

  Attributes:
    members: all of them.
    groups: that it is evaluated under, in the order of their first phrasings.
    canonical: the observed ones, to train on.
    paraphrases: of these, to train on.
  """

  members: tuple[Instruction, ...]
  groups: tuple[Group, ...]
  canonical: tuple[Instruction, ...]
  paraphrases: tuple[Instruction, ...]


def group_of(instruction: Instruction, observed_collections: Iterable[str]) -> str | None:
  """The group that a phrasing is evaluated in; None if it is only trained on."""
  if instruction.role == 'alignment':
    return None
  if instruction.role != 'evaluation':
    return instruction.role
  return 'observed' if instruction.collection in observed_collections else 'unobserved'


def place(group: str) -> int:
  """Where a group comes among others: those of a suite's own making first, then observed, unobserved and the roles."""
  order = ('observed', 'unobserved', *ROLES)
  return 1 + order.index(group) if group in order else 0


def by_task(instructions: Iterable[Instruction]) -> Mapping[str, Sequence[Instruction]]:
  """Task of the bank -> its phrasings."""
  made: dict[str, list[Instruction]] = {}
  for instruction in instructions:
    made.setdefault(instruction.task, []).append(instruction)
  return made


def serve(
  dataset: Dataset,
  phrasings: Mapping[str, Sequence[Instruction]],
  observed_collections: frozenset[str],
  alignment_collections: Sequence[str] | None,
  kinds: Sequence[str] = (),
  seed: int = 0,
) -> Served:
  """Sorts the phrasings that serve a dataset, and perturbs those with the role "evaluation": observed ones, or all if none is.

  Args:
    dataset: that is served.
    phrasings: as `by_task` has them; of the banks, or of the dataset's own.
    observed_collections: that the model was tuned on.
    alignment_collections: of the phrasings to align with; by default all.
    kinds: perturbations, each of which is a group.
    seed: of the perturbations.

  Raises:
    BankError: if phrasings that were made for the dataset do not fit it.
  """
  members = _members(dataset, phrasings)
  own = dataset.own
  named_observed = observed_collections if own is None else own.observed
  evaluated = [i for i in members if i.role == 'evaluation']
  perturbed = [i for i in evaluated if i.collection in named_observed] or evaluated
  members += perturbations.perturbed(perturbed, kinds, seed)
  named = {} if own is None else own.groups
  groups: dict[str, list[Instruction]] = {}
  for instruction in members:
    group = named.get(instruction.role) or group_of(instruction, named_observed)
    if instruction.role not in PERTURBATIONS:
      group = named.get(instruction.collection) or group
    if group is not None:
      groups.setdefault(group, []).append(instruction)
  made = []
  for name, instructions in groups.items():
    is_new = name == 'observed' and own is not None and not observed_collections.intersection(own.observed)
    suffix = '' if own is not None and own.unnamed == name else f'_{name}'
    made.append(Group(name, 'unobserved' if is_new else name, tuple(instructions), suffix))
  if own is not None:
    _check_keys(dataset, made)
  _tell_seen(dataset, made)
  trained = [i for i in members if i.layout.template is not None]
  return Served(
    tuple(members),
    tuple(made),
    tuple(i for i in trained if group_of(i, named_observed) == 'observed'),
    tuple(
      i
      for i in trained
      if i.role == 'alignment' and (alignment_collections is None or i.collection in alignment_collections)
    ),
  )


def _members(dataset: Dataset, phrasings: Mapping[str, Sequence[Instruction]]) -> list[Instruction]:
  """The phrasings that a dataset's fields and options fit; what stands under several of its bank's tasks alike is taken once."""
  if dataset.own is not None and dataset.fields is not None:
    named = [i for task in dataset.bank_tasks for i in phrasings.get(task, ())]
    reading.check_fields(named, dict.fromkeys(dataset.bank_tasks, dataset.fields))
    return named
  made: list[Instruction] = []
  lettered: list[Instruction] = []
  known: dict[tuple[str, str], list[Instruction]] = {}
  for task in dataset.bank_tasks:
    for instruction in phrasings.get(task, ()):
      if not _can_fill(dataset, instruction):
        continue
      same = known.setdefault((instruction.collection, instruction.key), [])
      if all(other.layout != instruction.layout for other in same):
        same.append(instruction)
        (lettered if _lacks_letters(dataset, instruction) else made).append(instruction)
  if lettered:
    _tell_lettered(dataset, lettered, len(made))
  return made


def _can_fill(dataset: Dataset, instruction: Instruction) -> bool:
  """Whether a dataset has the fields that a phrasing needs; so it is taken to be where its fields are not known."""
  return dataset.fields is None or flattening.needed_fields(instruction.layout) <= {*dataset.fields}


def _lacks_letters(dataset: Dataset, instruction: Instruction) -> bool:
  """Whether a phrasing lists options by letter, and a dataset has examples with more options than there are letters."""
  return (dataset.most_options or 0) > LETTERS and flattening.lists_letters(instruction.layout)


def _tell_lettered(dataset: Dataset, lettered: Sequence[Instruction], used: int) -> None:
  """Warns of phrasings by letters that do not serve a dataset with more options, and keeps for `readings` how many there are."""
  where = f'{dataset.name}, phrasings by letters'
  first = f'{lettered[0].id} lists options by letter, and examples of {dataset.name} have up to {dataset.most_options}'
  told: Reason = {'rows': len(lettered), 'first': first}
  before = readings().get(where)
  if before is None or before.get('unserved') != told:
    _logger.warning('%s: %d phrasings are left out; the first: %s', dataset.name, len(lettered), first)
  keep_reading(where, {'used': used, 'left_out': {}, 'unserved': told})


def _tell_seen(dataset: Dataset, served: Iterable[Group]) -> None:
  """Warns of unobserved phrasings whose text is that of an observed one, and keeps for `readings` how many there are."""
  of = {name: [i for g in served if g.counted == name for i in g.instructions] for name in ('observed', 'unobserved')}
  observed = {checks.text_of(i): i.id for i in of['observed']}
  seen = [(i.id, observed[text]) for i in of['unobserved'] if (text := checks.text_of(i)) in observed]
  if not seen:
    return
  where = f'phrasings of {", ".join(dataset.bank_tasks)}'
  told: Reason = {'rows': len(seen), 'first': f'{seen[0][0]}, which reads like {seen[0][1]}'}
  before = readings().get(where)
  if before is None or before.get('seen') != told:  # once for all datasets that these phrasings serve
    _logger.warning(
      '%s: %d unobserved phrasings have the words of an observed one; the first: %s', where, len(seen), told['first']
    )
  keep_reading(where, {'used': len(of['unobserved']), 'left_out': {}, 'seen': told})


def tell_unserved(datasets: Sequence[Dataset], phrasings: Iterable[Instruction]) -> None:
  """Warns of phrasings of the datasets' tasks that serve none of them, and keeps for `readings` how many there are.

  Args:
    datasets: those of a suite.
    phrasings: that a user added.
  """
  unserved, used = [], 0
  for instruction in phrasings:
    asking = [d for d in datasets if instruction.task in d.bank_tasks]
    if any(_can_fill(d, instruction) for d in asking):
      used += 1
    elif asking:
      needed = ', '.join(sorted(flattening.needed_fields(instruction.layout)))
      known = ' or '.join(dict.fromkeys(', '.join(d.fields or ()) or 'nothing' for d in asking))
      unserved.append((instruction.id, f'needs {needed}, where the data has {known}'))
  if unserved:
    told: Reason = {'rows': len(unserved), 'first': ' '.join(unserved[0])}
    _logger.warning('%d phrasings serve no dataset and are left out; the first: %s', len(unserved), told['first'])
    keep_reading('phrasings', {'used': used, 'left_out': {}, 'unserved': told})


def _check_keys(dataset: Dataset, groups: Iterable[Group]) -> None:
  """BankError if two phrasings would name the same task."""
  seen: dict[str, str] = {}
  problems = []
  for instruction in (i for group in groups for i in group.instructions):
    other = seen.setdefault(instruction.key, instruction.id)
    if other != instruction.id:
      problems.append(
        f'{instruction.id}: its key is also that of {other}, and both would name the task '
        f'{dataset.name}__{instruction.key}; give it another key'
      )
  if problems:
    raise BankError(problems)
