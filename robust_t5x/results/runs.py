"""An evaluation on disk while it runs, and when it is finished.

A directory holds `results.parquet`, the same as `results.csv`, and `run.json`; while the evaluation is under way,
`shards/` holds a parquet file for each task that is done. Every file is written whole or not at all.
"""

from collections.abc import Mapping, Sequence
import csv
import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import shutil

import pandas as pd

from robust_t5x.results import schema
from robust_t5x.results.schema import COLUMNS, Fingerprint, Record, ResultsError, read_record, read_table, write_parquet
from robust_t5x.runtime import files, versions
from seqio_tasks.errors import shorten

_ABSENT = object()


@dataclasses.dataclass
class Run:
  """An evaluation on disk.

  Attributes:
    directory: where it is.
    record: content of its `run.json`.
  """

  directory: str
  record: Record

  @classmethod
  def open(cls, directory: str, label: str, fingerprint: Fingerprint) -> 'Run':
    """Finds the evaluation in a directory or begins it there.

    Args:
      directory: made if absent.
      label: name of the model.
      fingerprint: settings and hashes; two evaluations are the same if these are.

    Raises:
      ResultsError: if the directory holds another evaluation, or results of one that is not recorded.
    """
    fingerprint = json.loads(json.dumps(fingerprint))
    path = os.path.join(directory, 'run.json')
    if os.path.isfile(path):
      record = read_record(path)
      before = record.get('fingerprint', {})
      if 'vocabulary' in fingerprint and 'vocabulary' not in before:  # of before 2026-11-27, told once finished
        before = {'vocabulary': record.get('model', {}).get('vocabulary', fingerprint['vocabulary']), **before}
      if before != fingerprint or record.get('label') != label:
        changed = _changes({'label': record.get('label'), **before}, {'label': label, **fingerprint})
        raise _of_another(directory, changed)
      if record.get('finished'):  # and killed before it had cleaned up
        shutil.rmtree(os.path.join(directory, 'shards'), ignore_errors=True)
      return cls(directory, record)
    _check_of_nobody(directory)
    os.makedirs(os.path.join(directory, 'shards'), exist_ok=True)
    run = cls(
      directory, {'label': label, 'fingerprint': fingerprint, 'finished': None, 'versions': versions.versions()}
    )
    run._write()
    return run

  @property
  def finished(self) -> bool:
    """Whether all tasks are done and the table is written."""
    return bool(self.record['finished'])

  def check_groups(self, groups: Mapping[tuple[str, str], str]) -> None:
    """Checks that what is kept counts phrasings in the groups of now; no fingerprint tells them.

    Args:
      groups: (dataset, instruction id) -> group, of all tasks.

    Raises:
      ResultsError: naming a phrasing that is in another group.
    """
    shards = sorted(pathlib.Path(self.directory, 'shards').glob('*.parquet'))
    kept = [self.table()] if self.finished else [_read_shard(str(path)) for path in shards]
    columns = ['dataset', 'instruction_id', 'group']
    found = pd.concat([table[columns] for table in kept] or [pd.DataFrame(columns=columns)]).drop_duplicates()
    changed = [
      f'the group of {instruction} was {before!r}, is {now!r} (by OBSERVED_COLLECTIONS, or its role in the bank)'
      for dataset, instruction, before in found.itertuples(index=False)
      if (now := groups.get((dataset, instruction), before)) != before
    ]
    if changed:
      more = [f'so it is of {len(changed) - 1} more phrasings'] if len(changed) > 1 else []
      raise _of_another(self.directory, [changed[0], *more])

  def table(self) -> pd.DataFrame:
    """The finished results table, with the columns COLUMNS."""
    return read_table(self.directory)

  def has_shard(self, name: str) -> bool:
    """Whether the task of this name is done.

    Raises:
      ResultsError: if its rows are there and damaged.
    """
    if not os.path.isfile(self._shard(name)):
      return False
    self.shard(name)
    return True

  def add_shard(self, name: str, table: pd.DataFrame) -> None:
    """Keeps the rows of a task, or of a round of several."""
    write_parquet(table[list(COLUMNS)], self._shard(name))

  def shard(self, name: str) -> pd.DataFrame:
    """The rows that are kept by this name."""
    return _read_shard(self._shard(name))

  def finish(
    self, instructions: Mapping[str, str], metadata: Record, table: pd.DataFrame | None = None
  ) -> pd.DataFrame:
    """Writes the table.

    Args:
      instructions: instruction id -> template, kept for reports.
      metadata: what else to record, such as the gin configuration.
      table: whole; None where there is a shard for each task.

    Returns:
      the table, its rows in the order of tasks, examples and phrasings.
    """
    if table is None:
      table = pd.concat([self.shard(name) for name in self.record['fingerprint']['tasks']], ignore_index=True)
    write_parquet(table, os.path.join(self.directory, 'results.parquet'))
    self.write_csv(table)
    self.record.update(metadata)
    self.record.update(
      {
        'instructions': dict(instructions),
        'rows': len(table),
        **schema.counts(table),
        'finished': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
      }
    )
    self._write()
    shutil.rmtree(os.path.join(self.directory, 'shards'))
    return table

  def write_csv(self, table: pd.DataFrame) -> None:
    """Writes the table as `results.csv`, for people and other programs; `results.parquet` is what is read."""
    # All texts are quoted, since one may hold the end of a line.
    with files.written_whole(os.path.join(self.directory, 'results.csv')) as f:
      table.to_csv(f, index=False, quoting=csv.QUOTE_NONNUMERIC)

  def _write(self) -> None:
    files.write_atomically(os.path.join(self.directory, 'run.json'), json.dumps(self.record, indent=2) + '\n')

  def _shard(self, name: str) -> str:
    # The readable part may be cut or ambiguous; the hash keeps names apart.
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    readable = ''.join(c if c.isalnum() or c in '-_' else '_' for c in name)[:80]
    return os.path.join(self.directory, 'shards', f'{readable}-{digest}.parquet')


def _read_shard(path: str) -> pd.DataFrame:
  return schema.read_parquet(path, 'delete it and run the same `robust-t5x eval` again')


def _of_another(directory: str, changed: Sequence[str]) -> ResultsError:
  return ResultsError(
    f'OUTPUT_DIR: {directory} holds another evaluation: {"; ".join(changed)}. Choose another directory, set what it was, or '
    'delete that one'
  )


def _check_of_nobody(directory: str) -> None:
  """Raises ResultsError if there are results without `run.json`, which could be of any model and data."""
  shards = os.path.join(directory, 'shards')
  found = [name for name in ('results.parquet', 'results.csv') if os.path.exists(os.path.join(directory, name))]
  found += ['shards/'] if os.path.isdir(shards) and any(n.endswith('.parquet') for n in os.listdir(shards)) else []
  if found:
    raise ResultsError(
      f'OUTPUT_DIR: {directory} holds {", ".join(found)} and no run.json, which would say of which evaluation; move them '
      'away, or choose another directory'
    )


def _changes(before: Mapping[str, object], now: Mapping[str, object], place: str = '') -> list[str]:
  """What differs between two fingerprints, each with its old and its new value.

  >>> _changes({'scorer': 'a', 'tasks': {'t': '1', 'u': '2'}}, {'scorer': 'b', 'tasks': {'t': '1'}})
  ["scorer was 'a', is 'b'", "tasks.u was '2', is not there"]
  """
  found = []
  for name in sorted({*before, *now}):
    old, new = before.get(name, _ABSENT), now.get(name, _ABSENT)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
      found += _changes(old, new, f'{place}{name}.')
    elif old != new:
      found.append(f'{place}{name} was {_shown(old)}, is {_shown(new)}')
  return found


def _shown(value: object) -> str:
  return 'not there' if value is _ABSENT else shorten(repr(value), 60)
