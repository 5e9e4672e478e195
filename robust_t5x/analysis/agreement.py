"""Agreement over phrasings: of answers, of the likelihood of answers, and of models about which phrasings are hard.

Answers are given as whole numbers, the same number for the same answer, -1 where a cell was not evaluated.
"""

from jaxtyping import Float, Int
import numpy as np
import scipy.sparse
import scipy.stats

_MOST_ANSWERS = 256  # whose share is followed through resamples

CONSISTENCY, KAPPA = 'consistency', "Fleiss' kappa"

Answers = Int[np.ndarray, '*b n k']


def consistency_rate(answers: Answers) -> Float[np.ndarray, '*b']:
  """Share of the pairs of phrasings, of all examples together, that have the same answer.

  NaN if no example has two answers. Source: SCORE, Nalbandyan et al. 2025, arXiv 2503.00137.

  >>> float(consistency_rate(np.array([[0, 1], [2, 2]])))
  0.5
  """
  return of_resamples(answers, np.ones((1, answers.shape[-2])))[CONSISTENCY][0]


def fleiss_kappa(answers: Answers) -> Float[np.ndarray, '*b']:
  """Agreement of phrasings beyond what the frequencies of the answers alone give: 1 at best, 0 by chance.

  Examples with fewer than two answers are left out. NaN if all answers are the same, when chance agrees fully too.
  Source: Fleiss 1971, with phrasings as raters.

  >>> round(float(fleiss_kappa(np.array([[0, 1], [2, 2]]))), 3)  # (1/2 - 6/16) / (1 - 6/16)
  0.2
  """
  return of_resamples(answers, np.ones((1, answers.shape[-2])))[KAPPA][0]


def of_resamples(answers: Answers, weights: Float[np.ndarray, 'r n']) -> dict[str, np.ndarray]:
  """CONSISTENCY and KAPPA of resamples of the examples.

  Args:
    answers: under each phrasing.
    weights: how often each resample holds each example.

  Returns:
    [R, *b] of each.

  >>> of_resamples(np.array([[0, 1], [2, 2]]), np.array([[1, 1], [0, 2]]))[CONSISTENCY]
  array([0.5, 1. ])
  """
  *leading, n, k = answers.shape
  parts = [_agreement(part, weights) for part in answers.reshape(-1, n, k)]
  return {
    name: np.stack(found, axis=1).reshape(len(weights), *leading)
    for name, found in zip((CONSISTENCY, KAPPA), zip(*parts, strict=True), strict=True)
  }


def _agreement(
  answers: Int[np.ndarray, 'n k'], weights: Float[np.ndarray, 'r n']
) -> tuple[Float[np.ndarray, ' r'], Float[np.ndarray, ' r']]:
  """Consistency and kappa. All is counted in ordered pairs of different phrasings: m that answer alike are m² - m pairs."""
  example, phrasing = np.nonzero(answers >= 0)
  answer, frequencies = _by_frequency(answers[example, phrasing])
  alike = scipy.sparse.coo_array(
    (np.ones(len(example)), (example, answer)), (len(answers), len(frequencies))
  ).tocsr()  # how often each example has each answer
  count = (answers >= 0).sum(-1)
  pairs = count**2 - count
  usable = pairs > 0
  same = alike.power(2).sum(-1) - count
  consistency = _divide(weights @ same, weights @ pairs)
  shares = np.divide(same, pairs, out=np.zeros(len(answers)), where=usable)
  observed = _divide(weights @ shares, weights @ usable)
  totals = alike[:, :_MOST_ANSWERS].T @ (weights * usable).T  # [answers, R]
  # Answers beyond the most frequent ones have shares below 1 in 256; the square of these is taken from the data.
  rare = (frequencies[_MOST_ANSWERS:].astype(float) ** 2).sum() / max(1, len(answer)) ** 2
  chance = _divide((totals**2).sum(0), (weights @ (count * usable)) ** 2) + rare
  return consistency, _divide(observed - chance, np.where(np.isclose(chance, 1), 0, 1 - chance))


def _by_frequency(answers: Int[np.ndarray, ' c']) -> tuple[Int[np.ndarray, ' c'], Int[np.ndarray, ' a']]:
  """The answers renumbered, the most frequent one 0, and how often each occurs."""
  _, codes, counts = np.unique(answers, return_inverse=True, return_counts=True)
  order = np.argsort(-counts, kind='stable')
  rank = np.empty(len(counts), int)
  rank[order] = np.arange(len(counts))
  return rank[codes], counts[order]


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """a / b, NaN where b is 0."""
  return np.divide(a, b, out=np.full(b.shape, np.nan), where=b != 0)


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
