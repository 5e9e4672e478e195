"""Agreement over phrasings: of answers, of the likelihood of answers, and of models about which phrasings are hard.

Answers are given as whole numbers, the same number for the same answer, -1 where a cell was not evaluated.
"""

from collections.abc import Callable
import functools
import math

from jaxtyping import Float, Int
import numpy as np
import scipy.stats

_ROWS = 512  # classes of answers that are counted together
_MOST_CLASSES = 256  # whose share is followed through resamples

CONSISTENCY, KAPPA = 'consistency', "Fleiss' kappa"


class WeightedAnswers:
  """Answers under the weights of resamples or, where none are given, as they are; weighted.Weighted is the like of scores."""

  def __init__(
    self,
    answers: Int[np.ndarray, '*b n k'],
    examples: Float[np.ndarray, 'r n'] | None = None,
    phrasings: Float[np.ndarray, 'r k'] | None = None,
  ):
    """Takes answers, -1 where a cell was not evaluated, and the weights of examples and phrasings, both or neither."""
    *leading, n, k = answers.shape
    self._answers = answers.reshape(math.prod(leading), n, k)
    self._examples = np.ones((1, n)) if examples is None else examples
    self._phrasings = np.ones((1, k)) if phrasings is None else phrasings
    self._leading = tuple(leading) if examples is None else (len(examples), *leading)

  @functools.cached_property
  def agreement(self) -> tuple[np.ndarray, np.ndarray]:
    """Consistency and kappa, of each resample [R, *b], or [*b] without weights."""
    parts = [_agreement(answers, self._examples, self._phrasings) for answers in self._answers]
    consistency, kappa = (np.stack(found, axis=1).reshape(self._leading)[()] for found in zip(*parts, strict=True))
    return consistency, kappa


Answers = Int[np.ndarray, '*b n k'] | WeightedAnswers


def consistency_rate(answers: Answers) -> Float[np.ndarray, '*b']:
  """Share of the pairs of phrasings, of all examples together, that have the same answer.

  NaN if no example has two answers. Source: SCORE, Nalbandyan et al. 2025, arXiv 2503.00137.

  >>> float(consistency_rate(np.array([[0, 1], [2, 2]])))
  0.5
  """
  return _weighted(answers).agreement[0]


def fleiss_kappa(answers: Answers) -> Float[np.ndarray, '*b']:
  """Agreement of phrasings beyond what the frequencies of the answers alone give: 1 at best, 0 by chance.

  Examples with fewer than two answers are left out. NaN if all answers are the same, when chance agrees fully too.
  Source: Fleiss 1971, with phrasings as raters.

  >>> round(float(fleiss_kappa(np.array([[0, 1], [2, 2]]))), 3)  # (1/2 - 6/16) / (1 - 6/16)
  0.2
  """
  return _weighted(answers).agreement[1]


# Name in tables -> agreement of the answers under one group of phrasings.
METRICS: dict[str, Callable[[Answers], np.ndarray]] = {CONSISTENCY: consistency_rate, KAPPA: fleiss_kappa}


def _weighted(answers: Answers) -> WeightedAnswers:
  return answers if isinstance(answers, WeightedAnswers) else WeightedAnswers(answers)


def _agreement(answers: np.ndarray, examples: np.ndarray, phrasings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Consistency and kappa [R] of answers [N, k].

  Works on classes: an example with one of its answers. With m the weight of the phrasings of a class, its pairs that
  agree weigh m² less the pairs of a phrasing with itself.
  """
  example, phrasing = np.nonzero(answers >= 0)
  frequent, answer = _by_frequency(answers[example, phrasing])
  count = phrasings @ (answers >= 0).T
  pairs = count**2 - phrasings**2 @ (answers >= 0).T  # [R, N], twice the number of pairs
  usable = pairs > 0
  per_pair = np.divide(examples, pairs, out=np.zeros_like(pairs), where=usable)
  agreeing, agreeing_shares = np.zeros(len(examples)), np.zeros(len(examples))
  totals = np.zeros((len(examples), min(frequent, _MOST_CLASSES)))
  order = np.lexsort((example, answer))
  example, phrasing, answer = example[order], phrasing[order], answer[order]
  starts = _starts((np.diff(example) != 0) | (np.diff(answer) != 0), len(example))
  sizes = np.diff(np.r_[starts, len(example)])
  # A class of one member that is not among the frequent answers changes nothing that is followed.
  for rows in _chunks(np.flatnonzero((sizes > 1) | (answer[starts] < totals.shape[1]))):
    member = np.zeros((len(rows), answers.shape[1]))
    cells = np.concatenate([np.arange(starts[r], starts[r] + sizes[r]) for r in rows])
    member[np.repeat(np.arange(len(rows)), sizes[rows]), phrasing[cells]] = 1
    m = phrasings @ member.T
    same = m**2 - phrasings**2 @ member.T
    whose, which = example[starts[rows]], answer[starts[rows]]
    agreeing += (examples[:, whose] * same).sum(-1)
    agreeing_shares += (per_pair[:, whose] * same).sum(-1)
    followed = which < totals.shape[1]
    first = _starts(np.diff(which[followed]) != 0, int(followed.sum()))
    if len(first):
      weight = examples[:, whose[followed]] * m[:, followed] * usable[:, whose[followed]]
      totals[:, which[followed][first]] += np.add.reduceat(weight, first, axis=1)
  observed = _divide(agreeing_shares, (examples * usable).sum(-1))
  number = (examples * count * usable).sum(-1)
  rare = np.bincount(answer, minlength=1)[totals.shape[1] :]
  # Answers beyond the most frequent ones have shares below 1 in 256; the square of these is taken from the data.
  chance = _divide((totals**2).sum(-1), number**2) + (rare.astype(float) ** 2).sum() / max(1, len(answer)) ** 2
  consistency = _divide(agreeing, (examples * pairs).sum(-1))
  return consistency, _divide(observed - chance, np.where(np.isclose(chance, 1), 0, 1 - chance))


def _starts(changes: np.ndarray, count: int) -> np.ndarray:
  """Where the runs of a sequence of `count` values start, given between which of them it changes."""
  return np.flatnonzero(np.r_[True, changes]) if count else np.empty(0, int)


def _by_frequency(answers: np.ndarray) -> tuple[int, np.ndarray]:
  """Number of different answers, and the answers renumbered, the most frequent one 0."""
  _, codes, counts = np.unique(answers, return_inverse=True, return_counts=True)
  rank = np.empty(len(counts), int)
  rank[np.argsort(-counts, kind='stable')] = np.arange(len(counts))
  return len(counts), rank[codes]


def _chunks(rows: np.ndarray) -> list[np.ndarray]:
  return [rows[i : i + _ROWS] for i in range(0, len(rows), _ROWS)]


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """a / b, NaN where b is 0."""
  return np.divide(a, b, out=np.full(np.shape(b), np.nan), where=np.asarray(b) != 0)


def posix(log_probabilities: Float[np.ndarray, '*b k k'], lengths: Float[np.ndarray, '*b k']) -> np.ndarray:
  """POSIX of each example: mean over pairs i, j of |log p(y_j | x_i) - log p(y_j | x_j)| / L_j, in nats per token.

  Args:
    log_probabilities: at [i, j] that of the answer given under phrasing j, under phrasing i.
    lengths: L_j, tokens of the answer given under phrasing j.

  Returns:
    a value per example [*b]; NaN for a single phrasing. The index of a dataset is their mean.

  >>> float(posix(np.array([[-1.0, -5.0], [-2.0, -3.0]]), np.array([2.0, 4.0])))  # (2 / 4 + 1 / 2) / 2
  0.5

  Source: Chatterjee et al. 2024, arXiv 2410.02185.
  """
  k = log_probabilities.shape[-1]
  own = np.diagonal(log_probabilities, axis1=-2, axis2=-1)
  total = (np.abs(log_probabilities - own[..., None, :]) / lengths[..., None, :]).sum((-2, -1))
  return total / (k * (k - 1)) if k > 1 else np.full(total.shape, np.nan)


def posix_of_options(
  log_likelihoods: Float[np.ndarray, '*b k c'], lengths: Float[np.ndarray, '*b c']
) -> Float[np.ndarray, '*b']:
  """POSIX where the answer under each phrasing is the likeliest of the options.

  Args:
    log_likelihoods: of each option under each phrasing, summed over its tokens, in nats.
    lengths: tokens of each option.

  >>> posix_of_options(np.array([[[-5.0, -1.0], [-2.0, -3.0]]]), np.array([[4.0, 2.0]]))  # (3 / 4 + 2 / 2) / 2
  array([0.875])
  """
  best = log_likelihoods.argmax(-1)
  of_answers = np.take_along_axis(log_likelihoods, best[..., None, :], axis=-1)
  return posix(of_answers, np.take_along_axis(lengths, best, axis=-1))


def kendalls_w(accuracies: Float[np.ndarray, 'm n']) -> float:
  """How far m models agree on which of n phrasings are hard: 0 not at all, 1 in full.

  W = 12 S / (m² (n³ - n) - m ΣT), corrected for ties, S the sum of squares of the deviations of the phrasings' rank
  sums from their mean and T the sum of t³ - t over a model's groups of t tied phrasings. NaN for fewer than two models
  or phrasings, or if every model ties all. Source: Kendall and Gibbons 1990, chapter 6.

  >>> kendalls_w(np.array([[0.1, 0.5, 0.9], [0.3, 0.4, 0.6]]))
  1.0
  """
  m, n = accuracies.shape
  if m < 2 or n < 2:
    return np.nan
  ranks = scipy.stats.rankdata(accuracies, axis=1)
  sums = ranks.sum(0)
  s = ((sums - sums.mean()) ** 2).sum()
  ties = sum((t**3 - t).sum() for t in (np.unique(row, return_counts=True)[1].astype(float) for row in ranks))
  rest = m**2 * (n**3 - n) - m * ties
  return float(12 * s / rest) if rest else np.nan
