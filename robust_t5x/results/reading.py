"""Reads results of any origin as one table and a record of the run: ours, T5X's, lm-evaluation-harness's, or published ones."""

from collections.abc import Sequence
import os
from typing import NamedTuple

import pandas as pd

from robust_t5x.results import lm_eval, published, t5x_output
from robust_t5x.results.lm_eval_samples import SamplesError
from robust_t5x.results.schema import Record, ResultsError, read_record, read_table
from seqio_tasks.errors import shorten


class ModelResults(NamedTuple):
  """The results of one model.

  Attributes:
    model: its label.
    path: where they are from; several places with commas between.
    table: see `read`.
    record: see `read`.
  """

  model: str
  path: str
  table: pd.DataFrame
  record: Record


def read(path: str) -> tuple[pd.DataFrame, Record]:
  """Reads results: a finished evaluation, the output of T5X's evaluator or of the harness, or tables that others made.

  Args:
    path: OUTPUT_DIR of `robust-t5x eval`; EVAL_OUTPUT_DIR of `t5x.eval` (see t5x_output); --output_path of `lm_eval run`
      (see lm_eval); or a CSV file or a directory of them (see published), which may hold several models.

  Returns:
    (table, with schema.COLUMNS or published.PHRASING_COLUMNS, see schema.grain; record with label, fingerprint, instructions, ...).

  Raises:
    ResultsError: if there is nothing of the kind, an evaluation was interrupted, or a file is not as it should be.
  """
  try:
    return _read(path)
  except (t5x_output.T5XResultsError, SamplesError, published.PublishedError) as e:
    raise ResultsError(str(e)) from e


def read_models(paths: Sequence[str]) -> list[ModelResults]:
  """Reads the results of each model, in the order of the paths.

  Tables that others made are joined: what several files say of one model is one evaluation of it, and one that is named twice is
  one. Two directories of evaluations of ours stay two, though their labels be the same.

  Raises:
    ResultsError: as `read` does, and if tables that others made give one cell two scores.
  """
  theirs: dict[str, str] = {}  # real path -> the path as it is given first
  for path in filter(_is_published, paths):
    theirs.setdefault(os.path.realpath(path), path)
  joined: list[ModelResults] | None = None
  found: list[ModelResults] = []
  for path in paths:
    if lm_eval.is_run(path):
      try:
        found += [ModelResults(*parts) for parts in lm_eval.read_models(path)]
      except SamplesError as e:
        raise ResultsError(str(e)) from e
    elif os.path.realpath(path) not in theirs:
      table, record = read(path)
      found.append(ModelResults(record['label'], path, table, record))
    elif joined is None:
      try:
        joined = [ModelResults(*parts) for parts in published.read_models(list(theirs.values()))]
      except published.PublishedError as e:
        raise ResultsError(str(e)) from e
      found += joined
  return found


def _is_published(path: str) -> bool:
  return (
    not any(os.path.exists(os.path.join(path, name)) for name in ('run.json', t5x_output.SUBDIRECTORY))
    and not lm_eval.is_run(path)
    and published.is_published(path)
  )


def _read(path: str) -> tuple[pd.DataFrame, Record]:
  record_path = os.path.join(path, 'run.json')
  if not os.path.isfile(record_path):
    if os.path.isfile(os.path.join(path, 'results.parquet')):
      raise ResultsError(f'{path} has results.parquet and no run.json, which says of what it is; evaluate again')
    if os.path.isdir(os.path.join(path, t5x_output.SUBDIRECTORY)):
      return t5x_output.read(path)
    if lm_eval.is_run(path):
      models = lm_eval.read_models(path)
      if len(models) > 1:
        raise ResultsError(f'{path} holds runs of {len(models)} models; give one of the directories in it')
      return models[0][2:]
    if published.is_published(path):
      return published.read(path)
    raise ResultsError(
      f'{path} holds no evaluation (neither run.json nor {t5x_output.SUBDIRECTORY}/ nor samples_TASK_DATE.jsonl nor a CSV '
      'file); give the OUTPUT_DIR of a `robust-t5x eval`, the EVAL_OUTPUT_DIR of a `t5x.eval`, the --output_path of an '
      '`lm_eval run --log_samples`, or a CSV file of results'
    )
  record = read_record(record_path)
  if not record.get('finished'):
    raise ResultsError(f'the evaluation in {path} was interrupted; run the same `robust-t5x eval` again to finish it')
  table = read_table(path)
  _check_belongs(path, table, record)
  return table, record


def _check_belongs(path: str, table: pd.DataFrame, record: Record) -> None:
  """Raises ResultsError unless a table is the one that the record beside it was written with."""
  cure = 'delete the directory and evaluate again'
  missing = [name for name in ('label', 'fingerprint', 'instructions', 'rows') if name not in record]
  if missing:
    raise ResultsError(f'{os.path.join(path, "run.json")} has no {missing[0]}; {cure}')
  if len(table) != record['rows']:
    wanted = shorten(f'{record["rows"]:,}')
    raise ResultsError(f'{path}: results.parquet has {len(table):,} rows, by run.json there should be {wanted}; {cure}')
  if table.empty:
    raise ResultsError(f'{path}: results.parquet has no row; {cure}')
  models = table['model'].unique()
  if len(models) > 1:
    raise ResultsError(f'{path}: results.parquet has rows of {models[0]!r} and of {models[1]!r}; {cure}')
