"""What can be had without training: other readings of the same scores, computed from a results table.

A table of `rank_likelihood` holds the log-likelihood of every option. From these follow the accuracy by another norm, the
ensemble over phrasings, and calibrated choices. Each function takes a table and gives one with new predictions and scores,
which every metric then reads as any other. Tables of before `also_right` was kept tell one right option of each cell, the first one
where there are several.

Shape letters: C options.
"""

from collections.abc import Callable, Mapping, Sequence
import json

import numpy as np
import pandas as pd
import scipy.special

from robust_t5x.results.schema import ResultsError, check_examples, check_ranked
from seqio_tasks import answers
from seqio_tasks.errors import shorten

_CELL = ['dataset', 'instruction_id', 'example_id']
ENSEMBLE = 'ensemble'  # what stands for the phrasing in a table of `ensemble`


def per_token(table: pd.DataFrame) -> pd.DataFrame:
  """The options ranked by mean log-likelihood per token, the end token included, instead of the sum.

  Raises:
    ResultsError: if the table does not hold the options' scores or their tokens.
  """
  scores = _scores(table)
  tokens = [np.array(json.loads(text or '[]'), float) for text in table['option_tokens']]
  unlike = [len(t) != len(s) for t, s in zip(tokens, scores, strict=True)]
  if any(unlike):
    row = table.iloc[int(np.argmax(unlike))]
    raise ResultsError(
      f'option_tokens: example {row["example_id"]!r} of {row["dataset"]} does not tell how many tokens each of its options has'
      + ('; evaluate again' if not row['option_tokens'] else ', some of which have the same text; leave it out')
    )
  return _ranked(table, [s / t for s, t in zip(scores, tokens, strict=True)])


def ensemble(table: pd.DataFrame) -> pd.DataFrame:
  """One answer for all phrasings of an example: the option with the highest mean of log p over a group's phrasings.

  p is the softmax over the options, so that phrasings that make all answers unlikely count as much as others. It costs as many
  passes as there are phrasings. Options go by their place, so phrasings that ask for texts and for letters go together.

  Returns:
    A row for each example of each dataset and group, whose `instruction_id` is ENSEMBLE.

  Raises:
    ResultsError: if an example has not the same number of options under all phrasings, has them in several orders, or has
      a right one that the table does not tell.
  """
  table = table.assign(_log_p=[scipy.special.log_softmax(s) for s in _scores(table)])
  _check_all_named(table)
  rows, means = [], []
  for _, cell in table.groupby(['dataset', 'group', 'example_id'], sort=False):
    if len({len(x) for x in cell['_log_p']}) > 1:
      raise ResultsError(
        f'example {cell["example_id"].iloc[0]!r} of {cell["dataset"].iloc[0]} has other numbers of options under some phrasings '
        '(options of the same text count once); leave these phrasings or this example out'
      )
    options = [list(json.loads(text)) for text in cell['option_scores']]
    right = [set(_right_places(*row)) for row in zip(options, cell['gold'], cell['also_right'], strict=True)]
    most = max(right, key=len)
    if any(not places <= most for places in right):
      raise ResultsError(
        f'example {cell["example_id"].iloc[0]!r} of {cell["dataset"].iloc[0]} has its options in other orders under some phrasings; leave '
        'these out'
      )
    others = [options[0][place] for place in sorted(most) if options[0][place] != cell['gold'].iloc[0]]
    rows.append({**cell.iloc[0], 'also_right': json.dumps(others) if others else ''})
    means.append(np.mean(np.stack(list(cell['_log_p'])), axis=0))
  made = pd.DataFrame(rows).drop(columns='_log_p').assign(instruction_id=ENSEMBLE).reset_index(drop=True)
  return _ranked(made, means)


def calibrated(table: pd.DataFrame, content_free: pd.DataFrame) -> pd.DataFrame:
  """The options ranked by how much likelier the question makes them than a prompt without one.

  score = log p(option | phrasing, question) - log p(option | phrasing, no question).

  Args:
    table: to rank anew.
    content_free: the same cells, evaluated with CONTENT_FREE.

  Source: contextual calibration (Zhao et al. 2021, arXiv 2102.09690), here a difference for each option's own text, which is
  the domain-conditional PMI of Holtzman et al. 2021 (arXiv 2104.08315).

  Raises:
    ResultsError: if a cell is missing from the content-free table, or has other options there.
  """
  check_ranked('the table', table)
  check_ranked('the table without questions', content_free)
  free = dict(zip(map(tuple, content_free[_CELL].to_numpy()), content_free['option_scores'], strict=True))
  scores = []
  for cell, text in zip(map(tuple, table[_CELL].to_numpy()), table['option_scores'], strict=True):
    own, other = json.loads(text), json.loads(free.get(cell, '{}'))
    if own.keys() != other.keys():
      raise ResultsError(
        f'the table without questions has no cell of {cell[0]}, {cell[1]}, example {cell[2]} with the same options; evaluate the '
        'same tasks with CONTENT_FREE'
      )
    scores.append(np.array([own[o] - other[o] for o in own]))
  return _ranked(table, scores)


def batch_calibrated(table: pd.DataFrame) -> pd.DataFrame:
  """The options ranked by log p less its mean over all examples under the phrasing; for tasks with the same options throughout.

  Phrasings of tasks whose options change from example to example keep their ranking.

  Source: batch calibration (Zhou et al. 2023, arXiv 2309.17249).
  """
  table = table.reset_index(drop=True)
  log_p = [scipy.special.log_softmax(s) for s in _scores(table)]
  options = [tuple(json.loads(text)) for text in table['option_scores']]
  for _, rows in table.groupby(['dataset', 'instruction_id'], sort=False):
    if len({options[i] for i in rows.index}) == 1:
      mean = np.mean([log_p[i] for i in rows.index], axis=0)
      for i in rows.index:
        log_p[i] = log_p[i] - mean
  return _ranked(table, log_p)


def chosen_phrasing(table: pd.DataFrame, development: pd.DataFrame) -> pd.DataFrame:
  """Of each dataset and group the rows of one phrasing: the most accurate on other examples, the first of several.

  Args:
    table: to choose from.
    development: the same phrasings on examples to choose by.

  Raises:
    ResultsError: if the examples to choose by are those of the table, or a phrasing of a dataset was not evaluated on them.
  """
  check_examples('the table', table)
  check_examples('the table to choose by', development)
  keys = ['dataset', 'group', 'instruction_id']
  shared = set(map(tuple, table[['dataset', 'example_id']].to_numpy())) & set(
    map(tuple, development[['dataset', 'example_id']].to_numpy())
  )
  if shared:
    raise ResultsError(
      f'example {min(shared)[1]!r} is in both tables; choose a phrasing by examples that are not reported on'
    )
  accuracy = development.groupby(keys, sort=False)['score'].mean()
  parts = []
  for place, rows in table.groupby(keys[:2], sort=False):
    phrasings = rows['instruction_id'].unique()
    missing = [p for p in phrasings if (*place, p) not in accuracy.index]
    if missing:
      raise ResultsError(f'{missing[0]} of {place[0]} was not evaluated on the examples to choose by')
    best = max(phrasings, key=lambda p: accuracy[(*place, p)])
    parts.append(rows[rows['instruction_id'] == best])
  return pd.concat(parts, ignore_index=True)


# Those that need the table alone, by name.
READINGS: Mapping[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
  'per_token': per_token,
  'ensemble': ensemble,
  'batch_calibrated': batch_calibrated,
}


def counts_another(table: pd.DataFrame) -> pd.Series:
  """Whether a row counts an option as right that it does not name: of its example several are."""
  unnamed = (table['score'] > 0) & (table['tied_options'] == 0) & (table['prediction'] != table['gold'])
  told = [
    answer in json.loads(also or '[]') for answer, also in zip(table['prediction'], table['also_right'], strict=True)
  ]
  return unnamed & ~np.array(told, bool)


def _scores(table: pd.DataFrame) -> list[np.ndarray]:
  """The options' scores [C] of each row."""
  check_ranked('the table', table)
  return [np.array(list(json.loads(text).values()), float) for text in table['option_scores']]


def _right_places(options: Sequence[str], gold: str, also_right: str) -> tuple[int, ...]:
  right = {gold, *json.loads(also_right or '[]')}
  return tuple(i for i, option in enumerate(options) if option in right)


def _check_all_named(table: pd.DataFrame) -> None:
  """Raises ResultsError if a row counts an option as right that it does not name."""
  others = counts_another(table)
  if others.any():
    row = table[others].iloc[0]
    raise ResultsError(
      f'example {row["example_id"]!r} of {row["dataset"]} has several right options, and the table names one; delete its directory and evaluate again, or leave such data out'
    )


def _ranked(table: pd.DataFrame, scores: list[np.ndarray]) -> pd.DataFrame:
  """A table with the options of each row ranked by other scores [C]; ties as in `answers.ranking_score`.

  Raises:
    ResultsError: if a row's right answer is not among its options, or others that it does not name were counted as right.
  """
  _check_all_named(table)
  predictions, values, ties = [], [], []
  columns = (table[name] for name in ('option_scores', 'gold', 'also_right'))
  for text, gold, also, row in zip(*columns, scores, strict=True):
    options = list(json.loads(text))
    right = _right_places(options, gold, also)
    if not right:
      raise ResultsError(
        f'option_scores: none of {shorten(options)} is the gold answer {shorten(repr(gold))}; evaluate again'
      )
    best = answers.best_options(row.tolist())
    predictions.append(options[best[0]])
    values.append(answers.ranking_score(best, right))
    ties.append(len(best) if len(best) > 1 else 0)
  return table.assign(prediction=predictions, score=values, tied_options=ties)
