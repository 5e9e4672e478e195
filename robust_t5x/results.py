"""The results of an evaluation: one table, a row per example and phrasing, and what the run was.

Published results come without examples: a row per phrasing, whose score is an accuracy (robust_t5x.published). The
`grain` of a table says which.

A directory holds `results.parquet`, the same as `results.csv`, and `run.json`; while the evaluation is under way,
`shards/` holds a parquet file for each task that is done. Every file is written whole or not at all.
"""

from collections.abc import Mapping
import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
import shutil
import sys
from typing import Any

from etils import epath
import pandas as pd

from robust_t5x import published, t5x_results

COLUMNS = (
  'model', 'dataset', 'example_id', 'instruction_id', 'group', 'scorer', 'prediction', 'gold', 'score',
  'option_scores', 'matched_option', 'truncated_tokens',
)  # fmt: skip
EXAMPLE, PHRASING = 'example', 'phrasing'  # grains
_PACKAGES = (
  'robust_t5x', 'jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'seqio', 'tensorflow', 'numpy', 'gin-config',
)  # fmt: skip


class ResultsError(ValueError):
  """Results that are missing, unfinished or of another evaluation; the message names the file and the cure."""


class GrainError(ResultsError):
  """A metric that needs scores of examples, where there are accuracies of phrasings only."""


def grain(table: pd.DataFrame) -> str:
  """What a row of a table stands for: EXAMPLE (under a phrasing) or PHRASING."""
  return EXAMPLE if 'example_id' in table else PHRASING


def versions() -> dict[str, str]:
  """Version of Python and of every package that can change a result; packages that are not installed are left out."""
  found = {'python': sys.version.split()[0]}
  for package in _PACKAGES:
    try:
      found[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      pass
  return found


def write_atomically(path: str, content: str | bytes) -> None:
  """Writes a file, text as UTF-8, so that a reader finds the old one or the new one, never a part."""
  data = content.encode() if isinstance(content, str) else content
  if '://' in path:  # a bucket's objects appear whole
    epath.Path(path).write_bytes(data)
    return
  temporary = f'{path}.{os.getpid()}.tmp'
  with open(temporary, 'wb') as f:
    f.write(data)
  os.replace(temporary, path)


@dataclasses.dataclass
class Run:
  """An evaluation on disk.

  Attributes:
    directory: where it is.
    record: content of its `run.json`.
  """

  directory: str
  record: dict[str, Any]

  @classmethod
  def open(cls, directory: str, label: str, fingerprint: Mapping[str, Any]) -> 'Run':
    """Finds the evaluation in a directory or begins it there.

    Args:
      directory: made if absent.
      label: name of the model.
      fingerprint: settings and hashes; two evaluations are the same if these are.

    Raises:
      ResultsError: if the directory holds another evaluation.
    """
    fingerprint = json.loads(json.dumps(fingerprint))
    path = os.path.join(directory, 'run.json')
    if os.path.isfile(path):
      record = _read_json(path)
      before = record.get('fingerprint', {})
      if before != fingerprint or record.get('label') != label:
        changed = sorted(k for k in {*before, *fingerprint} if before.get(k) != fingerprint.get(k)) or ['label']
        raise ResultsError(
          f'OUTPUT_DIR: {directory} holds another evaluation (it differs in {", ".join(changed)}); choose another '
          'directory, or delete that one'
        )
      return cls(directory, record)
    os.makedirs(os.path.join(directory, 'shards'), exist_ok=True)
    run = cls(directory, {'label': label, 'fingerprint': fingerprint, 'finished': None, 'versions': versions()})
    run._write()
    return run

  @property
  def finished(self) -> bool:
    """Whether all tasks are done and the table is written."""
    return bool(self.record['finished'])

  def table(self) -> pd.DataFrame:
    """The finished results table, with the columns COLUMNS."""
    return read_table(self.directory)

  def has_shard(self, name: str) -> bool:
    """Whether the task of this name is done."""
    return os.path.isfile(self._shard(name))

  def add_shard(self, name: str, table: pd.DataFrame) -> None:
    """Keeps the rows of a task."""
    _write_parquet(table[list(COLUMNS)], self._shard(name))

  def finish(self, instructions: Mapping[str, str], metadata: Mapping[str, Any]) -> pd.DataFrame:
    """Joins the shards to the table.

    Args:
      instructions: instruction id -> template, kept for reports.
      metadata: what else to record, such as the gin configuration.

    Returns:
      the table, its rows in the order of tasks, examples and phrasings.
    """
    names = self.record['fingerprint']['tasks']
    table = pd.concat([pd.read_parquet(self._shard(name)) for name in names], ignore_index=True)
    _write_parquet(table, os.path.join(self.directory, 'results.parquet'))
    csv = os.path.join(self.directory, 'results.csv')
    table.to_csv(csv + '.tmp', index=False)
    os.replace(csv + '.tmp', csv)
    self.record |= dict(metadata)
    self.record |= {
      'instructions': dict(instructions),
      'rows': len(table),
      'truncated_inputs': int((table['truncated_tokens'] > 0).sum()),
      'finished': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
    }
    self._write()
    shutil.rmtree(os.path.join(self.directory, 'shards'))
    return table

  def _write(self) -> None:
    write_atomically(os.path.join(self.directory, 'run.json'), json.dumps(self.record, indent=2) + '\n')

  def _shard(self, name: str) -> str:
    # The readable part may be cut or ambiguous; the hash keeps names apart.
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    readable = ''.join(c if c.isalnum() or c in '-_' else '_' for c in name)[:80]
    return os.path.join(self.directory, 'shards', f'{readable}-{digest}.parquet')


def read(path: str) -> tuple[pd.DataFrame, dict[str, Any]]:
  """Reads results: a finished evaluation, the output of T5X's evaluator, or tables that others made.

  Args:
    path: OUTPUT_DIR of `robust-t5x eval`; EVAL_OUTPUT_DIR of `t5x.eval` (see t5x_results); or a CSV file or a directory
      of them (see published), which may hold several models.

  Returns:
    (table, with COLUMNS or published.PHRASING_COLUMNS, see `grain`; record with label, fingerprint, instructions, ...).

  Raises:
    ResultsError: if there is nothing of the kind, an evaluation was interrupted, or a file is not as it should be.
  """
  try:
    return _read(path)
  except (t5x_results.T5XResultsError, published.PublishedError) as e:
    raise ResultsError(str(e)) from e


def _read(path: str) -> tuple[pd.DataFrame, dict[str, Any]]:
  record_path = os.path.join(path, 'run.json')
  if not os.path.isfile(record_path):
    if os.path.isdir(os.path.join(path, t5x_results.SUBDIRECTORY)):
      return t5x_results.read(path)
    if published.is_published(path):
      return published.read(path)
    raise ResultsError(
      f'{path} holds no evaluation (neither run.json nor {t5x_results.SUBDIRECTORY}/ nor a CSV file); give the OUTPUT_DIR '
      'of a `robust-t5x eval`, the EVAL_OUTPUT_DIR of a `t5x.eval`, or a CSV file of results'
    )
  record = _read_json(record_path)
  if not record.get('finished'):
    raise ResultsError(f'the evaluation in {path} was interrupted; run the same `robust-t5x eval` again to finish it')
  return read_table(path), record


def read_table(directory: str) -> pd.DataFrame:
  """Reads `results.parquet`; ResultsError if it is absent or lacks a column."""
  path = os.path.join(directory, 'results.parquet')
  if not os.path.isfile(path):
    raise ResultsError(f'{directory} has no results.parquet; delete the directory and evaluate again')
  table = pd.read_parquet(path)
  missing = [c for c in COLUMNS if c not in table]
  if missing:
    raise ResultsError(f'{path} lacks the columns {", ".join(missing)}; it is not a results table of robust-t5x eval')
  return table


def _read_json(path: str) -> dict[str, Any]:
  with open(path, encoding='utf-8') as f:
    try:
      return json.load(f)
    except json.JSONDecodeError as e:
      raise ResultsError(f'{path} is not valid JSON ({e}); delete it and evaluate again') from e


def _write_parquet(table: pd.DataFrame, path: str) -> None:
  table.to_parquet(path + '.tmp', index=False)
  os.replace(path + '.tmp', path)
