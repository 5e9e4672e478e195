"""Uncertainty of metrics over examples and phrasings: the two-way bootstrap, alone and paired."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses

import numpy as np

REPLICATES = 1000
_CHUNK = 100  # replicates held in memory together

Scores = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Interval:
  """An estimate with its interval, in the metric's unit.

  Attributes:
    estimate: of the full data.
    low: lower end.
    high: upper end.
  """

  estimate: float
  low: float
  high: float

  @property
  def excludes_zero(self) -> bool:
    """Whether the whole interval lies on one side of zero."""
    return self.low > 0 or self.high < 0


def two_way_bootstrap(
  datasets: Sequence[Scores],
  statistic: Callable[[Scores], np.ndarray],
  replicates: int = REPLICATES,
  seed: int = 0,
  level: float = 0.95,
) -> Interval:
  """Percentile interval of a statistic's mean over datasets, examples and phrasings resampled together.

  The datasets are taken as given; within each, examples are drawn with replacement, once for all groups, and within
  each group phrasings are. Models and seeds on the leading axes are resampled alike, so that a statistic that compares
  them is paired over examples and phrasings. A resample has fewer different phrasings than the data: intervals of
  extremes (MaxP, spread, worst) lie towards the middle.

  Args:
    datasets: for each dataset group -> scores [..., N, k]; N the same for all groups of a dataset.
    statistic: function of such a mapping with one more leading axis; returns a value per entry of that axis.
    replicates: number of resamples.
    seed: of the resampling.
    level: probability that the interval covers.

  Returns:
    the interval.

  Raises:
    ValueError: if there is no dataset, or the groups of one have different examples.

  Source: Efron and Tibshirani 1993, chapter 13; Owen 2007 for two-way resampling.
  """
  if not datasets:
    raise ValueError('no dataset to resample; give at least one')
  for groups in datasets:
    sizes = {group: scores.shape[-2] for group, scores in groups.items()}
    if len(set(sizes.values())) != 1:
      raise ValueError(f'the groups of a dataset must have the same examples, not {sizes}')
  estimate = np.mean([statistic({g: s[None] for g, s in groups.items()})[0] for groups in datasets])
  rng = np.random.default_rng(seed)
  values = np.zeros(replicates)
  for groups in datasets:
    for start in range(0, replicates, _CHUNK):
      size = min(_CHUNK, replicates - start)
      values[start : start + size] += statistic(_resample(groups, size, rng)) / len(datasets)
  low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
  return Interval(float(estimate), float(low), float(high))


def _resample(groups: Scores, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
  """`size` resamples of the groups of one dataset, on a new first axis."""
  n = next(iter(groups.values())).shape[-2]
  examples = rng.integers(n, size=(size, n, 1))
  out = {}
  for group, scores in groups.items():
    k = scores.shape[-1]
    phrasings = rng.integers(k, size=(size, 1, k))
    # Advanced indices next to each other put [size, N, k] in their place, after the leading axes.
    out[group] = np.moveaxis(scores[..., examples, phrasings], -3, 0)
  return out
