"""What wording does to a model, beside accuracies: drop rate, phrasings needed, POSIX; and where accuracy leaves no room for it.

All of a comparison (`comparison.compare`), for a model and a group of phrasings.
"""

from collections.abc import Iterator
import dataclasses
import json

import numpy as np
import pandas as pd
import scipy.stats

from robust_t5x.analysis import metrics
from robust_t5x.analysis.agreement import posix_of_options
from robust_t5x.analysis.comparison import Comparison
from robust_t5x.results.schema import EXAMPLE

MOST_EXAMPLES = 1000  # of a dataset that POSIX is computed on
_NEAR = 0.02  # of a floor without options, or of the ceiling


@dataclasses.dataclass(frozen=True)
class Posix:
  """POSIX of a model under a group.

  Attributes:
    value: mean over examples and then datasets, in nats per token.
    examples: that it was computed on.
    left_out: examples that have no two phrasings with the same options, or that are beyond MOST_EXAMPLES.
  """

  value: float
  examples: int
  left_out: int


def accuracies(comparison: Comparison, model: str, group: str) -> dict[str, np.ndarray]:
  """Dataset -> accuracy of each phrasing of a group, mean over the model's seeds."""
  runs = comparison.runs_of(model)
  return {
    dataset: metrics.phrasing_accuracy(groups[group][runs]).mean(0)
    for dataset, groups in comparison.datasets.items()
    if group in groups
  }


def drop_rate(comparison: Comparison, model: str, group: str, reference: str) -> float:
  """Performance drop rate of a group against another, of mean accuracies over the datasets that have both.

  Source: PromptBench, Zhu et al. 2023, arXiv 2306.04528.
  """
  changed, original = (accuracies(comparison, model, g) for g in (group, reference))
  both = [d for d in original if d in changed]
  if not both:
    return np.nan
  return metrics.performance_drop_rate(*(float(np.mean([np.nanmean(a[d]) for d in both])) for a in (original, changed)))


def phrasings_needed(comparison: Comparison, model: str, group: str, epsilon: float, delta: float) -> dict[str, int]:
  """Dataset -> how many of its phrasings have a mean within epsilon of that of all, with probability 1 - delta."""
  return {
    dataset: metrics.phrasings_needed(a, epsilon, delta) for dataset, a in accuracies(comparison, model, group).items()
  }


def posix(comparison: Comparison, model: str, group: str) -> Posix | None:
  """POSIX of a model's first run, where the options' log-likelihoods are known; None elsewhere.

  The answer under a phrasing is its likeliest option. An answer can be scored under another phrasing only if that has
  the same options, so phrasings that ask for letters and for texts make no pairs.
  """
  ranked = _ranked(comparison, model, group)
  ranked = ranked[(ranked['scorer'] == 'rank_likelihood') & (ranked['option_tokens'] != '')]
  values, left_out, count = [], 0, 0
  for _, rows in ranked.groupby('dataset', sort=False):
    examples = rows['example_id'].unique()
    chosen = rows[rows['example_id'].isin(examples[:MOST_EXAMPLES])]
    found = list(_of_examples(chosen))
    left_out += len(examples) - len(found)
    count += len(found)
    if found:
      values.append(float(np.mean(found)))
  return Posix(float(np.mean(values)), count, left_out) if values else None


def _of_examples(rows: pd.DataFrame) -> Iterator[float]:
  """POSIX of each example that has two phrasings with the same options, the largest set of such phrasings counted."""
  for _, of_example in rows.groupby('example_id', sort=False):
    by_options: dict[tuple[str, ...], list[list[float]]] = {}
    tokens: dict[tuple[str, ...], list[int]] = {}
    for scores, lengths in zip(of_example['option_scores'], of_example['option_tokens'], strict=True):
      read, counts = json.loads(scores), json.loads(lengths)
      if len(read) == len(counts):  # options of the same text have one score between them
        by_options.setdefault(tuple(read), []).append(list(read.values()))
        tokens[tuple(read)] = counts
    options = max(by_options, key=lambda o: len(by_options[o]), default=None)
    if options is not None and len(by_options[options]) > 1:
      yield float(posix_of_options(np.array([by_options[options]]), np.array([tokens[options]], float))[0])


def without_room(comparison: Comparison, model: str, group: str) -> dict[str, str]:
  """Dataset -> "floor" or "ceiling", where the model is there under all phrasings: a small spread is no robustness then.

  At the ceiling every accuracy is 98% or more. At the floor none is above what guessing among the options gives, by a
  one-sided binomial test at 5% with Bonferroni's rule over the phrasings; without options, none is above 2%.
  """
  found = {}
  chances = guessing(_ranked(comparison, model, group))
  for dataset, a in accuracies(comparison, model, group).items():
    known = ~np.isnan(a)
    a = a[known]
    if not len(a):
      continue
    scores = comparison.datasets[dataset][group][comparison.runs_of(model).start]
    n = (~np.isnan(scores)).sum(0)[known]  # cells of each phrasing, which may be a sample of them
    chance = chances.get(dataset, 0.0)
    above = a > _NEAR
    if chance and len(scores) > 1:
      above = scipy.stats.binom.sf(np.ceil(a * n - 1e-9) - 1, n, chance) < 0.05 / len(a)
    if (a >= 1 - _NEAR).all():
      found[dataset] = 'ceiling'
    elif not above.any():
      found[dataset] = 'floor'
  return found


def guessing(ranked: pd.DataFrame) -> dict[str, float]:
  """Dataset -> accuracy of an option at random, of one right option each.

  Args:
    ranked: results whose options were ranked.
  """
  # Where tokens are not told, as in results of others, options of one text are one.
  options = [
    1 + tokens.count(',') if tokens.strip('[]') else len(json.loads(scores))
    for tokens, scores in zip(ranked['option_tokens'], ranked['option_scores'], strict=True)
  ]
  shares = 1 / pd.Series(options, ranked.index, dtype=float)
  return shares.groupby(ranked['dataset'], sort=False).mean().to_dict()


def _ranked(comparison: Comparison, model: str, group: str) -> pd.DataFrame:
  """The rows of a model's first run under a group whose options were ranked; none where that is not known."""
  table = comparison.sources[comparison.runs_of(model).start].table if comparison.grain == EXAMPLE else pd.DataFrame()
  if not {'option_scores', 'option_tokens'} <= set(table):
    return pd.DataFrame(columns=['dataset', 'scorer', 'option_scores', 'option_tokens'], dtype=str)
  return table[(table['group'] == group) & ~table['option_scores'].isin(['', '{}'])]
