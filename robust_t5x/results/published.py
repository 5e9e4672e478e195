"""Reads CSV and Parquet files of results that others made as the results table, at the grain they have.

Three layouts, told apart by their header, the columns of a Parquet file:
  InstructionEval's `result_csv`  Model, Dataset, Collection, Type, ID, Shots, Performance, Metric, Include?
  multi-prompt accuracies         paraphrase idx, and a column NAME_acc for each model; the file is named after its task
  generic                         dataset, instruction_id, score, and what else of the results table there is

A generic file with `example_id` has a row for each example and phrasing, all others have a row for each phrasing, whose
score is an accuracy. What cannot be used is left out and listed in the record, with file, line and reason. Several files
are one table: a cell that stands in two of them with one score is counted once, with two scores it is an error.
"""

from collections.abc import Callable, Mapping, Sequence
import functools
import json
import os

import numpy as np
import pandas as pd

from robust_t5x.results.columns import (
  PublishedError,
  check_filled,
  check_json,
  check_range,
  each,
  numbers,
  one_if_true,
  scores,
  truth,
  whole_ids,
)
from robust_t5x.results.schema import COLUMNS, OBSERVED, OPTIONAL, SCORES, TEXT, UNOBSERVED, LeftOut, Record
from seqio_tasks import tables
from seqio_tasks.errors import shorten

# Columns of a table of accuracies; num_examples is missing where the source does not say it.
PHRASING_COLUMNS = ('model', 'dataset', 'instruction_id', 'group', 'scorer', 'score', 'num_examples')
_INSTRUCTION_EVAL = (
  'Model', 'Dataset', 'Collection', 'Type', 'ID', 'Shots', 'Performance', 'Metric', 'Include?',
)  # fmt: skip
_OBSERVED_TYPES = ('qa', 'bc', 'classification')
_INDEX, _ACCURACY = 'paraphrase idx', '_acc'
_GENERIC = ('dataset', 'instruction_id', 'score')
_KEYS = ('model', 'scorer', 'dataset', 'group', 'instruction_id', 'example_id')  # that a cell goes by
_FILE, _LINE = 'file of the row', 'line of the row'  # columns while tables are joined

Reason = Callable[[dict[str, str]], str]  # of a row: why it cannot be used


def is_published(path: str) -> bool:
  """Whether a path is a CSV or Parquet file, or a directory that holds some."""
  return bool(_files(path))


def read(path: str) -> tuple[pd.DataFrame, Record]:
  """Reads a CSV file, or all those of a directory, as one table.

  Returns:
    (results table, with schema.COLUMNS where the rows are of examples and PHRASING_COLUMNS where they
    are of phrasings; a record like that of run.json, with `left_out`: a dictionary with file, row,
    reason and content for each row that is not in the table, `instructions`: templates where known, `sources`: the files).

  Raises:
    PublishedError: if a file has none of the layouts, or a value that cannot be; if files differ in grain, or in the
      score of a cell.
  """
  table, left_out, instructions = _read(_files(path), path)
  return table.drop(columns=[_FILE, _LINE]), _record(table, left_out, instructions)


def read_models(paths: Sequence[str]) -> list[tuple[str, str, pd.DataFrame, Record]]:
  """Reads CSV files and directories of them as one table, and parts it by models.

  Returns:
    for each model: its name, the paths that it is in, its rows and a record of them, both as of `read`. The first record lists
    what is left out of models without a row, too.

  Raises:
    PublishedError: as `read` does.
  """
  files = [(path, _files(path)) for path in paths]
  table, left_out, instructions = _read([f for _, inside in files for f in inside], ', '.join(paths))
  found: list[tuple[str, str, pd.DataFrame, Record]] = []
  named = set(table['model'])
  lost = [e for e in left_out if model_of(e, next(iter(named))) not in named]
  for model, rows in table.groupby('model', sort=False):
    own = set(rows[_FILE])
    where = ', '.join(dict.fromkeys(path for path, inside in files if own & set(inside)))
    listed = [e for e in left_out if model_of(e, str(model)) == model] + (lost if not found else [])
    found.append((str(model), where, rows.drop(columns=[_FILE, _LINE]), _record(rows, listed, instructions)))
  return found


def model_of(entry: LeftOut, model: str) -> str:
  """The model that a row which is left out names, or a given one where it names none."""
  return entry['content'].get('Model', entry['content'].get('model', model)).strip()


def _read(files: Sequence[str], where: str) -> tuple[pd.DataFrame, list[LeftOut], dict[str, str]]:
  """The files as one table with _FILE and _LINE, what is left out, and templates."""
  parts: list[pd.DataFrame] = []
  left_out: list[LeftOut] = []
  instructions: dict[str, str] = {}
  for file in files:
    rows = _rows(file)
    header = tuple(rows.columns)
    if set(_INSTRUCTION_EVAL) <= set(header):
      table, dropped = _instruction_eval(file, rows)
    elif _INDEX in header and any(c.endswith(_ACCURACY) for c in header):
      table, dropped, templates = _multi_prompt(file, rows)
      _join_templates(instructions, templates, file)
    elif set(_GENERIC) <= set(header):
      table, dropped, templates = _generic(file, rows)
      _join_templates(instructions, templates, file)
    else:
      raise PublishedError(
        f'{file}: the header {shorten(", ".join(header))} is none of a results table; give the columns '
        f'{", ".join(_GENERIC)} at least, or {", ".join(_INSTRUCTION_EVAL)}, or "{_INDEX}" and MODEL{_ACCURACY}'
      )
    parts.append(table.assign(**{_FILE: file, _LINE: table.index}))
    left_out += dropped
  unnamed: dict[str, str] = {}  # models that are called after their file
  for file, part in zip(files, parts, strict=True):
    if not part.attrs.get('named', True):
      other = unnamed.setdefault(_stem(file), file)
      if os.path.realpath(other) != os.path.realpath(file):
        raise PublishedError(
          f'{other} and {file} do not name their model, and would both be called {_stem(file)!r}; give them a column model'
        )
  by_example = {'example_id' in part: file for part, file in zip(parts, files, strict=True)}
  if len(by_example) > 1:
    raise PublishedError(
      f'{by_example[True]} has example_id and {by_example[False]} has none; some files have example_id and some not, '
      'compare results of one grain'
    )
  table = pd.concat(parts, ignore_index=True)
  if table.empty:
    raise PublishedError(f'{where}: no row with a score; see that the scores are numbers from 0 to 1')
  table, repeated = _once(table)
  return table, left_out + repeated, instructions


def _join_templates(known: dict[str, str], more: Mapping[str, str], file: str) -> None:
  """Adds templates to those of other files; PublishedError where an instruction has two."""
  for name, template in more.items():
    if template and known.get(name):
      if known[name] == template:
        continue
      raise PublishedError(
        f'{file}: the instruction {shorten(repr(name))} has the template {shorten(repr(template))}, and another file has '
        f'{shorten(repr(known[name]))}; give phrasings that differ an instruction_id each'
      )
    known[name] = known.get(name) or template


def _once(table: pd.DataFrame) -> tuple[pd.DataFrame, list[LeftOut]]:
  """Every cell once, and a record of the rows that say again what an earlier one said.

  Raises:
    PublishedError: if two rows say different things of one cell.
  """
  keys = [c for c in _KEYS if c in table]
  again = table[table.duplicated(keys)]
  if again.empty:
    return table, []
  firsts = table[table.duplicated(keys, keep=False)].drop_duplicates(keys)
  pairs = again.merge(firsts, on=keys, suffixes=('', ' before'))
  left_out: list[LeftOut] = []
  for _, row in pairs.iterrows():
    place = f'{row[_FILE + " before"]}, line {row[_LINE + " before"]}'
    for column in ('score', 'prediction'):
      if column in row and row[column] != row[column + ' before']:
        raise PublishedError(
          f'{place} and {row[_FILE]}, line {row[_LINE]}: of {shorten(", ".join(str(row[k]) for k in keys))} one has the {column} '
          f'{shorten(repr(row[column + " before"]))}, the other {shorten(repr(row[column]))}; remove one, or name the models apart (column model)'
          + ('' if 'example_id' in table else '; if rows are of examples, name these in a column example_id')
        )
    content = {k: str(row[k]) for k in (*keys, 'score')}
    reason = f'the cell stands in {row[_FILE + " before"]} with the same {"answer" if "prediction" in row else "score"}'
    left_out.append({'file': row[_FILE], 'row': int(row[_LINE]), 'reason': reason, 'content': content})
  return table.drop(index=again.index).reset_index(drop=True), left_out


def _record(table: pd.DataFrame, left_out: list[LeftOut], instructions: Mapping[str, str]) -> Record:
  return {
    'label': ', '.join(table['model'].unique()),
    'fingerprint': {'scorer': sorted(table['scorer'].unique()), 'tasks': sorted(table['dataset'].unique())},
    'instructions': dict(instructions),
    'rows': len(table),
    'truncated_inputs': 0,
    'launcher': 'published',
    'gin_config': '',
    'finished': 'as published',
    'versions': {},
    'sources': list(table[_FILE].unique()),
    'left_out': left_out,
  }


def _files(path: str) -> list[str]:
  """The tables at a path; of one that stands in both formats, such as results.csv, the CSV file."""
  if os.path.isdir(path):
    names = [entry.name for entry in tables.entries(path)]
    return [
      os.path.join(path, name)
      for name in names
      if name.endswith('.csv') or name.endswith('.parquet') and name.removesuffix('.parquet') + '.csv' not in names
    ]
  return [path] if path.endswith(('.csv', '.parquet')) and os.path.isfile(path) else []


def _stem(path: str) -> str:
  return os.path.splitext(os.path.basename(path))[0]


def _rows(path: str) -> pd.DataFrame:
  """The file as text, its index the lines or rows at which rows begin; 'NA' and 'None' stay as they are."""
  try:
    if path.endswith('.parquet'):
      numbered = tables.read_arrow(path, with_bytes=True)
      frame = pd.DataFrame(
        [row for _, row in numbered], index=pd.Index([n for n, _ in numbered], dtype=int), dtype=object
      )
      return frame.map(functools.partial(_as_text, path)).astype(object)
    lines, cells = tables.read_columns(path)
  except tables.TableError as e:
    raise PublishedError(str(e)) from e
  return pd.DataFrame(cells, index=pd.Index(lines, dtype=int), dtype=object)


def _as_text(path: str, cell: object) -> str:
  """A cell of a Parquet file as a CSV file would have it."""
  if isinstance(cell, dict | list):
    return json.dumps(cell, ensure_ascii=False)
  if isinstance(cell, bytes):  # as some programs write texts
    try:
      return cell.decode()
    except UnicodeDecodeError as e:
      raise PublishedError(f'{path}: holds bytes that are no UTF-8 ({shorten(repr(cell), 60)}); write texts') from e
  return '' if cell is None else str(cell)


def _instruction_eval(path: str, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[LeftOut]]:
  keys = [c for c in _INSTRUCTION_EVAL if c not in ('Performance', 'Include?')]
  excluded = rows['Include?'].str.strip().str.upper() != 'TRUE'
  score = scores(path, rows['Performance'].where(~excluded, ''))
  again = rows[~excluded & score.notna()].duplicated(keys).reindex(rows.index, fill_value=False)
  kept, left_out = _keep(
    path,
    rows,
    [
      (excluded, lambda r: f'Include? is {r["Include?"]!r}'),
      (score.isna(), _not_a_number('Performance')),
      (again, lambda r: 'a second row of the same model, dataset, instruction, shots and metric'),
    ],
  )
  rows, score = rows[kept], score[kept]
  check_range(path, 'Performance', score)
  check_filled(path, rows, ('Model', 'Dataset', 'Collection', 'Type', 'ID', 'Shots', 'Metric'))
  types = rows['Type'].str.strip()
  shots = rows['Shots'].str.strip().str.removesuffix('.0')  # as pandas writes whole numbers beside missing ones
  table = pd.DataFrame(
    {
      'model': rows['Model'].str.strip(),
      # Examples of few-shot prompts make another measurement.
      'dataset': rows['Dataset'].str.strip().where(shots == '0', rows['Dataset'].str.strip() + ', shots: ' + shots),
      'instruction_id': rows['Collection'].str.strip() + '/' + types + '/' + rows['ID'].str.strip(),
      'group': types.str.lower().where(~types.str.lower().isin(_OBSERVED_TYPES), OBSERVED),
      'scorer': rows['Metric'].str.strip(),
      'score': score,
      'num_examples': np.nan,
    }
  )
  return table, left_out


def _multi_prompt(path: str, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[LeftOut], dict[str, str]]:
  """Groups and templates come from `../paraphrases/TASK.csv` where it stands."""
  check_filled(path, rows, (_INDEX,))
  dataset = _stem(path)
  models = [c for c in rows.columns if c.endswith(_ACCURACY)]
  if _ACCURACY in models:
    raise PublishedError(f'{path}: the column {_ACCURACY!r} names no model; call it MODEL{_ACCURACY}')
  index = whole_ids(rows[_INDEX])
  kept, left_out = _keep(path, rows, [(index.duplicated(), lambda r: f'a second row of {_INDEX} {r[_INDEX]}')])
  rows, ids = rows[kept], dataset + '/' + index[kept]
  phrasings = _paraphrases(os.path.join(os.path.dirname(path), os.pardir, 'paraphrases', f'{dataset}.csv'), dataset)
  lacking = [i for i in ids if phrasings and i not in phrasings]
  if lacking:
    raise PublishedError(
      f'{path}: line {ids.index[list(ids).index(lacking[0])]}: there is no phrasing {shorten(lacking[0])} in '
      f'../paraphrases/{dataset}.csv, which tells correct ones from incorrect ones; write the same numbers in both, or move that file away'
    )
  groups = [phrasings[i][0] if phrasings else 'paraphrase' for i in ids]
  parts = []
  for column in models:
    score = scores(path, rows[column])
    model = column.removesuffix(_ACCURACY)
    there, dropped = _keep(path, rows, [(score.isna(), _not_a_number(column))])
    left_out += [{**entry, 'content': {**entry['content'], 'model': model}} for entry in dropped]
    check_range(path, column, score[there])
    part = pd.DataFrame({'instruction_id': ids, 'group': groups, 'score': score})[there]
    parts.append(part.assign(model=model, dataset=dataset))
  table = pd.concat(parts).assign(scorer='accuracy as published', num_examples=np.nan)
  return table[list(PHRASING_COLUMNS)], left_out, {i: template for i, (_, template) in phrasings.items()}


def _paraphrases(path: str, dataset: str) -> dict[str, tuple[str, str]]:
  """Instruction id -> (group, template); nothing if there is no such file. Only a plain 1 is judged correct; the published 0? is not."""
  if not os.path.isfile(path):
    return {}
  rows = _rows(path)
  columns = ['prompt idx', 'prompt template', 'correct']
  missing = [c for c in columns if c not in rows]
  if missing:
    raise PublishedError(f'{path}: no column {missing[0]!r}; restore the file or move it away')
  rows = rows.assign(**{columns[0]: whole_ids(rows[columns[0]])})
  twice = rows.duplicated(columns[:1]) & ~rows.duplicated(columns)
  if twice.any():
    raise PublishedError(f'{path}: line {rows.index[twice][0]}: its prompt idx stands twice; keep one of the rows')
  unknown = ~rows['correct'].str.strip().isin(('1', '0', '0?'))
  if unknown.any():
    raise PublishedError(
      f'{path}: line {rows.index[unknown][0]}: correct is {shorten(repr(rows["correct"][unknown].iloc[0]))}; it must be 1 or 0'
    )
  return {
    f'{dataset}/{index}': ('correct' if correct.strip() == '1' else 'incorrect', template)
    for index, template, correct in zip(rows['prompt idx'], rows['prompt template'], rows['correct'], strict=True)
  }


def _generic(path: str, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[LeftOut], dict[str, str]]:
  clean = {c: whole_ids if c.endswith('_id') else lambda column: each(column, str.strip) for c in _KEYS}
  rows = rows.assign(**{c: clean[c](rows[c]) for c in _KEYS if c in rows})
  if 'group' in rows:  # the two that the gap is between, however they are written
    rows['group'] = each(rows['group'], lambda g: g.casefold() if g.casefold() in (OBSERVED, UNOBSERVED) else g)
  score = scores(path, rows['score'])
  by_example = 'example_id' in rows
  defaults = {
    'model': _stem(path),
    'group': 'all',
    'scorer': 'as given',
  }
  if by_example:
    defaults |= dict.fromkeys([c for c in COLUMNS if c not in defaults], '')
  else:
    defaults['num_examples'] = ''
  filled = rows.assign(**{c: v for c, v in defaults.items() if c not in rows})
  kept, left_out = _keep(path, filled, [(score.isna(), _not_a_number('score'))])
  table = filled.assign(score=score)[kept]
  check_range(path, 'score', table['score'])
  check_filled(path, table, ('model', 'dataset', 'instruction_id', 'group', 'scorer', *(['example_id'] * by_example)))
  if by_example:
    table['matched_option'] = truth(path, table['matched_option'])
    check_json(path, table['option_scores'], dict[str, float])
    check_json(path, table['option_tokens'], list[int])
    check_json(path, table['also_right'], list[str])
    for column, value in {'truncated_tokens': 0, **OPTIONAL}.items():
      if isinstance(value, str):
        continue
      whole = isinstance(value, int)
      given = each(table[column], one_if_true) if column in SCORES else table[column]
      table[column] = numbers(path, given, whole).fillna(value).astype(type(value))
    for column in ('strict_score', 'extracted_score'):
      check_range(path, column, table[column])
    table = table.astype(dict.fromkeys(TEXT, object))
  else:
    table['num_examples'] = numbers(path, table['num_examples'], whole=True)
  templates = _templates(path, table)
  table = table[list(COLUMNS if by_example else PHRASING_COLUMNS)]
  table.attrs['named'] = 'model' in rows
  return table, left_out, templates


def _templates(path: str, table: pd.DataFrame) -> dict[str, str]:
  """Instruction id -> template, empty where none is told; PublishedError where an instruction has two."""
  if 'template' not in table:
    return {}
  told = table.loc[table['template'] != '', ['instruction_id', 'template']].drop_duplicates()
  again = told[told.duplicated('instruction_id')]
  if len(again):
    name, template = again.iloc[0]
    first = told[told['instruction_id'] == name].iloc[0]
    raise PublishedError(
      f'{path}: line {again.index[0]}: the instruction {shorten(repr(name))} has the template {shorten(repr(template))}, in line '
      f'{first.name} it has {shorten(repr(first["template"]))}; give phrasings that differ an instruction_id each, and texts with the '
      'question filled in a column of another name'
    )
  return dict.fromkeys(table['instruction_id'], '') | dict(zip(told['instruction_id'], told['template'], strict=True))


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
