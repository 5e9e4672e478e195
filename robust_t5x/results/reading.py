"""Reads results of any origin as one table and a record of the run: ours, T5X's, or published ones."""

import os

import pandas as pd

from robust_t5x.results import published, t5x_output
from robust_t5x.results.schema import Record, ResultsError, read_record, read_table


def read(path: str) -> tuple[pd.DataFrame, Record]:
  """Reads results: a finished evaluation, the output of T5X's evaluator, or tables that others made.

  Args:
    path: OUTPUT_DIR of `robust-t5x eval`; EVAL_OUTPUT_DIR of `t5x.eval` (see t5x_output); or a CSV file or a directory
      of them (see published), which may hold several models.

  Returns:
    (table, with schema.COLUMNS or published.PHRASING_COLUMNS, see schema.grain; record with label, fingerprint, instructions, ...).

  Raises:
    ResultsError: if there is nothing of the kind, an evaluation was interrupted, or a file is not as it should be.
  """
  try:
    return _read(path)
  except (t5x_output.T5XResultsError, published.PublishedError) as e:
    raise ResultsError(str(e)) from e


def _read(path: str) -> tuple[pd.DataFrame, Record]:
  record_path = os.path.join(path, 'run.json')
  if not os.path.isfile(record_path):
    if os.path.isdir(os.path.join(path, t5x_output.SUBDIRECTORY)):
      return t5x_output.read(path)
    if published.is_published(path):
      return published.read(path)
    raise ResultsError(
      f'{path} holds no evaluation (neither run.json nor {t5x_output.SUBDIRECTORY}/ nor a CSV file); give the OUTPUT_DIR '
      'of a `robust-t5x eval`, the EVAL_OUTPUT_DIR of a `t5x.eval`, or a CSV file of results'
    )
  record = read_record(record_path)
  if not record.get('finished'):
    raise ResultsError(f'the evaluation in {path} was interrupted; run the same `robust-t5x eval` again to finish it')
  return read_table(path), record
