"""Best, worst and spread of given phrasings: what their accuracies may be, had there been more examples.

The greatest of several measured accuracies is too great, and their spread too wide, by the noise of the examples. So an interval
of such a metric is made from draws of the true accuracies, not of the measured ones: those of k phrasings are taken as normal, in
logits, around a common mean, with a standard deviation whose posterior follows from the data (a flat prior), and measured with
the noise that resampled examples show, or where all are right or wrong that of a share. Draws shrink towards the mean as far as
the noise says, and where nothing tells the phrasings apart they are alike. The noise of one resample serves all phrasings, seeds
and models, so that what they share cancels in a difference.

Phrasings are taken as given here: the interval is of these, on examples like these. Coverage: docs/statistics.md.

Source: Morris 1983 (empirical Bayes, with the uncertainty of the spread); Gelman 2006 (the prior); Efron and Tibshirani 1993, chapter 6.
"""

from jaxtyping import Float
import numpy as np
import scipy.special
import scipy.stats

# Standard deviations of phrasings, in logits, whose posterior is computed.
_WIDTHS = np.r_[0.0, np.geomspace(0.01, 5.0, 100)]


def draw(
  scores: Float[np.ndarray, '*runs n k'], weights: Float[np.ndarray, 'r n'], rng: np.random.Generator
) -> Float[np.ndarray, 'r *runs k']:
  """Accuracies that the phrasings may have.

  Args:
    scores: 0 to 1, NaN where a cell was not evaluated.
    weights: how often each resample holds each example; the first row is the data's, all 1, and gives their accuracies
      as they are.
    rng: source of randomness, for the spread.

  Returns:
    the measured accuracies, and then draws of the true ones.
  """
  resampled = _accuracies(scores, weights)
  n = max(int((~np.isnan(scores)).any(-1).reshape(-1, scores.shape[-2]).sum(-1).max()), 2)
  measured = _logit(resampled[0], n)
  # Resamples vary by (n - 1) / n of what examples do, and few of them have Student's tails.
  wider = np.sqrt(n / (n - 1)) * scipy.stats.t.ppf(0.975, n - 1) / scipy.stats.norm.ppf(0.975)
  noise = (_logit(resampled[1:], n) - measured) * wider
  _at_the_edge(noise, scores, measured, rng)
  _of_twins(noise, measured, n, rng)
  out = np.array(resampled)
  k = scores.shape[-1]
  for run in np.ndindex(measured.shape[:-1]):
    known = ~np.isnan(measured[run])
    if known.sum() < 2:
      out[(slice(1, None), *run)] = scipy.special.expit(measured[run] + noise[(slice(None), *run)])
      continue
    place = (slice(1, None), *run)
    drawn = _shrunk(measured[run][known], np.nan_to_num(noise[(slice(None), *run)][:, known]), rng)
    full = np.full((len(drawn), k), np.nan)
    full[:, known] = scipy.special.expit(drawn)
    out[place] = full
  return out


def _at_the_edge(
  noise: Float[np.ndarray, 'r *runs k'],
  scores: Float[np.ndarray, '*runs n k'],
  measured: Float[np.ndarray, '*runs k'],
  rng: np.random.Generator,
) -> None:
  """Gives noise to phrasings with all examples right, or none, whose resamples are all the same: Jeffreys' draws of a share.

  How phrasings share it cannot be seen. Half of it is taken to be common to them, as noise of examples mostly is.
  """
  right, count = np.nansum(scores, -2), (~np.isnan(scores)).sum(-2)  # [*runs, k]
  edge = (count > 0) & ((right == 0) | (right == count))
  if not edge.any():
    return
  draws = rng.spawn(1)[0].standard_normal((len(noise), 1 + scores.shape[-1]))
  shares = scipy.stats.norm.cdf((draws[:, :1] + draws[:, 1:]) / np.sqrt(2))  # [r, k]
  for place in zip(*np.nonzero(edge), strict=True):
    wrong = scipy.stats.beta.ppf(shares[:, place[-1]], 0.5, count[place] + 0.5)
    # Logits nearer to the edge than half of where a share is put that was measured there say nothing more of the accuracy.
    drawn = scipy.special.logit(wrong.clip(0.25 / (count[place] + 1)))
    noise[(slice(None), *place)] = (drawn if right[place] == 0 else -drawn) - measured[place]


def _of_twins(
  noise: Float[np.ndarray, 'r *runs k'], measured: Float[np.ndarray, '*runs k'], n: int, rng: np.random.Generator
) -> None:
  """Gives noise to phrasings that are all right on the same examples, whose resamples never differ: an example of n each."""
  twins = (np.ptp(np.nan_to_num(noise), axis=-1) < 1e-9).all(0) & (noise.shape[-1] > 1)  # [*runs]
  if twins.any():
    p = scipy.special.expit(measured)
    own = rng.spawn(1)[0].standard_normal((len(noise), noise.shape[-1]))
    for run in np.argwhere(twins):
      noise[(slice(None), *run)] += own / (n * p[*run] * (1 - p[*run]))


def _accuracies(
  scores: Float[np.ndarray, '*runs n k'], weights: Float[np.ndarray, 'r n']
) -> Float[np.ndarray, 'r *runs k']:
  """Accuracies of resamples: the cost is that of a matrix product, and nothing is copied for each resample."""
  there = ~np.isnan(scores)
  total, count = (np.moveaxis(weights @ values, -2, 0) for values in (np.where(there, scores, 0), there))
  return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _shrunk(
  measured: Float[np.ndarray, ' k'], noise: Float[np.ndarray, 'r k'], rng: np.random.Generator
) -> Float[np.ndarray, 'r k']:
  """Draws of the true values, in logits, given measured ones and draws of their noise."""
  k = len(measured)
  common = noise.mean(-1, keepdims=True)
  own = noise - common
  variance = (own**2).mean(0) * k / (k - 1) + 1e-9
  precision = 1 / (_WIDTHS[:, None] ** 2 + variance)  # [widths, k]
  mean = (precision * measured).sum(-1) / precision.sum(-1)
  log_posterior = 0.5 * (
    np.log(precision).sum(-1) - np.log(precision.sum(-1)) - (precision * (measured - mean[:, None]) ** 2).sum(-1)
  )
  posterior = np.exp(log_posterior - log_posterior.max()) * np.gradient(_WIDTHS)
  cumulative = np.cumsum(posterior) / posterior.sum()
  chosen = np.minimum(np.searchsorted(cumulative, rng.random(len(noise))), len(_WIDTHS) - 1)
  share = _WIDTHS[chosen, None] ** 2 * precision[chosen]
  return mean[chosen, None] + share * (measured - mean[chosen, None]) + np.sqrt(share) * own + common


def _logit(accuracy: np.ndarray, n: int) -> np.ndarray:
  """Logits of accuracies on n examples; none or all right count as half an example from it."""
  least = 0.5 / (n + 1)
  return scipy.special.logit(np.clip(accuracy, least, 1 - least))
