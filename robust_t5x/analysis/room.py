"""A spread over phrasings against what it can be: what noise alone makes of it, and what the mean leaves room for.

If wording did nothing, the scores of an example under k phrasings could be exchanged with each other. Then the accuracies of the
phrasings still differ, by the noise of single answers; that phrasings share their examples makes it smaller than binomial noise.
Whether they differ by more is Cochran's Q test, for graded scores and missing cells in its general form, the quadratic form of
the phrasings' sums in the inverse of their covariance under exchange.

A mean near 0 or 1 leaves little room: k accuracies between 0 and 1 with mean μ lie furthest apart where all but one are 0 or 1.

Source: Cochran 1950; Skillings and Mack 1981 (missing cells); Popoviciu 1935 (the bound).
"""

import dataclasses

from jaxtyping import Float
import numpy as np
import pandas as pd
import scipy.stats

from robust_t5x.analysis import metrics
from robust_t5x.analysis.comparison import Comparison
from robust_t5x.results.schema import EXAMPLE


@dataclasses.dataclass(frozen=True)
class Room:
  """The standard deviation of the phrasings' accuracies, and what it is to be set against.

  Attributes:
    mean: of the accuracies.
    sd: of the accuracies, measured.
    noise: the sd to be expected if wording did nothing; NaN where there are no scores of examples.
    most: the greatest sd that so many accuracies with this mean can have.
    q: Cochran's statistic; NaN where no example was answered under two phrasings.
    freedom: its degrees of freedom.
  """

  mean: float
  sd: float
  noise: float
  most: float
  q: float
  freedom: int

  @property
  def beyond(self) -> float:
    """The sd beyond noise, 0 where noise is greater."""
    return float(np.sqrt(max(self.sd**2 - self.noise**2, 0.0))) if not np.isnan(self.noise) else np.nan

  @property
  def p(self) -> float:
    """Of the test that wording does nothing; 1 where no example has different scores, NaN where Q is not known."""
    if np.isnan(self.q):
      return np.nan
    return float(scipy.stats.chi2.sf(self.q, self.freedom)) if self.freedom else 1.0


def of_scores(scores: Float[np.ndarray, 'n k']) -> Room | None:
  """Of scores 0 to 1, NaN where a cell was not evaluated; None for fewer than two phrasings.

  >>> found = of_scores(np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
  >>> round(found.sd, 3), round(found.noise, 3), round(found.q, 3), found.freedom  # 3/4 and 2/4; (b - c)² / (b + c) of McNemar
  (0.177, 0.306, 0.333, 1)
  """
  scores = scores[:, ~np.isnan(scores).all(0)]
  n, k = scores.shape
  if k < 2:
    return None
  accuracies = metrics.phrasing_accuracy(scores)
  mean = float(accuracies.mean())
  if n == 1:  # accuracies of phrasings, whose noise is not known
    return Room(mean, float(accuracies.std(ddof=1)), np.nan, greatest_sd(mean, k), np.nan, 0)
  q, freedom, noise = *_cochran(scores), _noise(scores)
  return Room(mean, float(accuracies.std(ddof=1)), noise, greatest_sd(mean, k), q, freedom)


def greatest_sd(mean: float, k: int) -> float:
  """The greatest sample standard deviation of k numbers between 0 and 1 with this mean.

  >>> round(greatest_sd(0.5, 2), 3), round(greatest_sd(0.1, 4), 3)  # 0 and 1; three of 0 and one of 0.4
  (0.707, 0.2)
  """
  ones = min(int(np.floor(k * mean + 1e-9)), k)
  numbers = np.r_[np.ones(ones), np.full(1, max(k * mean - ones, 0.0)), np.zeros(k)][:k]
  return float(numbers.std(ddof=1))


def of_comparison(comparison: Comparison, model: str, group: str) -> dict[str, Room]:
  """Dataset -> its room, of the mean over a model's seeds; without datasets of a single phrasing."""
  runs = comparison.runs_of(model)
  found = {d: of_scores(groups[group][runs].mean(0)) for d, groups in comparison.datasets.items() if group in groups}
  return {d: room for d, room in found.items() if room is not None}


@dataclasses.dataclass(frozen=True)
class Form:
  """Answers in the form of an option, apart from right ones; means over datasets, and sd over their phrasings.

  Attributes:
    share: of all outputs that are an option, or have none to be: a table does not tell the two apart.
    share_sd: over phrasings.
    accuracy: of those outputs.
    accuracy_sd: over phrasings.
    elsewhere: share of all outputs that are none and yet commit to the right one (scorer `extracted`).
  """

  share: float
  share_sd: float
  accuracy: float
  accuracy_sd: float
  elsewhere: float


def form(comparison: Comparison, model: str, group: str) -> Form | None:
  """Of a model under a group; None where all outputs have the form of an option, or nothing tells.

  A phrasing without such an output counts in the share alone.
  """
  parts = [s.table for s in comparison.sources if s.label == model and comparison.grain == EXAMPLE]
  parts = [t[t['group'] == group] for t in parts if 'matched_option' in t]
  if not parts:
    return None
  table = pd.concat(parts, ignore_index=True)
  if not len(table) or table['matched_option'].all():
    return None
  strict = table['strict_score'] if 'strict_score' in table else table['score']
  extracted = table['extracted_score'] if 'extracted_score' in table else table['score'] * np.nan
  told = pd.DataFrame(
    {
      'dataset': table['dataset'], 'phrasing': table['instruction_id'], 'share': table['matched_option'].astype(float),
      'accuracy': strict.fillna(table['score']).where(table['matched_option']),
      'elsewhere': (~table['matched_option'] & (extracted == 1)).astype(float),
    }
  )  # fmt: skip
  of_phrasings = told.groupby(['dataset', 'phrasing'], sort=False)[['share', 'accuracy', 'elsewhere']].mean()
  of_datasets = of_phrasings.groupby('dataset', sort=False)
  mean, sd = of_datasets.mean().mean(), of_datasets.std(ddof=1).mean()
  return Form(mean['share'], sd['share'], mean['accuracy'], sd['accuracy'], mean['elsewhere'])


def _cochran(scores: Float[np.ndarray, 'n k']) -> tuple[float, int]:
  """Q and its degrees of freedom; (NaN, 0) where no example has two scores."""
  there = ~np.isnan(scores)
  count = there.sum(1)
  scores, there, count = scores[count > 1], there[count > 1].astype(float), count[count > 1]
  if not len(scores):
    return np.nan, 0
  filled = np.where(there > 0, scores, 0.0)
  means = filled.sum(1) / count
  centred = (filled - means[:, None]) * there
  variance = (centred**2).sum(1) / (count - 1)
  sums = centred.sum(0)
  covariance = np.diag(variance @ there) - (there * (variance / count)[:, None]).T @ there
  sizes, directions = np.linalg.eigh(covariance)
  kept = sizes > 1e-9 * max(sizes.max(), 1e-300)
  if sizes.max() < 1e-12:
    return 0.0, 0
  projected = directions[:, kept].T @ sums
  return float((projected**2 / sizes[kept]).sum()), int(kept.sum())


def _noise(scores: Float[np.ndarray, 'n k']) -> float:
  """sd of the accuracies if wording did nothing.

  Where cells are missing, phrasings also differ in their examples: of the variance between examples, two phrasings with n and m of
  them, c in common, have 1/n + 1/m - 2c / (n m) of it between them.
  """
  there = ~np.isnan(scores)
  per_example, per_phrasing, k = there.sum(1), there.sum(0), scores.shape[1]
  filled = np.where(there, scores, 0.0)
  means = np.divide(filled.sum(1), per_example, out=np.zeros(len(scores)), where=per_example > 0)
  total = float(np.nanvar(scores))
  pairs = int((per_example[per_example > 1] - 1).sum())
  squares = float((((filled - means[:, None]) ** 2) * there).sum())
  within = squares / pairs if pairs else total
  between = max(total - within, 0.0)
  own = float((1 / per_phrasing).sum())
  common = float(((there / per_phrasing).sum(1) ** 2).sum()) - own  # Σ c / (n m) over pairs of phrasings
  apart = max(own / k - common / (k * (k - 1)), 0.0)
  return float(np.sqrt(within * own / k + between * apart))
