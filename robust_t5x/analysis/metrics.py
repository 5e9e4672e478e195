"""Metrics over phrasings, from the scores of a set of examples under each of k phrasings.

Every function takes scores in [0, 1] of shape [..., N, k], examples by phrasings, and returns values of shape [...].
NaN marks a cell that was not evaluated: means leave it out. Leading axes are anything: models, seeds, draws.
`table_cells` brings a results table into this form.
"""

from collections.abc import Callable, Mapping
import warnings

from jaxtyping import Float, Num
import numpy as np
import pandas as pd

from robust_t5x.results.cells import Cells
from seqio_tasks.errors import UserError

Scores = Num[np.ndarray, '*b n k']
Values = Float[np.ndarray, '*b']
Metric = Callable[[Scores], Values]


def phrasing_accuracy(scores: Scores) -> Float[np.ndarray, '*b k']:
  """a[i]: mean score of each phrasing over the examples.

  >>> phrasing_accuracy(np.array([[1, 1], [1, 0]]))
  array([1. , 0.5])
  """
  return _over(np.nanmean, scores, -2)


def average_performance(scores: Scores) -> Values:
  """AvgP: mean of a[i] over phrasings (Mizrahi et al. 2024, arXiv 2401.00595).

  >>> float(average_performance(np.array([[1, 1], [1, 0]])))
  0.75
  """
  return _over(np.nanmean, phrasing_accuracy(scores))


def max_performance(scores: Scores) -> Values:
  """MaxP: a[i] of the best phrasing (Mizrahi et al. 2024).

  >>> float(max_performance(np.array([[1, 1], [1, 0]])))
  1.0
  """
  return _over(np.nanmax, phrasing_accuracy(scores))


def saturation(scores: Scores) -> Values:
  """1 - (MaxP - AvgP): 1 where all phrasings do equally well (Mizrahi et al. 2024).

  >>> float(saturation(np.array([[1, 1], [1, 0]])))
  0.75
  """
  return 1 - (max_performance(scores) - average_performance(scores))


def combined_performance_score(scores: Scores) -> Values:
  """CPS: saturation times MaxP (Mizrahi et al. 2024).

  >>> float(combined_performance_score(np.array([[1, 0], [0, 0]])))
  0.375
  """
  return saturation(scores) * max_performance(scores)


def spread(scores: Scores) -> Values:
  """a[i] of the best phrasing less that of the worst; NaN for a single phrasing (Sclar et al. 2023, arXiv 2310.11324).

  >>> float(spread(np.array([[1, 1], [1, 0]])))
  0.5
  """
  several = (~np.isnan(phrasing_accuracy(scores))).sum(-1) > 1
  return np.where(several, max_performance(scores) - worst_phrasing(scores), np.nan)[()]


def standard_deviation(scores: Scores) -> Values:
  """Sample standard deviation of a[i] over phrasings; NaN for a single phrasing (Sun et al. 2024).

  >>> float(standard_deviation(np.array([[1, 0.5, 0]])))
  0.5
  """
  return _sd(phrasing_accuracy(scores))


def worst_phrasing(scores: Scores) -> Values:
  """a[i] of the worst phrasing: one phrasing for all examples (Cao et al. 2024, arXiv 2406.10248).

  >>> float(worst_phrasing(np.array([[1, 1], [1, 0]])))
  0.5
  """
  return _over(np.nanmin, phrasing_accuracy(scores))


def case_worst(scores: Scores) -> Values:
  """Mean over examples of each example's own worst score; at most `worst_phrasing` (Cao et al. 2024).

  >>> float(case_worst(np.array([[1, 0], [0, 1]])))
  0.0
  """
  return _over(np.nanmean, CASE_METRICS['case-level worst'](scores))


def case_best(scores: Scores) -> Values:
  """Mean over examples of each example's own best score; at least MaxP (Cao et al. 2024).

  >>> float(case_best(np.array([[1, 0], [0, 1]])))
  1.0
  """
  return _over(np.nanmean, CASE_METRICS['case-level best'](scores))


def case_standard_deviation(scores: Scores) -> Values:
  """Mean over examples of the sample standard deviation over phrasings; NaN for a single phrasing.

  >>> float(case_standard_deviation(np.array([[1, 0.5, 0], [1, 1, 1]])))
  0.25
  """
  return _over(np.nanmean, CASE_METRICS['case-level sd'](scores))


def pairwise_sensitivity(scores: Scores) -> Values:
  """PSS: mean over examples of the mean distance |s[n,i] - s[n,j]| of two phrasings (Zhuo et al. 2024, arXiv 2410.12405).

  Examples with a single phrasing have no pair and are left out.

  >>> float(pairwise_sensitivity(np.array([[1, 0.5], [0, 1]])))
  0.75
  """
  return _over(np.nanmean, CASE_METRICS['PSS'](scores))


def observed_gap(unobserved: Scores, observed: Scores) -> Values:
  """AvgP of unobserved phrasings less that of observed ones; below 0 where new words hurt (Sun et al. 2024).

  >>> float(observed_gap(np.array([[1, 0], [0, 0]]), np.array([[1], [1]])))
  -0.75
  """
  return average_performance(unobserved) - average_performance(observed)


def performance_drop_rate(original: float, changed: float) -> float:
  """PDR: share of the accuracy that a change of phrasing costs, 1 - changed / original; NaN if original is 0.

  >>> performance_drop_rate(0.75, 0.375)
  0.5

  Source: PromptBench, Zhu et al. 2023, arXiv 2306.04528.
  """
  return 1 - changed / original if original else np.nan


def phrasings_needed(
  accuracies: Float[np.ndarray, ' k'], epsilon: float, delta: float = 0.05, draws: int = 2000, seed: int = 0
) -> int:
  """The smallest number of phrasings whose mean is within epsilon of the mean of all, with probability 1 - delta.

  >>> phrasings_needed(np.array([0.0, 1.0]), epsilon=0.4)
  2

  Args:
    accuracies: a[i] of all k phrasings.
    epsilon: largest difference allowed, as a share.
    delta: probability with which it may be larger.
    draws: random orders of the phrasings from which the probability is estimated.
    seed: of these.

  Returns:
    the number m; with m phrasings, and with any larger number, it holds. k at most, which always does.
  """
  a = accuracies[~np.isnan(accuracies)]
  if not len(a):
    raise UserError('no accuracy given')
  orders = np.random.default_rng(seed).permuted(np.tile(a, (draws, 1)), axis=1)
  means = np.cumsum(orders, axis=1) / np.arange(1, len(a) + 1)
  close = (np.abs(means - a.mean()) <= epsilon + 1e-12).mean(0) >= 1 - delta
  close[-1] = True
  failing = np.flatnonzero(~close)
  return int(failing[-1]) + 2 if len(failing) else 1


# Name in tables -> metric of one group of phrasings.
METRICS: dict[str, Metric] = {
  'AvgP': average_performance,
  'MaxP': max_performance,
  'saturation': saturation,
  'CPS': combined_performance_score,
  'spread': spread,
  'sd': standard_deviation,
  'worst phrasing': worst_phrasing,
  'case-level worst': case_worst,
  'case-level best': case_best,
  'case-level sd': case_standard_deviation,
  'PSS': pairwise_sensitivity,
}
# Those that a dataset may lack, as they need two phrasings.
OF_PAIRS = ('spread', 'sd', 'case-level sd', 'PSS')


def _over(function: Callable[..., np.ndarray], values: np.ndarray, axis: int = -1, **settings: int) -> np.ndarray:
  """A function of numpy over an axis, NaN where nothing was evaluated, which numpy warns of besides."""
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', RuntimeWarning)
    return function(values, axis=axis, **settings)


def _sd(values: Float[np.ndarray, '*b k']) -> Float[np.ndarray, '*b']:
  """Sample standard deviation of the values that there are, NaN of fewer than two."""
  return _over(np.nanstd, values, ddof=1)


def _distance(values: Float[np.ndarray, '*b k']) -> Float[np.ndarray, '*b']:
  """Mean distance of two of the values that there are, NaN of fewer than two.

  Each value, sorted, is the larger one of as many pairs as stand before it, and the smaller one of those after.
  """
  count = (~np.isnan(values)).sum(-1)
  signs = 2 * np.arange(values.shape[-1]) - (count[..., None] - 1)
  total = np.nansum(signs * np.sort(values, axis=-1), axis=-1)  # NaN are sorted last
  pairs = count * (count - 1) / 2
  return np.divide(total, pairs, out=np.full(np.shape(pairs), np.nan), where=pairs > 0)


# Those that the accuracies of phrasings alone do not give -> the values of single examples [..., N] whose mean they are.
CASE_METRICS: dict[str, Callable[[Scores], Float[np.ndarray, '*b n']]] = {
  'case-level worst': lambda scores: _over(np.nanmin, scores),
  'case-level best': lambda scores: _over(np.nanmax, scores),
  'case-level sd': _sd,
  'PSS': _distance,
}


def table_cells(table: pd.DataFrame) -> Mapping[str, Mapping[str, pd.DataFrame]]:
  """Scores of a results table of one model: dataset -> group -> frame of examples (rows) by instruction ids.

  The groups of a dataset have the same examples in the same order; cells that were not evaluated are NaN.

  Raises:
    UserError: if a cell stands twice, such as for two models or scorers in one table.
  """
  places = Cells(table)
  return {
    dataset: {
      group: pd.DataFrame(scores, places.examples[dataset], places.phrasings[dataset][group])
      for group, scores in groups.items()
    }
    for dataset, groups in places.fill(table['score'].to_numpy(float), np.nan).items()
  }
