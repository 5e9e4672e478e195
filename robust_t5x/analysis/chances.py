"""How far the accuracies of phrasings lie apart, when each was evaluated on a few examples of its own.

`beta` and `free` draw each phrasing's chance to be right, given how many of its cells were, under two assumptions about the
distribution over phrasings; `completed` turns chances into accuracies on all examples. `prompteval` puts them together.

Shape letters: N examples, k phrasings, D draws.
"""

import numpy as np
import scipy.special

_MEANS = np.linspace(0.005, 0.995, 100)  # of the phrasings' chances
# Their standard deviation, as a share of the greatest possible one.
_SHARES_OF_WIDTH = np.r_[0.005, np.geomspace(0.01, 0.9, 80)]
_CHANCES = np.linspace(0.0025, 0.9975, 200)  # of a distribution of any shape
_PRIOR_WEIGHT = 2.0  # of its prior, in phrasings
_BURN_IN = 100  # steps before the draws


def beta(right: np.ndarray, cells: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
  """Draws [D, k] of each phrasing's chance to be right, of a beta distribution with a flat prior on its mean and width."""
  mean, width = np.meshgrid(_MEANS, _SHARES_OF_WIDTH, indexing='ij')
  concentration = width**-2 - 1
  a, b = mean * concentration, (1 - mean) * concentration
  log_likelihood = np.zeros_like(a)
  kinds, counts = np.unique(np.stack([right, cells]), axis=1, return_counts=True)
  for (x, m), count in zip(kinds.T, counts, strict=True):
    log_likelihood += count * (scipy.special.betaln(a + x, b + m - x) - scipy.special.betaln(a, b))
  posterior = np.exp(log_likelihood - log_likelihood.max()) * np.gradient(_SHARES_OF_WIDTH)
  cumulative = np.cumsum(posterior.ravel()) / posterior.sum()
  chosen = np.minimum(np.searchsorted(cumulative, rng.random(draws)), cumulative.size - 1)
  return rng.beta(a.ravel()[chosen, None] + right, b.ravel()[chosen, None] + cells - right)


def free(right: np.ndarray, cells: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
  """As `beta`, of a distribution of any shape: a Dirichlet prior on a grid (Ferguson 1973), by Gibbs sampling."""
  log_likelihood = right[:, None] * np.log(_CHANCES) + (cells - right)[:, None] * np.log1p(-_CHANCES)
  likelihood = np.exp(log_likelihood - log_likelihood.max(1, keepdims=True))
  weights = np.full(len(_CHANCES), 1 / len(_CHANCES))
  out = np.empty((draws, len(right)))
  for step in range(-_BURN_IN, draws):
    cumulative = np.cumsum(likelihood * weights, axis=1)
    place = (cumulative < rng.random((len(right), 1)) * cumulative[:, -1:]).sum(1)
    weights = rng.gamma(_PRIOR_WEIGHT / len(_CHANCES) + np.bincount(place, minlength=len(_CHANCES)))
    weights /= weights.sum()
    if step >= 0:
      out[step] = _CHANCES[place]
  return out


def completed(scores: np.ndarray, chance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Accuracies [D, k] on all examples, with the cells that were not evaluated drawn by chances [D, k].

  What an example adds under every phrasing (its intraclass correlation) moves all of them and not their distances.
  """
  there = ~np.isnan(scores)
  left, shared = len(scores) - there.sum(0), intraclass_correlation(scores)
  common, own = rng.standard_normal((len(chance), 1)), rng.standard_normal(chance.shape)
  noise = np.sqrt(1 - shared) * own + np.sqrt(shared) * common
  rest = np.clip(chance + np.sqrt(chance * (1 - chance) / np.maximum(left, 1)) * noise, 0, 1)
  return (np.where(there, scores, 0).sum(0) + left * rest) / len(scores)


def intraclass_correlation(scores: np.ndarray) -> float:
  """How alike an example's scores under two phrasings are, 0 to 1; 0 where no example has two."""
  there = ~np.isnan(scores)
  accuracy = np.divide(np.nansum(scores, axis=0), there.sum(0), out=np.zeros(scores.shape[1]), where=there.any(0))
  centred = np.where(there, scores - accuracy, 0)
  count = there.sum(1)
  products, pairs = (centred.sum(1) ** 2 - (centred**2).sum(1)).sum(), (count * (count - 1)).sum()
  variance = (centred**2).sum() / there.sum()
  return float(np.clip(products / pairs / variance, 0, 1)) if pairs and variance else 0.0
