"""Metrics over phrasings, from the scores of a set of examples under each of k phrasings.

Every function takes scores in [0, 1] of shape [..., N, k], examples by phrasings, and returns values of shape [...].
NaN marks a cell that was not evaluated: means leave it out. Leading axes are anything: models, seeds, bootstrap
replicates. `table_cells` brings a results table into this form.
"""

from collections.abc import Mapping
import warnings

from jaxtyping import Float
import numpy as np
import pandas as pd

from robust_t5x.results import cells
from seqio_tasks.errors import UserError


def _quiet(function, *args, **kwargs):
  # An example or phrasing without any cell gives NaN, which is the answer; numpy's warning adds nothing.
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', RuntimeWarning)
    return function(*args, **kwargs)


def phrasing_accuracy(scores: Float[np.ndarray, '*b n k']) -> Float[np.ndarray, '*b k']:
  """a[i]: mean score of each phrasing over the examples."""
  return _quiet(np.nanmean, scores, axis=-2)


def average_performance(scores: Float[np.ndarray, '*b n k']) -> Float[np.ndarray, '*b']:
  """AvgP: mean of a[i] over phrasings (Mizrahi et al. 2024, arXiv 2401.00595)."""
  return _quiet(np.nanmean, phrasing_accuracy(scores), axis=-1)


def max_performance(scores: Float[np.ndarray, '*b n k']) -> Float[np.ndarray, '*b']:
  """MaxP: a[i] of the best phrasing (Mizrahi et al. 2024)."""
  return _quiet(np.nanmax, phrasing_accuracy(scores), axis=-1)


def saturation(scores: Float[np.ndarray, '*b n k']) -> Float[np.ndarray, '*b']:
  """1 - (MaxP - AvgP): 1 where all phrasings do equally well (Mizrahi et al. 2024)."""
  return 1 - (max_performance(scores) - average_performance(scores))


def combined_performance_score(scores: Float[np.ndarray, '*b n k']) -> Float[np.ndarray, '*b']:
  """CPS: saturation times MaxP (Mizrahi et al. 2024)."""
  return saturation(scores) * max_performance(scores)


def spread(scores: Float[np.ndarray, '*b n k']) -> Float[np.ndarray, '*b']:
  """a[i] of the best phrasing less that of the worst (Sclar et al. 2023, arXiv 2310.11324)."""
  return max_performance(scores) - worst_phrasing(scores)


def standard_deviation(scores: Float[np.ndarray, '*b n k']) -> Float[np.ndarray, '*b']:
  """Sample standard deviation of a[i] over phrasings; NaN for a single phrasing (Sun et al. 2024)."""
  return _quiet(np.nanstd, phrasing_accuracy(scores), axis=-1, ddof=1)


def worst_phrasing(scores: Float[np.ndarray, '*b n k']) -> Float[np.ndarray, '*b']:
  """a[i] of the worst phrasing: one phrasing for all examples (Cao et al. 2024, arXiv 2406.10248)."""
  return _quiet(np.nanmin, phrasing_accuracy(scores), axis=-1)


def case_worst(scores: Float[np.ndarray, '*b n k']) -> Float[np.ndarray, '*b']:
  """Mean over examples of each example's own worst score; at most `worst_phrasing` (Cao et al. 2024)."""
  return _quiet(lambda s: np.nanmean(np.nanmin(s, axis=-1), axis=-1), scores)


def case_best(scores: Float[np.ndarray, '*b n k']) -> Float[np.ndarray, '*b']:
  """Mean over examples of each example's own best score; at least MaxP (Cao et al. 2024)."""
  return _quiet(lambda s: np.nanmean(np.nanmax(s, axis=-1), axis=-1), scores)


def case_standard_deviation(scores: Float[np.ndarray, '*b n k']) -> Float[np.ndarray, '*b']:
  """Mean over examples of the sample standard deviation over phrasings; NaN for a single phrasing."""
  return _quiet(lambda s: np.nanmean(np.nanstd(s, axis=-1, ddof=1), axis=-1), scores)


def pairwise_sensitivity(scores: Float[np.ndarray, '*b n k']) -> Float[np.ndarray, '*b']:
  """PSS: mean over examples of the mean distance |s[n,i] - s[n,j]| of two phrasings (Zhuo et al. 2024, arXiv 2410.12405).

  Examples with a single phrasing have no pair and are left out.
  """
  k = (~np.isnan(scores)).sum(-1)
  # Each score, sorted, is the larger one of as many pairs as stand before it, and the smaller one of those after.
  ordered = np.sort(scores, axis=-1)  # NaN last
  signs = 2 * np.arange(scores.shape[-1]) - (k[..., None] - 1)
  with np.errstate(invalid='ignore', divide='ignore'):
    per_example = np.nansum(signs * ordered, axis=-1) / (k * (k - 1) / 2)
  return _quiet(np.nanmean, np.where(k > 1, per_example, np.nan), axis=-1)


def observed_gap(
  unobserved: Float[np.ndarray, '*b n k'], observed: Float[np.ndarray, '*b n j']
) -> Float[np.ndarray, '*b']:
  """AvgP of unobserved phrasings less that of observed ones; below 0 where new words hurt (Sun et al. 2024)."""
  return average_performance(unobserved) - average_performance(observed)


def performance_drop_rate(original: float, changed: float) -> float:
  """PDR: share of the accuracy that a change of phrasing costs, 1 - changed / original; NaN if original is 0.

  Source: PromptBench, Zhu et al. 2023, arXiv 2306.04528.
  """
  return 1 - changed / original if original else np.nan


def phrasings_needed(
  accuracies: Float[np.ndarray, ' k'], epsilon: float, delta: float = 0.05, draws: int = 2000, seed: int = 0
) -> int:
  """The smallest number of phrasings whose mean is within epsilon of the mean of all, with probability 1 - delta.

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
METRICS = {
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
# Those that the accuracies of phrasings alone do not give.
CASE_METRICS = frozenset({'case-level worst', 'case-level best', 'case-level sd', 'PSS'})


def table_cells(table: pd.DataFrame) -> Mapping[str, Mapping[str, pd.DataFrame]]:
  """Scores of a results table of one model: dataset -> group -> frame of examples (rows) by instruction ids.

  The groups of a dataset have the same examples in the same order; cells that were not evaluated are NaN.

  Raises:
    ValueError: if a cell stands twice, such as for two models or scorers in one table.
  """
  places = cells.Cells(table)
  return {
    dataset: {
      group: pd.DataFrame(scores, places.examples[dataset], places.phrasings[dataset][group])
      for group, scores in groups.items()
    }
    for dataset, groups in places.fill(table['score'].to_numpy(float), np.nan).items()
  }
