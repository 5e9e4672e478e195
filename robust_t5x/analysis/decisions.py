"""Robust enough: whether a difference is one, and whether it is smaller than what matters.

Beside the usual test, that a difference is zero, stand two one-sided tests, that it is a margin or more below zero and a margin or more
above. Where both are refused the difference is equivalent to none within the margin; where the first is, the second is not worse by it.

Source: Schuirmann 1987 (two one-sided tests); Wellek 2010, chapter 1; non-inferiority, CONSORT's extension, Piaggio et al. 2012.
"""

from collections.abc import Mapping
import dataclasses

import numpy as np
import scipy.stats

from robust_t5x.analysis import crossed, statistics
from robust_t5x.analysis.comparison import GAP, Comparison
from robust_t5x.analysis.statistics import Interval

LEVEL = 0.05
MARGIN, SPREAD_MARGIN = 0.02, 0.05


@dataclasses.dataclass(frozen=True)
class PValues:
  """Of a difference: p-values, two-sided that it is zero, and one-sided that it is as great as the margin.

  Attributes:
    different: that it is zero.
    equivalent: that it lies outside of the margin on either side.
    not_worse: that it lies below zero by the margin or more.
  """

  different: float
  equivalent: float
  not_worse: float


@dataclasses.dataclass(frozen=True)
class Decision:
  """A difference, its tests, and the margin that these are of.

  Attributes:
    value: with its 95% interval.
    p_values: of it.
    margin: as a share.
  """

  value: Interval
  p_values: PValues
  margin: float

  @property
  def words(self) -> str:
    """What the tests say, at 5% each; nothing where there is no test."""
    return in_words(self.p_values, self.margin)


def in_words(p: PValues, margin: float) -> str:
  """What p-values of a difference say, at 5% each.

  >>> in_words(PValues(0.4, 0.01, 0.01), 0.02), in_words(PValues(0.4, 0.2, 0.2), 0.02)
  ('equivalent within 2 points', 'cannot tell')
  """
  if np.isnan(p.different):
    return ''
  within = _points(margin)
  if p.equivalent < LEVEL:
    small = f'equivalent within {within}'
    return f'different, but {small}' if p.different < LEVEL else small
  if p.different < LEVEL:
    return 'different'
  return f'cannot tell, but not worse by {within}' if p.not_worse < LEVEL else 'cannot tell'


def _points(margin: float) -> str:
  """A margin in words: 1 point, 2.5 points."""
  return f'{100 * margin:g} point{"" if round(100 * margin, 9) == 1 else "s"}'


def p_values_of(estimate: crossed.Estimate, margin: float) -> PValues:
  """Student's tests of a mean against zero and against a margin.

  >>> from robust_t5x.analysis.crossed import Estimate, Part
  >>> found = p_values_of(Estimate(0.01, [Part(0.01**2, 9)]), 0.04)  # 1, 3 and 5 standard errors, 9 degrees of freedom
  >>> round(found.different, 3), round(found.equivalent, 4), round(found.not_worse, 4)
  (0.343, 0.0075, 0.0004)
  """
  different = estimate.p_value()
  if np.isnan(different):
    return PValues(np.nan, np.nan, np.nan)
  error = np.sqrt(estimate.variance)

  def beyond(distance: float) -> float:
    if not error:
      return float(distance <= 0)
    return float(scipy.stats.t.sf(distance / error, estimate.freedom))

  return PValues(different, beyond(margin - abs(estimate.value)), beyond(margin + estimate.value))


def of_gap(comparison: Comparison, model: str, margin: float, baseline: str | None = None) -> Decision:
  """The observed gap of a model, or with a baseline its change."""
  return _decision(comparison, GAP, _models(model, baseline), margin)


def of_change(comparison: Comparison, model: str, group: str, margin: float, baseline: str) -> Decision:
  """Mean accuracy of a model under a group less that of the baseline."""
  return _decision(comparison, {group: 1.0}, _models(model, baseline), margin)


def _models(model: str, baseline: str | None) -> dict[str, float]:
  return {model: 1.0} | ({} if baseline is None else {baseline: -1.0})


def _decision(
  comparison: Comparison, groups: Mapping[str, float], models: Mapping[str, float], margin: float
) -> Decision:
  estimate = comparison.contrast(groups, list(models.items()))
  return Decision(estimate.interval(), p_values_of(estimate, margin), margin)


@dataclasses.dataclass(frozen=True)
class SpreadDecision:
  """Whether the best and the worst of these phrasings lie less than a margin apart.

  Attributes:
    value: the spread with its 95% interval.
    below: p-value that it is the margin or more.
    above: p-value that it is less.
    margin: as a share.
  """

  value: Interval
  below: float
  above: float
  margin: float

  @property
  def words(self) -> str:
    """What the tests say, at 5% each."""
    if np.isnan(self.below):
      return ''
    within = _points(self.margin)
    return f'below {within}' if self.below < LEVEL else f'{within} or more' if self.above < LEVEL else 'cannot tell'


def of_spread(comparison: Comparison, model: str, group: str, margin: float) -> SpreadDecision:
  """The spread of a model under the phrasings of a group, mean over datasets.

  By draws of the true accuracies (`extremes`) and, where the model has several runs, by seeds like these.
  """
  draws, values = (of(model, group, 'spread') for of in (comparison.draws, comparison.values_of))
  _, more = statistics.shares_beyond(draws, values, limit=margin)
  less, _ = statistics.shares_beyond(
    draws, values, limit=np.nextafter(margin, -np.inf)
  )  # the margin itself is not less than it
  return SpreadDecision(comparison.interval(model, group, 'spread'), more, less, margin)
