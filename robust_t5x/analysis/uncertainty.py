"""What the uncertainty of a mean accuracy is made of: wording, data, what both do together, and seeds.

The shares are those of the variance behind the printed interval (`crossed`), so that they explain it; the components are how far
phrasings, examples and seeds themselves differ (`components`). On whole tables a share is its component by the number of levels:

  V(mean) = σ²_phrasings / k + σ²_examples / n + σ²_both / (n k) + what seeds add

Source: Brennan 2001, chapter 4 (a decision study).
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from robust_t5x.analysis import components, metrics
from robust_t5x.analysis.comparison import Comparison
from robust_t5x.analysis.components import Component
from robust_t5x.analysis.crossed import EXAMPLES, PHRASINGS, SEEDS, Estimate

WORDING, DATA, BOTH, RUNS = 'wording', 'data', 'wording × data', 'seeds'
NAMES: dict[frozenset[str], str] = {
  frozenset([PHRASINGS]): 'phrasings',
  frozenset([EXAMPLES]): 'examples',
  frozenset([SEEDS]): 'seeds',
  frozenset([EXAMPLES, PHRASINGS]): 'examples × phrasings',
  frozenset([EXAMPLES, SEEDS]): 'examples × seeds',
  frozenset([PHRASINGS, SEEDS]): 'phrasings × seeds',
  frozenset([EXAMPLES, PHRASINGS, SEEDS]): 'examples × phrasings × seeds',
}
DATASETS, COMMON = 'datasets', 'phrasings, alike in all datasets'


@dataclasses.dataclass(frozen=True)
class Uncertainty:
  """Of a model's mean accuracy under a group of phrasings.

  Attributes:
    estimate: the mean with its variance.
    shares: WORDING, DATA, BOTH and RUNS -> share of the variance, which sum to 1; empty where it is not known.
    components: what differs -> how much, mean over datasets. That of the most factors holds the noise of single cells.
    noisy: name of that one.
  """

  estimate: Estimate
  shares: Mapping[str, float]
  components: Mapping[str, Component]
  noisy: str

  @property
  def half_width(self) -> float:
    """Of the interval of the mean, 95%."""
    return self.estimate.half_width()

  def without(self, *parts: str) -> float:
    """Half the width of the interval, were there no end of what some parts come from."""
    left = 1 - sum(self.shares.get(part, 0.0) for part in parts)
    return self.half_width * float(np.sqrt(max(left, 0.0)))


def of_mean(comparison: Comparison, model: str, group: str) -> Uncertainty:
  """What the uncertainty of the mean accuracy of a model under a group is made of."""
  estimate = comparison.contrast({group: 1.0}, [(model, 1.0)])
  own = {d: groups[group][comparison.runs_of(model)] for d, groups in comparison.datasets.items() if group in groups}
  found = [components.of_table(scores) for scores in own.values()]
  names = [comparison.names[d, group] for d in own]
  alike = len(own) > 1 and len(set(map(frozenset, names))) == 1 and len(names[0]) > 1
  factors = sorted({of for table in found for of in table}, key=list(NAMES).index)
  # What phrasings do in one dataset they may do in the next, so that their estimates may err together; so for seeds.
  pooled = {
    NAMES[of]: components.mean([t[of] for t in found if of in t], shared=EXAMPLES not in of and (alike or SEEDS in of))
    for of in factors
  }
  if alike:
    pooled[COMMON] = _common(
      [table[..., [called.index(p) for p in names[0]]] for table, called in zip(own.values(), names, strict=True)]
    )
  if len(own) > 2:
    variances = [comparison.contrast({group: 1.0}, [(model, 1.0)], d).variance for d in own]
    pooled[DATASETS] = _of_datasets(list(own.values()), variances, pooled.get(COMMON), len(names[0]))
  return Uncertainty(estimate, shares(estimate), pooled, NAMES[factors[-1]] if factors else '')


def shares(estimate: Estimate) -> dict[str, float]:
  """What the variance of a mean is made of; parts that are estimated below 0 count as 0."""
  found = {
    WORDING: estimate.share_of(PHRASINGS),
    DATA: estimate.share_of(EXAMPLES),
    BOTH: estimate.share_of(EXAMPLES, PHRASINGS) + estimate.share_of(EXAMPLES, PHRASINGS, SEEDS),
    RUNS: sum(estimate.share_of(*f) for f in ((SEEDS,), (EXAMPLES, SEEDS), (PHRASINGS, SEEDS))),
  }
  held = {name: max(value, 0.0) for name, value in found.items()}
  total = sum(held.values())
  return {name: value / total for name, value in held.items()} if total > 0 else {}


def _common(tables: Sequence[np.ndarray]) -> Component:
  """Variance of what a phrasing does in all datasets alike: of the sum over datasets, less that of each, by pairs of them."""
  accuracies = np.stack([metrics.phrasing_accuracy(t).mean(0) for t in tables])  # [D, k]
  d, k = accuracies.shape
  mean = float(accuracies.mean(0).var(ddof=1))
  variance = (d**2 * mean - float(accuracies.var(axis=1, ddof=1).sum())) / (d * (d - 1))
  low, high = components.difference(mean, k - 1, max(mean - variance, 0.0), (d - 1) * (k - 1))
  return Component(variance, min(low, max(variance, 0.0)), max(high, variance))


def _of_datasets(
  tables: Sequence[np.ndarray], variances: Sequence[float], common: Component | None, phrasings: int
) -> Component:
  """Variance of the datasets' true means: that of the measured ones less the error of each.

  What phrasings do in all datasets alike moves their means together, and is no part of it.
  """
  means = np.array([float(metrics.average_performance(t).mean()) for t in tables])
  together = max(common.variance, 0.0) / phrasings if common else 0.0
  error = max(float(np.mean(np.nan_to_num(variances))) - together, 0.0)
  first = float(means.var(ddof=1))
  low, high = components.difference(first, len(means) - 1, error, np.inf)
  return Component(first - error, min(low, max(first - error, 0.0)), max(high, first - error))
