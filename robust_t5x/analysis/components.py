"""Variance components: how far examples, phrasings and seeds differ, and what they do together.

The model is that of generalizability theory. A score is a mean plus an effect of its example, of its phrasing, of its seed, and of
each combination of these; effects are independent, with a variance for each kind. The last combination also holds the noise of
single cells. Variances are estimated by Henderson's first method: the uncorrected sums of squares over each combination of factors,

  T_A = Σ_a (Σ scores of level a)² / m_a,   E T_A = M μ² + Σ_B σ²_B Σ_{ab} m_ab² / m_a,

with m the number of cells of a level, are set equal to their expectations. On whole tables these are the estimators of the analysis
of variance; with missing cells they stay right in expectation, as long as cells are not missing because of their scores.

Intervals are those of a difference of two mean squares (modified large sample). Scores of 0 and 1 are no normal numbers, so that the
degrees of freedom of what varies over examples are taken from the data: from what each example, and each phrasing, adds to the estimate.

Source: Henderson 1953; Brennan 2001, chapters 3 and 7; Ting, Burdick, Graybill, Jeyaratnam and Lu 1990; Burdick and Graybill 1992,
section 3.3; sums over datasets by Zou and Donner 2008.

Shape letters: R runs, N examples, k phrasings.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import itertools

from jaxtyping import Float
import numpy as np
import scipy.stats

from robust_t5x.analysis.crossed import EXAMPLES, PHRASINGS, SEEDS
from robust_t5x.analysis.statistics import Interval

_AXES = {SEEDS: 0, EXAMPLES: 1, PHRASINGS: 2}
_SWEEPS = 4  # of centring a table with missing cells
Factors = frozenset[str]


@dataclasses.dataclass(frozen=True)
class Component:
  """A variance and its interval, in squared units of the scores.

  Attributes:
    variance: unbiased, so that it may be below 0 where the factor does little; NaN where the cells do not tell it.
    low: lower end, at least 0.
    high: upper end.
  """

  variance: float
  low: float
  high: float

  @property
  def sd(self) -> Interval:
    """The standard deviation; 0 for a variance below 0."""
    return Interval(*(float(np.sqrt(max(v, 0.0))) if not np.isnan(v) else np.nan for v in dataclasses.astuple(self)))


def of_table(scores: Float[np.ndarray, 'r n k'], level: float = 0.95) -> dict[Factors, Component]:
  """The components of a dataset's scores.

  Args:
    scores: NaN where a cell was not evaluated; the same cells in all runs.
    level: probability that an interval covers.

  Returns:
    factors -> component, for every combination of factors with more than one level; none where no factor has.

  >>> y = np.array([[[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]])  # mean squares: examples 1/2, phrasings and the rest 1/6
  >>> {'×'.join(sorted(f)): round(c.variance, 4) for f, c in of_table(y).items()}
  {'examples': 0.1667, 'phrasings': 0.0, 'examples×phrasings': 0.1667}
  """
  there = ~np.isnan(scores[0])
  scores = scores[:, there.any(1)][:, :, there.any(0)]
  there = ~np.isnan(scores[0])
  factors = [f for f in (EXAMPLES, PHRASINGS, SEEDS) if scores.shape[_AXES[f]] > 1]
  if not factors or not there.any():
    return {}
  variances = moments(scores, there, factors)
  tables = {of: _effects(scores, there, of) for of in variances}
  levels = {of: _number_of_levels(there, len(scores), of) for of in variances}
  return {of: _component(of, variances, tables, levels, level) for of in variances}


def moments(
  scores: Float[np.ndarray, 'r n k'], there: Float[np.ndarray, 'n k'], factors: Sequence[str]
) -> dict[Factors, float]:
  """Henderson's estimates, NaN for those that the cells do not tell apart.

  Args:
    scores: NaN where a cell was not evaluated.
    there: cells with a score.
    factors: those that vary.
  """
  runs = len(scores)
  whole = there.all()
  centred = scores - np.nanmean(scores)
  centred = centred if whole else np.where(there, centred, 0.0)
  sets = [frozenset(c) for size in range(len(factors) + 1) for c in itertools.combinations(factors, size)]
  counts = {of: _counts(there, runs, of) for of in sets}
  sums, design = np.zeros(len(sets)), np.zeros((len(sets), len(sets)))
  for row, a in enumerate(sets):
    total = centred.sum(tuple(_AXES[f] for f in _AXES if f not in a), keepdims=True)
    sums[row] = _ratio(total**2, counts[a])
    for column, b in enumerate(sets):
      design[row, column] = _ratio(counts[a | b] ** 2, counts[a]) * (runs if SEEDS in a | b else 1)
  design[:, 0] = there.sum() * runs  # of μ²
  scale = np.abs(design).max(0)
  _, sizes, directions = np.linalg.svd(design / scale)
  lost = np.abs(directions[sizes < 1e-9 * sizes[0]]).sum(0) > 1e-6
  found = np.linalg.lstsq(design / scale, sums, rcond=1e-9)[0] / scale
  return {of: np.nan if lost[i] else float(found[i]) for i, of in enumerate(sets) if of}


def _counts(there: np.ndarray, runs: int, of: Factors) -> np.ndarray:
  """Cells of each level of some factors, [1, N or 1, k or 1]; those of a single seed where seeds are among the factors."""
  summed = tuple(_AXES[f] for f in (EXAMPLES, PHRASINGS) if f not in of)
  counts = there[None].astype(float).sum(summed, keepdims=True)
  return counts if SEEDS in of else counts * runs


def _ratio(above: np.ndarray, below: np.ndarray) -> float:
  """Sum of above / below, broadcast, over the levels that have cells."""
  inverse = np.divide(1.0, below, out=np.zeros_like(below), where=below > 0)
  return float((above * inverse).sum())


def _number_of_levels(there: np.ndarray, runs: int, of: Factors) -> int:
  return int((_counts(there, 1, of) > 0).sum()) * (runs if SEEDS in of else 1)


def _effects(scores: np.ndarray, there: np.ndarray, of: Factors) -> np.ndarray:
  """Effects of some factors in the data: means over the others, less their means over each of the factors; 0 elsewhere."""
  others = tuple(_AXES[f] for f in _AXES if f not in of)
  known = there[None].any(tuple(a for a in others if a), keepdims=True)
  whole = there.all()
  if whole:
    out = scores.mean(others, keepdims=True)
  else:
    weight = there[None] / np.maximum(there[None].sum(tuple(a for a in others if a), keepdims=True), 1)
    out = (np.where(there, scores, 0.0) * weight).sum(others, keepdims=True) / (1 if SEEDS in of else len(scores))
  for _ in range(1 if whole or len(of) == 1 else _SWEEPS):
    for factor in of:
      axes = tuple(_AXES[f] for f in of if f != factor) if len(of) > 1 else (_AXES[factor],)
      held = np.broadcast_to(known, out.shape)
      out = np.where(held, out - out.sum(axes, keepdims=True) / np.maximum(held.sum(axes, keepdims=True), 1), 0.0)
      if len(of) == 1:
        break
  return out


def _counted_freedom(of: Factors, levels: Mapping[Factors, int]) -> float:
  """Degrees of freedom of the mean square of some effects: levels less what is fitted to them."""
  singles = [levels[frozenset([f])] for f in of]
  counted = levels[of] - 1.0
  if len(of) == 2:
    counted = levels[of] - sum(singles) + 1.0
  elif len(of) == 3:
    counted = levels[of] - sum(levels[o] for o in levels if len(o) == 2) + sum(singles) - 1.0
  return max(counted, 1.0)


def _component(
  of: Factors,
  variances: Mapping[Factors, float],
  tables: Mapping[Factors, np.ndarray],
  levels: Mapping[Factors, int],
  level: float,
) -> Component:
  """A component with the interval of the difference of its mean square and of what else that holds."""
  variance = variances[of]
  if np.isnan(variance):
    return Component(np.nan, np.nan, np.nan)
  rest = {o: levels[of] / levels[o] * max(np.nan_to_num(variances[o]), 0.0) for o in variances if o > of}
  noise = sum(rest.values())
  if len(of) == 1:  # with missing cells, the mean of a level holds other factors too
    noise = max(noise, float((tables[of] ** 2).sum()) / _counted_freedom(of, levels) - variance)
  first = variance + noise
  if EXAMPLES in of:
    error = sum(_squared_error(of, f, tables, levels) for f in of if f != SEEDS and levels[frozenset([f])] > 2)
    freedom = max(2 * first**2 / error, 1.0) if error > 0 else _counted_freedom(of, levels)
    low, high = difference(first, freedom, noise, np.inf, level)
  else:
    spread = sum(r**2 / _counted_freedom(o, levels) for o, r in rest.items())
    freedom = noise**2 / spread if spread else np.inf
    low, high = difference(first, _counted_freedom(of, levels), noise, freedom, level)
  return Component(variance, min(low, max(variance, 0.0)), max(high, variance))


def _squared_error(
  of: Factors, factor: str, tables: Mapping[Factors, np.ndarray], levels: Mapping[Factors, int]
) -> float:
  """Squared standard error of a component, from what each level of a factor adds to its estimate.

  That is a sum over mean squares, so that what they have in common counts: of scores of 0 and 1 it is much.
  """
  added = np.zeros(levels[frozenset([factor])])
  axes = tuple(_AXES[f] for f in _AXES if f != factor)
  for other, effects in tables.items():
    if other >= of:
      sign = (-1) ** (len(other) - len(of))
      squares = (effects**2).sum(axes).ravel() / _counted_freedom(other, levels)
      added = added + sign * levels[of] / levels[other] * squares
  return float(added.var(ddof=1)) * len(added)


def difference(
  first: float, first_freedom: float, second: float, second_freedom: float, level: float = 0.95
) -> tuple[float, float]:
  """Interval of the difference of the expectations of two independent mean squares, at least 0.

  Source: Ting et al. 1990; Burdick and Graybill 1992, formulas 3.3.1 and 3.3.2.

  >>> low, high = difference(1.0, 9, 0.0, np.inf)  # of one mean square: 9 / 19.02 and 9 / 2.70
  >>> round(low, 3), round(high, 3)
  (0.473, 3.333)
  """
  if first <= 0:
    return 0.0, 0.0
  tail = (1 - level) / 2

  def one(freedom: float, upper: bool) -> float:  # the F quantile with infinitely many in the denominator
    quantile = scipy.stats.chi2.isf(tail, freedom) if upper else scipy.stats.chi2.ppf(tail, freedom)
    return float(quantile / freedom) if np.isfinite(freedom) else 1.0

  g1, h1 = 1 - 1 / one(first_freedom, True), 1 / one(first_freedom, False) - 1
  low, high = (g1 * first) ** 2, (h1 * first) ** 2
  if second > 0:
    g2, h2 = 1 - 1 / one(second_freedom, True), 1 / one(second_freedom, False) - 1
    dense = min(second_freedom, 1e9)
    above = float(scipy.stats.f.isf(tail, first_freedom, dense))
    below = float(scipy.stats.f.ppf(tail, first_freedom, dense))
    g12 = ((above - 1) ** 2 - (g1 * above) ** 2 - h2**2) / above
    h12 = ((1 - below) ** 2 - (h1 * below) ** 2 - g2**2) / below
    low += (h2 * second) ** 2 + g12 * first * second
    high += (g2 * second) ** 2 + h12 * first * second
  gap = first - second
  return max(gap - float(np.sqrt(max(low, 0.0))), 0.0), max(gap + float(np.sqrt(max(high, 0.0))), 0.0)


def mean(components: Sequence[Component], shared: bool = False) -> Component:
  """The mean of components of several datasets.

  Args:
    components: those that are known count.
    shared: whether they are of the same phrasings or seeds, so that they may err together.
  """
  known = [c for c in components if not np.isnan(c.variance)]
  if not known:
    return Component(np.nan, np.nan, np.nan)
  variance = float(np.mean([c.variance for c in known]))
  join = np.mean if shared else (lambda halves: np.sqrt(np.sum(np.square(halves))) / len(halves))
  low = variance - float(join([max(c.variance - c.low, 0.0) for c in known]))
  high = variance + float(join([c.high - c.variance for c in known]))
  return Component(variance, max(low, 0.0), max(high, 0.0))
