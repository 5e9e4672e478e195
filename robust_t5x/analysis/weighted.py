"""Scores under weights, from which every metric is computed: of the data themselves, or of many resamples at once.

A bootstrap draws examples and phrasings with replacement. What it has drawn is how often each occurs, so a resample is a
weight for every example and for every phrasing. The accuracies of all resamples are one matrix product, and so are the
counts that case-level metrics need. Nothing is copied: the cost is that of a product [R, N] x [N, k] for R resamples.

The formulas stand here once, and `metrics` names them. With w the weights of the phrasings and v what is measured under
each, an accuracy or the score of one example, they are made of

  pairs      Σ_{i≠j} w_i w_j                 a phrasing that is held twice makes no pair with itself
  squares    Σ_{i<j} w_i w_j (v_i - v_j)²    the variance is squares / pairs
  distances  Σ_{i<j} w_i w_j |v_i - v_j|     the mean distance of a pair is 2 distances / pairs
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import math
import warnings

from jaxtyping import Float, Num
import numpy as np

_MOST_LEVELS = 256  # different scores that case-level metrics of resamples tell apart
_MOST_CELLS = 2**24  # resamples times examples held in memory together


@dataclasses.dataclass(frozen=True)
class Weights:
  """How often a number of resamples hold each example and each phrasing of a dataset.

  The first resample is the data itself: every weight is 1.

  Attributes:
    examples: [R, N].
    phrasings: group -> [R, k].
  """

  examples: Float[np.ndarray, 'r n']
  phrasings: Mapping[str, Float[np.ndarray, 'r k']]


def draw(num_examples: int, num_phrasings: Mapping[str, int], replicates: int, rng: np.random.Generator) -> Weights:
  """Draws examples, once for all groups, and the phrasings of each group, with replacement.

  Args:
    num_examples: N.
    num_phrasings: group -> k.
    replicates: number of resamples besides the data.
    rng: source of randomness.

  Returns:
    weights of 1 + replicates resamples.
  """

  def counts(size: int) -> np.ndarray:
    drawn = rng.multinomial(size, np.full(size, 1 / size), size=replicates)
    return np.concatenate([np.ones((1, size)), drawn])

  return Weights(counts(num_examples), {group: counts(k) for group, k in num_phrasings.items()})


@dataclasses.dataclass(frozen=True)
class Accuracies:
  """Of the accuracies a[i] under each phrasing, [R, *b] as all here, [*b] without weights.

  Attributes:
    average: their mean.
    best: the greatest.
    worst: the least.
    sd: their sample standard deviation; NaN for a single phrasing.
  """

  average: np.ndarray
  best: np.ndarray
  worst: np.ndarray
  sd: np.ndarray


@dataclasses.dataclass(frozen=True)
class Cases:
  """Of each example's own scores under the phrasings, means over the examples.

  Attributes:
    worst: of the least.
    best: of the greatest.
    sd: of the sample standard deviation.
    distance: of the mean distance of the scores of two phrasings.
  """

  worst: np.ndarray
  best: np.ndarray
  sd: np.ndarray
  distance: np.ndarray


class Weighted:
  """Scores under the weights of resamples or, where none are given, as they are.

  A phrasing that a resample holds twice is not compared with itself: standard deviations and distances leave such pairs
  out, which would otherwise make phrasings look more alike than they are.

  Attributes:
    examples: weights [R, N].
    phrasings: weights [R, k].
  """

  def __init__(
    self,
    scores: Num[np.ndarray, '*b n k'],
    examples: Float[np.ndarray, 'r n'] | None = None,
    phrasings: Float[np.ndarray, 'r k'] | None = None,
  ):
    """Takes scores, NaN where a cell was not evaluated, and the weights of examples and phrasings, both or neither."""
    *leading, n, k = scores.shape
    self._plain = examples is None
    self.examples = np.ones((1, n)) if examples is None else examples
    self.phrasings = np.ones((1, k)) if phrasings is None else phrasings
    self._leading = tuple(leading) if self._plain else (len(self.examples), *leading)
    self._scores = scores.reshape(math.prod(leading), n, k)

  @functools.cached_property
  def accuracy(self) -> Float[np.ndarray, '*r_b k']:
    """a[i] of each resample's examples, of all phrasings, whether or not the resample holds them."""
    return self._accuracy.reshape(*self._leading, self._scores.shape[-1])

  @functools.cached_property
  def accuracies(self) -> Accuracies:
    """What metrics of accuracies are made of."""
    accuracy = self._accuracy
    there = ~np.isnan(accuracy)
    weight = self.phrasings[:, None] * there
    a = np.where(there, accuracy, 0)
    held = weight > 0
    count, total = weight.sum(-1), (weight * a).sum(-1)
    average = _divide(total, count)
    # The centre does not change the value and keeps the difference of squares exact.
    centred = np.where(there, a - np.nan_to_num(average)[..., None], 0)
    squares = count * (weight * centred**2).sum(-1) - (weight * centred).sum(-1) ** 2
    return Accuracies(
      average=self._shaped(average),
      best=self._shaped(np.where(held.any(-1), np.where(held, a, -np.inf).max(-1), np.nan)),
      worst=self._shaped(np.where(held.any(-1), np.where(held, a, np.inf).min(-1), np.nan)),
      sd=self._shaped(_sd(squares, count**2 - (weight**2).sum(-1))),
    )

  @functools.cached_property
  def case_values(self) -> Cases:
    """The values of each example, [*b, N], whose means `cases` are; of scores without weights."""
    sums = _sums_of_data(self._scores)
    shape = (*self._leading, self._scores.shape[-2])
    return Cases(*(values.reshape(shape) for values in _values(sums)))

  @functools.cached_property
  def cases(self) -> Cases:
    """What metrics of single examples are made of."""
    if self._plain:
      return Cases(*map(self._shaped, _means(_sums_of_data(self._scores), self.examples)))
    size = max(1, _MOST_CELLS // max(1, self.examples.shape[1]))
    runs = []
    for scores in self._scores:
      parts = []
      for start in range(0, len(self.examples), size):
        rows = slice(start, start + size)
        parts.append(_means(_sums_under_weights(scores, self.phrasings[rows]), self.examples[rows]))
      runs.append([np.concatenate(part) for part in zip(*parts, strict=True)])
    return Cases(*(self._shaped(np.stack(run, axis=1)) for run in zip(*runs, strict=True)))

  @functools.cached_property
  def _accuracy(self) -> Float[np.ndarray, 'r b k']:
    if self._plain:
      return _quiet(np.nanmean, self._scores, axis=-2)[None]
    out = []
    for scores in self._scores:
      there = ~np.isnan(scores)
      total = self.examples @ (scores if there.all() else np.where(there, scores, 0))
      count = self.examples.sum(-1, keepdims=True) if there.all() else self.examples @ there
      out.append(_divide(total, count))
    return np.stack(out, axis=1)

  def _shaped(self, values: np.ndarray) -> np.ndarray:
    return values.reshape(self._leading)[()]


@dataclasses.dataclass(frozen=True)
class _Sums:
  """Of each example's scores, [..., N]: the ends, and the sums of the module's docstring."""

  low: np.ndarray
  high: np.ndarray
  squares: np.ndarray
  distances: np.ndarray
  pairs: np.ndarray


def _values(sums: _Sums) -> tuple[np.ndarray, ...]:
  """What `Cases` are the means of, in their order, for each example."""
  return sums.low, sums.high, _sd(sums.squares, sums.pairs), _divide(2 * sums.distances, sums.pairs)


def _means(sums: _Sums, examples: np.ndarray) -> tuple[np.ndarray, ...]:
  """The values of `Cases`, in their order."""
  return tuple(_mean(values, examples) for values in _values(sums))


def _sums_of_data(scores: np.ndarray) -> _Sums:
  """Of scores [..., N, k], each phrasing counted once."""
  count = (~np.isnan(scores)).sum(-1)
  centred = scores - _quiet(np.nanmean, scores, axis=-1)[..., None]
  # Each score, sorted, is the larger one of as many pairs as stand before it, and the smaller one of those after.
  ordered = np.sort(scores, axis=-1)  # NaN last
  signs = 2 * np.arange(scores.shape[-1]) - (count[..., None] - 1)
  return _Sums(
    low=_quiet(np.nanmin, scores, axis=-1),
    high=_quiet(np.nanmax, scores, axis=-1),
    squares=count * np.nansum(centred**2, axis=-1),
    distances=np.nansum(signs * ordered, axis=-1),
    pairs=count**2 - count,
  )


def _sums_under_weights(scores: np.ndarray, phrasings: np.ndarray) -> _Sums:
  """Of scores [N, k] under weights [R, k], [R, N] each.

  With the different scores v_1 < ... < v_L and m_l the weight of an example's phrasings that score at most v_l, every
  sum over phrasings and over their pairs follows from the m_l: such as sum_{i<j} |s_i - s_j| =
  sum_l (v_{l+1} - v_l) m_l (m_L - m_l).
  """
  there = ~np.isnan(scores)
  if len(np.unique(scores[there])) > _MOST_LEVELS:
    scores = np.round(scores * (_MOST_LEVELS - 1)) / (_MOST_LEVELS - 1)
  levels = np.unique(scores[there])
  shape = (len(phrasings), len(scores))
  if not len(levels):
    nothing = np.full(shape, np.nan)
    return _Sums(nothing, nothing, nothing, nothing, nothing)
  weight = phrasings.astype(np.float32)  # whole numbers, exact
  if there.all():
    count, own = weight.sum(-1, keepdims=True), (weight**2).sum(-1, keepdims=True)
  else:
    count, own = weight @ there.T.astype(np.float32), weight**2 @ there.T.astype(np.float32)
  low, high = np.full(shape, levels[-1]), np.full(shape, levels[0])
  first, second = levels[-1] * count.astype(float) * np.ones(shape), levels[-1] ** 2 * count * np.ones(shape)
  apart = np.zeros(shape)
  for below, above in zip(levels[:-1], levels[1:], strict=True):
    m = weight @ (scores <= below).T.astype(np.float32)  # NaN is not below anything
    low -= (above - below) * (m > 0)
    high += (above - below) * (m < count)
    first -= (above - below) * m
    second -= (above**2 - below**2) * m
    apart += (above - below) * m * (count - m)
  some = np.broadcast_to(count > 0, shape)
  return _Sums(
    low=np.where(some, low, np.nan),
    high=np.where(some, high, np.nan),
    squares=count * second - first**2,
    distances=apart,
    pairs=count.astype(float) ** 2 - own,
  )


def _sd(squares: np.ndarray, pairs: np.ndarray) -> np.ndarray:
  return np.sqrt(_divide(np.maximum(squares, 0), pairs))


def _mean(values: np.ndarray, examples: np.ndarray) -> np.ndarray:
  """Weighted mean over the examples that have a value."""
  there = ~np.isnan(values)
  return _divide((examples * np.where(there, values, 0)).sum(-1), (examples * there).sum(-1))


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """a / b, NaN where b is 0."""
  b = np.broadcast_to(b, np.broadcast_shapes(np.shape(a), np.shape(b)))
  return np.divide(a, b, out=np.full(b.shape, np.nan), where=b != 0)


def _quiet(function: Callable[..., np.ndarray], values: np.ndarray, axis: int) -> np.ndarray:
  # An example or phrasing without any cell gives NaN, which is the answer; numpy's warning adds nothing.
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', RuntimeWarning)
    return function(values, axis=axis)
