"""The results of an evaluation: one table, a row per example and phrasing, and what the run was.

Published results come without examples: a row per phrasing, whose score is an accuracy (robust_t5x.published). The
`grain` of a table says which.

A directory holds `results.parquet`, the same as `results.csv`, and `run.json`; while the evaluation is under way,
`shards/` holds a parquet file for each task that is done. Every file is written whole or not at all.
"""

import os
from typing import Any

import pandas as pd

from robust_t5x.results import published, schema, t5x_output


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
  except (t5x_output.T5XResultsError, published.PublishedError) as e:
    raise schema.ResultsError(str(e)) from e


def _read(path: str) -> tuple[pd.DataFrame, dict[str, Any]]:
  record_path = os.path.join(path, 'run.json')
  if not os.path.isfile(record_path):
    if os.path.isdir(os.path.join(path, t5x_output.SUBDIRECTORY)):
      return t5x_output.read(path)
    if published.is_published(path):
      return published.read(path)
    raise schema.ResultsError(
      f'{path} holds no evaluation (neither run.json nor {t5x_output.SUBDIRECTORY}/ nor a CSV file); give the OUTPUT_DIR '
      'of a `robust-t5x eval`, the EVAL_OUTPUT_DIR of a `t5x.eval`, or a CSV file of results'
    )
  record = schema.read_json(record_path)
  if not record.get('finished'):
    raise schema.ResultsError(
      f'the evaluation in {path} was interrupted; run the same `robust-t5x eval` again to finish it'
    )
  return schema.read_table(path), record
