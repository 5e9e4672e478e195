"""How many phrasings and examples show a difference of a given size: a decision study on the variances of a table at hand.

The variance of a mean, a gap or a paired change with k phrasings, n examples and s seeds is

  V(k, n, s) = Σ_B σ²_B / Π_{f in B} levels of f,   B over the factors and their interactions,

whose σ²_B are those of the table (`crossed.Estimate.share_of`), which may have a sample of its cells only. The test is that of `crossed`,
Student's with Satterthwaite's degrees of freedom, so its power is that of the noncentral t distribution at those that the planned table would have. What the table at hand leaves open about
phrasings is averaged over: a promised power is the mean over what σ² may be (assurance, O'Hagan, Stevens and Campbell 2005).

Source: Brennan 2001, chapter 4; Lehmann and Romano 2005, section 5.3 (power of the t test).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
import itertools
import math

import numpy as np
import scipy.special

from robust_t5x.analysis import components, crossed
from robust_t5x.analysis.comparison import Comparison
from robust_t5x.analysis.crossed import EXAMPLES, PHRASINGS, SEEDS, Estimate, Part
from robust_t5x.results.schema import EXAMPLE, GrainError
from seqio_tasks.errors import UserError

PHRASING_COUNTS = (3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1000)
FEWEST_EXAMPLES, MOST_EXAMPLES = 20, 1_000_000  # of fewer, docs/statistics.md has no word on how intervals hold
_QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
_WORDING = frozenset([PHRASINGS])
_SETS = [frozenset(c) for size in (1, 2, 3) for c in itertools.combinations((EXAMPLES, PHRASINGS, SEEDS), size)]


@dataclasses.dataclass(frozen=True)
class Question:
  """What a design is to show.

  Attributes:
    groups: group -> weight, such as 1, or 1 and -1 for a gap.
    models: model -> weight, such as 1, or 1 and -1 for a change.
  """

  groups: Mapping[str, float]
  models: Mapping[str, float]

  @property
  def is_difference(self) -> bool:
    """Whether there is a zero to test against."""
    return len(self.groups) > 1 or len(self.models) > 1


@dataclasses.dataclass(frozen=True)
class Variances:
  """What the variance of an answer is made of, whatever the size of the table.

  Attributes:
    of: factors -> σ²_B, at least 0.
    likely: values of σ² of phrasings, equally likely after the table at hand; a few phrasings leave much open.
    datasets: that the answer is a mean over.
    tables: phrasings that are drawn apart: groups, times datasets where these have phrasings of their own.
    groups: of phrasings.
    models: that answer.
    mean: value of the answer in the table at hand.
    sizes: phrasings of a group, examples of a dataset and seeds of a model in the table at hand, on average.
    evaluated: share of the table's cells that have a score.
  """

  of: Mapping[frozenset[str], float]
  likely: tuple[float, ...]
  datasets: int
  tables: int
  groups: int
  models: int
  mean: float
  sizes: Mapping[str, float]
  evaluated: float


@dataclasses.dataclass(frozen=True)
class Design:
  """A table to be made: phrasings of each group, examples of each dataset, seeds of each model."""

  phrasings: int
  examples: int
  seeds: int = 1

  def rows(self, variances: Variances) -> int:
    """Cells of all models."""
    cells = self.phrasings * self.examples * self.seeds
    return cells * variances.datasets * variances.groups * variances.models


def variances_of(comparison: Comparison, question: Question) -> Variances:
  """The variances behind an answer, from results at hand.

  Raises:
    GrainError: if the results have no scores of examples.
    UserError: if no dataset has all groups, or there is a single phrasing or example, or all scores are alike, which tells no
      variance.
  """
  if comparison.grain != EXAMPLE:
    raise GrainError(
      f'a design needs per-example scores; {comparison.runs[comparison.models[0]][0]} has accuracies per phrasing'
    )
  own = {d: g for d, g in comparison.datasets.items() if set(question.groups) <= set(g)}
  if not own:
    raise UserError(f'no dataset has phrasings of {" and ".join(question.groups)}; name groups that the results have')
  comparison = dataclasses.replace(comparison, datasets=own)
  sizes = {
    PHRASINGS: _harmonic([groups[g].shape[-1] for groups in own.values() for g in question.groups]),
    EXAMPLES: _harmonic([next(iter(groups.values())).shape[-2] for groups in own.values()]),
    SEEDS: _harmonic([len(comparison.runs[m]) for m in question.models]),
  }
  for factor in (PHRASINGS, EXAMPLES):
    if sizes[factor] < 2:
      raise UserError(f'a design needs results of two {factor} or more, to see how far they differ')
  for dataset, group in itertools.product(own, question.groups):
    if not _is_crossed(own[dataset][group]):
      raise UserError(
        f'no example of {dataset} was evaluated under two of its {group} phrasings, so that what examples do cannot be told from the noise '
        'of single answers; evaluate more cells (CELL_BUDGET, STOP_WIDTH)'
      )
  alike = len({tuple(frozenset(comparison.names[d, g]) for g in question.groups) for d in own}) == 1
  found = {of: max(_variance(comparison, question, of, alike), 0.0) for of in _SETS}
  if sum(found.values()) < 1e-12:
    raise UserError('all scores are alike, right or wrong, which tells no variance; a design needs results with both')
  return Variances(
    of=found,
    likely=_likely(list(_phrasing_estimates(comparison, question, alike))),
    datasets=len(own),
    tables=len(question.groups) * (1 if alike else len(own)),
    groups=len(question.groups),
    models=len(question.models),
    mean=comparison.contrast(question.groups, list(question.models.items())).value,
    sizes=sizes,
    evaluated=float(np.mean(np.concatenate([_asked(own[d][g]).ravel() for d in own for g in question.groups]))),
  )


def _asked(scores: np.ndarray) -> np.ndarray:
  """Which cells [N, k] of scores [runs, N, k] were evaluated; all runs have the same."""
  return ~np.isnan(scores[0])


def _is_crossed(scores: np.ndarray) -> bool:
  """Whether an example was asked under two phrasings, or there is one phrasing only."""
  asked = _asked(scores)
  return asked.shape[1] < 2 or bool((asked.sum(1) > 1).any())


def _variance(comparison: Comparison, question: Question, of: frozenset[str], alike: bool) -> float:
  """σ²_B: over the parts of the table that B is drawn apart in, what it adds to the variance times the numbers of levels."""
  if of == {PHRASINGS}:
    return sum(levels * e.share_of(PHRASINGS) for e, levels in _phrasing_estimates(comparison, question, alike))
  by_dataset = EXAMPLES in of or (PHRASINGS in of and not alike)
  datasets: Sequence[str | None] = list(comparison.datasets) if by_dataset else [None]
  models = [{m: w} for m, w in question.models.items()] if SEEDS in of else [dict(question.models)]
  total = 0.0
  for dataset, model in itertools.product(datasets, models):
    share = functools.partial(_share, comparison, question, model, dataset, of)
    seeds = len(comparison.runs[next(iter(model))]) if SEEDS in of else 1
    own = comparison.datasets[dataset or next(iter(comparison.datasets))]
    if not of & {EXAMPLES, PHRASINGS}:
      found = share(*question.groups)
    else:
      counted = {g: _by_level(crossed.weights(_asked(own[g])), of) for g in question.groups}
      alone = {g: share(g) for g in question.groups}
      found = sum(alone[g] / float((counted[g] ** 2).sum()) for g in question.groups)
      if PHRASINGS not in of:  # groups have their examples in common, as far as both were asked the same ones
        for first, second in itertools.combinations(question.groups, 2):
          common = float((counted[first] * counted[second]).sum())
          found += (share(first, second) - alone[first] - alone[second]) / common if common else 0.0
    total += len(datasets) ** -2 * seeds * found
  return total


def _share(
  comparison: Comparison,
  question: Question,
  model: Mapping[str, float],
  dataset: str | None,
  of: frozenset[str],
  *groups: str,
) -> float:
  """What B adds to the variance of some of the groups' means, with their weights."""
  weights = {g: question.groups[g] for g in groups}
  return comparison.contrast(weights, list(model.items()), dataset).share_of(*of)


def _by_level(weights: np.ndarray, of: frozenset[str]) -> np.ndarray:
  """What each level of examples, of phrasings or of both counts in a mean, by the weights [N, k] of cells."""
  return weights.sum(tuple(axis for axis, factor in enumerate((EXAMPLES, PHRASINGS)) if factor not in of))


def _phrasing_estimates(comparison: Comparison, question: Question, alike: bool) -> Iterator[tuple[Estimate, float]]:
  """For each table of phrasings that are drawn together: its estimate, and its phrasings by the square of its share."""
  datasets: Sequence[str | None] = [None] if alike else list(comparison.datasets)
  for dataset, (group, weight) in itertools.product(datasets, question.groups.items()):
    estimate = comparison.contrast({group: weight}, list(question.models.items()), dataset)
    number = comparison.datasets[dataset or next(iter(comparison.datasets))][group].shape[-1]
    yield estimate, number / len(datasets) ** 2


def _likely(estimates: Sequence[tuple[Estimate, float]]) -> tuple[float, ...]:
  """Values of σ² of phrasings that are equally likely after the table at hand, from its confidence limits at _QUANTILES.

  Of a sum over tables the distances of the limits from the estimates add as squares.
  """
  found = []
  for quantile in _QUANTILES:
    total, squares = 0.0, 0.0
    for estimate, levels in estimates:
      first, variance = _own(estimate), estimate.share_of(PHRASINGS)
      ends = components.difference(
        first, _freedom(estimate), max(first - variance, 0.0), math.inf, abs(2 * quantile - 1)
      )
      total += levels * variance
      squares += (levels * ((ends[1] if quantile > 0.5 else ends[0]) - variance)) ** 2 if quantile != 0.5 else 0.0
    found.append(max(total + math.copysign(math.sqrt(squares), quantile - 0.5), 0.0))
  return tuple(found)


def _own(estimate: Estimate) -> float:
  """Mean square of phrasings, on the scale of the variance of the mean."""
  return sum(p.variance for p in _of_phrasings(estimate))


def _freedom(estimate: Estimate) -> float:
  return sum(p.freedom for p in _of_phrasings(estimate))


def _of_phrasings(estimate: Estimate) -> list[Part]:
  """Without those below 0, which take out again what examples add to it in a sample of the cells."""
  return [p for p in estimate.parts if p.of == {PHRASINGS} and p.variance > 0]


def _harmonic(numbers: Sequence[int]) -> float:
  return len(numbers) / sum(1 / n for n in numbers)


def planned(variances: Variances, design: Design, value: float = 0.0) -> Estimate:
  """The estimate that a table of some size would give, on average: its mean squares with their degrees of freedom.

  Args:
    variances: of the answer.
    design: the size.
    value: the true answer.
  """
  levels = {PHRASINGS: design.phrasings, EXAMPLES: design.examples, SEEDS: design.seeds}
  there = {f for f in levels if levels[f] > 1}
  parts = []
  for of in (frozenset(c) for c in _SETS if c <= there):
    held = 0.0
    for more, variance in variances.of.items():
      if of <= more:
        size = 1
        for factor in more:
          size *= levels[factor]
        held += variance / size
    drawn = 1
    if EXAMPLES in of:
      drawn = variances.datasets * (variances.groups if PHRASINGS in of else 1)
    elif PHRASINGS in of:
      drawn = variances.tables
    if SEEDS in of:
      drawn *= variances.models
    freedom = 1
    for factor in of:
      freedom *= levels[factor] - 1
    sign = 1 if len(of) % 2 else -1
    parts += [Part(sign * held / drawn, freedom, of)] * drawn
  most = 2.0 if variances.groups == variances.models == 2 else 1.0  # a change of the gap is of four means
  return Estimate(value, parts, design.examples * variances.datasets, (-most, most))


def power(estimate: Estimate, margin: float, level: float = 0.95) -> float:
  """Probability that the two-sided test finds a difference of some size.

  >>> estimate = Estimate(0.0, [Part(1.0, 20)])  # a t test with 20 degrees of freedom, at 2.0 standard errors
  >>> round(power(estimate, 2.0), 3)
  0.478
  """
  if not estimate.variance:
    return 1.0
  freedom = min(estimate.freedom, 1e6)
  at = scipy.special.stdtrit(freedom, (1 + level) / 2)
  distance = margin / estimate.variance**0.5
  if (
    distance > 30
  ):  # beyond what the function below takes; the test is sure then, but for the fewest degrees of freedom
    return float(scipy.special.ndtr(distance - at))
  # A finding of the wrong sign is rarer than a normal number below -distance; where that is next to nothing, scipy has NaN.
  wrong = scipy.special.nctdtr(freedom, distance, -at) if distance < 7 else 0.0
  return float(1 - scipy.special.nctdtr(freedom, distance, at) + wrong)


def half_width(estimate: Estimate, level: float = 0.95) -> float:
  """Half of the interval that a planned table would give, at most the greatest value that there can be."""
  half = scipy.special.stdtrit(min(estimate.freedom, 1e6), (1 + level) / 2) * estimate.variance**0.5
  return float(min(half, estimate.limits[1]))


def chance(variances: Variances, size: Design, margin: float) -> float:
  """Power to find a difference of the margin, mean over the likely values of σ² of phrasings."""
  return float(np.mean([power(planned(v, size), margin) for v in _alternatives(variances)]))


def width(variances: Variances, size: Design) -> float:
  """Half of the interval, mean over the likely values of σ² of phrasings."""
  return float(np.mean([half_width(planned(v, size)) for v in _alternatives(variances)]))


def _alternatives(variances: Variances) -> list[Variances]:
  return [dataclasses.replace(variances, of={**variances.of, _WORDING: v}) for v in variances.likely]


def frontier(variances: Variances, margin: float, wanted: float, difference: bool, seeds: int = 1) -> list[Design]:
  """For each number of phrasings the fewest examples that will do, of those that have more phrasings only where that saves examples.

  Args:
    variances: of the answer.
    margin: a difference that is to be found, or half of the interval; as a share.
    wanted: power.
    difference: whether the answer is one, that is tested.
    seeds: of each model.
  """

  def enough(size: Design) -> bool:
    return chance(variances, size, margin) >= wanted if difference else width(variances, size) <= margin

  found: list[Design] = []
  for phrasings in PHRASING_COUNTS:
    examples = _fewest(
      lambda n, k=phrasings: enough(Design(k, n, seeds))  # type: ignore[misc]
    )
    if examples is not None and (not found or examples < found[-1].examples):
      found.append(Design(phrasings, examples, seeds))
  return found


def cheapest(variances: Variances, designs: Sequence[Design]) -> Design:
  """The design with the fewest rows."""
  return min(designs, key=lambda d: d.rows(variances))


def cautious(variances: Variances) -> Variances:
  """The same, were phrasings to differ as much as is exceeded with a probability of 10% only."""
  return dataclasses.replace(variances, likely=variances.likely[-1:])


def _fewest(enough: Callable[[int], bool]) -> int | None:
  """The least number that is enough, from FEWEST_EXAMPLES on; all greater ones are too. None beyond MOST_EXAMPLES."""
  high = FEWEST_EXAMPLES
  while not enough(high):
    if high >= MOST_EXAMPLES:
      return None
    high *= 2
  low = high // 2
  while high - low > 1 and high > FEWEST_EXAMPLES:
    middle = (low + high) // 2
    low, high = (low, middle) if enough(middle) else (middle, high)
  return high
