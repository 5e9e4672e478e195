"""How far phrasings lie apart inside a model, and whether those that lie further away lose accuracy.

Three places are looked at: the states that the input was read to, the state at the answer's first step, and the
distribution over the first output token; and the first of them behind each layer. `Collector` takes the states of one dataset after another; what comes out is a `Representation`.

Shape letters: M models (without and with adapter), N examples, k phrasings, D model width, V vocabulary, R resamples.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np
import pandas as pd
import scipy.stats

from robust_t5x.analysis import crossed
from robust_t5x.analysis.statistics import Interval
from robust_t5x.results.reading import read
from robust_t5x.results.schema import OBSERVED
from seqio_tasks.errors import UserError

INPUT, ANSWER, OUTPUT = 'input', 'first answer step', 'first output token'
LAYER = 'layer '  # then its number, from 1
COSINE, EUCLIDEAN, JENSEN_SHANNON = 'cosine', 'euclidean', 'Jensen-Shannon'
MEASURES = (
  (INPUT, COSINE), (INPUT, EUCLIDEAN), (ANSWER, COSINE), (ANSWER, EUCLIDEAN), (OUTPUT, JENSEN_SHANNON),
)  # fmt: skip
WITHOUT, WITH = 'without adapter', 'with adapter'
_ONE = 'one'  # the group of what is not by group
ALL = 'all'  # phrasings of all groups together


class RepresentationError(UserError):
  """A setting or result that representations cannot be set against; the message names it and the cure."""


@dataclasses.dataclass(frozen=True)
class States:
  """What a model makes of one dataset's inputs.

  Attributes:
    input: mean of the states that the input was read to [N, k, D].
    answer: state at the answer's first step, before the output layer [N, k, D].
    output: log-probabilities of the first output token [N, k, V].
    layers: as `input`, behind each layer and before the last norm [N, k, layers, D].
  """

  input: np.ndarray
  answer: np.ndarray
  output: np.ndarray
  layers: np.ndarray

  def place(self, name: str) -> np.ndarray:
    """The array of INPUT, ANSWER, OUTPUT or a layer."""
    if name.startswith(LAYER):
      return self.layers[:, :, int(name.removeprefix(LAYER)) - 1]
    return {INPUT: self.input, ANSWER: self.answer, OUTPUT: self.output}[name]


def distance(a: np.ndarray, b: np.ndarray, measure: str) -> np.ndarray:
  """Distance over the last axis, [...].

  Args:
    a: [..., D]; log-probabilities for JENSEN_SHANNON.
    b: [..., D], broadcast against a.
    measure: COSINE, 1 - cos in [0, 2]; EUCLIDEAN, divided by √D so that models of other widths compare;
      JENSEN_SHANNON, in nats, in [0, ln 2] (Lin 1991).

  >>> float(distance(np.array([1.0, 0.0]), np.array([0.0, 2.0]), COSINE))
  1.0
  >>> float(distance(np.array([0.0, 0.0, 0.0, 0.0]), np.array([2.0, 2.0, 2.0, 2.0]), EUCLIDEAN))
  2.0
  """
  if measure == COSINE:
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return 1 - (a * b).sum(-1) / np.maximum(norms, 1e-12)
  if measure == EUCLIDEAN:
    return np.linalg.norm(a - b, axis=-1) / np.sqrt(a.shape[-1])
  middle = np.logaddexp(a, b) - np.log(2)
  return np.maximum(0.5 * ((np.exp(a) * (a - middle)).sum(-1) + (np.exp(b) * (b - middle)).sum(-1)), 0)


def to_canonical(states: np.ndarray, observed: np.ndarray, measure: str) -> np.ndarray:
  """Distance of every phrasing to the canonical place of its example [N, k]; NaN where nothing is left to compare with.

  Args:
    states: [N, k, D]; log-probabilities for JENSEN_SHANNON, which are averaged as probabilities.
    observed: which phrasings are [k].
    measure: see `distance`.

  >>> to_canonical(np.array([[[0.0], [2.0], [9.0]]]), np.array([True, True, False]), EUCLIDEAN)
  array([[2., 2., 8.]])
  """
  logs = measure == JENSEN_SHANNON
  values = np.exp(states) if logs else states
  chosen = observed if observed.any() else np.ones_like(observed)
  total, count = values[:, chosen].sum(1, keepdims=True), int(chosen.sum())
  out = np.full(states.shape[:2], np.nan)
  for i, own in enumerate(chosen):
    others = count - int(own)
    if others:
      mean = (total[:, 0] - values[:, i] * own) / others
      out[:, i] = distance(states[:, i], np.log(np.maximum(mean, 1e-30)) if logs else mean, measure)
  return out


def between_phrasings(states: np.ndarray, measure: str) -> np.ndarray:
  """Mean distance over all pairs of phrasings of each example [N]; NaN for a single phrasing.

  >>> between_phrasings(np.array([[[0.0], [1.0], [3.0]]]), EUCLIDEAN)  # (1 + 3 + 2) / 3
  array([2.])
  """
  k = states.shape[1]
  if measure == JENSEN_SHANNON:
    return _pairwise_jensen_shannon(states)
  pairs = [distance(states[:, i, None], states[:, i + 1 :], measure) for i in range(k - 1)]
  return np.concatenate(pairs, axis=1).mean(1) if pairs else np.full(len(states), np.nan)


def _pairwise_jensen_shannon(logs: np.ndarray) -> np.ndarray:
  """`between_phrasings` of log-probabilities [N, k, V]: entropy of the pair's mean less the mean of their entropies."""
  p = np.exp(logs)
  own = -(p * logs).sum(-1)  # [N, k]
  k = p.shape[1]
  out = np.zeros(len(p))
  for i in range(k - 1):
    middle = 0.5 * (p[:, i, None] + p[:, i + 1 :])
    entropy = -(middle * np.log(np.maximum(middle, 1e-30))).sum(-1)
    out += (entropy - 0.5 * (own[:, i, None] + own[:, i + 1 :])).sum(1)
  return np.maximum(out, 0) / (k * (k - 1) / 2) if k > 1 else np.full(len(p), np.nan)


def between_examples(states: np.ndarray, measure: str) -> float:
  """Mean distance over neighbouring examples under the same phrasing; NaN for a single example.

  What distances between phrasings are to be set against: a model that makes everything alike has both small.

  >>> between_examples(np.array([[[0.0], [1.0]], [[2.0], [1.0]]]), EUCLIDEAN)
  1.0
  """
  if len(states) < 2:
    return float('nan')
  return float(distance(states, np.roll(states, 1, axis=0), measure).mean())


def rank_correlation(distances: Sequence[np.ndarray], losses: Sequence[np.ndarray], level: float = 0.95) -> Interval:
  """Spearman's ρ over phrasings, mean over datasets (`correlated`), with an interval by Fisher's z.

  Args:
    distances: for each dataset a value per phrasing [k], NaN where there is none.
    losses: the accuracy that each phrasing loses [k].
    level: probability that the interval covers.

  Returns:
    NaN where no dataset has three phrasings or more with different values; without ends where none has more than three.

  >>> round(rank_correlation([np.array([1.0, 2, 3, 4])], [np.array([0.1, 0.2, 0.4, 0.3])]).estimate, 3)
  0.8

  Source: Bonett and Wright 2000, whose variance of z is (1 + ρ²/2) / (k - 3).
  """
  found = [(float(scipy.stats.spearmanr(x, y).statistic), len(x)) for x, y in correlated(distances, losses)]
  if not found:
    return Interval(np.nan, np.nan, np.nan)
  rho = float(np.mean([r for r, _ in found]))
  if found[0][1] <= 3:
    return Interval(rho, np.nan, np.nan)
  variance = sum((1 + r**2 / 2) / (k - 3) for r, k in found) / len(found) ** 2
  half = scipy.stats.norm.ppf((1 + level) / 2) * np.sqrt(variance)
  z = np.arctanh(np.clip(rho, -0.999, 0.999))
  return Interval(rho, min(float(np.tanh(z - half)), rho), max(float(np.tanh(z + half)), rho))


def correlated(distances: Sequence[np.ndarray], losses: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
  """What `rank_correlation` is of: values of the phrasings that have both, of each dataset where they differ.

  Datasets with three such phrasings, whose ρ has no known error, count where none has more.
  """
  known = [~(np.isnan(x) | np.isnan(y)) for x, y in zip(distances, losses, strict=True)]
  pairs = [(x[own], y[own]) for x, y, own in zip(distances, losses, known, strict=True)]
  pairs = [(x, y) for x, y in pairs if len(x) >= 3 and np.ptp(x) > 0 and np.ptp(y) > 0]
  return [pair for pair in pairs if len(pair[0]) > 3] or pairs


def principal_components(points: np.ndarray, fitted_on: np.ndarray, count: int = 2) -> tuple[np.ndarray, np.ndarray]:
  """Coordinates on the first principal components.

  Args:
    points: [..., D].
    fitted_on: points [n, D] that centre and components are taken from.
    count: components.

  Returns:
    ([..., count]; the share of the variance of `fitted_on` that each component has [count]).

  >>> line = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
  >>> np.round(principal_components(line, line)[1], 3)
  array([1., 0.])
  """
  centre = fitted_on.mean(0)
  _, values, rows = np.linalg.svd(fitted_on - centre, full_matrices=False)
  shares = values**2 / max((values**2).sum(), 1e-30)
  return (points - centre) @ rows[:count].T, shares[:count]


@dataclasses.dataclass(frozen=True)
class Representation:
  """What was found.

  Attributes:
    distances: a row per model, place, measure and quantity ('between phrasings', 'between examples', 'ratio' and 'GROUP to
      canonical'; also 'change of ...' of the model with adapter, paired): estimate, low, high.
    correlations: a row per model, place, measure and group of phrasings: rho, low, high, number of phrasings that it is of.
    phrasings: a row per model, dataset and phrasing: group, instruction_id, template, accuracy, lost (accuracy), a column
      per place and measure with the mean distance to the canonical place, and x, y and u, v on the maps of the answer's
      first step and of the input.
    shares: place -> share of variance of the two axes of its map.
  """

  distances: pd.DataFrame
  correlations: pd.DataFrame
  phrasings: pd.DataFrame
  shares: Mapping[str, Sequence[float]]


def column(place: str, measure: str) -> str:
  """Name of a distance in Representation.phrasings."""
  return f'{place}, {measure}'


class Collector:
  """Takes the states of one dataset after another and keeps what is needed of them."""

  def __init__(self, models: Sequence[str], accuracies: Mapping[str, pd.Series]):
    """Args: labels of the models; accuracy of each phrasing by (dataset, instruction id), for models that have one."""
    self._models, self._accuracies = tuple(models), accuracies
    self._names: list[dict[str, tuple[str, ...]]] = []
    self._canonical: dict[tuple[str, str], list[dict[str, np.ndarray]]] = {}
    self._between: dict[tuple[str, str], list[np.ndarray]] = {}
    self._examples: dict[tuple[str, str], list[np.ndarray]] = {}
    self._rows: list[pd.DataFrame] = []
    self._means: dict[str, list[np.ndarray]] = {ANSWER: [], INPUT: []}

  def add(self, dataset: str, phrasings: pd.DataFrame, states: Mapping[str, States]) -> None:
    """Measures a dataset.

    Args:
      dataset: its name.
      phrasings: group, instruction_id and template of each of the k phrasings.
      states: model -> its states.
    """
    observed = (phrasings['group'] == OBSERVED).to_numpy()
    rows = {model: phrasings.assign(model=model, dataset=dataset) for model in self._models}
    for place, measure in MEASURES:
      arrays = [states[model].place(place) for model in self._models]
      found = np.stack([to_canonical(a, observed, measure) for a in arrays])  # [M, N, k]
      for model, one in zip(self._models, found, strict=True):
        rows[model][column(place, measure)] = one.mean(0)
      groups = {group: found[:, :, (phrasings['group'] == group).to_numpy()] for group in phrasings['group'].unique()}
      self._canonical.setdefault((place, measure), []).append(groups)
      self._add_between(place, measure, arrays)
    for number in range(1, 1 + states[self._models[0]].layers.shape[2]):
      place = f'{LAYER}{number}'
      self._add_between(place, COSINE, [states[model].place(place) for model in self._models])
    self._names.append(phrasings.groupby('group', sort=False)['instruction_id'].agg(tuple).to_dict())
    for place, kept in self._means.items():
      kept.append(np.stack([states[model].place(place).mean(0) for model in self._models]))  # [M, k, D]
    for model in self._models:
      rows[model]['accuracy'] = self._accuracy(model, dataset, phrasings)
      rows[model]['lost'] = _lost(rows[model]['accuracy'].to_numpy(), observed)
      self._rows.append(rows[model])

  def _add_between(self, place: str, measure: str, arrays: Sequence[np.ndarray]) -> None:
    """Distances between phrasings and between examples in one place; arrays [N, k, D] of each model."""
    self._between.setdefault((place, measure), []).append(np.stack([between_phrasings(a, measure) for a in arrays]))
    self._examples.setdefault((place, measure), []).append(np.array([between_examples(a, measure) for a in arrays]))

  def _accuracy(self, model: str, dataset: str, phrasings: pd.DataFrame) -> np.ndarray:
    if model not in self._accuracies:
      return np.full(len(phrasings), np.nan)
    keys = pd.MultiIndex.from_product([[dataset], phrasings['instruction_id']])
    found = self._accuracies[model].reindex(keys).to_numpy(float)
    if np.isnan(found).any():
      raise RepresentationError(
        f'RESULTS: the evaluation {model} has no phrasing {phrasings["instruction_id"][np.isnan(found)].iloc[0]!r} of '
        f'{dataset}; give an evaluation of the same mixtures'
      )
    return found

  def finish(self) -> Representation:
    """All that was found."""
    phrasings = pd.concat(self._rows, ignore_index=True)
    shares = {}
    for place, names in ((ANSWER, ('x', 'y')), (INPUT, ('u', 'v'))):
      means = self._means[place]
      # Axes are those of the model without adapter, so that both maps are the same.
      points, share = principal_components(np.concatenate(means, axis=1), np.concatenate([m[0] for m in means]))
      shares[place] = [round(float(s), 4) for s in share]
      rows = [points[m, a:b] for a, b in _spans([x.shape[1] for x in means]) for m in range(len(self._models))]
      phrasings[list(names)] = np.concatenate(rows)
    return Representation(self._distances(), self._correlations(phrasings), phrasings, shares)

  def _distances(self) -> pd.DataFrame:
    rows = []
    for place, measure in self._between:
      between = [{_ONE: b[:, :, None]} for b in self._between[place, measure]]
      of_one: list[crossed.Names] = [{_ONE: (str(d),)} for d in range(len(between))]
      kinds: dict[str, _Kind] = {'between phrasings': _having(between, of_one, _ONE)}
      datasets = self._canonical.get((place, measure), [])
      for group in dict.fromkeys(g for groups in datasets for g in groups):
        kinds[f'{group} to canonical'] = _having(datasets, self._names, group)
      apart = np.array(self._examples[place, measure])  # [datasets, M]
      several = ~np.isnan(apart).any(1)
      both = several & ~np.array([np.isnan(b[_ONE]).all() for b in between])
      examples, of_ratio = (apart[own].mean(0) if own.any() else apart[0] * np.nan for own in (several, both))
      shown = [d for d in range(len(between)) if both[d]] or range(len(between))
      for m, model in enumerate(self._models):
        own, first = slice(m, m + 1), slice(0, 1)
        for name, (scores, names, group) in kinds.items():
          rows.append((model, place, measure, name, _mean(scores, names, group, [(own, 1)])))
          if m:
            change = _mean(scores, names, group, [(own, 1), (first, -1)])
            rows.append((model, place, measure, f'change of {name}', change))
        rows.append((model, place, measure, 'between examples', Interval(float(examples[m]), np.nan, np.nan)))
        # The distance between examples is taken as known: there are many more pairs of them.
        scores, names, group = [between[d] for d in shown], [of_one[d] for d in shown], _ONE
        shares = [(own, 1 / of_ratio[m]), (first, -1 / of_ratio[0])]
        rows.append((model, place, measure, 'ratio', _mean(scores, names, group, shares[:1])))
        if m:
          rows.append((model, place, measure, 'change of ratio', _mean(scores, names, group, shares)))
    return pd.DataFrame(
      [(*row[:4], row[4].estimate, row[4].low, row[4].high) for row in rows],
      columns=['model', 'place', 'measure', 'quantity', 'estimate', 'low', 'high'],
    )

  def _correlations(self, phrasings: pd.DataFrame) -> pd.DataFrame:
    rows = []
    groups = phrasings['group'].unique()
    others = [g for g in groups if g != OBSERVED]
    for model in self._models:
      if model not in self._accuracies:
        continue
      for group in (*others, *([ALL] if len(groups) > 1 else [])):
        part = phrasings[(phrasings['model'] == model) & ((phrasings['group'] == group) | (group == ALL))]
        parts = [p for _, p in part.groupby('dataset', sort=False)]
        for place, measure in MEASURES:
          name = column(place, measure)
          values = [p[name].to_numpy() for p in parts], [p['lost'].to_numpy() for p in parts]
          rho = rank_correlation(*values)
          count = sum(len(x) for x, _ in correlated(*values))
          rows.append((model, group, place, measure, rho.estimate, rho.low, rho.high, count))
    names = ['model', 'group', 'place', 'measure', 'rho', 'low', 'high', 'phrasings']
    return pd.DataFrame(rows, columns=names)


def read_accuracies(
  directories: Sequence[str], backbone: str, adapter: str | None, labels: Sequence[str]
) -> dict[str, pd.Series]:
  """Accuracy of each phrasing: label -> series by (dataset, instruction id); labels without an evaluation are left out.

  Args:
    directories: finished evaluations.
    backbone: hash of the model's weights.
    adapter: hash of its adapter, if it has one.
    labels: WITHOUT, or WITHOUT and WITH.

  Raises:
    RepresentationError: if an evaluation is of another backbone or adapter, or two are of the same model.
  """
  adapters = {WITHOUT: None, WITH: adapter}
  found: dict[str, pd.Series] = {}
  for directory in directories:
    table, record = read(directory)
    fingerprint = record.get('fingerprint', {})
    if fingerprint.get('backbone') != backbone:
      raise RepresentationError(f'RESULTS: {directory} is an evaluation of another backbone; give one of this model')
    label = next((name for name in labels if adapters[name] == fingerprint.get('adapter')), None)
    if label is None:
      raise RepresentationError(
        f'RESULTS: {directory} is an evaluation with another adapter; set ADAPTER to that adapter, or leave it out'
      )
    if label in found:
      raise RepresentationError(f'RESULTS: {directory} is a second evaluation {label}; give one of each')
    found[label] = table.groupby(['dataset', 'instruction_id'], observed=True)['score'].mean()
  return found


_Kind = tuple[Sequence[crossed.Scores], Sequence[crossed.Names], str]  # datasets, names of their phrasings, and a group


def _having(scores: Sequence[crossed.Scores], names: Sequence[crossed.Names], group: str) -> _Kind:
  """The datasets that have a distance under a group; those with the group where none has."""
  own = [d for d, groups in enumerate(scores) if group in groups]
  own = [d for d in own if not np.isnan(scores[d][group]).all()] or own
  return [scores[d] for d in own], [names[d] for d in own], group


def _mean(
  scores: Sequence[crossed.Scores], names: Sequence[crossed.Names], group: str, models: Sequence[tuple[slice, float]]
) -> Interval:
  """Weighted mean over models, datasets, examples and phrasings, with its interval."""
  return crossed.contrast(scores, names, {group: 1.0}, models, bounds=None).interval()


def _lost(accuracy: np.ndarray, observed: np.ndarray) -> np.ndarray:
  """Accuracy that each phrasing loses against the observed phrasings' mean, or against that of all if none is."""
  return accuracy[observed if observed.any() else slice(None)].mean() - accuracy


def _spans(sizes: Sequence[int]) -> list[tuple[int, int]]:
  ends = np.cumsum(sizes)
  return [(int(e - s), int(e)) for s, e in zip(sizes, ends, strict=True)]
