"""Uncertainty of metrics over examples and phrasings: the two-way bootstrap, alone and paired."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses

import numpy as np

from robust_t5x.analysis.weighted import Weighted, draw
from seqio_tasks.errors import UserError

REPLICATES = 1000

# Of a dataset: group -> its scores [..., N, k].
Groups = Mapping[str, np.ndarray]
# Of each dataset: group -> its scores under the weights of the resamples.
Resamples = Sequence[Mapping[str, Weighted]]
# Of the groups of a dataset: a value for each resample, [1 + R, ...].
Statistic = Callable[[Mapping[str, Weighted]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Interval:
  """An estimate with its interval, in the metric's unit.

  Attributes:
    estimate: of the full data.
    low: lower end.
    high: upper end.

  NaN stands for what is not known.
  """

  estimate: float
  low: float
  high: float

  @property
  def is_known(self) -> bool:
    """Whether there is an estimate."""
    return not np.isnan(self.estimate)

  @property
  def has_ends(self) -> bool:
    """Whether the interval is known too, which it is not where nothing could be resampled."""
    return not np.isnan(self.low)

  @property
  def excludes_zero(self) -> bool:
    """Whether the whole interval lies on one side of zero."""
    return self.low > 0 or self.high < 0


def resample(datasets: Sequence[Groups], replicates: int = REPLICATES, seed: int = 0) -> Resamples:
  """Draws examples and phrasings together; what is drawn serves every metric.

  The datasets are taken as given; within each, examples are drawn with replacement, once for all groups, and within
  each group phrasings are. Models and seeds on the leading axes are resampled alike, so that a statistic that compares
  them is paired over examples and phrasings.

  Args:
    datasets: for each dataset group -> scores [..., N, k]; N the same for all groups of a dataset.
    replicates: number of resamples. The data themselves come before them, as the first.
    seed: of the resampling. What a dataset gets depends on the seed and its place only.

  Returns:
    for each dataset group -> scores under weights.

  Raises:
    UserError: if there is no dataset, or the groups of one have different examples.

  Source: Efron and Tibshirani 1993, chapter 13; Owen 2007 for two-way resampling.
  """
  if not datasets:
    raise UserError('no dataset to resample; give at least one')
  out = []
  for place, groups in enumerate(datasets):
    sizes = {group: scores.shape[-2] for group, scores in groups.items()}
    if len(set(sizes.values())) != 1:
      raise UserError(f'the groups of a dataset must have the same examples, not {sizes}')
    rng = np.random.default_rng([seed, place])
    shapes = {group: scores.shape[-1] for group, scores in groups.items()}
    weights = draw(next(iter(sizes.values())), shapes, replicates, rng)
    out.append({g: Weighted(s, weights.examples, weights.phrasings[g]) for g, s in groups.items()})
  return out


def over_datasets(resamples: Resamples, statistic: Statistic) -> np.ndarray:
  """A statistic's mean over datasets, for the data and each resample: [1 + R].

  Args:
    resamples: of `resample`.
    statistic: function of the groups of a dataset, such as `lambda g: average_performance(g['observed'])`.
  """
  return np.mean([statistic(groups) for groups in resamples], axis=0)


def interval(values: np.ndarray, level: float = 0.95, bounds: tuple[float, float] | None = None) -> Interval:
  """Interval of values [1 + R] of the data and its resamples; resamples without a value are left out.

  The ends are percentiles of the resamples, shifted by the mean difference of resamples and data. A resample adds its
  own noise to the accuracies and misses some phrasings, which moves extremes and spreads (not means) away from where
  the data have them. The shift undoes this: the interval is of the metric with as many examples and phrasings as there
  are, and holds the estimate.

  Args:
    values: the data's, then the resamples'.
    level: probability that the interval covers.
    bounds: of the metric, which the shift must not leave.
  """
  resampled = values[1:][~np.isnan(values[1:])]
  if not len(resampled) or np.isnan(values[0]):
    return Interval(float(values[0]), np.nan, np.nan)
  ends = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2]) - (resampled.mean() - values[0])
  low, high = ends if bounds is None else np.clip(ends, *bounds)
  return Interval(float(values[0]), float(low), float(high))


def two_way_bootstrap(
  datasets: Sequence[Groups],
  statistic: Statistic,
  replicates: int = REPLICATES,
  seed: int = 0,
  level: float = 0.95,
) -> Interval:
  """Interval of a statistic's mean over datasets; `resample`, `over_datasets` and `interval` in one."""
  return interval(over_datasets(resample(datasets, replicates, seed), statistic), level)
