"""How much wording matters to a model as it is: the tables of docs/real_model.md of many examples under every phrasing."""

from collections.abc import Iterator, Mapping
import json

import numpy as np
import pandas as pd
import study

from robust_t5x.analysis import remedies, room
from robust_t5x.analysis.comparison import Comparison
from robust_t5x.analysis.sensitivity import guessing
from robust_t5x.analysis.wording import effects, features

STRATA = ('not listed', 'listed')
HEADS = {
  'wording': ['task', 'examples', 'chance', 'no question', 'mean', 'lowest–highest', *STRATA, 'mean by tokens'],
  'spread': ['task', 'sd', 'noise', *(f'sd, {s}' for s in STRATA), 'share of listing', *(f'first, {s}' for s in STRATA)],
  'features': ['feature', 'alone', 'together', 'p adjusted', 'alone, by tokens'],
  'choosing': ['examples to choose by', 'accuracy under the chosen phrasings', '95% of draws'],
}  # fmt: skip
TO_CHOOSE_BY = (0, 5, 10, 20, 40)
_DRAWS = 400


def stratum(template: str) -> str:
  """Whether a phrasing lists the options."""
  return STRATA[bool(features(template)['lists the options'])]


def chance(rows: pd.DataFrame) -> float:
  """Accuracy in % of an option at random, mean over tasks."""
  return 100 * float(np.mean(list(guessing(rows).values())))


def wording(table: pd.DataFrame, free: pd.DataFrame, templates: Mapping[str, str]) -> Iterator[study.Cells]:
  """A row for each task: accuracy, and what it is under phrasings of either kind and by tokens."""
  by_tokens = remedies.per_token(table)
  for task, rows in table.groupby('dataset', sort=False):
    accuracy = _accuracies(rows)
    without = 100 * free.loc[free['dataset'] == task, 'score'].mean()
    yield [
      task_name(task), str(rows['example_id'].nunique()), f'{chance(rows):.0f}', f'{without:.0f}', f'{accuracy.mean():.1f}',
      f'{accuracy.min():.0f}–{accuracy.max():.0f}', *(f'{a.mean():.1f}' for a in _of_strata(accuracy, templates)),
      f'{_accuracies(by_tokens[by_tokens["dataset"] == task]).mean():.1f}',
    ]  # fmt: skip


def spread(table: pd.DataFrame, templates: Mapping[str, str]) -> Iterator[study.Cells]:
  """A row for each task: sd over phrasings, what noise alone would make it, and what of it is whether the options are listed."""
  for task, rows in table.groupby('dataset', sort=False):
    accuracy = _accuracies(rows)
    found = room.of_scores(_by_cell(rows))
    assert found is not None, 'a task of a single phrasing'
    parts = _of_strata(accuracy, templates)
    within = sum(((part - part.mean()) ** 2).sum() for part in parts)
    listing = 1 - within / ((accuracy - accuracy.mean()) ** 2).sum()
    first = [
      prediction == next(iter(json.loads(text)))
      for prediction, text in zip(rows['prediction'], rows['option_scores'], strict=True)
    ]
    of_stratum = rows['instruction_id'].map(lambda i: stratum(templates[i]))
    yield [
      task_name(task), f'{100 * found.sd:.1f}', f'{100 * found.noise:.1f}', *(f'{part.std():.1f}' for part in parts),
      f'{100 * listing:.0f}', *(f'{100 * np.mean(np.array(first)[of_stratum == s]):.0f}' for s in STRATA),
    ]  # fmt: skip


def features_of_wording(by_sum: Comparison, by_tokens: Comparison, model: str) -> Iterator[study.Cells]:
  """A row for each feature of phrasings: the accuracy that goes with it, by either ranking."""
  of_tokens = {e.feature: e.alone for e in effects(by_tokens, model)}
  for e in effects(by_sum, model):
    yield [
      e.feature, study.interval(e.alone, signed=True),
      study.interval(e.together, signed=True) if e.together else '–', f'{e.p_adjusted:.2g}',
      study.interval(of_tokens[e.feature], signed=True),
    ]  # fmt: skip


def choosing(table: pd.DataFrame) -> Iterator[study.Cells]:
  """A row for each number of examples: accuracy under the phrasing of each task that is best on so many, on its other examples."""
  rng = np.random.default_rng(0)
  scores = [_by_cell(rows) for _, rows in table.groupby('dataset', sort=False)]
  for number in TO_CHOOSE_BY:
    draws = [[_of_a_draw(rng.permutation(s), number, rng) for s in scores] for _ in range(_DRAWS)]
    found = 100 * np.mean(draws, axis=1)
    yield [str(number), f'{found.mean():.1f}', '–'.join(f'{x:.1f}' for x in np.quantile(found, (0.025, 0.975)))]


def _of_a_draw(scores: np.ndarray, number: int, rng: np.random.Generator) -> float:
  """Scores [N, K]: the mean of the last rows under the phrasing that is best on the first, one of them at random if there are several."""
  by = scores[:number].sum(0)
  return float(scores[number:, rng.choice(np.flatnonzero(by == by.max()))].mean())


def _by_cell(rows: pd.DataFrame) -> np.ndarray:
  """Scores of a task, [N, K]."""
  return rows.pivot(index='example_id', columns='instruction_id', values='score').to_numpy()


def _accuracies(rows: pd.DataFrame) -> pd.Series:
  """In %, of each phrasing of a task."""
  return 100 * rows.groupby('instruction_id', sort=False)['score'].mean()


def _of_strata(accuracy: pd.Series, templates: Mapping[str, str]) -> list[pd.Series]:
  of = accuracy.index.map(lambda i: stratum(templates[i]))
  return [accuracy[of == s] for s in STRATA]


def task_name(name: object) -> str:
  """What tables call a dataset."""
  return str(name).removeprefix('bigbench_').replace('_', ' ')
