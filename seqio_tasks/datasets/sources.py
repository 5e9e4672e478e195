"""What a source of examples is to the rest: a `Dataset`, its examples, its splits, and rows that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import functools
import hashlib
import json
import logging
import math
import os
import pathlib
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from seqio_tasks import tables
from seqio_tasks.bank.fields import field_name
from seqio_tasks.bank.instruction import Instruction
from seqio_tasks.bank.layouts import Item
from seqio_tasks.errors import UserError, shorten

if TYPE_CHECKING:
  import seqio

Example = Mapping[str, Any]
Reader = Callable[[], Sequence[Example]]

_logger = logging.getLogger(__name__)
_WARNINGS_SHOWN = 3


class DatasetError(UserError):
  """Data that cannot be used; the message names file, line or field, and the cure."""


@dataclasses.dataclass(frozen=True)
class OwnPhrasings:
  """Phrasings that come with a dataset and serve it in the place of a bank's.

  They are made for it: each has a key of its own, all of them ask for the answer in one form and, where the dataset's
  fields are known, each names every field once. So a task is named by a phrasing's key alone, and what falls short of
  this is an error, not a phrasing that does not serve the dataset.

  Attributes:
    read: reads them.
    observed: collections that names of tasks call observed, whatever the model was tuned on; results count them as
      unobserved where it was tuned on none of them.
    groups: collection or role -> group that its phrasings are evaluated in, where that is not as for all others.
    unnamed: the group that names of tasks leave out: <dataset>_eval.
  """

  read: Callable[[], Iterable[Instruction]]
  observed: tuple[str, ...] = ()
  groups: Mapping[str, str] = dataclasses.field(default_factory=dict)
  unnamed: str = ''


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A set of examples that differ in nothing but their texts.

  Attributes:
    name: that its tasks and results go by.
    benchmark: that its mixtures go by.
    bank_tasks: the tasks of the bank whose phrasings serve it.
    splits: split -> function without arguments that reads the examples; equal functions read equal examples.
    metric: "exact_match" or "lmentry".
    parts: whether example ids start with a part, before a slash, that has a score of its own.
    fields: that every example has; phrasings that name another do not serve it. None if that is not known.
    most_options: of an example; phrasings that have no letters for so many do not serve it. None if that is not known
      without reading examples.
    sizes: split -> number of its examples, where that is known without reading them.
    splits_for: function of the model's vocabulary that gives the splits to train on, where they depend on it.
    own: phrasings that come with it; None for those of the banks.
    alignment: "paraphrases" for an observed phrasing and paraphrases of it; "held" for observed phrasings alone, half of
      which are paraphrases of the other half, for an objective that holds the model to what it knew; "none".
    tuning_rate: how much it counts in the tuning mixture; by default as `suites.register` says.
  """

  name: str
  benchmark: str
  bank_tasks: tuple[str, ...]
  splits: Mapping[str, Reader]
  metric: str = 'exact_match'
  parts: bool = False
  fields: tuple[str, ...] | None = None
  most_options: int | None = None
  sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
  splits_for: Callable[[seqio.Vocabulary], Mapping[str, Reader]] | None = None
  own: OwnPhrasings | None = None
  alignment: Literal['paraphrases', 'held', 'none'] = 'paraphrases'
  tuning_rate: float | None = None


class Reason(TypedDict):
  """Rows of which the same is to be said: how many, and what is said of the first one, with its file and line or its id."""

  rows: int
  first: str


class _Rows(TypedDict):
  used: int
  left_out: dict[str, Reason]


class Reading(_Rows, total=False):
  """What came of reading a source: how many rows are used, and which were left out, by reason.

  Of a split that is evaluated also which examples ask the same as an earlier one, of phrasings which unobserved ones read like
  an observed one. They stay. Of phrasings, which do not fit the data: a user's that serve no dataset, and those by letters where
  there are more options.
  """

  doubled: Reason
  seen: Reason
  unserved: Reason


# Of each source that was read in this process: examples are read once and kept, so what is said of them is kept too.
_readings: dict[str, Reading] = {}


def readings() -> dict[str, Reading]:
  """What came of each source that this process has read so far, by its path."""
  return {where: _readings[where] for where in sorted(_readings)}


class Report:
  """Takes faults of rows: warns of the first ones and counts them by reason, or raises if strict."""

  def __init__(self, strict: bool):
    self._strict, self._faults = strict, 0
    self._left_out: dict[str, Reason] = {}

  def __call__(self, fault: str, reason: str = 'is not a row that can be read') -> None:
    """Takes the fault of a row, which names file and line, and what kind of fault it is."""
    fault = shorten(fault, 400)
    if self._strict:
      raise DatasetError(fault)
    self._faults += 1
    self._left_out.setdefault(reason, {'rows': 0, 'first': fault})['rows'] += 1
    if self._faults <= _WARNINGS_SHOWN:
      _logger.warning('%s; the row is left out', fault)

  def done(self, where: str, kept: int) -> None:
    """Keeps the counts for `readings`, and says how many rows were left out, if more than were named."""
    _readings[where] = {'used': kept, 'left_out': self._left_out}
    if self._faults > _WARNINGS_SHOWN:
      _logger.warning('%s: %d rows are left out, %d are kept', where, self._faults, kept)


def keep_reading(where: str, reading: Reading) -> None:
  """Keeps something for `readings`."""
  _readings[where] = reading


def counting_doubles(read: Reader, where: str) -> Sequence[Example]:
  """What a reader reads; keeps for `readings` how many examples ask the same as an earlier one.

  Args:
    read: reads examples.
    where: what they are called there.
  """
  examples = read()
  first: dict[str, str] = {}
  pairs = [(example['example_id'], first.setdefault(question(example), example['example_id'])) for example in examples]
  doubled = [f'{where}: example {id_!r} asks the same as {other!r}' for id_, other in pairs if id_ != other]
  if doubled:
    told: Reason = {'rows': len(doubled), 'first': shorten(doubled[0], 400)}
    keep_reading(where, {'used': len(examples), 'left_out': {}, 'doubled': told})
  return examples


def question(example: Example) -> str:
  """What an example asks: its fields and options, in whatever order and with whatever blanks these stand."""
  fields = {name: ' '.join(str(value).split()) for name, value in example['fields'].items()}
  options = sorted(' '.join(str(option).split()) for option in example['options'])
  return json.dumps([fields, options], sort_keys=True, ensure_ascii=False)


def leave_out_file(path: str | os.PathLike[str], fault: str) -> None:
  """Warns of a file of which nothing is used, and keeps that for `readings`."""
  reading = _readings.setdefault(str(path), {'used': 0, 'left_out': {}})
  told: Reason = {'rows': 0, 'first': shorten(f'{path}: {fault}', 400)}
  if reading['left_out'].setdefault('the whole file', told) is told:  # once, however many datasets lie there
    _logger.warning('%s: %s; the file is left out', path, fault)


class Fault(DatasetError):
  """What keeps a row from being used: the message, and the kind of fault by which such rows are counted."""

  def __init__(self, message: str, reason: str):
    super().__init__(message)
    self.reason = reason


def chosen(datasets: Iterable[Dataset | Sequence[Dataset]]) -> list[Dataset]:
  """Datasets and lists of datasets as one list, as gin files give them."""
  made: list[Dataset] = []
  for entry in datasets:
    made.extend([entry] if isinstance(entry, Dataset) else entry)
  return made


def item_of(example: Example) -> Item:
  """An example as the item that layouts are filled in with; `layouts.field_name` says what its fields are called."""
  fields = {field_name(name): value for name, value in example['fields'].items()}
  item = {**fields, 'options': list(example['options']), 'answer': str(example['gold'])}
  for name, key in (('answer_index', 'gold_index'), ('alternatives', 'alternatives')):
    if key in example:
      item[name] = example[key]
  return item


def has_text(value: object) -> bool:
  """Whether a value from JSON is a text with something in it, or a number, which reads as one."""
  if isinstance(value, str):
    return bool(value.strip())
  return isinstance(value, int) and not isinstance(value, bool) or isinstance(value, float) and math.isfinite(value)


def read_json(path: str) -> Any:
  """The content of a JSON file; DatasetError if it cannot be read."""
  try:
    return tables.read_json(path, 'fetch the file anew')
  except tables.TableError as e:
    raise DatasetError(str(e)) from e


def instance_files(directory: str | os.PathLike[str], tasks: Sequence[str] | None) -> dict[str, str]:
  """Task -> file of BIG-Bench Hard and LMentry, as arXiv 2401.00595 publishes them.

  Args:
    directory: that holds <task>.json, or a folder instances with them.
    tasks: by default all that there are.

  Raises:
    DatasetError: if the directory holds no task, or one is unknown.
  """
  root = pathlib.Path(directory)
  if (root / 'instances').is_dir():
    root = root / 'instances'
  paths = {path.stem: str(path) for path in tables.entries(root, '*.json')}
  if not paths:
    raise DatasetError(f'{root}: holds no <task>.json; name the directory with the instances')
  unknown = [t for t in tasks or () if t not in paths]
  if unknown:
    raise DatasetError(f'{root}: has no tasks {unknown}; there are {", ".join(paths)}')
  return {t: paths[t] for t in tasks or paths}


def split_parts(read: Reader, train_percent: int, validation_percent: int = 0) -> dict[str, Reader]:
  """The splits "train", "validation" and "test" of examples that come in one piece; those without a share are not there."""
  for name, percent in (('train_percent', train_percent), ('validation_percent', validation_percent)):
    if not 0 <= percent < 100:
      raise DatasetError(f'{name} is {percent}; give 0 to 99')
  held = train_percent + validation_percent
  if held >= 100:
    raise DatasetError(f'train_percent and validation_percent are {held} together and leave nothing to test; lower one')
  if not held:
    return {'test': read}
  ends = {'train': (0, train_percent), 'validation': (train_percent, held), 'test': (held, 100)}
  return {split: functools.partial(_part, read, *share) for split, share in ends.items() if share[0] < share[1]}


def _part(read: Reader, first: int, end: int) -> tuple[Example, ...]:
  return tuple(e for e in read() if first <= _bucket(e) < end)


def _bucket(example: Example) -> int:
  """0 to 99, by the example's text, so that doubled examples fall into one split."""
  text = json.dumps([example['fields'], sorted(example['options'])], sort_keys=True)
  return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'big') % 100
