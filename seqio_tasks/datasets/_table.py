"""A table of one's own as a dataset: CSV, JSON Lines, Parquet, or a directory of Hugging Face's datasets."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
import decimal
import functools
import logging
import os
import pathlib
import re
import string
from typing import Any

from seqio_tasks import tables
from seqio_tasks.bank.fields import field_name
from seqio_tasks.datasets.sources import Dataset, DatasetError, Example, Fault, Report, keep_reading, split_parts
from seqio_tasks.errors import shorten

_logger = logging.getLogger(__name__)
_TEXTS = ('.csv', '.jsonl', '.json')
_QUESTIONS = ('question', 'text')  # fields that the package's phrasings ask by
_LABELS = ('label', 'key')  # fields that name the options beside their texts
_SPLITS = ('train', 'dev', 'validation', 'test')
_FIRST = {'number': 1, 'index': 0}  # what `answer_is` calls the first option
_BEYOND = 'the answer is the number behind the last option'
_SPLIT = 'split'  # the column that tells a directory's splits apart


def table(
  path: str | os.PathLike[str],
  name: str,
  bank_tasks: Sequence[str],
  answer: str = 'answer',
  options: str | Sequence[str] | None = None,
  answer_is: str = 'text',
  split: str | None = None,
  train_percent: int = 0,
  strict: bool = False,
) -> list[Dataset]:
  """A table of one's own.

  Args:
    path: a .csv with a heading, .jsonl or .json (a line each), .parquet or .arrow file, or a directory of the last two as
      Hugging Face's datasets lays it out.
    name: of the dataset.
    bank_tasks: tasks of the bank whose phrasings serve it; "multiple_choice", "yes_no" and "classification" come
      with the package, for the fields question or text.
    answer: the column with the right answer.
    options: the column with all options (in CSV separated by "|"; a list in JSON), or one column for each option; None
      if answers are free.
    answer_is: "text", "letter" (A is the first option), "number" (1 is the first option) or "index" (0 is). Where the options are a
      field of a structure that has their labels too, such as choices.text beside choices.label, the right one is that with the
      label, unless it is an index.
    split: the column with the split; by default all rows are the split "test". Of a directory with several splits it is
      "split".
    train_percent: as in `bigbench`, where there is no column with the split.
    strict: see `datasets`.

  Returns:
    a list with the dataset. Its fields are all other columns that hold something in every row that is used, if only an empty text; a
    warning names the others. One with a name that templates keep for something else, such as answer, options or label, is called
    data_<name>, and a warning says so.

  Raises:
    DatasetError: if a setting is unknown, the file cannot be read, no row of it can be used, or the numbers of the right
      options count from another number than `answer_is` says.
  """
  if answer_is not in ('text', 'letter', *_FIRST):
    raise DatasetError(f'answer_is is {answer_is!r}; use text, letter, number or index')
  if pathlib.Path(path).suffix not in _TEXTS and not tables.arrow_files(path):
    raise DatasetError(
      f'{path}: is neither .csv, .jsonl nor .parquet, nor a directory with .parquet or .arrow files; give one of these'
    )
  columns = tuple(options) if isinstance(options, list | tuple) else options
  read = functools.partial(_read_table, str(path), name, answer, columns, answer_is, split, strict)
  if split is None:
    splits = split_parts(read, train_percent)
  else:
    sizes = collections.Counter(e['split'] for e in read())
    _check_splits(str(path), split, sizes)
    splits = {s: functools.partial(_of_split, read, s) for s in sizes}
  examples = read()
  fields = tuple(f for f in examples[0]['fields'] if all(f in e['fields'] for e in examples))
  most = max(len(e['options']) for e in examples)
  return [Dataset(name, name, tuple(bank_tasks), splits, fields=fields, most_options=most)]


def _check_splits(path: str, column: str, sizes: Mapping[str, int]) -> None:
  """Warns of splits that are read for nothing; DatasetError where it is not said which of several is evaluated."""
  unread = [s for s in sizes if s not in _SPLITS]
  if not unread or len(sizes) == 1:
    return
  told = ', '.join(f'{shorten(repr(s))} ({sizes[s]:,} rows)' for s in unread)
  if not {'test', 'validation'} & set(sizes):
    raise DatasetError(
      f'{path}: the column {column!r} has the splits {told}, and none called test or validation; call the one that is evaluated test'
    )
  _logger.warning('%s: the splits %s of the column %r are not used; use %s', path, told, column, ', '.join(_SPLITS))
  keep_reading(
    f'{path}, other splits',
    {'used': 0, 'left_out': {'of another split': {'rows': sum(sizes[s] for s in unread), 'first': f'{path}: {told}'}}},
  )


def _of_split(read: Callable[[], Sequence[Example]], split: str) -> tuple[Example, ...]:
  return tuple(e for e in read() if e['split'] == split)


@functools.lru_cache(maxsize=64)
def _read_table(
  path: str,
  name: str,
  answer: str,
  options: str | tuple[str, ...] | None,
  answer_is: str,
  split: str | None,
  strict: bool,
) -> tuple[Example, ...]:
  report = Report(strict)
  needed = [answer, *([] if options is None else [options] if isinstance(options, str) else options)]
  needed += [split] if split else []
  unit = 'line' if path.endswith(_TEXTS) else 'row'
  try:
    if path.endswith('.csv'):
      _, rows = tables.read_csv(path, required=needed, bad_row=report)
    elif unit == 'line':
      rows = tables.read_jsonl(path, bad_row=report)
    else:
      rows = _read_arrow(path, split)
  except tables.TableError as e:
    raise DatasetError(str(e)) from e
  labels = _labels_of(options, rows)
  if answer_is == 'number' and labels is None:
    _check_first_number(path, unit, rows, answer)
  examples: list[dict[str, Any]] = []
  nested = _nested(path, rows, needed)
  columns = dict.fromkeys(c for _, row in rows for c in row)
  others = dict.fromkeys(c for c in columns if c not in needed and c not in nested)
  # A column that is blank throughout may be meant so: the options may be all there is.
  asked = [c for c in _QUESTIONS if c in others and any(_text(row.get(c)) for _, row in rows)]
  # Of options with a column each, some rows have fewer.
  filled = [c for c in needed if not (isinstance(options, tuple) and c in options and c in columns)]
  _say_renamed(path, rows, (*needed, *nested))
  for line, row in rows:
    missing = [c for c in filled if _is_nothing(row.get(c))] + [c for c in asked if c not in row]
    if missing:
      report(
        f'{path}: {unit} {line}: has no {missing}; each row must have the columns {[*needed, *asked]}',
        'a column is missing',
      )
      continue
    try:
      example = _table_example(row, answer, options, answer_is, path.endswith('.csv'), labels)
      values = {c: v for c, v in row.items() if c in others and not _is_nothing(v)}
      nothing = [c for c in asked if c not in values]
      if nothing:
        raise Fault(f'the fields {nothing} hold nothing; write what is asked', 'a field is null or NaN')
      if others and not any(str(v).strip() for v in values.values()):
        raise Fault('no field has a text', 'all fields are blank')
      blank = [c for c in asked if not str(values[c]).strip()]
      if blank:
        raise Fault(f'the fields {blank} are blank; write what is asked', 'a blank question')
      if split and not _text(row[split]):
        raise Fault(f'the column {split!r} is blank; name the split', 'no split')
    except Fault as e:
      if e.reason == _BEYOND and not any(_number(_text(r.get(answer))) == 0 for _, r in rows):
        raise DatasetError(
          f'{path}: {unit} {line}: {e}, and no row has a 0: the numbers seem to count from 1; set ANSWER_IS to number'
        ) from e
      report(f'{path}: {unit} {line}: {e}', e.reason)
      continue
    example['example_id'] = f'{line}'
    example['fields'] = {field_name(c): str(v) for c, v in values.items()}
    if split:
      name = _text(row[split])
      example['split'] = name.casefold() if name.casefold() in _SPLITS else name
    examples.append(example)
  report.done(path, len(examples))
  if not examples:
    raise DatasetError(f'{path}: has no row that can be used; mend what the warnings name')
  _say_partial(path, others, examples)
  return tuple(examples)


def _read_arrow(path: str, split: str | None) -> list[tuple[int, dict[str, Any]]]:
  """Number and cells of every row of a file, or of all files of a directory, with a column for its splits."""
  by_split = tables.arrow_files(path)
  if len(by_split) > 1 and split is None:
    raise DatasetError(
      f"{path}: has the splits {', '.join(by_split)}; set SPLIT_COLUMN to 'split', or name one of the directories or files"
    )
  rows: list[dict[str, Any]] = []
  for name, files in by_split.items():
    for file in files:
      rows += [({_SPLIT: name} if name else {}) | row for _, row in tables.read_arrow(file)]
  if split is None:
    rows = [{k: v for k, v in row.items() if k != _SPLIT or not any(by_split)} for row in rows]
  return list(enumerate(rows, start=1))


def _nested(path: str, rows: Sequence[tuple[int, Mapping[str, Any]]], needed: Sequence[str]) -> set[str]:
  """The columns that hold lists or objects, which are no texts to fill in; warns of them."""
  found = dict.fromkeys(c for _, row in rows for c, v in row.items() if c not in needed and isinstance(v, list | dict))
  if found:
    _logger.warning('%s: the columns %s hold lists or objects, which no template can name', path, list(found))
  return set(found)


def _say_partial(path: str, columns: Iterable[str], examples: Sequence[Example]) -> None:
  """Warns of columns that hold nothing, not even an empty text, in some of the rows that are used: they are no fields of all."""
  lacking = {c: sum(field_name(c) not in e['fields'] for e in examples) for c in columns}
  told = [f'{c!r} ({count:,} of {len(examples):,})' for c, count in lacking.items() if count]
  if told:
    _logger.warning(
      '%s: no template can name the columns that hold nothing in some of the rows: %s; write what belongs there, or ""',
      path,
      shorten(', '.join(told), 400),
    )


def _check_first_number(path: str, unit: str, rows: Sequence[tuple[int, Mapping[str, Any]]], answer: str) -> None:
  """DatasetError for a file whose numbers of the right options count from 0, whatever else is wrong with its rows."""
  for line, row in rows:
    if _number(_text(row.get(answer))) == 0:
      raise DatasetError(
        f'{path}: {unit} {line}: the answer is {row[answer]!r}, and number 1 is the first option: all numbers of this file seem to '
        'count from 0; set ANSWER_IS to index'
      )


def _labels_of(options: str | tuple[str, ...] | None, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> str | None:
  """The column with the labels of the options, which need not be A, B, C in order, as in ARC: choices.label beside choices.text."""
  structure, dot, _ = options.rpartition('.') if isinstance(options, str) else ('', '', '')
  columns = dict.fromkeys(c for _, row in rows for c in row)
  return next((c for c in (f'{structure}.{name}' for name in _LABELS) if dot and c in columns), None)


def _number(text: str) -> int | None:
  """A whole number from 0, also as it is written beside missing ones, 2.0; None for what is none."""
  found = re.fullmatch(r'(\d{1,3})(\.0+)?', text)
  return int(found[1]) if found else None


def _say_renamed(path: str, rows: Sequence[tuple[int, Mapping[str, Any]]], needed: Sequence[str]) -> None:
  """Warns of columns that templates call otherwise; DatasetError where two would be called the same."""
  columns = dict.fromkeys(c for _, row in rows for c in row if c not in needed)
  double = [c for c in columns if field_name(c) != c and field_name(c) in columns]
  if double:
    raise DatasetError(
      f'{path}: templates call the column {double[0]!r} {{{field_name(double[0])}}}, which is another column; rename one'
    )
  renamed = [f'{c!r} is {{{field_name(c)}}}' for c in columns if field_name(c) != c]
  if renamed:
    _logger.warning('%s: in templates, the column %s: its own name has another meaning there', path, ', '.join(renamed))


def _table_example(
  row: Mapping[str, Any],
  answer: str,
  options: str | tuple[str, ...] | None,
  answer_is: str,
  csv: bool,
  labels: str | None = None,
) -> dict[str, Any]:
  gold = _text(row[answer])
  if not gold:
    raise Fault(f'the answer {row[answer]!r} is no text; write the right answer', 'no right answer')
  if options is None:
    return {'gold': gold, 'options': []}
  if isinstance(options, tuple):
    texts = ['' if _is_nothing(row.get(c)) else row[c] for c in options]
  else:
    texts = row[options].split('|') if csv else row[options]
    if not isinstance(texts, list):
      raise Fault(f'column {options!r} is not a list of options', 'no list of options')
    if any(map(_is_nothing, texts)):
      raise Fault(f'an option of {texts} is null or NaN', 'an option is null or NaN')
  if any(isinstance(t, list | dict | bytes) for t in texts):
    raise Fault(f'an option of {texts} is a list, an object or bytes, not a text', 'an option is no text')
  texts = [str(t).strip() for t in texts]
  blank = [i for i, t in enumerate(texts) if not t]
  if blank and any(texts[i] for i in range(blank[0], len(texts))):
    raise Fault(f'option {blank[0] + 1} of {texts} is blank, and others follow it', 'a blank among the options')
  listed, texts = len(texts), [t for t in texts if t]
  if len(texts) < 2:
    raise Fault(f'has {len(texts)} options; there must be two or more', 'fewer than two options')
  if answer_is == 'text':
    if gold not in texts:
      raise Fault(f'the answer {gold!r} is not among the options {texts}', 'the answer is no option')
    index = texts.index(gold)
  elif labels is not None and answer_is != 'index':
    index = _place_of_label(gold, row.get(labels), listed, labels)
    if index >= len(texts):
      raise Fault(f'the answer {gold!r} is the label of a blank option', 'the answer is no option')
  else:
    letter = gold.upper()
    index = string.ascii_uppercase.find(letter) if answer_is == 'letter' and len(letter) == 1 else -1
    number = _number(gold) if answer_is in _FIRST else None
    index = index if number is None else number - _FIRST[answer_is]
    if answer_is == 'index' and index == len(texts):
      raise Fault(f'the answer is {gold!r} of {len(texts)} options, of which 0 is the first', _BEYOND)
    if not 0 <= index < len(texts):
      raise Fault(
        f'the answer {gold!r} is not the {answer_is} of one of {len(texts)} options', 'the answer is no option'
      )
  return {'gold': texts[index], 'gold_index': index, 'options': texts}


def _place_of_label(gold: str, labels: object, options: int, column: str) -> int:
  """The option whose label is the right answer, in whatever case, and 1 as 1.0."""

  def folded(label: str) -> str:
    number = _number(label)
    return label.casefold() if number is None else str(number)

  told = [folded(_text(label)) for label in labels] if isinstance(labels, list) else []
  if len(told) != options or len({*told}) < options or not all(told):
    raise Fault(
      f'the column {column!r} holds {labels}; it must have a label of its own for each of {options} options',
      'no labels of the options',
    )
  if folded(gold) not in told:
    raise Fault(f'the answer {gold!r} is not among the labels {labels} of the options', 'the answer is no option')
  return told.index(folded(gold))


def _is_nothing(value: object) -> bool:
  """Whether a cell is null or NaN, which a row does not have."""
  return value is None or value != value


def _text(value: object) -> str:
  """The text of a cell, without blanks around it; empty for what is neither text nor number, and for NaN."""
  if not isinstance(value, str | int | float | decimal.Decimal) or value != value:
    return ''
  return str(value).strip()
