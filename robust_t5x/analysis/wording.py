"""What wording does: stated features of phrasings, and the accuracy that goes with them.

Of the accuracies of phrasings y[d, i] of datasets d, the effect of a feature x is the slope b of

  y[d, i] = level[d, group] + x[d, i] b + error,

fitted within each dataset and group, alone and together with all other features. A phrasing that serves several datasets is one:
standard errors are those of the jackknife over phrasings, Student's with their number less 1 (CV3, which does not promise too much with few
clusters). These are associations: who words a phrasing as a question words other things differently too.

Source: fixed effects and clusters, Cameron and Miller 2015, sections 2 and 6; the jackknife, MacKinnon, Nielsen and Webb 2023.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import re

from jaxtyping import Float
import numpy as np
import pandas as pd
import scipy.stats

from robust_t5x.analysis.comparison import Comparison
from robust_t5x.analysis.significance import HOLM, adjust
from robust_t5x.analysis.statistics import Interval
from robust_t5x.results.schema import OBSERVED, UNOBSERVED
from seqio_tasks.bank.likeness import likeness
from seqio_tasks.errors import UserError

GROUPS = (OBSERVED, UNOBSERVED, 'correct', 'default')  # that say the same; others are meant to differ
LIKENESS = 'likeness to the nearest observed phrasing, 0 to 1'
_POLITE = re.compile(r'\b(please|kindly|thanks?|(could|would|can|will) you)\b', re.IGNORECASE)
_FIELD = re.compile(r'\{([^{}]*)\}')
_QUOTED = re.compile(r'["“”«»\'`]\s*\{|\}\s*["“”«»\'`]')
_FEWEST = 3  # phrasings that differ in a feature, and that do not
_FEWEST_CLUSTERS = 8
_MOST_PAIRS = 100_000  # of phrasings whose likeness is computed, which takes some seconds


def features(template: str) -> dict[str, float]:
  """What can be said of a phrasing by its text, fields in braces; 0 or 1 but for the length.

  >>> {k: v for k, v in features('Please choose: {options} Which one is "{word}"?').items() if v}
  {'10 words more': 0.5, 'a question': 1.0, 'polite': 1.0, 'quotes around a field': 1.0, 'lists the options': 1.0, 'options before the rest': 1.0}
  """
  fields = [match[1] for match in _FIELD.finditer(template)]
  listed = [i for i, name in enumerate(fields) if name.startswith('options')]
  others = [i for i, name in enumerate(fields) if not name.startswith('option')]
  text = _FIELD.sub(' ', template)
  return {
    '10 words more': len(re.findall(r'\w+', text)) / 10,
    'a question': float('?' in text),
    'polite': float(bool(_POLITE.search(text))),
    'quotes around a field': float(bool(_QUOTED.search(template))),
    'lists the options': float(bool(listed)),
    'options before the rest': float(bool(listed) and bool(others) and listed[0] < others[0]),
  }


@dataclasses.dataclass(frozen=True)
class Effect:
  """What goes with a feature of phrasings.

  Attributes:
    feature: which.
    alone: difference of accuracy that goes with it, with its 95% interval.
    together: the same, all other features held; None where these do not leave it anything.
    p: two-sided, of `alone`.
    p_adjusted: by Holm over the features.
    phrasings: that the features are known of.
    differing: phrasings of datasets and groups in which the feature differs.
  """

  feature: str
  alone: Interval
  together: Interval | None
  p: float
  p_adjusted: float
  phrasings: int
  differing: int


def effects(comparison: Comparison, model: str) -> list[Effect]:
  """Effects of the features of phrasings on a model's accuracy, over the datasets; empty where few phrasings tell."""
  frame = comparison.phrasings
  frame = frame[
    frame['group'].isin(GROUPS) & frame['template'].map(lambda t: isinstance(t, str) and t != '') & frame[model].notna()
  ]
  if not len(frame):
    return []
  by_template = {t: features(t) for t in frame['template'].unique()}
  table = pd.DataFrame([by_template[t] for t in frame['template']], index=frame.index)
  table[LIKENESS] = _likeness(frame)
  place = frame['dataset'].astype(str) + '\0' + frame['group'].astype(str)
  clusters = pd.factorize(frame['instruction_id'])[0]
  y = _within(frame[[model]], place)[:, 0]
  within = {
    name: _within(table[[name]].fillna(table[name].mean()), place)[:, 0] for name in table if table[name].notna().any()
  }
  kept = [name for name, x in within.items() if _differs(x, clusters)]
  if not kept or len(set(clusters)) < _FEWEST_CLUSTERS:
    return []
  alone = {name: slopes(within[name][:, None], y, clusters)[0] for name in kept}
  joint: Sequence[tuple[Interval, float] | None] = [None] * len(kept)
  x = np.stack([within[name] for name in kept], axis=1)
  if len(kept) > 1 and np.linalg.matrix_rank(x) == len(kept) and len(set(clusters)) > 3 * len(kept):
    joint = slopes(x, y, clusters)
  adjusted = adjust([alone[name][1] for name in kept], HOLM)
  return [
    Effect(
      name,
      alone[name][0],
      found[0] if found else None,
      alone[name][1],
      float(p),
      len(set(clusters)),
      _differing(within[name], clusters),
    )
    for name, found, p in zip(kept, joint, adjusted, strict=True)
  ]


def slopes(
  x: Float[np.ndarray, 'n f'], y: Float[np.ndarray, ' n'], clusters: np.ndarray, level: float = 0.95
) -> list[tuple[Interval, float]]:
  """Least squares without constant, jackknifed over clusters: each slope with its interval, and its p-value.

  Args:
    x: features, centred.
    y: what they are to explain, centred.
    clusters: number of each row's cluster, from 0.
    level: probability that an interval covers.

  >>> x, y = np.array([[-1.0], [0.0], [1.0]]), np.array([-1.0, 0.0, 2.0])  # 1.5; left out in turn 2, 1.5, 1
  >>> (slope, p), = slopes(x, y, np.arange(3))  # variance 2/3 of 0.25 + 0 + 0.25
  >>> round(slope.estimate, 3), round(p, 3)
  (1.5, 0.122)
  """
  count = int(clusters.max()) + 1
  products = np.zeros((count, x.shape[1], x.shape[1]))
  np.add.at(products, clusters, x[:, :, None] * x[:, None, :])
  with_y = np.zeros((count, x.shape[1]))
  np.add.at(with_y, clusters, x * y[:, None])
  whole, right = products.sum(0), with_y.sum(0)
  estimate = np.linalg.solve(whole, right)
  # A feature that a single cluster has leaves nothing to solve; the least solution stands for it.
  without = np.einsum('gij,gj->gi', np.linalg.pinv(whole - products, hermitian=True), right - with_y)
  variance = (count - 1) / count * ((without - estimate) ** 2).sum(0)
  error = np.sqrt(variance)
  at = scipy.stats.t.ppf((1 + level) / 2, count - 1)
  return [
    (
      Interval(float(b), float(b - at * e), float(b + at * e)),
      float(2 * scipy.stats.t.sf(abs(b) / e, count - 1)) if e > 0 else float(b == 0),
    )
    for b, e in zip(estimate, error, strict=True)
  ]


def _within(values: pd.DataFrame, place: pd.Series) -> np.ndarray:
  """Values less their means over the rows of a place."""
  return (values - values.groupby(place, sort=False).transform('mean')).to_numpy(float)


def _differing(x: np.ndarray, clusters: np.ndarray) -> int:
  return len(set(clusters[np.abs(x) > 1e-9]))


def _differs(x: np.ndarray, clusters: np.ndarray) -> bool:
  """Whether enough phrasings are on either side of the mean."""
  return all(len(set(clusters[side])) >= _FEWEST for side in (x > 1e-9, x < -1e-9))


def _nearest(template: str, others: Sequence[str]) -> float:
  try:
    return max(likeness(template, other) for other in others)
  except UserError:  # braces that are no fields
    return np.nan


def _likeness(frame: pd.DataFrame) -> list[float]:
  """Of each phrasing to the nearest observed one of its dataset; NaN for observed ones, and where there is none.

  NaN for all where there are too many pairs.
  """
  observed: Mapping[str, list[str]] = {
    str(d): list(part['template'].unique())
    for d, part in frame[frame['group'] == OBSERVED].groupby('dataset', sort=False)
  }
  pairs = sum(
    len(observed.get(str(d), ())) * part['template'].nunique() for d, part in frame.groupby('dataset', sort=False)
  )
  if pairs > _MOST_PAIRS:
    return [np.nan] * len(frame)
  known: dict[tuple[str, tuple[str, ...]], float] = {}
  found = []
  for dataset, group, template in zip(frame['dataset'], frame['group'], frame['template'], strict=True):
    others = tuple(observed.get(str(dataset), ()))
    if group == OBSERVED or not others:
      found.append(np.nan)
      continue
    if (template, others) not in known:
      known[template, others] = _nearest(template, others)
    found.append(known[template, others])
  return found
