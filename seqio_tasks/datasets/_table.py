"""A CSV or JSON Lines file of one's own as a dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import functools
import logging
import os
import pathlib
from typing import Any

from seqio_tasks import tables
from seqio_tasks.bank.fields import field_name
from seqio_tasks.datasets.sources import Dataset, DatasetError, Example, Report, split_parts

_logger = logging.getLogger(__name__)


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
  """A CSV or JSON Lines file of one's own.

  Args:
    path: a .csv with a heading, .jsonl or .json (a line each) file.
    name: of the dataset.
    bank_tasks: tasks of the bank whose phrasings serve it; "multiple_choice", "yes_no" and "classification" come
      with the package, for the fields question or text.
    answer: the column with the right answer.
    options: the column with all options (in CSV separated by "|"; a list in JSON), or one column for each option; None
      if answers are free.
    answer_is: "text", "letter" (A is the first option) or "number" (1 is the first option).
    split: the column with the split; by default all rows are the split "test".
    train_percent: as in `bigbench`, where there is no column with the split.
    strict: see `datasets`.

  Returns:
    a list with the dataset. All other columns are its fields; one with a name that templates keep for something else,
    such as answer, options or label, is called data_<name>, and a warning says so.

  Raises:
    DatasetError: if a setting is unknown, the file cannot be read, or no row of it can be used.
  """
  if answer_is not in ('text', 'letter', 'number'):
    raise DatasetError(f'answer_is is {answer_is!r}; use text, letter or number')
  if pathlib.Path(path).suffix not in ('.csv', '.jsonl', '.json'):
    raise DatasetError(f'{path}: is neither .csv nor .jsonl; give a file of one of these kinds')
  columns = tuple(options) if isinstance(options, list | tuple) else options
  read = functools.partial(_read_table, str(path), name, answer, columns, answer_is, split, strict)
  if split is None:
    splits = split_parts(read, train_percent)
  else:
    names = dict.fromkeys(e['split'] for e in read())
    splits = {s: functools.partial(_of_split, read, s) for s in names}
  return [Dataset(name, name, tuple(bank_tasks), splits, fields=tuple(read()[0]['fields']))]


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
  try:
    if path.endswith('.csv'):
      _, rows = tables.read_csv(path, required=needed, bad_row=report)
    else:
      rows = tables.read_jsonl(path, bad_row=report)
  except tables.TableError as e:
    raise DatasetError(str(e)) from e
  examples = []
  _say_renamed(path, rows, needed)
  for line, row in rows:
    missing = [c for c in needed if row.get(c) is None]
    if missing:
      report(f'{path}: line {line}: has no {missing}; each row must have the columns {needed}')
      continue
    try:
      example = _table_example(row, answer, options, answer_is, path.endswith('.csv'))
    except DatasetError as e:
      report(f'{path}: line {line}: {e}')
      continue
    example['example_id'] = f'{line}'
    example['fields'] = {field_name(c): str(v) for c, v in row.items() if c not in needed and c is not None}
    if split:
      example['split'] = str(row[split])
    examples.append(example)
  report.done(path, len(examples))
  if not examples:
    raise DatasetError(f'{path}: has no row that can be used; mend what the warnings name')
  return tuple(examples)


def _say_renamed(path: str, rows: Sequence[tuple[int, Mapping[str, Any]]], needed: Sequence[str]) -> None:
  """Warns of columns that templates call otherwise."""
  columns = dict.fromkeys(c for _, row in rows for c in row if c is not None and c not in needed)
  renamed = [f'{c!r} is {{{field_name(c)}}}' for c in columns if field_name(c) != c]
  if renamed:
    _logger.warning('%s: in templates, the column %s: its own name has another meaning there', path, ', '.join(renamed))


def _table_example(
  row: Mapping[str, Any], answer: str, options: str | tuple[str, ...] | None, answer_is: str, csv: bool
) -> dict[str, Any]:
  gold = str(row[answer])
  if options is None:
    return {'gold': gold, 'options': []}
  if isinstance(options, tuple):
    texts = [str(row[c]) for c in options]
  else:
    texts = row[options].split('|') if csv else row[options]
    if not isinstance(texts, list):
      raise DatasetError(f'column {options!r} is not a list of options')
    texts = [str(t).strip() for t in texts]
  texts = [t for t in texts if t]
  if len(texts) < 2:
    raise DatasetError(f'has {len(texts)} options; there must be two or more')
  if answer_is == 'text':
    if gold not in texts:
      raise DatasetError(f'the answer {gold!r} is not among the options {texts}')
    index = texts.index(gold)
  else:
    index = ord(gold.upper()) - ord('A') if answer_is == 'letter' and len(gold) == 1 else -1
    if answer_is == 'number' and gold.isdigit():
      index = int(gold) - 1
    if not 0 <= index < len(texts):
      raise DatasetError(f'the answer {gold!r} is not the {answer_is} of one of {len(texts)} options')
  return {'gold': texts[index], 'gold_index': index, 'options': texts}
