"""The results table: its columns, its grain, and its files."""

import json
import os
from typing import Any

import pandas as pd

from seqio_tasks.errors import UserError

COLUMNS = (
  'model', 'dataset', 'example_id', 'instruction_id', 'group', 'scorer', 'prediction', 'gold', 'score',
  'option_scores', 'matched_option', 'truncated_tokens',
)  # fmt: skip
EXAMPLE, PHRASING = 'example', 'phrasing'  # grains


class ResultsError(UserError):
  """Results that are missing, unfinished or of another evaluation; the message names the file and the cure."""


class GrainError(ResultsError):
  """A metric that needs scores of examples, where there are accuracies of phrasings only."""


def grain(table: pd.DataFrame) -> str:
  """What a row of a table stands for: EXAMPLE (under a phrasing) or PHRASING."""
  return EXAMPLE if 'example_id' in table else PHRASING


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


def read_json(path: str) -> dict[str, Any]:
  with open(path, encoding='utf-8') as f:
    try:
      return json.load(f)
    except json.JSONDecodeError as e:
      raise ResultsError(f'{path} is not valid JSON ({e}); delete it and evaluate again') from e


def write_parquet(table: pd.DataFrame, path: str) -> None:
  table.to_parquet(path + '.tmp', index=False)
  os.replace(path + '.tmp', path)
