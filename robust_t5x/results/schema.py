"""What results look like: the columns of the table, its grain, what `run.json` records, and the files of an evaluation.

A table's grain is an example under a phrasing. Published results come without examples: a row per phrasing, whose score is
an accuracy (results.published).
"""

import math
import os
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from robust_t5x.runtime import files, records
from seqio_tasks.datasets.sources import Reading
from seqio_tasks.errors import UserError, shorten

COLUMNS = (
  'model', 'dataset', 'example_id', 'instruction_id', 'group', 'scorer', 'prediction', 'gold', 'score',
  'option_scores', 'option_tokens', 'also_right', 'matched_option', 'truncated_tokens', 'cut_answer_tokens', 'tied_options', 'strict_score',
  'extracted_score',
)  # fmt: skip
# Those that hold texts.
TEXT = (
  'model', 'dataset', 'example_id', 'instruction_id', 'group', 'scorer', 'prediction', 'gold', 'option_scores',
)  # fmt: skip
SCORES = ('score', 'strict_score', 'extracted_score')
# Columns that earlier tables and those of others lack -> what stands there then.
OPTIONAL: dict[str, str | int | float] = {
  'option_tokens': '', 'also_right': '', 'cut_answer_tokens': 0, 'tied_options': 0, 'strict_score': math.nan, 'extracted_score': math.nan,
}  # fmt: skip
EXAMPLE, PHRASING = 'example', 'phrasing'  # grains
OBSERVED, UNOBSERVED = 'observed', 'unobserved'  # the groups of phrasings that the gap is between; there may be others


class Sample(TypedDict, total=False):
  """Which cells of each task were evaluated: CELL_BUDGET, or STOP_WIDTH in points, and the seed."""

  budget: int | float
  width: int | float
  seed: int


class Valid(TypedDict):
  """A mean accuracy or a gap of all cells, by those evaluated, with an interval that holds at whatever cell one stops."""

  evaluated: int
  cells: int
  estimate: float
  low: float
  high: float


class Stopped(TypedDict, total=False):
  """Where an evaluation with STOP_WIDTH stopped."""

  half_width: float  # that was asked for, as a share
  level: float  # of the intervals
  rounds: int
  groups: dict[str, Valid]
  gap: Valid  # absent where there is none


class Fingerprint(TypedDict, total=False):
  """Settings and hashes; two evaluations are the same if these are. Results of others have some of them."""

  backbone: str
  adapter: str | None
  dtype: str
  vocabulary: str  # hash of what makes texts tokens, and of what stands around them
  scorer: str | list[str]
  split: str
  task_feature_lengths: dict[str, int]
  tasks: dict[str, str] | list[str]  # to the hash of their examples and phrasings, where it is known
  cells: Sample  # absent where all were to be evaluated
  ranked_by: str  # of options that were ranked anew (rerank)
  content_free: dict[str, str] | list[str]  # the tasks that they were calibrated by
  ranked_from: dict[str, str]  # hashes of the table, and of that without questions


class LeftOut(TypedDict):
  """A row of a published table that could not be used."""

  file: str
  row: int  # the line that it begins at
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
  examples: dict[str, int]  # of each dataset, also those that a sample of the cells has none of
  truncated_inputs: int
  ties: int  # rows whose best options scored alike
  cut_answers: int  # rows whose right answer is longer than an output can be
  model: dict[str, Any]  # Loaded.identity: paths and hashes of backbone, adapter and vocabulary
  gin_config: str
  command: str
  launcher: str  # 't5x', 'lm-eval' or 'published', of others' results
  step: int
  sources: list[str]
  left_out: list[LeftOut]
  taken: list[str]  # which tasks of others were taken for phrasings of one dataset, in words
  shared_tokens: (
    int  # of inputs, read with those of rows that begin alike, since the last start; absent where there are none
  )
  stopped: Stopped  # absent without STOP_WIDTH
  data: dict[str, Reading]  # source of examples -> what came of reading it


class ResultsError(UserError):
  """Results that are missing, unfinished or of another evaluation; the message names the file and the cure."""


class GrainError(ResultsError):
  """A metric that needs scores of examples, where there are accuracies of phrasings only."""


def grain(table: pd.DataFrame) -> str:
  """What a row of a table stands for: EXAMPLE (under a phrasing) or PHRASING."""
  return EXAMPLE if 'example_id' in table else PHRASING


def check_examples(where: str, table: pd.DataFrame) -> None:
  """Raises ResultsError, which begins with `where`, unless a table has scores of examples, of one model."""
  models = table['model'].unique()
  if len(models) > 1:
    raise ResultsError(
      f'{where} holds results of {len(models)} models ({shorten(", ".join(map(str, models)))}); give those of one alone'
    )
  if grain(table) != EXAMPLE:
    raise ResultsError(f'{where} holds accuracies of phrasings; give results that have a row for each example')


def check_ranked(where: str, table: pd.DataFrame) -> None:
  """`check_examples`, and that options were ranked in every row."""
  check_examples(where, table)
  if not table['option_scores'].astype(bool).all():
    raise ResultsError(f"{where}: option_scores is empty in a row; evaluate with SCORER='rank_likelihood'")


def sample_of(record: Record) -> Sample | None:
  """Which cells were evaluated, where not all were."""
  found = record.get('stopped')
  whole = found is not None and all(v['evaluated'] == v['cells'] for v in found['groups'].values())
  return None if whole else record.get('fingerprint', {}).get('cells')


def num_examples(record: Record, dataset: str, asked: int) -> int:
  """How many examples a dataset has, of which `asked` are in the table; these alone where the record does not tell."""
  return max(record.get('examples', {}).get(dataset, 0), asked)


def read_table(directory: str) -> pd.DataFrame:
  """Reads `results.parquet`; ResultsError if it is absent, damaged, or lacks a column."""
  path = os.path.join(directory, 'results.parquet')
  if not os.path.isfile(path):
    raise ResultsError(f'{directory} has no results.parquet; delete the directory and evaluate again')
  return read_parquet(path, 'delete the directory and evaluate again')


def read_parquet(path: str, cure: str) -> pd.DataFrame:
  """Reads a table that `write_parquet` wrote.

  Args:
    path: the file.
    cure: what to do about a file that is damaged.

  Raises:
    ResultsError: if it is no Parquet file, lacks a column, or has a value that cannot be.
  """
  import pyarrow as pa
  from pyarrow import parquet

  try:
    whole = parquet.read_table(path, page_checksum_verification=True)
  except (pa.ArrowException, OSError, ValueError) as e:
    raise ResultsError(f'{path} is not a whole Parquet file ({shorten(e)}); {cure}') from e
  missing = [c for c in COLUMNS if c not in whole.column_names and c not in OPTIONAL]
  if missing:
    raise ResultsError(f'{path} lacks the columns {", ".join(missing)}; it is not a results table of robust-t5x eval')
  for column in TEXT if whole.num_rows else ():
    kind, values = whole.schema.field(column).type, whole[column]
    if pa.types.is_dictionary(kind):
      kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)) or values.null_count:
      raise ResultsError(f'{path}: the column {column} holds {kind} where there should be texts; {cure}')
  for column in SCORES:  # right and wrong as truth values
    if column in whole.column_names and pa.types.is_boolean(whole.schema.field(column).type):
      place = whole.column_names.index(column)
      whole = whole.set_column(place, column, whole[column].cast(pa.int8()).cast(pa.float64()))
  try:
    table = whole.to_pandas(ignore_metadata=True)
  except (pa.ArrowException, ValueError) as e:  # texts that are not UTF-8
    raise ResultsError(f'{path} is not a whole Parquet file ({shorten(e)}); {cure}') from e
  table = table.assign(**{c: value for c, value in OPTIONAL.items() if c not in table})
  if len(table):
    check_numbers(path, table, cure)
  return table


def check_numbers(path: str, table: pd.DataFrame, cure: str) -> None:
  """Raises ResultsError where a number of a table of examples cannot be; rows are counted from 1."""
  for column in (*SCORES, 'truncated_tokens', 'tied_options', 'cut_answer_tokens'):
    values = table[column]
    if not pd.api.types.is_numeric_dtype(values) or values.dtype.kind not in 'iuf':
      raise ResultsError(f'{path}: the column {column} holds {values.dtype} where there should be numbers; {cure}')
    numbers = values.to_numpy(float)
    if column == 'score':
      wrong, wanted = ~((numbers >= 0) & (numbers <= 1)), 'a number from 0 to 1'
    elif column in SCORES:  # none where no answer could be found
      wrong, wanted = ~(np.isnan(numbers) | ((numbers >= 0) & (numbers <= 1))), 'a number from 0 to 1'
    else:
      wrong, wanted = ~((numbers >= 0) & (numbers == np.floor(numbers))) | np.isinf(numbers), 'a whole number from 0'
    if wrong.any():
      row = int(wrong.argmax())
      raise ResultsError(f'{path}, row {row + 1}: {column} is {numbers[row]:g}, not {wanted}; {cure}')
  if table['matched_option'].dtype != bool:
    raise ResultsError(
      f'{path}: the column matched_option holds {table["matched_option"].dtype} where there should be truth values; {cure}'
    )


def counts(table: pd.DataFrame) -> Record:
  """What a record says of the rows of a table that are not as one would think, each a number of rows."""
  return {
    'truncated_inputs': int((table['truncated_tokens'] > 0).sum()),
    'ties': int((table['tied_options'] > 0).sum()),
    'cut_answers': int((table['cut_answer_tokens'] > 0).sum()),
  }


def read_record(path: str) -> Record:
  """Reads `run.json`; ResultsError if it is not JSON, or a field has a wrong type."""
  try:
    return records.read(path, Record, 'delete it, with the results beside it, and evaluate again')
  except records.RecordError as e:
    raise ResultsError(str(e)) from e


def write_parquet(table: pd.DataFrame, path: str) -> None:
  """Writes a table whole or not at all, with checksums, so that damage is seen when it is read."""
  with files.written_whole(path) as f:
    table.to_parquet(f, index=False, write_page_checksum=True)
