"""Model A against B on the same cells: paired bootstrap, McNemar's test, effect sizes, many comparisons at once."""

from collections.abc import Sequence
import dataclasses

from jaxtyping import Float
import numpy as np
import scipy.stats

from seqio_tasks.errors import UserError

HOLM, BENJAMINI_HOCHBERG = 'holm', 'benjamini-hochberg'


@dataclasses.dataclass(frozen=True)
class McNemar:
  """McNemar's test of two models on the same cells.

  Attributes:
    only_first: cells that only the first model has right.
    only_second: cells that only the second has right.
    p: two-sided, exact.
  """

  only_first: int
  only_second: int
  p: float


def mcnemar(first: Float[np.ndarray, ' n'], second: Float[np.ndarray, ' n']) -> McNemar:
  """Exact test that two models are right equally often, from the cells on which they differ.

  It takes cells as independent. Those of one example under several phrasings are not: test one phrasing at a time.

  Args:
    first: scores, 0 or 1; NaN where a cell was not evaluated, which leaves the cell out.
    second: the same of the other model.

  Raises:
    ValueError: if a score is neither 0 nor 1.

  Source: McNemar 1947; exact as a sign test.
  """
  there = ~(np.isnan(first) | np.isnan(second))
  first, second = first[there], second[there]
  if not np.isin(np.concatenate([first, second]), (0, 1)).all():
    raise UserError("McNemar's test needs scores of 0 and 1; use the paired bootstrap for scores between them")
  a, b = int(((first == 1) & (second == 0)).sum()), int(((first == 0) & (second == 1)).sum())
  return McNemar(a, b, scipy.stats.binomtest(a, a + b).pvalue if a + b else 1.0)


def bootstrap_p(values: Float[np.ndarray, ' r']) -> float:
  """Two-sided p-value that a paired difference is zero, of values [1 + R] of the data and its resamples.

  The share of resamples that lie at least as far from their mean as the data's difference lies from zero, the data
  counted among them, so that it is never 0. Source: Efron and Tibshirani 1993, chapter 16.
  """
  resampled = values[1:][~np.isnan(values[1:])]
  if not len(resampled) or np.isnan(values[0]):
    return np.nan
  far = np.abs(resampled - resampled.mean()) >= np.abs(values[0]) - 1e-12
  return float((1 + far.sum()) / (1 + len(resampled)))


def adjust(p_values: Sequence[float], rule: str = HOLM) -> np.ndarray:
  """p-values adjusted for being one of several; NaN stays and does not count.

  Args:
    p_values: of one family of tests.
    rule: HOLM keeps the chance of any false finding, BENJAMINI_HOCHBERG the expected share of false ones among findings.

  Source: Holm 1979; Benjamini and Hochberg 1995.
  """
  p = np.asarray(p_values, float)
  out = np.full(p.shape, np.nan)
  there = ~np.isnan(p)
  known = p[there]
  if rule == BENJAMINI_HOCHBERG:
    out[there] = scipy.stats.false_discovery_control(known) if len(known) else known
  elif rule == HOLM:
    order = np.argsort(known)
    stepped = np.maximum.accumulate(known[order] * np.arange(len(known), 0, -1))
    adjusted = np.empty(len(known))
    adjusted[order] = np.minimum(stepped, 1)
    out[there] = adjusted
  else:
    raise UserError(f'no rule {rule!r}; use {HOLM} or {BENJAMINI_HOCHBERG}')
  return out


def cohens_h(first: float, second: float) -> float:
  """Effect size of two shares: 2 asin √first - 2 asin √second; 0.2 is small, 0.8 large (Cohen 1988, chapter 6)."""
  return float(2 * np.arcsin(np.sqrt(first)) - 2 * np.arcsin(np.sqrt(second)))
