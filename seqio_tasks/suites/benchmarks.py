"""Registers a benchmark under the phrasings of a bank: tasks for each phrasing, mixtures for evaluation and training.

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
datasets.

Groups are "observed" and "unobserved" for the evaluation phrasings, and for the others their roles: "development",
"default", "incorrect", "negation", "random". A phrasing is observed if the model was tuned on its collection, which is
what `observed_collections` says. Few-shot tasks have "_<k>shot" behind the dataset's name.
"""

from __future__ import annotations

import collections as collections_lib
from collections.abc import Callable, Iterable, Mapping, Sequence
import functools
import hashlib
import itertools
import logging
import os
import pathlib
from typing import TYPE_CHECKING

from seqio_tasks.bank import instruction as instruction_lib
from seqio_tasks.bank import reading
from seqio_tasks.bank.layouts import Answer
from seqio_tasks.datasets import sources
from seqio_tasks.datasets.sources import Dataset, Example
from seqio_tasks.pipeline import flattening, phrasings, registration, seqio_metrics

if TYPE_CHECKING:
  import seqio


PACKAGE_FAMILIES = ('general', 'bbl', 'bbh', 'lmentry', 'niv2')
_TRAINING_SPLITS = ('train', 'dev', 'validation')
_EVALUATION_SPLITS = ('test', 'validation')
_EXEMPLAR_SPLITS = ('dev', 'train', 'validation')
_logger = logging.getLogger(__name__)


def register_benchmark(
  vocabulary: seqio.Vocabulary,
  datasets: Sequence[Dataset | Sequence[Dataset]],
  banks: Sequence[str] = ('package',),
  observed_collections: Sequence[str] = (),
  collections: Sequence[str] | None = None,
  num_examples: int | None = None,
  num_shots: int = 0,
  num_paraphrases: int = 3,
  max_tuning_rate: float | None = None,
  single_tasks: bool = True,
) -> list[str]:
  """Registers the tasks and mixtures that the module's docstring names.

  Args:
    vocabulary: of inputs and targets.
    datasets: from the functions of `datasets`, `tfds_datasets` and `own_data`.
    banks: "package" for the phrasings that come with it, and bank files or directories of them.
    observed_collections: that the model was tuned on.
    collections: the phrasings that are used; by default all.
    num_examples: of each split, the first ones; by default all.
    num_shots: examples shown before each evaluated one, from the split dev, train or validation; where there is none,
      the first ones of the split itself, which are then not evaluated.
    num_paraphrases: beside the canonical phrasing in the alignment tasks: K - 1.
    max_tuning_rate: most that a dataset counts in the tuning mixture, in examples; by default datasets count alike.
    single_tasks: whether tasks of one phrasing are registered.

  Returns:
    the names of the tasks and then of the mixtures.

  Raises:
    BankError: if a bank is faulty.
    RegistrationError: if no phrasing serves a dataset, or a name is taken by other content.
  """
  datasets = sources.chosen(datasets)
  bank = read_banks(banks)
  if collections is not None:
    missing = [c for c in collections if c not in {i.collection for i in bank}]
    if missing:
      raise registration.RegistrationError(
        f'the banks have no collections {missing}; they have {sorted({i.collection for i in bank})}'
      )
    bank = bank.select(collections=collections)
  by_task = _by_task(bank)
  names: list[str] = []
  mixtures: dict[str, list[str]] = {}
  flat: dict[str, list[str]] = {}
  sizes: dict[str, int] = {}
  for dataset in datasets:
    served = _served(dataset, by_task)
    if not served:
      raise registration.RegistrationError(
        f'no phrasing of the banks serves {dataset.name}, which takes those of {", ".join(dataset.bank_tasks)}'
        f'{" with the fields " + ", ".join(dataset.fields) if dataset.fields else ""}; '
        f'the banks have phrasings of {", ".join(list(by_task)[:20]) or "nothing"}'
      )
    made = _register_dataset(
      dataset, served, vocabulary, frozenset(observed_collections), num_examples, num_shots, single_tasks
    )
    names += made['tasks']
    for kind, task in made['eval']:
      mixtures.setdefault(f'{dataset.benchmark}_eval_{kind}', []).append(task)
      if registration.evaluation_task(task).group == kind:  # those of collections have the same rows again
        flat.setdefault(dataset.benchmark, []).append(task)
    for kind, task in made['rank']:
      mixtures.setdefault(f'{dataset.benchmark}_eval_{kind}', []).append(task)
    for kind, task in _register_training(
      dataset, served, vocabulary, frozenset(observed_collections), num_examples, num_paraphrases
    ):
      names.append(task)
      mixtures.setdefault(f'{dataset.benchmark}_{kind}', []).append(task)
      if kind == 'tuning' and max_tuning_rate is not None:
        sizes[task] = len(dataset.splits[_first(_TRAINING_SPLITS, dataset.splits)]())
  made_mixtures = []
  for name, tasks in mixtures.items():
    if tasks == [name]:
      continue  # the one dataset is named as its benchmark
    evaluation = name.rpartition('_')[2] not in ('tuning', 'alignment', 'resampling')
    benchmark = next(d.benchmark for d in datasets if name.startswith(f'{d.benchmark}_'))
    rates = {t: min(sizes[t], max_tuning_rate) for t in tasks if t in sizes}
    made_mixtures.append(
      registration.register_mixture(name, tasks, tasks if evaluation else flat.get(benchmark), rates or None)
    )
  return names + made_mixtures


def read_banks(banks: Sequence[str]) -> reading.Bank:
  """The phrasings of the package ("package"), of bank files and of directories of them.

  Raises:
    BankError: if one is missing or faulty.
  """
  paths: list[pathlib.Path] = []
  for entry in banks:
    if entry == 'package':
      paths += [path for family in PACKAGE_FAMILIES for path in reading.package_files(family)]
    elif os.path.isdir(entry):
      found = sorted(pathlib.Path(entry).glob('*.yaml'))
      if not found:
        raise instruction_lib.BankError([f'{entry}: holds no .yaml file; name a directory of bank files'])
      paths += found
    else:
      paths.append(pathlib.Path(entry))
  return _read_files(tuple(map(str, paths)), tuple(p.stat().st_mtime_ns if p.is_file() else 0 for p in paths))


@functools.lru_cache(maxsize=8)
def _read_files(paths: tuple[str, ...], times: tuple[int, ...]) -> reading.Bank:
  del times  # part of the key, so that a changed file is read anew
  return reading.Bank.from_files(paths)


def _served(
  dataset: Dataset, by_task: Mapping[str, Sequence[instruction_lib.Instruction]]
) -> list[instruction_lib.Instruction]:
  """The phrasings whose fields a dataset has; what stands under several of its bank's tasks alike is taken once."""
  made: list[instruction_lib.Instruction] = []
  known: dict[tuple[str, str], list[instruction_lib.Instruction]] = {}
  for task in dataset.bank_tasks:
    for instruction in by_task.get(task, ()):
      if dataset.fields is not None and not flattening.needed_fields(instruction.layout) <= {*dataset.fields}:
        continue
      same = known.setdefault((instruction.collection, instruction.key), [])
      if all(other.layout != instruction.layout for other in same):
        same.append(instruction)
        made.append(instruction)
  return made


def _by_task(bank: reading.Bank) -> Mapping[str, list[instruction_lib.Instruction]]:
  made: dict[str, list[instruction_lib.Instruction]] = {}
  for instruction in bank:
    made.setdefault(instruction.task, []).append(instruction)
  return made


def group_of(instruction: instruction_lib.Instruction, observed_collections: Iterable[str]) -> str | None:
  """The group that a phrasing is evaluated in; None if it is only trained on."""
  if instruction.role == 'alignment':
    return None
  if instruction.role != 'evaluation':
    return instruction.role
  return 'observed' if instruction.collection in observed_collections else 'unobserved'


def _register_dataset(
  dataset: Dataset,
  served: Sequence[instruction_lib.Instruction],
  vocabulary: seqio.Vocabulary,
  observed: frozenset[str],
  num_examples: int | None,
  num_shots: int,
  single_tasks: bool,
) -> dict[str, list]:
  """Registers the evaluation tasks of a dataset: their names, and (group or collection, name) of the flat ones."""
  name = f'{dataset.name}_{num_shots}shot' if num_shots else dataset.name
  shots: Sequence[Example] = ()
  source = None
  evaluated = [s for s in _EVALUATION_SPLITS if s in dataset.splits] or list(dataset.splits)
  if num_shots:
    source = _first(_EXEMPLAR_SPLITS, dataset.splits) or evaluated[0]
    shots = dataset.splits[source]()[:num_shots]
    if len(shots) < num_shots:
      raise registration.RegistrationError(
        f'{dataset.name} has {len(shots)} examples to show, not {num_shots}; ask for fewer'
      )
  splits = {s: _cut(dataset.splits[s], num_examples, num_shots if s == source else 0) for s in evaluated}
  groups: dict[str, list[instruction_lib.Instruction]] = {}
  shares = collections_lib.Counter((i.collection, i.key) for i in served)
  for instruction in served:
    group = group_of(instruction, observed)
    if group is not None and (num_shots or instruction.layout.template is not None):
      groups.setdefault(group, []).append(instruction)
  register = functools.partial(
    registration.register_evaluation_task,
    dataset=name,
    examples_by_split=splits,
    vocabulary=vocabulary,
    metric_fns=(seqio_metrics.METRICS[dataset.metric, dataset.parts],),
    examples=tuple(registration.item_of(e) for e in shots),
  )

  def rank(task, instructions):
    return registration.register_examples_task(
      task,
      splits,
      vocabulary,
      phrasings.rank_options(instructions, register.keywords['examples']),
      metric_fns=(seqio_metrics.rank_accuracy,),
    )

  made: dict[str, list] = {'tasks': [], 'eval': [], 'rank': []}
  for group, instructions in groups.items():
    kinds = [(group, instructions)]
    for collection in dict.fromkeys(i.collection for i in instructions):
      members = [i for i in instructions if i.collection == collection]
      kinds.append((collection, members))
    for kind, members in kinds:
      if kind != group and any(k == kind for k, _ in made['eval']):
        kind = f'{kind}_{group}'  # a collection with phrasings of several groups
      made['eval'].append((kind, register(f'{name}_eval_{kind}', group=group, instructions=members)))
      made['rank'].append((f'{kind}__rank', rank(f'{name}_eval_{kind}__rank', members)))
    for instruction in instructions if single_tasks else ():
      shared = shares[instruction.collection, instruction.key] > 1
      task = f'{instruction.task}_' if shared else ''
      single = f'{name}__{instruction.collection}_{task}{instruction.key}'
      made['tasks'].append(register(single, group=group, instructions=[instruction]))
      made['tasks'].append(rank(f'{single}__rank', [instruction]))
  made['tasks'] = [task for _, task in made['eval'] + made['rank']] + made['tasks']
  return made


def _register_training(
  dataset: Dataset,
  served: Sequence[instruction_lib.Instruction],
  vocabulary: seqio.Vocabulary,
  observed: frozenset[str],
  num_examples: int | None,
  num_paraphrases: int,
) -> list[tuple[str, str]]:
  """Registers the training tasks of a dataset: ("tuning", "alignment" or "resampling", name) of each."""
  split = _first(_TRAINING_SPLITS, dataset.splits)
  if split is None:
    _logger.info('%s has no split to train on, only %s', dataset.name, ', '.join(dataset.splits))
    return []
  splits = {'train': _cut(dataset.splits[split], num_examples, 0)}
  if 'validation' in dataset.splits and split != 'validation':
    splits['validation'] = _cut(dataset.splits['validation'], num_examples, 0)
  filled = [i for i in served if i.layout.template is not None]
  canonical = [i for i in filled if group_of(i, observed) == 'observed']
  paraphrases = [i for i in filled if i.role == 'alignment']
  made = []
  if canonical:
    preprocessor = phrasings.stack_phrasings(1, canonical)
    made.append(
      ('tuning', registration.register_examples_task(f'{dataset.name}_tuning', splits, vocabulary, preprocessor))
    )
  for form, members in _by_form(paraphrases).items():
    firsts = [i for i in canonical if _form_of(i) == form]
    if not firsts:
      # No observed phrasing asks for the answer in this form: the first paraphrase stands in for it.
      firsts, members = members[:1], members[1:]
    if len(members) < num_paraphrases:
      _logger.info('%s: %d paraphrases ask for the answer as %s, too few to align', dataset.name, len(members), form)
      continue
    preprocessors = {
      'alignment': phrasings.stack_phrasings(1 + num_paraphrases, firsts, members),
      'resampling': phrasings.stack_phrasings(1, (*firsts, *members)),
    }
    for kind, preprocessor in preprocessors.items():
      name = f'{dataset.name}_{kind}_{form}'
      made.append((kind, registration.register_examples_task(name, splits, vocabulary, preprocessor)))
  if paraphrases and not any(kind == 'alignment' for kind, _ in made):
    _logger.warning(
      '%s has no alignment task: fewer than NUM_PARAPHRASES=%d paraphrases ask for the answer in one form; lower it, or '
      'add paraphrases',
      dataset.name,
      num_paraphrases,
    )
  return made


def _by_form(instructions: Iterable[instruction_lib.Instruction]) -> dict[str, list[instruction_lib.Instruction]]:
  made: dict[str, list[instruction_lib.Instruction]] = {}
  for instruction in instructions:
    made.setdefault(_form_of(instruction), []).append(instruction)
  return made


def _form_of(instruction: instruction_lib.Instruction) -> str:
  """A name for the form in which a phrasing asks for the answer; equal for equal forms only."""
  answer = instruction.layout.default_answer
  if answer == Answer():
    return 'text'
  if answer == Answer('{label}', answer.labels):
    return answer.labels
  return 'form_' + hashlib.sha256(repr(answer).encode()).hexdigest()[:8]


def _cut(read: Callable[[], Sequence[Example]], most: int | None, skipped: int) -> Callable[[], Sequence[Example]]:
  return read if most is None and not skipped else functools.partial(_slice, read, most, skipped)


def _slice(read: Callable[[], Sequence[Example]], most: int | None, skipped: int) -> Sequence[Example]:
  return tuple(itertools.islice(read(), skipped, None if most is None else skipped + most))


def _first(names: Sequence[str], among: Iterable[str]) -> str | None:
  return next((n for n in names if n in among), None)
