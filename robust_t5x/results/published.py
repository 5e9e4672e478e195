"""Reads CSV files of results that others made as the results table, at the grain they have.

Three layouts, told apart by their header:
  InstructionEval's `result_csv`  Model, Dataset, Collection, Type, ID, Shots, Performance, Metric, Include?
  multi-prompt accuracies         paraphrase idx, and a column NAME_acc for each model; the file is named after its task
  generic                         dataset, instruction_id, score, and what else of the results table there is

A generic file with `example_id` has a row for each example and phrasing, all others have a row for each phrasing, whose
score is an accuracy. What cannot be used is left out and listed in the record, with file, row (the header is row 1) and reason.
"""

from collections.abc import Callable, Sequence
import csv
import os

import numpy as np
import pandas as pd

from robust_t5x.results.schema import COLUMNS, OBSERVED, OPTIONAL, LeftOut, Record
from seqio_tasks.errors import UserError

# Columns of a table of accuracies; num_examples is missing where the source does not say it.
PHRASING_COLUMNS = ('model', 'dataset', 'instruction_id', 'group', 'scorer', 'score', 'num_examples')
_INSTRUCTION_EVAL = (
  'Model', 'Dataset', 'Collection', 'Type', 'ID', 'Shots', 'Performance', 'Metric', 'Include?',
)  # fmt: skip
_OBSERVED_TYPES = ('QA', 'BC', 'Classification')
_INDEX, _ACCURACY = 'paraphrase idx', '_acc'
_GENERIC = ('dataset', 'instruction_id', 'score')

Reason = Callable[[dict[str, str]], str]  # of a row: why it cannot be used


class PublishedError(UserError):
  """A file that is no table of results; the message names file, field and cure."""


def is_published(path: str) -> bool:
  """Whether a path is a CSV file, or a directory that holds some."""
  return bool(_files(path))


def read(path: str) -> tuple[pd.DataFrame, Record]:
  """Reads a CSV file, or all those of a directory, as one table.

  Returns:
    (results table, with schema.COLUMNS where the rows are of examples and PHRASING_COLUMNS where they
    are of phrasings; a record like that of run.json, with `left_out`: a dictionary with file, row,
    reason and content for each row that is not in the table, `instructions`: templates where known, `sources`: the files).

  Raises:
    PublishedError: if a file has none of the layouts, or a value that cannot be; if files differ in grain.
  """
  files = _files(path)
  tables: list[pd.DataFrame] = []
  left_out: list[LeftOut] = []
  instructions: dict[str, str] = {}
  for file in files:
    rows = _rows(file)
    header = tuple(rows.columns)
    if set(_INSTRUCTION_EVAL) <= set(header):
      table, dropped = _instruction_eval(file, rows)
    elif _INDEX in header and any(c.endswith(_ACCURACY) for c in header):
      table, dropped, templates = _multi_prompt(file, rows)
      instructions |= templates
    elif set(_GENERIC) <= set(header):
      table, dropped, templates = _generic(file, rows)
      instructions |= templates
    else:
      raise PublishedError(
        f'{file}: the header {", ".join(header)} is none of a results table; give the columns '
        f'{", ".join(_GENERIC)} at least, or {", ".join(_INSTRUCTION_EVAL)}, or "{_INDEX}" and MODEL{_ACCURACY}'
      )
    tables.append(table)
    left_out += dropped
  if len({'example_id' in table for table in tables}) > 1:
    raise PublishedError(f'{path}: some files have example_id and some not; give tables of one grain')
  table = pd.concat(tables, ignore_index=True)
  if table.empty:
    raise PublishedError(f'{path}: no row with a score; see that the scores are numbers from 0 to 1')
  record: Record = {
    'label': ', '.join(table['model'].unique()),
    'fingerprint': {'scorer': sorted(table['scorer'].unique()), 'tasks': sorted(table['dataset'].unique())},
    'instructions': instructions,
    'rows': len(table),
    'truncated_inputs': 0,
    'launcher': 'published',
    'gin_config': '',
    'finished': 'as published',
    'versions': {},
    'sources': files,
    'left_out': left_out,
  }
  return table, record


def _files(path: str) -> list[str]:
  if os.path.isdir(path):
    return sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith('.csv'))
  return [path] if path.endswith('.csv') and os.path.isfile(path) else []


def _rows(path: str) -> pd.DataFrame:
  """The file as text, its index the row numbers; 'NA' and 'None' stay as they are."""
  try:
    rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding='utf-8-sig')
  except (ValueError, csv.Error) as e:
    raise PublishedError(f'{path}: not a CSV file with a header and equally many fields in each row ({e})') from e
  rows.columns = [c.strip() for c in rows.columns]
  rows.index = np.arange(2, len(rows) + 2)
  return rows


def _instruction_eval(path: str, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[LeftOut]]:
  score = pd.to_numeric(rows['Performance'], errors='coerce')
  keys = [c for c in _INSTRUCTION_EVAL if c not in ('Performance', 'Include?')]
  kept, left_out = _keep(
    path,
    rows,
    [
      (rows['Include?'].str.strip().str.upper() != 'TRUE', lambda r: f'Include? is {r["Include?"]!r}'),
      (score.isna(), _not_a_number('Performance')),
      (rows.duplicated(keys), lambda r: 'a second row of the same model, dataset, instruction, shots and metric'),
    ],
  )
  _check_range(path, 'Performance', score[kept])
  rows, score = rows[kept], score[kept]
  types = rows['Type'].str.strip()
  shots = rows['Shots'].str.strip()
  table = pd.DataFrame(
    {
      'model': rows['Model'].str.strip(),
      # Examples of few-shot prompts make another measurement.
      'dataset': rows['Dataset'].str.strip().where(shots == '0', rows['Dataset'].str.strip() + ', shots: ' + shots),
      'instruction_id': rows['Collection'].str.strip() + '/' + types + '/' + rows['ID'].str.strip(),
      'group': types.where(~types.isin(_OBSERVED_TYPES), OBSERVED).str.lower(),
      'scorer': rows['Metric'].str.strip(),
      'score': score,
      'num_examples': np.nan,
    }
  )
  return table, left_out


def _multi_prompt(path: str, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[LeftOut], dict[str, str]]:
  """Groups and templates come from `../paraphrases/TASK.csv` where it stands."""
  dataset = os.path.basename(path).removesuffix('.csv')
  models = [c for c in rows.columns if c.endswith(_ACCURACY)]
  kept, left_out = _keep(path, rows, [(rows.duplicated([_INDEX]), lambda r: f'a second row of {_INDEX} {r[_INDEX]}')])
  rows = rows[kept]
  ids = dataset + '/' + rows[_INDEX].str.strip()
  phrasings = _paraphrases(os.path.join(os.path.dirname(path), os.pardir, 'paraphrases', f'{dataset}.csv'), dataset)
  groups = [phrasings[i][0] if i in phrasings else 'paraphrase' for i in ids]
  parts = []
  for column in models:
    score = pd.to_numeric(rows[column], errors='coerce')
    there, dropped = _keep(path, rows, [(score.isna(), _not_a_number(column))])
    left_out += dropped
    _check_range(path, column, score[there])
    part = pd.DataFrame({'instruction_id': ids, 'group': groups, 'score': score})[there]
    parts.append(part.assign(model=column.removesuffix(_ACCURACY), dataset=dataset))
  table = pd.concat(parts).assign(scorer='accuracy as published', num_examples=np.nan)
  return table[list(PHRASING_COLUMNS)], left_out, {i: template for i, (_, template) in phrasings.items()}


def _paraphrases(path: str, dataset: str) -> dict[str, tuple[str, str]]:
  """Instruction id -> (group, template); nothing if there is no such file. Only a plain 1 is judged correct."""
  if not os.path.isfile(path):
    return {}
  rows = _rows(path)
  missing = [c for c in ('prompt idx', 'prompt template', 'correct') if c not in rows]
  if missing:
    raise PublishedError(f'{path}: no column {missing[0]!r}; restore the file or move it away')
  return {
    f'{dataset}/{index.strip()}': ('correct' if correct.strip() == '1' else 'incorrect', template)
    for index, template, correct in zip(rows['prompt idx'], rows['prompt template'], rows['correct'], strict=True)
  }


def _generic(path: str, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[LeftOut], dict[str, str]]:
  score = pd.to_numeric(rows['score'], errors='coerce')
  by_example = 'example_id' in rows
  defaults: dict[str, object] = {
    'model': os.path.basename(path).removesuffix('.csv'),
    'group': 'all',
    'scorer': 'as given',
  }
  if by_example:
    defaults |= {
      'prediction': '',
      'gold': '',
      'option_scores': '',
      'matched_option': True,
      'truncated_tokens': 0,
      **OPTIONAL,
    }
  else:
    defaults |= {'num_examples': np.nan}
  filled = rows.assign(**{c: v for c, v in defaults.items() if c not in rows})
  keys = ['model', 'scorer', 'dataset', 'group', 'instruction_id', *(['example_id'] if by_example else [])]
  kept, left_out = _keep(
    path,
    filled,
    [
      (score.isna(), _not_a_number('score')),
      (filled.duplicated(keys), lambda r: f'a second row of the same {", ".join(keys)}'),
    ],
  )
  _check_range(path, 'score', score[kept])
  columns = COLUMNS if by_example else PHRASING_COLUMNS
  table = filled.assign(score=score)[kept]
  if by_example:
    table['matched_option'] = table['matched_option'].astype(str).str.strip().str.upper().isin(('TRUE', '1'))
    table['truncated_tokens'] = pd.to_numeric(table['truncated_tokens'], errors='coerce').fillna(0).astype(int)
    for column, value in OPTIONAL.items():
      table[column] = pd.to_numeric(table[column], errors='coerce').fillna(value).astype(type(value))
  else:
    table['num_examples'] = pd.to_numeric(table['num_examples'], errors='coerce')
  templates = dict(zip(table['instruction_id'], table['template'], strict=True)) if 'template' in table else {}
  return table[list(columns)], left_out, templates


def _not_a_number(column: str) -> Reason:
  return lambda row: f'{column} is {row[column]!r}, not a number'


def _keep(
  path: str, rows: pd.DataFrame, reasons: Sequence[tuple[pd.Series, Reason]]
) -> tuple[np.ndarray, list[LeftOut]]:
  """Which rows are kept, and a record of each that is not, with the first reason that holds of it."""
  kept = np.ones(len(rows), bool)
  left_out: list[LeftOut] = []
  for excluded, reason in reasons:
    for place in np.flatnonzero(np.asarray(excluded) & kept):
      row = rows.iloc[place].to_dict()
      left_out.append({'file': path, 'row': int(rows.index[place]), 'reason': reason(row), 'content': row})
    kept &= ~np.asarray(excluded)
  return kept, sorted(left_out, key=lambda entry: entry['row'])


def _check_range(path: str, column: str, score: pd.Series) -> None:
  outside = score[(score < 0) | (score > 1)]
  if len(outside):
    raise PublishedError(
      f'{path}, row {outside.index[0]}: {column} is {outside.iloc[0]:g}; scores run from 0 to 1, divide percentages by 100'
    )
