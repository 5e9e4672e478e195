"""What results look like: the columns of the table, its grain, what `run.json` records, and the files of an evaluation.

A table's grain is an example under a phrasing. Published results come without examples: a row per phrasing, whose score is
an accuracy (results.published).
"""

import json
import math
import os
from typing import Any, TypedDict

import pandas as pd

from seqio_tasks.errors import UserError

COLUMNS = (
  'model', 'dataset', 'example_id', 'instruction_id', 'group', 'scorer', 'prediction', 'gold', 'score',
  'option_scores', 'matched_option', 'truncated_tokens', 'tied_options', 'extracted_score', 'cut_answer_tokens',
)  # fmt: skip
# Columns that earlier tables and those of others lack -> what stands there then.
OPTIONAL = {'tied_options': 0, 'extracted_score': math.nan, 'cut_answer_tokens': 0}
EXAMPLE, PHRASING = 'example', 'phrasing'  # grains
OBSERVED, UNOBSERVED = 'observed', 'unobserved'  # the groups of phrasings that the gap is between; there may be others


class Sample(TypedDict):
  """Which cells of each task were evaluated: CELL_BUDGET and its seed."""

  budget: int | float
  seed: int


class Fingerprint(TypedDict, total=False):
  """Settings and hashes; two evaluations are the same if these are. Results of others have some of them."""

  backbone: str
  adapter: str | None
  dtype: str
  scorer: str | list[str]
  split: str
  task_feature_lengths: dict[str, int]
  tasks: dict[str, str] | list[str]  # to the hash of their examples and phrasings, where it is known
  cells: Sample  # absent where all were evaluated


class LeftOut(TypedDict):
  """A row of a published table that could not be used; the header is row 1."""

  file: str
  row: int
  reason: str
  content: dict[str, str]


class Record(TypedDict, total=False):
  """What `run.json` holds, and what readers of others' results make in its likeness."""

  label: str
  fingerprint: Fingerprint
  finished: str | None  # when; None while the evaluation is under way
  versions: dict[str, str]
  instructions: dict[str, str]  # instruction id -> template
  rows: int
  truncated_inputs: int
  ties: int  # rows whose best options scored alike
  cut_answers: int  # rows whose right answer is longer than an output can be
  model: dict[str, Any]  # Loaded.identity: paths and hashes of backbone, adapter and vocabulary
  gin_config: str
  command: str
  launcher: str  # 't5x' or 'published', of others' results
  step: int
  sources: list[str]
  left_out: list[LeftOut]


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
  table = table.assign(**{c: value for c, value in OPTIONAL.items() if c not in table})
  missing = [c for c in COLUMNS if c not in table]
  if missing:
    raise ResultsError(f'{path} lacks the columns {", ".join(missing)}; it is not a results table of robust-t5x eval')
  return table


def counts(table: pd.DataFrame) -> Record:
  """What a record says of the rows of a table that are not as one would think, each a number of rows."""
  return {
    'truncated_inputs': int((table['truncated_tokens'] > 0).sum()),
    'ties': int((table['tied_options'] > 0).sum()),
    'cut_answers': int((table['cut_answer_tokens'] > 0).sum()),
  }


def read_record(path: str) -> Record:
  """Reads `run.json`; ResultsError if it is not JSON."""
  with open(path, encoding='utf-8') as f:
    try:
      return json.load(f)
    except json.JSONDecodeError as e:
      raise ResultsError(f'{path} is not valid JSON ({e}); delete it and evaluate again') from e


def write_parquet(table: pd.DataFrame, path: str) -> None:
  """Writes a table whole or not at all."""
  table.to_parquet(path + '.tmp', index=False)
  os.replace(path + '.tmp', path)
