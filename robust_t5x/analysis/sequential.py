"""Confidence sequences: intervals of a mean that hold however often one looks, for evaluations that stop when they know enough.

What is bounded is the mean over all cells of a table, of which some were drawn: strata (a dataset under a phrasing) of known sizes,
each in a random order of its own. Round by round cells are drawn from every stratum that has some left, and for each value μ that the
mean may have a bet is placed that it is greater, or less. A bet's wealth stays low if μ is the mean: by Ville's inequality it
reaches 2/α at any time with probability α/2 at most. The interval holds the values against which no bet has won.

Before a round let A be the weighted sum of what was seen and B the weight of what was not. If the mean is μ, what is left has the
mean m = (μ - A) / B, and the round multiplies the wealth by Π (1 + λ (x - m))^c over its cells x. With c at most 1, and in each
stratum in proportion to the weight of what is left by the cells drawn, the expectation is at most 1: cells that are drawn without
replacement are negatively associated, a power of at most 1 is concave, strata are independent, and a weighted geometric mean is at most
the arithmetic one (docs/statistics.md has it in full). The stake
λ = h / (σ² B), of the variance seen before, makes the interval narrowest when it reaches the half width h that is asked for.
Nothing is assumed of the scores but that they lie between 0 and 1.

Source: Waudby-Smith and Ramdas 2024 (bets, also without replacement); Ville 1939; Joag-Dev and Proschan 1983 (negative association).
"""

from collections.abc import Sequence

import numpy as np
import scipy.optimize

from robust_t5x.analysis.statistics import Interval

_STAKE = 0.75  # of the wealth at most
_FIRST = 0.005  # share of the cells in the first round
_GROWTH = 1.25  # how many times as many there are after each other round


def sizes_after(before: Sequence[int], sizes: Sequence[int], weights: Sequence[float], number: int) -> list[int]:
  """How many cells of each stratum are there after a round: as many as its weight, or all; at least one more than before.

  Cells by weight say most about the mean; by size, a large stratum would take most of them and say no more.

  Args:
    before: the round.
    sizes: all cells of each stratum.
    weights: of each stratum's mean in the mean; they sum to 1.
    number: of the round, from 0.

  >>> sizes_after([0, 0], [1000, 200], [0.5, 0.5], 0), sizes_after([3, 3], [1000, 200], [0.5, 0.5], 1)
  ([3, 3], [4, 4])
  """
  n, weight = np.asarray(sizes, float), np.asarray(weights, float)
  # After n / w cells for each unit of weight a stratum is used up; the cells of all until then are linear in between.
  order = np.argsort(n / weight)
  ends = (n / weight)[order]
  cells = np.cumsum(n[order]) + ends * (1 - np.cumsum(weight[order]))
  share = min(_FIRST * _GROWTH**number, 1.0)
  density = float(np.interp(share * n.sum(), np.r_[0, cells], np.r_[0, ends])) if share < 1 else np.inf
  return [
    min(max(int(np.ceil(min(density * w, m) - 1e-9)), b + 1), m) for b, m, w in zip(before, sizes, weights, strict=True)
  ]


class ConfidenceSequence:
  """The mean over all cells of a table, from the cells of the rounds so far.

  >>> cells = ConfidenceSequence([400, 400], [0.5, 0.5], half_width=0.05)
  >>> for _ in range(4):
  ...   cells.add([np.ones(40), np.ones(40)])
  >>> found = cells.interval()
  >>> round(found.estimate, 2), round(found.low, 2), round(found.high, 2)
  (1.0, 0.99, 1.0)
  """

  def __init__(self, sizes: Sequence[int], weights: Sequence[float], half_width: float):
    """Begins, with no cell.

    Args:
      sizes: number of all cells of each stratum.
      weights: of each stratum's mean in the mean; they sum to 1.
      half_width: of the interval that is asked for, as a share.
    """
    self._sizes, self._weights = np.asarray(sizes, int), np.asarray(weights, float)
    self._half = half_width
    self._count, self._sum, self._squares = (np.zeros(len(self._sizes)) for _ in range(3))
    # Of every distinct score of every round: the score, its exponent, and the round's stake, A and B.
    self._bets = np.zeros((5, 0))
    self._ends: dict[float, tuple[float, float]] = {}

  @property
  def evaluated(self) -> int:
    """Number of cells so far."""
    return int(self._count.sum())

  @property
  def cells(self) -> int:
    """Number of all cells."""
    return int(self._sizes.sum())

  def add(self, scores: Sequence[np.ndarray]) -> None:
    """Takes a round.

    Args:
      scores: of each stratum the scores, 0 to 1, of cells that were drawn at random from those left; at least one where some
        are.

    Raises:
      ValueError: if a stratum with cells left has none, or one has more than are left; if a score is not between 0 and 1.
    """
    drawn = np.array([len(s) for s in scores])
    left = self._sizes - self._count
    if (drawn > left).any() or ((drawn == 0) & (left > 0)).any():
      raise ValueError(
        f'a round of {drawn.tolist()} cells, where {left.astype(int).tolist()} are left: one to all of them'
      )
    values, place = np.unique(np.concatenate(scores), return_inverse=True)
    if not ((values >= 0) & (values <= 1)).all():
      raise ValueError(
        f'scores of {values.min()} to {values.max()}; the interval of a mean holds for scores of 0 to 1 only'
      )
    weight = self._weights * left / self._sizes
    seen, unseen = self._seen(), float(weight.sum())
    exponents = np.divide(weight, drawn, out=np.zeros(len(drawn)), where=drawn > 0)
    stake = self._half / (self._variance() * unseen)
    totals = np.bincount(place, np.repeat(exponents / exponents.max(), drawn))
    bets = np.stack([values, totals, *(np.full(len(values), v) for v in (stake, seen, unseen))])
    self._bets = np.concatenate([self._bets, bets], axis=1)
    self._count += drawn
    self._sum += [s.sum() for s in scores]
    self._squares += [(s**2).sum() for s in scores]
    for level in self._ends:
      self._narrow(level)

  def interval(self, level: float = 0.95) -> Interval:
    """The mean of the cells so far, each stratum by its weight, and the interval of the mean over all cells.

    Args:
      level: probability that the intervals after all rounds hold it. One that is asked for after every round is the
        narrowest: what one round has ruled out stays so.
    """
    low, high = self._narrow(level)
    estimate = float((self._weights * self._means()).sum())
    return Interval(estimate, min(low, estimate), max(high, estimate))

  def _means(self) -> np.ndarray:
    return np.divide(self._sum, self._count, out=np.full(len(self._sum), 0.5), where=self._count > 0)

  def _seen(self) -> float:
    return float((self._weights * self._sum / self._sizes).sum())

  def _variance(self) -> float:
    """Of the scores so far, as if there were one more of the greatest variance that there can be."""
    means, n = self._means(), self.evaluated
    squares = np.divide(self._squares, self._count, out=np.zeros(len(means)), where=self._count > 0)
    found = float((self._weights * squares).sum() - (self._weights * means).sum() ** 2) if n else 0.0
    return (0.25 + n * max(found, 0.0)) / (1 + n)

  def _narrow(self, level: float) -> tuple[float, float]:
    """Ends of the interval, inside those found before."""
    before = self._ends.get(level, (0.0, 1.0))
    seen = self._seen()
    least, most = seen, seen + float((self._weights * (1 - self._count / self._sizes)).sum())
    goal = np.log(2 / (1 - level))
    low = _end(self._bets, least, most, goal)
    # That the mean is less is a bet on the share that is wrong.
    values, exponents, stake, known, unseen = self._bets
    mirrored = np.stack([1 - values, exponents, stake, 1 - known - unseen, unseen])
    high = 1 - _end(mirrored, 1 - most, 1 - least, goal)
    ends = max(low, before[0]), min(high, before[1])
    # Where nothing is left, the sequence has failed, as it does now and then: what the cells leave possible is certain.
    self._ends[level] = ends if ends[0] <= ends[1] else (least, most)
    return self._ends[level]


def difference(first: ConfidenceSequence, second: ConfidenceSequence, level: float = 0.95) -> Interval:
  """The mean of one table less that of another, valid like their own: each at half of the error."""
  a, b = (s.interval((1 + level) / 2) for s in (first, second))
  return Interval(a.estimate - b.estimate, a.low - b.high, a.high - b.low)


def _end(bets: np.ndarray, least: float, most: float, goal: float) -> float:
  """The least mean, from `least` to `most`, against which the bet that it is greater has not reached the goal."""
  if not bets.size or most - least < 1e-9 or _log_wealth(least, bets) < goal:
    return least
  if _log_wealth(most, bets) >= goal:
    return most
  return float(scipy.optimize.brentq(lambda mean: _log_wealth(mean, bets) - goal, least, most, xtol=1e-7))


def _log_wealth(mean: float, bets: np.ndarray) -> float:
  """Logarithm of the wealth of the bet that the mean is greater than this one; it falls with it."""
  values, exponents, stake, seen, unseen = bets
  rest = np.clip((mean - seen) / unseen, 1e-12, 1.0)
  return float((exponents * np.log1p(np.minimum(stake, _STAKE / rest) * (values - rest))).sum())
