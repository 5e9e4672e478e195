"""Intervals: what they are, and how they follow from draws and from resamples of the examples; means have those of `crossed`."""

from collections.abc import Sequence
import dataclasses

import numpy as np
import scipy.stats

REPLICATES = 1000


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

  @property
  def half_width(self) -> float:
    """Half of the interval."""
    return (self.high - self.low) / 2


def example_weights(num_examples: int, replicates: int, seed: int, place: int) -> np.ndarray:
  """How often each of a number of resamples holds each example, [1 + R, N]; the first row is the data's, all 1.

  Args:
    num_examples: N.
    replicates: R.
    seed: of the resampling.
    place: of the dataset among others; each is drawn by itself.
  """
  rng = np.random.default_rng([seed, place])
  drawn = rng.multinomial(num_examples, np.full(num_examples, 1 / num_examples), size=replicates)
  return np.concatenate([np.ones((1, num_examples)), drawn])


def of_draws(
  draws: np.ndarray, *values: np.ndarray, level: float = 0.95, bounds: tuple[float, float] | None = None
) -> Interval:
  """Interval of a metric from draws of what it may be, and from its values in the seeds.

  Args:
    draws: [1 + D], of the data, and what the metric may be.
    *values: [runs] of each model that the metric is of; with several runs, their spread is added.
    level: probability that the interval covers.
    bounds: of the metric.

  Returns:
    the quantiles of the draws, widened to hold the estimate, without ends where nothing was drawn.
  """
  estimate, drawn = float(draws[0]), draws[1:][~np.isnan(draws[1:])]
  if not len(drawn) or np.isnan(estimate):
    return Interval(estimate, np.nan, np.nan)
  low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
  low, high = min(low, estimate), max(high, estimate)
  seeds = _of_seeds(values, level)
  low, high = estimate - np.hypot(estimate - low, seeds), estimate + np.hypot(high - estimate, seeds)
  return Interval(estimate, *_clipped(low, high, bounds))


def p_of_draws(draws: np.ndarray, *values: np.ndarray) -> float:
  """Two-sided p-value that a difference is zero: twice the share of the draws on the lesser side of it, never 0.

  >>> p_of_draws(np.array([0.3, 0.1, 0.2, 0.4, -0.1]))  # the data, then four draws; (1 + 1) / (4 + 1) on one side
  0.8

  Args:
    draws: [1 + D], of the data, and what the difference may be.
    *values: [runs] of each model that it is of, as for `of_draws`.
  """
  if np.isnan(draws[0]):
    return np.nan
  return min(1.0, 2 * min(shares_beyond(draws, *values)))


def shares_beyond(draws: np.ndarray, *values: np.ndarray, limit: float = 0.0) -> tuple[float, float]:
  """Shares of the draws at or below a limit, and at or above it, never 0; NaN where nothing was drawn.

  With several runs each draw counts by how likely it is to lie there with other seeds (Student's t).

  Args:
    draws: [1 + D], of the data, and what a metric may be.
    *values: [runs] of each model that it is of, as for `of_draws`.
    limit: what the metric is set against.
  """
  drawn = draws[1:][~np.isnan(draws[1:])]
  if not len(drawn):
    return np.nan, np.nan
  error, freedom = _seed_error(values)
  if error:
    below = scipy.stats.t.cdf((limit - drawn) / error, freedom).sum()
    above = len(drawn) - below
  else:
    below, above = (drawn <= limit).sum(), (drawn >= limit).sum()
  return float((1 + below) / (1 + len(drawn))), float((1 + above) / (1 + len(drawn)))


def of_resamples(values: np.ndarray, examples: int, bounds: tuple[float, float], level: float = 0.95) -> Interval:
  """Interval of a smooth metric of values [1 + R, runs] of the data and of resamples of its examples.

  Student's around the estimate, with the standard deviation of the resamples and the spread of the runs. Where all resamples are
  alike, as for examples that all agree, it is Clopper and Pearson's of a share, and there is none for what is no share.

  Args:
    values: of the data, then of the resamples.
    examples: N that were resampled.
    bounds: of the metric.
    level: probability that the interval covers.
  """
  means = values.mean(-1)
  estimate, sd = float(means[0]), _sd_of_resamples(means, examples)
  if np.isnan(sd):
    return Interval(estimate, np.nan, np.nan)
  seeds = _of_seeds([values[0]], level)
  if sd < 1e-12:
    if bounds != (0, 1):
      return Interval(estimate, np.nan, np.nan)
    size = max(examples, 1)
    low, high = share_of(estimate * size, size, level)
    ends = estimate - np.hypot(estimate - low, seeds), estimate + np.hypot(high - estimate, seeds)
    return Interval(estimate, *_clipped(*ends, bounds))
  half = np.hypot(_t(examples, level) * sd, seeds)
  return Interval(estimate, *_clipped(estimate - half, estimate + half, bounds))


def change_of_resamples(values: np.ndarray, others: np.ndarray, examples: int, level: float = 0.95) -> Interval:
  """Interval of the change of a smooth metric between two models, of values [1 + R, runs] of each on the same resamples.

  As `of_resamples`; without ends where all resamples are alike.

  Args:
    values: of one model, of the data, then of the resamples.
    others: of the model that it is compared with.
    examples: N that were resampled.
    level: probability that the interval covers.
  """
  changes = values.mean(-1) - others.mean(-1)
  estimate, sd = float(changes[0]), _sd_of_resamples(changes, examples)
  if not sd >= 1e-12:
    return Interval(estimate, np.nan, np.nan)
  half = float(np.hypot(_t(examples, level) * sd, _of_seeds([values[0], others[0]], level)))
  return Interval(estimate, estimate - half, estimate + half)


def _sd_of_resamples(means: np.ndarray, examples: int) -> float:
  """Standard deviation of a metric, of its value [1 + R] in the data and in resamples; NaN where these do not tell it."""
  resampled = means[1:][~np.isnan(means[1:])]
  if len(resampled) < 2 or np.isnan(means[0]):
    return np.nan
  n = max(examples, 2)
  return float(resampled.std(ddof=1) * np.sqrt(n / (n - 1)))  # resamples vary by (N - 1) / N of what samples do


def _t(examples: int, level: float) -> float:
  """Student's quantile for N examples."""
  return float(scipy.stats.t.ppf((1 + level) / 2, max(examples, 2) - 1))


def share_of(right: float, size: float, level: float = 0.95) -> tuple[float, float]:
  """Clopper and Pearson's interval of a share, of so many right in so many; neither need be whole.

  >>> [round(end, 3) for end in share_of(3, 3)]
  [0.292, 1.0]
  """
  tail = (1 - level) / 2
  low = scipy.stats.beta.ppf(tail, right, size - right + 1) if right > 0 else 0.0
  high = scipy.stats.beta.ppf(1 - tail, right + 1, size - right) if right < size else 1.0
  return float(low), float(high)


def _of_seeds(values: Sequence[np.ndarray], level: float) -> float:
  """Half an interval of the difference of means over the runs of one or more models; 0 where each has one."""
  error, freedom = _seed_error(values)
  return float(scipy.stats.t.ppf((1 + level) / 2, freedom) * error)


def _seed_error(values: Sequence[np.ndarray]) -> tuple[float, float]:
  """Standard error of the difference of means over the runs of one or more models, and its degrees of freedom (Welch)."""
  known = [v for v in values if len(v) > 1]
  parts = [float(np.var(v, ddof=1)) / len(v) for v in known]
  spread = sum(part**2 / (len(v) - 1) for part, v in zip(parts, known, strict=True))
  return float(np.sqrt(sum(parts))), sum(parts) ** 2 / spread if spread else np.inf


def _clipped(low: float, high: float, bounds: tuple[float, float] | None) -> tuple[float, float]:
  return (float(low), float(high)) if bounds is None else (float(max(low, bounds[0])), float(min(high, bounds[1])))
