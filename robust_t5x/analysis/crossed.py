"""Means over crossed factors, with their uncertainty: examples, phrasings and seeds, each a sample of more like it.

A mean accuracy, a gap and a paired change are sums of scores with fixed weights. Their variance is that of the examples plus that
of the phrasings plus that of the seeds, less what two of these count twice:

  V = V_examples + V_phrasings + V_seeds - V_example×phrasing - V_example×seed - V_phrasing×seed + V_example×phrasing×seed

Each term is a mean square of a sample, with its degrees of freedom; those of V are Satterthwaite's, and the interval is Student's. So
it covers what it says with few phrasings or seeds, where resampling them does not. A phrasing that serves several datasets, as those of
MMLU do, is one phrasing in all of them. Datasets are taken as given.

Source: generalizability theory, Brennan 2001, chapters 3 and 5; Satterthwaite 1946; two-way clusters, Cameron, Gelbach and Miller
2011; bounds of a share, Korn and Graubard 1998.
"""

from collections.abc import Hashable, Mapping, Sequence
import dataclasses

from jaxtyping import Bool, Float
import numpy as np
import scipy.stats

from robust_t5x.analysis.statistics import Interval, share_of

# Of a dataset: group -> scores [runs, N, k], NaN where a cell was not evaluated; the same cells in all runs.
Scores = Mapping[str, np.ndarray]
# Of a dataset: group -> names of its k phrasings.
Names = Mapping[str, Sequence[Hashable]]
# What varies. Several together are their interaction; that of all there are holds the noise of single cells too.
EXAMPLES, PHRASINGS, SEEDS = 'examples', 'phrasings', 'seeds'
_CELLS = frozenset([EXAMPLES, PHRASINGS])
_ROUNDING = 1e-20
_ROUNDING_OF_PAIRS = 1e-9


@dataclasses.dataclass(frozen=True)
class Part:
  """A mean square that a variance is made of.

  Attributes:
    variance: what it adds to the variance of the mean; below 0 for what others count twice.
    freedom: its degrees of freedom.
    of: the factors that it is the mean square of; of a sample of the cells also those whose mean square it is taken out of.
  """

  variance: float
  freedom: float
  of: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A weighted mean of scores and what its variance is made of.

  Attributes:
    value: the mean.
    parts: of its variance; none where nothing varies that could tell.
    examples: number of examples whose mean would be as sure, were all datasets of one size; 0 where scores are accuracies of
      phrasings.
    limits: least and greatest value that there can be.
  """

  value: float
  parts: Sequence[Part]
  examples: float = 0.0
  limits: tuple[float, float] = (-np.inf, np.inf)

  @property
  def variance(self) -> float:
    """Of the mean: the sum of the parts, at least the greatest of them; 0 for what rounding makes of no variance."""
    if not self.parts:
      return np.nan
    found = max(sum(p.variance for p in self.parts), *(p.variance for p in self.parts), 0.0)
    return found if found > _ROUNDING else 0.0

  @property
  def freedom(self) -> float:
    """Satterthwaite's degrees of freedom, at least 1."""
    spread = sum(p.variance**2 / p.freedom for p in self.parts if p.freedom)
    return max(self.variance**2 / spread, 1.0) if spread > 0 else np.inf

  def share_of(self, *factors: str) -> float:
    """What a factor, or the interaction of several, adds to the variance, so that all of these sum to that of the parts.

    A mean square holds the factor's own variance and all of its interactions: those are taken out again. The result is unbiased,
    and so may be below 0 where the factor adds little.

    >>> parts = [Part(0.5, 9, frozenset('a')), Part(0.4, 9, frozenset('b')), Part(-0.1, 81, frozenset('ab'))]
    >>> found = Estimate(0.5, parts)
    >>> round(found.share_of('a'), 3), round(found.share_of('b'), 3), round(found.share_of('a', 'b'), 3)
    (0.4, 0.3, 0.1)
    """
    sign = 1 if len(factors) % 2 else -1
    return sign * float(sum(p.variance for p in self.parts if p.of >= set(factors)))

  @property
  def _is_known(self) -> bool:
    """Whether something tells the variance. That of phrasings whose accuracies are all the same, without examples, does not."""
    return bool(self.parts) and (self.variance > 0 or self.examples > 0)

  def half_width(self, level: float = 0.95) -> float:
    """Of Student's interval of the mean; NaN where the variance is not known."""
    if not self._is_known:
      return np.nan
    return float(scipy.stats.t.ppf((1 + level) / 2, self.freedom) * np.sqrt(self.variance))

  def interval(self, level: float = 0.95) -> Interval:
    """Student's interval of the mean, as far as there can be such means; without ends where the variance is not known.

    >>> sure = Estimate(0.9, [Part(0.01, 9)], limits=(-1.0, 1.0)).interval()
    >>> round(sure.low, 3), sure.high
    (0.674, 1.0)
    """
    half = self.half_width(level)
    low, high = np.clip([self.value - half, self.value + half], *self.limits)
    return Interval(self.value, float(low), float(high))

  def share(self, level: float = 0.95) -> Interval:
    """Interval of a mean of scores in [0, 1], which stays there: Clopper and Pearson's at the effective sample size.

    That is the number of independent trials whose share would be as uncertain (Korn and Graubard 1998). Where all
    examples score alike it is their number, so that the interval has a width.
    """
    if not self._is_known:
      return Interval(self.value, np.nan, np.nan)
    p = min(max(self.value, 0.0), 1.0)
    size = float(self.examples)
    if self.variance:
      narrower = (scipy.stats.norm.ppf((1 + level) / 2) / scipy.stats.t.ppf((1 + level) / 2, self.freedom)) ** 2
      size = p * (1 - p) / self.variance * narrower
    low, high = share_of(p * size, size, level)
    return Interval(self.value, min(low, self.value), max(high, self.value))

  def complement(self, level: float = 0.95) -> Interval:
    """Interval of a mean of at most 1 by that of the logarithm of its distance to 1, in which κ is nearly normal."""
    rest, half = 1 - self.value, self.half_width(level)
    if np.isnan(half) or rest <= 0 or not self.variance:
      return Interval(self.value, np.nan, np.nan)
    factor = np.exp(half / rest)
    return Interval(self.value, 1 - rest * factor, 1 - rest / factor)

  def p_value(self) -> float:
    """Two-sided, that the mean is zero: Student's test. NaN where the variance is not known."""
    if not self._is_known:
      return np.nan
    if not self.variance:
      return float(self.value == 0)
    return float(2 * scipy.stats.t.sf(abs(self.value) / np.sqrt(self.variance), self.freedom))


def contrast(
  datasets: Sequence[Scores],
  names: Sequence[Names],
  groups: Mapping[str, float],
  models: Sequence[tuple[slice, float]],
  bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Estimate:
  """A weighted mean of scores: of the mean accuracy, or a difference of two of them.

  Args:
    datasets: that have all of the groups; each counts alike.
    names: of their phrasings. Those of one name are one phrasing, whatever the dataset.
    groups: group -> its weight, such as 1 for an accuracy, 1 and -1 for a gap.
    models: the runs of each model, which are its seeds, and the model's weight, such as 1 and -1 for a change.
    bounds: that scores lie between; None if they may have any value.

  >>> scores = np.array([[[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]])  # one run, three examples, two phrasings
  >>> found = contrast([{'a': scores}], [{'a': 'xy'}], {'a': 1}, [(slice(None), 1)])
  >>> round(found.value, 3), [round(p.variance, 4) for p in found.parts]
  (0.5, [-0.0278, 0.0833, 0.0278])
  """
  share = 1 / len(datasets)
  value, parts, unsure = 0.0, [], 0.0
  seeds = [np.zeros(len(range(*runs.indices(_runs(datasets[0]))))) for runs, _ in models]
  difference = len(models) > 1 or len(groups) > 1
  clusters: dict[Hashable, _Cluster] = {}  # by phrasing
  for scores, called in zip(datasets, names, strict=True):
    of_examples = [np.zeros(()) for _ in models]
    count = 0
    for group, weight in groups.items():
      found = [_Effects.of(scores[group][runs]) for runs, _ in models]
      scale = weight * share
      k, count = found[0].phrasings, max(count, found[0].examples)
      own, larger = _of_cells(found, models, scale)
      parts += own
      for m, (effects, (_, sign)) in enumerate(zip(found, models, strict=True)):
        value += scale * sign * float(effects.mean.mean())
        seeds[m] = seeds[m] + scale * effects.mean
        of_examples[m] = of_examples[m] + scale * larger * effects.of_examples
      if k > 1:
        inflated = scale * np.sqrt(k / (k - 1))
        for i, name in enumerate(called[group]):
          if found[0].known[i]:
            cluster = clusters.setdefault(name, _Cluster(len(models), tuple(called[group])))
            for m, effects in enumerate(found):
              cluster.add(m, inflated * effects.of_phrasings[:, i])
    if count > 1:
      unsure += share**2 / count
      parts += _of_examples(of_examples, models, count, share if difference else 0.0)
  by_set: dict[Hashable, list[_Cluster]] = {}
  for cluster in clusters.values():
    by_set.setdefault(cluster.among, []).append(cluster)
  for members in by_set.values():
    parts += _of_phrasings(members, models)
  parts += [
    Part(sign**2 * float(np.var(means, ddof=1)) / len(means), len(means) - 1, frozenset([SEEDS]))
    for means, (_, sign) in zip(seeds, models, strict=True)
    if len(means) > 1
  ]
  weights = np.outer(list(groups.values()), [sign for _, sign in models])
  gain, loss = float(weights.clip(min=0).sum()), float(weights.clip(max=0).sum())
  least, most = bounds or (-np.inf, np.inf)
  limits = (gain * least + loss * most, gain * most + loss * least) if bounds else (least, most)
  return Estimate(value, parts, 1 / unsure if unsure else 0.0, limits)


def weights(there: Bool[np.ndarray, 'n k']) -> Float[np.ndarray, 'n k']:
  """What each cell counts in the mean over phrasings, where `there` are those that were evaluated; 0 for others."""
  counted = int(there.any(0).sum()) * there.sum(0)
  return there * np.divide(1.0, counted, out=np.zeros(len(counted)), where=counted > 0)


def _runs(scores: Scores) -> int:
  return next(iter(scores.values())).shape[0]


class _Cluster:
  """What a phrasing adds to the mean, by model: [runs] each; and the phrasings that it was drawn with."""

  def __init__(self, models: int, among: tuple[Hashable, ...]):
    self.of_models: list[np.ndarray | float] = [0.0] * models
    self.among = among

  def add(self, model: int, values: np.ndarray) -> None:
    self.of_models[model] = self.of_models[model] + values


@dataclasses.dataclass(frozen=True)
class _Effects:
  """Of the scores of a model's runs under a group, [runs, N, k]: what moves the mean.

  Attributes:
    mean: of each run, [runs].
    of_examples: what each example adds to it, [runs, N].
    of_phrasings: what each phrasing adds to it, [runs, k]; 0 for one without a cell.
    cells: what each cell adds to the mean of its phrasing, as it counts in the mean, [runs, N, k]; 0 for one without score.
    there: cells with a score, [N, k].
    examples: N with a cell.
    phrasings: k with a cell.
    known: which phrasings have one, [k].
  """

  mean: np.ndarray
  of_examples: np.ndarray
  of_phrasings: np.ndarray
  cells: np.ndarray
  there: np.ndarray
  examples: int
  phrasings: int
  known: np.ndarray

  @classmethod
  def of(cls, scores: Float[np.ndarray, 'runs n k']) -> '_Effects':
    there = ~np.isnan(scores[0])
    per_phrasing = there.sum(0)
    known = per_phrasing > 0
    k = int(known.sum())
    whole = bool(there.all())
    filled = scores if whole else np.where(there, scores, 0.0)
    accuracy = np.divide(filled.sum(1), per_phrasing, out=np.zeros((len(scores), len(known))), where=known)
    mean = accuracy.sum(-1) / k if k else np.full(len(scores), np.nan)
    centred = filled - accuracy[:, None]
    if not whole:
      centred = np.where(there, centred, 0.0)
    cells = centred * weights(there)
    return cls(
      mean=mean,
      of_examples=cells.sum(-1),
      of_phrasings=np.where(known, accuracy - mean[:, None], 0.0) / max(k, 1),
      cells=cells,
      there=there,
      examples=int(there.any(1).sum()),
      phrasings=k,
      known=known,
    )


def _of_cells(
  found: Sequence[_Effects], models: Sequence[tuple[slice, float]], scale: float
) -> tuple[list[Part], float]:
  """What the parts of examples and of phrasings both count, and of that what the seeds' part takes out again.

  Returns:
    the parts, and by how much the examples' effects are to be larger than they are in the data.
  """
  n, k, there = found[0].examples, found[0].phrasings, found[0].there
  number = int(there.sum())
  if n < 2 or k < 2 or number <= k:
    return [], 1.0
  total = scale * sum(sign * e.cells.mean(0) for e, (_, sign) in zip(found, models, strict=True))
  whole = number == n * k
  sampled = None if whole else _Sampled(there)
  freedom = (n - 1) * (k - 1) if whole else number - k

  def parts_of(cells: np.ndarray, factor: float, times: int, seeds: frozenset[str]) -> list[Part]:
    """Of cells [runs, N, k], by a factor."""
    if sampled is not None:
      noise, held, _ = sampled.squares(cells)
      of_phrasings = Part(factor * held, times * freedom, frozenset([PHRASINGS]) | seeds)
      return [Part(factor * noise, times * freedom, _CELLS | seeds), of_phrasings]
    rest = cells - cells.sum(-1, keepdims=True) / k * there
    squares = float((rest**2).sum()) * n / (n - 1) * k / (k - 1)
    return [Part(factor * squares, times * freedom, _CELLS | seeds)]

  parts = parts_of(total[None], -1.0, 1, frozenset())
  for effects, (_, sign) in zip(found, models, strict=True):
    runs = len(effects.cells)
    if runs > 1:
      apart = effects.cells - effects.cells.mean(0)
      parts += parts_of(apart, (scale * sign) ** 2 / (runs * (runs - 1)), runs - 1, frozenset([SEEDS]))
  measured = float((total.sum(1) ** 2).sum()) * n / (n - 1)
  larger = 1.0 if sampled is None or not measured else np.sqrt(sampled.squares(total[None])[2] / measured)
  return parts, float(larger)


class _Sampled:
  """Tells examples and the noise of cells apart where not every example was asked under every phrasing.

  The cells x that the mean squares are made of are scores less the mean of their phrasing, times w = 1 / (k m), where the phrasing has m
  cells. With σ²_e of examples and σ² of single cells, and o the examples that two phrasings have both,

    E Σ x² = (σ²_e + σ²) Σ w² (1 - 1/m),
    E Σ x x' = σ²_e Σ w w' (1 - 1/m - 1/m' + o / (m m')),   over pairs of cells of one example.

  The mean square of examples should be (σ²_e + σ²) Σ w² + σ²_e Σ w w'. That of phrasings holds, beside the noise σ² Σ w², of σ²_e what
  phrasings differ by as they have other examples: Σ_i 1/m_i - Σ_ij o_ij / (m_i m_j) / (k - 1), by k².
  """

  def __init__(self, there: np.ndarray):
    cells = there[:, there.any(0)].astype(float)
    m = cells.sum(0)
    k = len(m)
    weight = 1 / (k * m)
    both = cells.T @ cells
    np.fill_diagonal(both, 0.0)  # pairs of cells are of two phrasings
    pairs = np.outer(weight, weight) * both
    self._cells = float((weight**2 * m).sum())
    self._centred = float((weight**2 * (m - 1)).sum())
    self._pairs = float(pairs.sum())
    self._centred_pairs = float((pairs * (1 - 1 / m - 1 / m[:, None] + both / np.outer(m, m))).sum())
    self._apart = float((1 / m).sum() - (both / np.outer(m, m)).sum() / (k - 1)) / k**2

  def squares(self, x: Float[np.ndarray, 'runs n k']) -> tuple[float, float, float]:
    """What noise adds to the mean squares, examples to that of phrasings, and what that of examples should be; sums over runs."""
    alone = float((x**2).sum())
    whole = alone / self._centred
    of_examples = 0.0
    if self._centred_pairs > _ROUNDING_OF_PAIRS * self._pairs:
      of_examples = (float((x.sum(-1) ** 2).sum()) - alone) / self._centred_pairs
    # Few pairs tell little of the examples: what is sure is the sum, in which a pair counts as much as it tells.
    noise = (whole - min(max(of_examples, 0.0), whole)) * self._cells
    both = whole * self._cells - of_examples * (self._cells - self._apart)
    return noise, both - noise, max(whole * self._cells + of_examples * self._pairs, 0.0)


def _of_examples(
  of_examples: Sequence[np.ndarray], models: Sequence[tuple[slice, float]], count: int, share: float
) -> list[Part]:
  """The examples' part, and what it has in common with the seeds' part."""
  total = sum(sign * e.mean(0) for e, (_, sign) in zip(of_examples, models, strict=True))
  squares = float((total**2).sum()) * count / (count - 1)
  # Where nothing differs on any example, this is as much as they tell (Agresti and Min 2005: half an example in each of
  # four cells). `share` is 0 for an accuracy, which has its own interval.
  found = [Part(squares if squares > _ROUNDING else (share / (count + 2)) ** 2, count - 1, frozenset([EXAMPLES]))]
  return found + _shared_with_seeds([np.sqrt(count / (count - 1)) * e for e in of_examples], models, EXAMPLES)


def _of_phrasings(clusters: Sequence[_Cluster], models: Sequence[tuple[slice, float]]) -> list[Part]:
  """The part of phrasings that were drawn together, and what it has in common with the seeds' part."""
  of_phrasings = [np.stack([c.of_models[m] for c in clusters], axis=-1) for m in range(len(models))]
  total = sum(sign * p.mean(0) for p, (_, sign) in zip(of_phrasings, models, strict=True))
  freedom = max(len(clusters) - 1, 1)
  own = Part(float((total**2).sum()), freedom, frozenset([PHRASINGS]))
  return [own, *_shared_with_seeds(of_phrasings, models, PHRASINGS)]


def _shared_with_seeds(effects: Sequence[np.ndarray], models: Sequence[tuple[slice, float]], factor: str) -> list[Part]:
  """What the variance of the seeds has in common with that of a factor.

  Args:
    effects: [runs, n] of each model, such that the sum of their squares is the variance (each times √(n / (n - 1))).
    models: as `contrast` has them.
    factor: which.
  """
  parts = []
  for own, (_, sign) in zip(effects, models, strict=True):
    runs, count = own.shape
    if runs > 1 and count > 1:
      squares = sign**2 * float(((own - own.mean(0)) ** 2).sum())
      parts.append(Part(-squares / (runs * (runs - 1)), (runs - 1) * (count - 1), frozenset([factor, SEEDS])))
  return parts
