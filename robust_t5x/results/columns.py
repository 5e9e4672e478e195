"""Columns of texts, as tables of results that others made have them, as numbers and truth values, each fault with its line."""

from collections.abc import Callable, Sequence
import re
from typing import Any

import numpy as np
import pandas as pd

from robust_t5x.runtime import records
from seqio_tasks import tables
from seqio_tasks.errors import UserError, shorten

_TRUTH = {'TRUE': True, '1': True, 'FALSE': False, '0': False}
# What a program of another language makes of a number, and a spreadsheet of a share.
_OTHER_NUMBER = re.compile(r'[-+]?(?:\d+,\d*|\d*,\d+|\d[\d.,]*\s*%)')


class PublishedError(UserError):
  """A file that is no table of results; the message names file, field and cure."""


def scores(path: str, column: pd.Series) -> pd.Series:
  """The numbers of a column, 1 and 0 for the truth values True and False; NaN for what is neither.

  Raises:
    PublishedError: for 0,5 and 50%, which are scores, and must not be left out as words are.
  """
  found = pd.to_numeric(each(column, one_if_true), errors='coerce')
  for line, text in column[found.isna()].items():
    if _OTHER_NUMBER.fullmatch(text.strip()):
      raise PublishedError(
        f'{path}: line {line}: {column.name} is {shorten(repr(text))}; write numbers from 0 to 1 with a decimal point'
      )
  return found


def one_if_true(text: str) -> str:
  """A truth value as a number, and any other text as it is."""
  return {'true': '1', 'false': '0'}.get(text.strip().casefold(), text)


def each(column: pd.Series, change: Callable[[str], str]) -> pd.Series:
  """A column of texts changed, of which there are few different ones."""
  return column.map({text: change(text) for text in column.unique()}).astype(object)


def numbers(path: str, column: pd.Series, whole: bool) -> pd.Series:
  """The numbers of a column, NaN where it says nothing; PublishedError for what is none, and where they count below 0."""
  given = column.str.strip().replace({'nan': '', 'NaN': ''})
  found = pd.to_numeric(given.where(given != ''), errors='coerce')
  wrong = (given != '') & (found.isna() | np.isinf(found))
  if whole:
    wrong |= (found < 0) | (found != np.floor(found)) & found.notna()
  if wrong.any():
    kind = 'a whole number from 0' if whole else 'a number'
    raise PublishedError(
      f'{path}: line {column.index[wrong][0]}: {column.name} is {shorten(repr(column[wrong].iloc[0]))}, not {kind}; correct it or '
      'leave it empty'
    )
  return found


def check_json(path: str, column: pd.Series, kind: Any) -> None:
  """Raises PublishedError for a cell that is neither empty nor of a kind of JSON."""
  for line, text in column[column != ''].items():
    try:
      fault = records.fault(tables.parse_json(text), kind)
    except ValueError as e:
      fault = f'it is not JSON ({shorten(e)})'
    if fault:
      raise PublishedError(f'{path}: line {line}: {column.name}: {fault}; correct it or leave it empty')


def whole_ids(column: pd.Series) -> pd.Series:
  """Ids without blanks around them, and 1.0 as 1 where all are so, as pandas writes whole numbers once one was missing."""
  found = each(column, str.strip)
  plain = all(re.fullmatch(r'\d+\.0', text) for text in found.unique() if text)
  return each(found, lambda text: text.removesuffix('.0')) if plain else found


def truth(path: str, column: pd.Series) -> pd.Series:
  """The truth values of a column, true where it says nothing."""
  given = column.str.strip().str.upper().replace({'': 'TRUE'})
  wrong = ~given.isin(_TRUTH)
  if wrong.any():
    raise PublishedError(
      f'{path}: line {column.index[wrong][0]}: {column.name} is {shorten(repr(column[wrong].iloc[0]))}; use True or False'
    )
  return given.map(_TRUTH).astype(bool)


def check_range(path: str, column: str, score: pd.Series) -> None:
  """Raises PublishedError for a number that is no score."""
  outside = score[(score < 0) | (score > 1)]
  if len(outside):
    raise PublishedError(
      f'{path}: line {outside.index[0]}: {column} is {float(outside.iloc[0])!r}; scores run from 0 to 1, divide percentages by 100'
    )


def check_filled(path: str, rows: pd.DataFrame, columns: Sequence[str]) -> None:
  """Raises PublishedError for a blank cell of some columns."""
  for column in columns:
    empty = each(rows[column], str.strip) == ''
    if empty.any():
      raise PublishedError(f'{path}: line {rows.index[empty][0]}: {column} is empty; fill it in or remove the row')
