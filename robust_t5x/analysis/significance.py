"""Two models on the same cells: p-values, sizes of effects, and many tests at once.

Formulas over arrays; `comparison` and `effects` apply them to results.
"""

from collections.abc import Sequence
import dataclasses

from jaxtyping import Float
import numpy as np
import scipy.stats

from robust_t5x.analysis.metrics import phrasing_accuracy
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
    UserError: if a score is neither 0 nor 1.

  >>> mcnemar(np.array([1.0, 1, 1, 1, 0]), np.array([1.0, 0, 0, 0, 0]))
  McNemar(only_first=3, only_second=0, p=0.25)

  Source: McNemar 1947; exact as a sign test.
  """
  there = ~(np.isnan(first) | np.isnan(second))
  first, second = first[there], second[there]
  if not np.isin(np.concatenate([first, second]), (0, 1)).all():
    raise UserError("McNemar's test needs scores of 0 and 1; use the paired change for scores between them")
  a, b = int(((first == 1) & (second == 0)).sum()), int(((first == 0) & (second == 1)).sum())
  return McNemar(a, b, float(scipy.stats.binomtest(a, a + b).pvalue) if a + b else 1.0)


def adjust(p_values: Sequence[float], rule: str = HOLM) -> np.ndarray:
  """p-values adjusted for being one of several; NaN stays and does not count.

  Args:
    p_values: of one family of tests.
    rule: HOLM keeps the chance of any false finding, BENJAMINI_HOCHBERG the expected share of false ones among findings.

  >>> adjust([0.01, 0.04, 0.03])
  array([0.03, 0.06, 0.06])
  >>> adjust([0.01, 0.04, 0.03], BENJAMINI_HOCHBERG)
  array([0.03, 0.04, 0.04])

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
  """Effect size of two shares: 2 asin √first - 2 asin √second; 0.2 is small, 0.8 large (Cohen 1988, chapter 6).

  >>> round(cohens_h(0.75, 0.25), 4)  # 2 (π/3 - π/6)
  1.0472
  """
  return float(2 * np.arcsin(np.sqrt(first)) - 2 * np.arcsin(np.sqrt(second)))


def cohens_d(pairs: Sequence[tuple[Float[np.ndarray, 'n k'], Float[np.ndarray, 'n k']]]) -> float:
  """Paired effect size: mean of the differences B - A by their sample standard deviation; NaN if that is 0.

  Args:
    pairs: for each dataset scores (A, B). Of each example the mean over phrasings counts; with a single example, which
      stands for accuracies per phrasing, each phrasing.

  >>> cohens_d([(np.array([[0.0], [0.0], [0.0]]), np.array([[1.0], [0.5], [0.0]]))])
  1.0

  Source: Cohen 1988, section 2.3 (d' of matched pairs).
  """
  differences = []
  for a, b in pairs:
    change = b - a
    differences.append(change[0] if len(change) == 1 else phrasing_accuracy(change.T))
  change = np.concatenate(differences)
  change = change[~np.isnan(change)]
  spread = change.std(ddof=1) if len(change) > 1 else 0.0
  return float(change.mean() / spread) if spread > 0 else float('nan')


def odds_ratio(only_first: int, only_second: int) -> float:
  """Odds ratio of matched pairs: cells that only the second model has right by those that only the first has right.

  Half a cell is added to both, so that it is finite (Haldane 1956). Above 1 where the second is better.

  >>> odds_ratio(1, 4)
  3.0
  """
  return float((only_second + 0.5) / (only_first + 0.5))
