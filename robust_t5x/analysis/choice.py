"""Which phrasing to use: the one that measured best, what it may be expected to score, and what choosing is worth.

The best of several measured accuracies is too good by the luck of its examples (the winner's curse). So its expected accuracy is the
mean of draws of the true accuracies, which shrink towards their mean as far as the noise says (`extremes`), and so is the probability
that it is among the best three. What choosing on m examples is worth is measured by cross-fitting: the phrasing is chosen on m of the
examples and scored on the others, many times over.

Source: Morris 1983; Efron 2011 (selection and shrinkage); Stone 1974 (cross-validation of a choice).
"""

from collections.abc import Sequence
import dataclasses

from jaxtyping import Float
import numpy as np

from robust_t5x.analysis.comparison import Comparison
from robust_t5x.analysis.statistics import Interval
from robust_t5x.results.schema import EXAMPLE

TOP = 3
_SPLITS = 200
SIZES = (10, 20, 50, 100, 200, 500, 1000)  # of examples to choose on


@dataclasses.dataclass(frozen=True)
class Choice:
  """The best phrasing of a dataset under a model.

  Attributes:
    dataset: of it.
    instruction_id: of the phrasing.
    measured: its accuracy on the examples at hand, which is too high.
    expected: what it may be expected to score on other examples.
    top: probability that it is among the best TOP of its group.
    gain: expected accuracy less that of the mean phrasing.
    over_default: the same less that of the default wording, where there is one.
  """

  dataset: str
  instruction_id: str
  measured: float
  expected: Interval
  top: float
  gain: Interval
  over_default: Interval | None


@dataclasses.dataclass(frozen=True)
class Worth:
  """What choosing on some examples is worth.

  Attributes:
    examples: that the phrasing is chosen on.
    gain: accuracy of the chosen phrasing on other examples less the mean over phrasings, mean over datasets and splits.
    seeming: the same on the examples that it was chosen on.
    datasets: that have twice as many examples.
  """

  examples: int
  gain: float
  seeming: float
  datasets: int


def recommend(comparison: Comparison, model: str, group: str, default: str = 'default') -> list[Choice]:
  """The best phrasing of each dataset; none where there are no scores of examples, or a single example or phrasing.

  Args:
    comparison: of results.
    model: one of them.
    group: whose phrasings are chosen from.
    default: group of the benchmark's own wording.
  """
  if comparison.grain != EXAMPLE:
    return []
  found = []
  for dataset, groups in comparison.datasets.items():
    if group not in groups or min(groups[group].shape[-2:]) < 2:
      continue
    draws = comparison.accuracy_draws(dataset, group, model)
    usual = comparison.accuracy_draws(dataset, default, model) if default in groups and default != group else None
    found.append(_best(dataset, comparison.names[dataset, group], draws, usual))
  return found


def _best(
  dataset: str, names: Sequence[str], draws: Float[np.ndarray, 'r k'], usual: Float[np.ndarray, 'r j'] | None
) -> Choice:
  """The choice from accuracies [1 + R, k] that were measured, and draws of the true ones."""
  best = int(np.nanargmax(draws[0]))
  chosen, mean = draws[:, best], np.nanmean(draws, axis=1)
  rank = (draws[1:] > chosen[1:, None]).sum(1)
  over = None if usual is None else _interval(chosen - np.nanmean(usual, axis=1))
  return Choice(
    dataset,
    names[best],
    float(draws[0, best]),
    _interval(chosen),
    float((rank < TOP).mean()),
    _interval(chosen - mean),
    over,
  )


def _interval(draws: np.ndarray) -> Interval:
  """Mean and middle 95% of draws, the first of which is of the data and does not count."""
  low, high = np.quantile(draws[1:], [0.025, 0.975])
  return Interval(float(draws[1:].mean()), float(low), float(high))


def worth(comparison: Comparison, model: str, group: str) -> list[Worth]:
  """What choosing on m examples is worth, for each m of SIZES that some dataset has twice; datasets without are left out."""
  if comparison.grain != EXAMPLE:
    return []
  runs = comparison.runs_of(model)
  tables = [
    np.nanmean(groups[group][runs], axis=0) if len(comparison.runs[model]) > 1 else groups[group][runs][0]
    for groups in comparison.datasets.values()
    if group in groups and groups[group].shape[-1] > 1
  ]
  found = []
  for m in SIZES:
    gains = [gains_of(t, m, np.random.default_rng([m, i])) for i, t in enumerate(tables) if len(t) >= 2 * m]
    if gains:
      gain, seeming = np.mean(gains, axis=0)
      found.append(Worth(m, float(gain), float(seeming), len(gains)))
  return found


def gains_of(
  scores: Float[np.ndarray, 'n k'], m: int, rng: np.random.Generator, splits: int = _SPLITS
) -> tuple[float, float]:
  """Gain over the mean phrasing of the one that is best on m examples: on the others, and on these.

  Args:
    scores: NaN where a cell was not evaluated.
    m: examples to choose on, fewer than there are.
    rng: of the splits.
    splits: over which the gains are averaged.

  >>> y = np.array([[1.0, 0.0]] * 4 + [[0.0, 0.0]] * 4)  # the first is never worse, by 1/2 on average
  >>> real, seeming = gains_of(y, 4, np.random.default_rng(0), 4000)
  >>> abs(real - 0.25) < 0.02, abs(seeming - 0.25) < 0.02
  (True, True)
  """
  n = len(scores)
  there = ~np.isnan(scores)
  filled = np.where(there, scores, 0.0)
  order = np.argsort(rng.random((splits, n)), axis=1)
  inside = np.zeros((splits, n))
  np.put_along_axis(inside, order[:, :m], 1.0, axis=1)
  right, cells = inside @ filled, inside @ there
  own = np.divide(right, cells, out=np.full(right.shape, np.nan), where=cells > 0)
  rest = np.divide(
    filled.sum(0) - right, there.sum(0) - cells, out=np.full(right.shape, np.nan), where=there.sum(0) > cells
  )
  # Of several best phrasings each is as likely.
  best = own == np.nanmax(own, axis=1, keepdims=True)
  of_best = [np.nanmean(np.where(best, a, np.nan), axis=1) - np.nanmean(a, axis=1) for a in (rest, own)]
  return float(np.nanmean(of_best[0])), float(np.nanmean(of_best[1]))
