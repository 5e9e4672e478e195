"""What a source of examples is to the rest: datasets, their splits, and rows that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import functools
import hashlib
import json
import logging
import os
import pathlib
from typing import Any

from seqio_tasks.datasets import tables
from seqio_tasks.errors import UserError


def instance_files(directory: str | os.PathLike[str], tasks: Sequence[str] | None) -> dict[str, str]:
  root = pathlib.Path(directory)
  if (root / 'instances').is_dir():
    root = root / 'instances'
  paths = {path.stem: str(path) for path in sorted(root.glob('*.json'))}
  if not paths:
    raise DatasetError(f'{root}: holds no <task>.json; name the directory with the instances')
  unknown = [t for t in tasks or () if t not in paths]
  if unknown:
    raise DatasetError(f'{root}: has no tasks {unknown}; there are {", ".join(paths)}')
  return {t: paths[t] for t in tasks or paths}


Example = Mapping[str, Any]
_logger = logging.getLogger(__name__)
_WARNINGS_SHOWN = 3


class DatasetError(UserError):
  """Data that cannot be used; the message names file, line or field, and the cure."""


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
  """

  name: str
  benchmark: str
  bank_tasks: tuple[str, ...]
  splits: Mapping[str, Callable[[], Sequence[Example]]]
  metric: str = 'exact_match'
  parts: bool = False
  fields: tuple[str, ...] | None = None


class Report:
  """Takes faults of rows: warns of the first ones and counts, or raises if strict."""

  def __init__(self, strict: bool):
    self._strict, self._faults = strict, 0

  def __call__(self, fault: str) -> None:
    if self._strict:
      raise DatasetError(fault)
    self._faults += 1
    if self._faults <= _WARNINGS_SHOWN:
      _logger.warning('%s; the row is left out', fault)

  def done(self, where: str, kept: int) -> None:
    """Says how many rows were left out, if more than were named."""
    if self._faults > _WARNINGS_SHOWN:
      _logger.warning('%s: %d rows are left out, %d are kept', where, self._faults, kept)


def read_json(path: str) -> Any:
  try:
    return json.loads(tables.read_text(path))
  except tables.TableError as e:
    raise DatasetError(str(e)) from e
  except ValueError as e:
    raise DatasetError(f'{path}: is not JSON ({e}); fetch the file anew') from e


def split_parts(
  read: Callable[[], Sequence[Example]], train_percent: int
) -> dict[str, Callable[[], Sequence[Example]]]:
  """The splits "train" and "test" of examples that come in one piece."""
  if not 0 <= train_percent < 100:
    raise DatasetError(f'train_percent is {train_percent}; give 0 to 99')
  if train_percent == 0:
    return {'test': read}
  return {split: functools.partial(_part, read, train_percent, split == 'train') for split in ('train', 'test')}


def _part(read: Callable[[], Sequence[Example]], percent: int, train: bool) -> tuple[Example, ...]:
  return tuple(e for e in read() if (_bucket(e) < percent) == train)


def _bucket(example: Example) -> int:
  """0 to 99, by the example's text, so that doubled examples fall into one split."""
  text = json.dumps([example['fields'], sorted(example['options'])], sort_keys=True)
  return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'big') % 100


def chosen(datasets: Iterable[Dataset | Sequence[Dataset]]) -> list[Dataset]:
  """Datasets and lists of datasets as one list, as gin files give them."""
  made: list[Dataset] = []
  for entry in datasets:
    made.extend([entry] if isinstance(entry, Dataset) else entry)
  return made
