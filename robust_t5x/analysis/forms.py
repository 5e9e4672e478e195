"""Answers of phrasings that ask for them in several forms, such as as a letter and as a text, made comparable."""

import json

import numpy as np
import pandas as pd

from seqio_tasks.answers import normalise


def comparable(table: pd.DataFrame, codes: np.ndarray) -> np.ndarray:
  """Numbers of answers that are equal where the answers are, -1 where there is none to compare.

  Phrasings ask in several forms where the right answer of an example reads otherwise under one than under another. Ranked answers
  then go by the place of their option. Of others the phrasings of a group that ask in the commonest form are kept: "B" and "Paris" may
  be one answer, and a table of texts does not tell.

  Args:
    table: of results.
    codes: a number for each row, the same for predictions of the same text; -1 for none.

  >>> rows = [('B', 'B', '{"A": -2, "B": -1}'), ('Rome', 'Rome', '{"Oslo": -3, "Rome": -1}'), ('Oslo', 'Rome', '{"Oslo": -1, "Rome": -3}')]
  >>> table = pd.DataFrame(rows, columns=['prediction', 'gold', 'option_scores']).assign(dataset='d', group='g', example_id='e')
  >>> comparable(table.assign(instruction_id=list('xyz')), np.array([0, 1, 2])).tolist()
  [1, 1, 0]
  """
  if 'gold' not in table:
    return codes
  names, texts = pd.factorize(table['gold'].fillna(''))
  same, _ = pd.factorize(np.array([normalise(text) or text for text in texts], object))
  golds = pd.Series(same[names], index=table.index)
  several = golds.groupby([table['dataset'], table['example_id']], sort=False, observed=True).transform('nunique') > 1
  mixed = set(table['dataset'][several])
  found = codes.copy()
  for (dataset, _), rows in table.groupby(['dataset', 'group'], sort=False, observed=True).indices.items():
    if dataset in mixed:
      part = table.iloc[rows]
      ranked = 'option_scores' in part and bool((part['option_scores'].fillna('') != '').all())
      found[rows] = _places(part) if ranked else _of_one_form(part, golds.to_numpy()[rows], codes[rows])
  return found


def _places(rows: pd.DataFrame) -> np.ndarray:
  """Places of the chosen options; -1 under phrasings that have them in another order, and where two have the same text."""
  options = [list(json.loads(text)) for text in rows['option_scores']]
  place = [
    [names.index(text) if text in names else -1 for text in (answer, gold)]
    for names, answer, gold in zip(options, rows['prediction'], rows['gold'], strict=True)
  ]
  frame = pd.DataFrame(place, columns=['answer', 'gold'], index=rows.index).assign(
    phrasing=rows['instruction_id'], example=rows['example_id'], count=[len(names) for names in options]
  )
  most = frame.groupby('example', sort=False, observed=True)[['gold', 'count']].transform(
    lambda column: column.mode().iloc[0]
  )
  fits = (frame['count'] == most['count']) & (frame['answer'] >= 0)
  moved = set(frame['phrasing'][fits & (frame['gold'] != most['gold'])])
  return frame['answer'].where(fits & ~frame['phrasing'].isin(moved), -1).to_numpy()


def _of_one_form(rows: pd.DataFrame, golds: np.ndarray, codes: np.ndarray) -> np.ndarray:
  """The numbers under the most phrasings whose right answers read alike wherever they have an example in common, -1 under others."""
  phrasings, names = pd.factorize(rows['instruction_id'])
  examples, ids = pd.factorize(rows['example_id'])
  asked = np.full((len(names), len(ids)), -1)
  asked[phrasings, examples] = golds
  most = np.zeros(len(names), bool)
  for form in np.unique(asked, axis=0):
    alike = ((asked == form) | (asked < 0) | (form < 0)).all(-1)
    if alike.sum() > most.sum():
      most = alike
  return np.where(most[phrasings], codes, -1)
