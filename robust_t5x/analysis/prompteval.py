"""PromptEval: the accuracies of all phrasings from a fraction of the cells (Polo et al. 2024, arXiv 2405.17202).

Every phrasing is evaluated on a few examples only, chosen evenly. A Rasch model, logit P(right) = ease of the phrasing +
ability on the example, is fitted to these cells and fills in the others. What comes out is an estimate of what an
evaluation of all cells would have given, with the uncertainty of not having done it.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import re

from jaxtyping import Bool, Float
import numpy as np
import pandas as pd
import scipy.linalg
import scipy.optimize
import scipy.sparse
import scipy.special
import scipy.stats

from robust_t5x.analysis import chances
from robust_t5x.analysis.comparison import Comparison
from robust_t5x.analysis.metrics import CASE_METRICS, METRICS
from robust_t5x.analysis.statistics import Interval, of_draws
from robust_t5x.results.schema import num_examples
from seqio_tasks.errors import UserError

DRAWS = 200
_SPREAD_DRAWS = 1000
_SUMMARY = {'mean': 'AvgP', 'worst': 'worst phrasing', 'best': 'MaxP', 'sd': 'sd'}
_FLAT = 25.0  # prior variance of the mean, in logits squared: as good as none
_WIDTHS = (-3.0, 1.5)  # logarithms of the prior's standard deviations
_SHARED = (-3.0, 3.0)  # logits of the share of the variance that goes with the covariates
_ROUNDS = 50  # most evaluations of the evidence

Prior = tuple[np.ndarray, float]  # precision, by its diagonal or in full, and its log-determinant


class CellsError(UserError):
  """A budget of cells, or a table of sampled ones, from which nothing can be estimated."""


def balanced_cells(num_examples: int, num_phrasings: int, budget: int, seed: int) -> Bool[np.ndarray, 'n k']:
  """Chooses cells at random, each phrasing and each example as often as any other, give or take one.

  Args:
    num_examples: N.
    num_phrasings: k.
    budget: number of cells, from 1 to N k.
    seed: of the choice.

  Returns:
    True at the cells chosen, budget of them.

  Raises:
    CellsError: if the budget is out of its range.
  """
  if not 1 <= budget <= num_examples * num_phrasings:
    raise CellsError(f'a budget of {budget} cells; give 1 to {num_examples * num_phrasings} (examples times phrasings)')
  rng = np.random.default_rng(seed)
  quota = np.full(num_examples, budget // num_examples)
  quota[rng.permutation(num_examples)[: budget % num_examples]] += 1
  used = np.zeros(num_phrasings, int)
  chosen = np.zeros((num_examples, num_phrasings), bool)
  for example in rng.permutation(num_examples):
    # Those used least, ties in random order: the counts never differ by more than one.
    order = rng.permutation(num_phrasings)
    picked = order[np.argsort(used[order], kind='stable')[: quota[example]]]
    chosen[example, picked] = True
    used[picked] += 1
  return chosen


@dataclasses.dataclass(frozen=True)
class Estimate:
  """What the sampled cells say of the accuracies of all phrasings on all examples.

  Attributes:
    accuracies: [k], of each phrasing: the cells evaluated as they are, the others as the model expects them (X-PIRT).
    draws: [D, k], accuracies that the Rasch model holds possible. Their mean and median over phrasings are calibrated; they
      lie too close together, as a Rasch model fitted to few cells has it.
    spread_draws: [2, D, k], accuracies possible by the phrasings' own cells alone, whose chances are a beta distribution's
      or of any shape (`chances`).
    evaluated: number of cells evaluated.
    cells: number of all cells.
  """

  accuracies: Float[np.ndarray, ' k']
  draws: Float[np.ndarray, 'd k']
  spread_draws: Float[np.ndarray, '2 d k']
  evaluated: int
  cells: int

  @property
  def distribution(self) -> Float[np.ndarray, ' k']:
    """The accuracies in ascending order, each place's mean over the draws.

    `accuracies` of badly known phrasings lie near the mean, so their distribution is too narrow where cells are very few
    or the model is right. Where it is not, this one is too wide (docs/results_table.md has both on real tables).
    """
    return np.sort(self.draws, axis=-1).mean(0)

  def interval(self, metric: str, level: float = 0.95) -> Interval:
    """A metric of all phrasings (a name in metrics.METRICS): the mean of `accuracies`, or what the draws expect of others.

    The ends of the mean are quantiles of the draws. Those of other metrics depend on the shape of the distribution over
    phrasings, which few cells do not tell: they hold the 99% intervals under both assumptions, which together hold the
    truth about as often as a 95% interval should (docs/statistics.md).

    Raises:
      UserError: if the metric is one of cases (metrics.CASE_METRICS), which accuracies do not give.
    """
    if metric not in METRICS or metric in CASE_METRICS:
      raise UserError(f'{metric!r} is no metric of accuracies; use another of {", ".join(METRICS)}')
    if metric == 'AvgP':
      return of_draws(np.append(self.accuracies.mean(), self.draws.mean(-1)), level=level, bounds=(0, 1))
    return _under_both(METRICS[metric](self.spread_draws[:, :, None, :]), level)

  def quantile(self, share: float, level: float = 0.95) -> Interval:
    """The accuracy that a share of the phrasings stay below, as `interval` gives it."""
    if share != 0.5:
      return _under_both(np.quantile(self.spread_draws, share, axis=-1), level)
    found = np.quantile(self.draws, share, axis=-1)
    return Interval(float(found.mean()), *map(float, np.quantile(found, [(1 - level) / 2, (1 + level) / 2])))


def _under_both(found: Float[np.ndarray, '2 d'], level: float) -> Interval:
  """What draws under two assumptions hold possible: the intervals of both, each with a fifth of the error."""
  tail = (1 - level) / 10
  ends = np.quantile(found, [tail, 1 - tail], axis=-1)
  return Interval(float(found.mean()), float(ends[0].min()), float(ends[1].max()))


def estimate(
  scores: Float[np.ndarray, 'n k'],
  phrasing_covariates: Float[np.ndarray, 'k p'] | None = None,
  example_covariates: Float[np.ndarray, 'n q'] | None = None,
  draws: int = DRAWS,
  seed: int = 0,
) -> Estimate:
  """Estimates the accuracies of all phrasings.

  Args:
    scores: 0 to 1, NaN at the cells that were not evaluated.
    phrasing_covariates: what is known of the phrasings, such as `text_covariates` of their templates; phrasings with
      alike covariates are then taken to have alike ease.
    example_covariates: the same of examples.
    draws: number of draws from the posterior (Laplace's approximation).
    seed: of these.

  Raises:
    CellsError: if no cell was evaluated.
  """
  there = ~np.isnan(scores)
  if not there.any():
    raise CellsError('no cell was evaluated; sample at least one for each phrasing')
  rng = np.random.default_rng(seed)
  model = _fit(scores, phrasing_covariates, example_covariates)
  known = np.where(there, scores, 0).sum(0)
  expected = np.where(there, 0, scipy.special.expit(model.ability[:, None] + model.ease)).sum(0)
  possible = np.empty((draws, scores.shape[1]))
  for d, (ease, ability) in enumerate(model.draw(draws, rng)):
    right = rng.random(scores.shape) < scipy.special.expit(ability[:, None] + ease)
    possible[d] = known + (right & ~there).sum(0)
  n = len(scores)
  cells, right = there.sum(0), np.where(there, scores, 0).sum(0)
  both = [make(right, cells, max(draws, _SPREAD_DRAWS), rng) for make in (chances.beta, chances.free)]
  apart = np.stack([chances.completed(scores, drawn, rng) for drawn in both])
  return Estimate((known + expected) / n, possible / n, apart, int(there.sum()), there.size)


def estimates(comparison: Comparison) -> pd.DataFrame:
  """Estimates of every model, dataset and group of a comparison whose cells were sampled.

  The templates' words are covariates of the phrasings where the templates are known. Examples that were never asked count as
  cells that were not evaluated, where a record tells their number.

  Returns:
    a row for each (of a model's first run): model, dataset, group, phrasings, evaluated and cells; and, each followed by
    NAME_low and NAME_high, the ends of a 95% interval: the mean, worst and best accuracy and sd over all phrasings, and
    the accuracies below which 5%, 50% and 95% of the phrasings lie (p5, p50, p95).
  """
  rows = []
  for model in comparison.models:
    for dataset, groups in comparison.datasets.items():
      for group, scores in groups.items():
        own = scores[comparison.runs_of(model).start]
        examples = max(num_examples(record, dataset, len(own)) for record in comparison.records.values())
        own = np.pad(own, ((0, examples - len(own)), (0, 0)), constant_values=np.nan)
        chosen = comparison.phrasings.query('dataset == @dataset and group == @group')
        ids = comparison.sources[0].places.phrasings[dataset][group]
        templates = chosen.set_index('instruction_id')['template'].reindex(ids)
        covariates = text_covariates(list(templates)) if templates.notna().all() and len(templates) > 1 else None
        found = estimate(own, covariates)
        values = {
          **{name: found.interval(m) for name, m in _SUMMARY.items()},
          **{f'p{round(100 * share)}': found.quantile(share) for share in (0.05, 0.5, 0.95)},
        }
        row = {'model': model, 'dataset': dataset, 'group': group, 'phrasings': scores.shape[-1]}
        row |= {'evaluated': found.evaluated, 'cells': found.cells}
        for name, value in values.items():
          row |= {name: value.estimate, f'{name}_low': value.low, f'{name}_high': value.high}
        rows.append(row)
  return pd.DataFrame(rows)


def distance(estimated: Float[np.ndarray, ' k'], full: Float[np.ndarray, ' k']) -> float:
  """W1 distance of two distributions of accuracies: how far, on average, an accuracy is from the one at its place."""
  return float(scipy.stats.wasserstein_distance(estimated, full))


def text_covariates(texts: Sequence[str]) -> Float[np.ndarray, 'k p']:
  """Unit vectors of the words of texts; the product of two says how alike they are.

  Rare words weigh more. A word of a single text says nothing of the others and is left out.
  """
  words = [set(re.findall(r'\w+|[^\w\s]|\n', text.casefold())) for text in texts]
  vocabulary = {word: i for i, word in enumerate(sorted(set().union(*words)))}
  out = np.zeros((len(texts), max(1, len(vocabulary))))
  for row, found in zip(out, words, strict=True):
    row[[vocabulary[word] for word in found]] = 1
  count = out.sum(0)
  out *= np.where(count > 1, np.log((1 + len(texts)) / (1 + count)), 0)
  return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)


@dataclasses.dataclass
class _Rasch:
  """The model at its most likely parameters, in logits, with what the curvature there is made of."""

  ease: np.ndarray  # [k]
  ability: np.ndarray  # [N]
  evidence: float
  weights: np.ndarray  # [N, k], zero at cells that were not evaluated
  of_abilities: '_Precision'
  schur: np.ndarray  # Cholesky factor of the precision of ease alone, lower

  def draw(self, number: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draws (ease, ability) from the normal distribution with this curvature."""
    for _ in range(number):
      change = scipy.linalg.solve_triangular(self.schur.T, rng.standard_normal(len(self.ease)), lower=False)
      moved = self.of_abilities.solve(self.weights @ change)
      yield self.ease + change, self.ability - moved + self.of_abilities.draw(rng)


class _Precision:
  """A positive matrix plus a diagonal; the matrix is given by its diagonal or in full."""

  def __init__(self, matrix: np.ndarray, diagonal: np.ndarray):
    self._full = matrix.ndim == 2
    if self._full:
      self._factor = scipy.linalg.cholesky(matrix + np.diag(diagonal), lower=True)
    else:
      self._diagonal = matrix + diagonal

  def solve(self, b: np.ndarray) -> np.ndarray:
    if self._full:
      return scipy.linalg.cho_solve((self._factor, True), b)
    return b / (self._diagonal[:, None] if b.ndim == 2 else self._diagonal)

  def draw(self, rng: np.random.Generator) -> np.ndarray:
    if self._full:
      return scipy.linalg.solve_triangular(self._factor.T, rng.standard_normal(len(self._factor)), lower=False)
    return rng.standard_normal(len(self._diagonal)) / np.sqrt(self._diagonal)

  @property
  def log_determinant(self) -> float:
    return 2 * np.log(np.diag(self._factor)).sum() if self._full else np.log(self._diagonal).sum()


def _fit(scores: np.ndarray, phrasing_covariates: np.ndarray | None, example_covariates: np.ndarray | None) -> _Rasch:
  """The Rasch model whose priors' widths, and use of covariates, make the cells likeliest (empirical Bayes)."""
  cells = _Cells(scores)
  start = np.zeros(scores.shape[1]), np.zeros(scores.shape[0])
  bounds = [_WIDTHS, _WIDTHS] + [_SHARED] * ((phrasing_covariates is not None) + (example_covariates is not None))

  def fitted(point: Sequence[float], start: tuple[np.ndarray, np.ndarray]) -> _Rasch:
    rest = list(point[2:])
    of_ease = _prior(np.exp(point[0]), scores.shape[1], phrasing_covariates, rest, flat=True)
    of_ability = _prior(np.exp(point[1]), scores.shape[0], example_covariates, rest)
    return cells.fit(of_ease, of_ability, start)

  best = fitted([-0.7, 0.0] + [0.0] * (len(bounds) - 2), start)

  def loss(point: Sequence[float]) -> float:
    nonlocal best
    model = fitted(point, (best.ease, best.ability))
    best = max(best, model, key=lambda m: m.evidence)
    return -model.evidence

  first = [-0.7, 0.0] + [0.0] * (len(bounds) - 2)
  scipy.optimize.minimize(
    loss, first, method='Nelder-Mead', bounds=bounds, options={'maxfev': _ROUNDS, 'xatol': 0.05, 'fatol': 0.05}
  )
  return best


def _prior(width: float, size: int, covariates: np.ndarray | None, shares: list[float], flat: bool = False) -> Prior:
  """Precision (its diagonal or in full) and its log-determinant, of a normal prior with mean 0.

  Covariance: width² ((1 - s) I + s R) with R the covariates' correlation and s their share, and, if the mean is to be
  free, a large constant added.
  """
  if covariates is None and not flat:
    return np.full(size, width**-2), -2 * size * np.log(width)
  covariance = np.eye(size)
  if covariates is not None:
    share = scipy.special.expit(shares.pop(0))
    unit = covariates / np.maximum(np.linalg.norm(covariates, axis=1, keepdims=True), 1e-9)
    alike = unit @ unit.T
    np.fill_diagonal(alike, 1)
    covariance = (1 - share) * covariance + share * alike
  covariance = width**2 * covariance + (_FLAT if flat else 0)
  factor = scipy.linalg.cholesky(covariance, lower=True)
  return scipy.linalg.cho_solve((factor, True), np.eye(size)), -2 * np.log(np.diag(factor)).sum()


class _Cells:
  """The cells that were evaluated."""

  def __init__(self, scores: np.ndarray):
    self._shape = scores.shape
    self._example, self._phrasing = np.nonzero(~np.isnan(scores))
    self._score = scores[self._example, self._phrasing]

  def fit(self, of_ease: Prior, of_ability: Prior, start: tuple[np.ndarray, np.ndarray]) -> _Rasch:
    """Newton's method from given parameters; the posterior is concave and has one maximum."""
    (q_ease, log_det_ease), (q_ability, log_det_ability) = of_ease, of_ability
    ease, ability = start
    value = self._log_posterior(ease, ability, q_ease, q_ability)
    for _ in range(30):
      p = scipy.special.expit(ease[self._phrasing] + ability[self._example])
      weights, a, schur = self._curvature(p, q_ease, q_ability)
      of_ease_gradient = np.bincount(self._phrasing, self._score - p, self._shape[1]) - q_ease @ ease
      of_ability_gradient = np.bincount(self._example, self._score - p, self._shape[0]) - _times(q_ability, ability)
      reduced = of_ease_gradient - weights.T @ a.solve(of_ability_gradient)
      ease_step = scipy.linalg.cho_solve((schur, True), reduced)
      ability_step = a.solve(of_ability_gradient - weights @ ease_step)
      length = 1.0
      while True:
        moved = ease + length * ease_step, ability + length * ability_step
        reached = self._log_posterior(*moved, q_ease, q_ability)
        if reached >= value - 1e-9 or length < 1e-3:
          break
        length /= 2
      done = abs(reached - value) < 1e-6
      (ease, ability), value = moved, reached
      if done:
        break
    p = scipy.special.expit(ease[self._phrasing] + ability[self._example])
    weights, a, schur = self._curvature(p, q_ease, q_ability)
    curvature = a.log_determinant + 2 * np.log(np.diag(schur)).sum()
    evidence = value + (log_det_ease + log_det_ability - curvature) / 2
    return _Rasch(ease, ability, float(evidence), weights, a, schur)

  def _curvature(
    self, p: np.ndarray, q_ease: np.ndarray, q_ability: np.ndarray
  ) -> tuple[scipy.sparse.csr_array, _Precision, np.ndarray]:
    """Weights of the cells, precision of the abilities, and Cholesky factor of that of ease alone."""
    w = p * (1 - p)
    weights = scipy.sparse.csr_array((w, (self._example, self._phrasing)), shape=self._shape)
    a = _Precision(q_ability, np.bincount(self._example, w, self._shape[0]))
    if q_ability.ndim == 2:
      explained = weights.T @ a.solve(weights.toarray())
    else:
      explained = (weights.T @ scipy.sparse.csr_array(weights.multiply(1 / a._diagonal[:, None]))).toarray()
    ease = q_ease + np.diag(np.bincount(self._phrasing, w, self._shape[1]))
    return weights, a, scipy.linalg.cholesky(ease - explained, lower=True)

  def _log_posterior(self, ease: np.ndarray, ability: np.ndarray, q_ease: np.ndarray, q_ability: np.ndarray) -> float:
    logits = ease[self._phrasing] + ability[self._example]
    likelihood = (self._score * logits - np.logaddexp(0, logits)).sum()
    return likelihood - (ease @ q_ease @ ease + ability @ _times(q_ability, ability)) / 2


def _times(precision: np.ndarray, vector: np.ndarray) -> np.ndarray:
  return precision @ vector if precision.ndim == 2 else precision * vector
