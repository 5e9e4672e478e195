"""All metrics of many resamples at once: a resample is a weight for every example and for every phrasing.

A bootstrap draws examples and phrasings with replacement. What it has drawn is how often each occurs, so the accuracies
of all resamples are one matrix product, and so are the counts that case-level metrics need. Nothing is copied: the cost
is that of a product [R, N] x [N, k] for R resamples.
"""

from collections.abc import Mapping
import dataclasses
import functools

from jaxtyping import Float
import numpy as np

_MOST_LEVELS = 256  # different scores that case-level metrics tell apart
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

  def counts(size):
    drawn = rng.multinomial(size, np.full(size, 1 / size), size=replicates)
    return np.concatenate([np.ones((1, size)), drawn])

  return Weights(counts(num_examples), {group: counts(k) for group, k in num_phrasings.items()})


class Weighted:
  """Scores under weights. Every metric of robust_t5x.metrics.METRICS, for all resamples, [R, *b].

  A phrasing that a resample holds twice is not compared with itself: sd and PSS leave such pairs out, which would
  otherwise make phrasings look more alike than they are.

  Attributes:
    examples: weights [R, N].
    phrasings: weights [R, k].
  """

  def __init__(
    self,
    scores: Float[np.ndarray, '*b n k'],
    examples: Float[np.ndarray, 'r n'],
    phrasings: Float[np.ndarray, 'r k'],
  ):
    """Takes scores, NaN where a cell was not evaluated, and the weights of examples and phrasings."""
    self._leading = scores.shape[:-2]
    self._scores = scores.reshape(-1, *scores.shape[-2:])
    self.examples, self.phrasings = examples, phrasings

  def metric(self, name: str) -> Float[np.ndarray, 'r ...']:
    """Values of a metric, by its name in metrics.METRICS."""
    values = self._of_accuracies[name] if name in self._of_accuracies else self._of_cases[name]
    return values.reshape(len(self.examples), *self._leading)

  @functools.cached_property
  def accuracy(self) -> Float[np.ndarray, 'r b k']:
    """a[i] of each resample's examples, of all phrasings, whether or not the resample holds them."""
    out = []
    for scores in self._scores:
      there = ~np.isnan(scores)
      total = self.examples @ (scores if there.all() else np.where(there, scores, 0))
      count = self.examples.sum(-1, keepdims=True) if there.all() else self.examples @ there
      out.append(_divide(total, count))
    return np.stack(out, axis=1)

  @functools.cached_property
  def _of_accuracies(self) -> dict[str, np.ndarray]:
    accuracy = self.accuracy
    there = ~np.isnan(accuracy)
    weight = self.phrasings[:, None] * there
    a = np.where(there, accuracy, 0)
    held = weight > 0
    count, total = weight.sum(-1), (weight * a).sum(-1)
    average = _divide(total, count)
    best = np.where(held.any(-1), np.where(held, a, -np.inf).max(-1), np.nan)
    worst = np.where(held.any(-1), np.where(held, a, np.inf).min(-1), np.nan)
    # The centre does not change the value and keeps the difference of squares exact.
    centred = np.where(there, a - np.nan_to_num(average)[..., None], 0)
    squares = count * (weight * centred**2).sum(-1) - (weight * centred).sum(-1) ** 2
    variance = _divide(squares, count**2 - (weight**2).sum(-1))
    saturation = 1 - (best - average)
    return {
      'AvgP': average,
      'MaxP': best,
      'saturation': saturation,
      'CPS': saturation * best,
      'spread': best - worst,
      'sd': np.sqrt(np.maximum(variance, 0)),
      'worst phrasing': worst,
    }

  @functools.cached_property
  def _of_cases(self) -> dict[str, np.ndarray]:
    size = max(1, _MOST_CELLS // max(1, self.examples.shape[1]))
    parts = [
      [
        _case_metrics(scores, self.examples[start : start + size], self.phrasings[start : start + size])
        for start in range(0, len(self.examples), size)
      ]
      for scores in self._scores
    ]
    return {name: np.stack([np.concatenate([p[name] for p in run]) for run in parts], axis=1) for name in parts[0][0]}


def _case_metrics(scores, examples, phrasings) -> dict[str, np.ndarray]:
  """Case-level metrics [R] of scores [N, k].

  With the different scores v_1 < ... < v_L and m_l the weight of an example's phrasings that score at most v_l, every
  sum over phrasings and over their pairs follows from the m_l: such as sum_{i<j} |s_i - s_j| =
  sum_l (v_{l+1} - v_l) m_l (m_L - m_l).
  """
  there = ~np.isnan(scores)
  if len(np.unique(scores[there])) > _MOST_LEVELS:
    scores = np.round(scores * (_MOST_LEVELS - 1)) / (_MOST_LEVELS - 1)
  levels = np.unique(scores[there])
  if not len(levels):
    nothing = np.full(len(examples), np.nan)
    return dict.fromkeys(('case-level worst', 'case-level best', 'case-level sd', 'PSS'), nothing)
  weight = phrasings.astype(np.float32)  # whole numbers, exact
  if there.all():
    count, own = weight.sum(-1, keepdims=True), (weight**2).sum(-1, keepdims=True)
  else:
    count, own = weight @ there.T.astype(np.float32), weight**2 @ there.T.astype(np.float32)
  shape = (len(examples), len(scores))
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
  pairs = count.astype(float) ** 2 - own
  variance = _divide(np.maximum(count * second - first**2, 0), pairs)
  some = np.broadcast_to(count > 0, shape)
  return {
    'case-level worst': _mean(np.where(some, low, np.nan), examples),
    'case-level best': _mean(np.where(some, high, np.nan), examples),
    'case-level sd': _mean(np.sqrt(variance), examples),
    'PSS': _mean(_divide(2 * apart, pairs), examples),
  }


def _mean(values, examples):
  """Weighted mean over the examples that have a value."""
  there = ~np.isnan(values)
  return _divide((examples * np.where(there, values, 0)).sum(-1), (examples * there).sum(-1))


def _divide(a, b):
  """a / b, NaN where b is 0."""
  b = np.broadcast_to(b, np.broadcast_shapes(np.shape(a), np.shape(b)))
  return np.divide(a, b, out=np.full(b.shape, np.nan), where=b != 0)
