"""What results say: metrics, intervals and paired changes of one or more models over the same cells."""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import functools
import itertools

import numpy as np
import pandas as pd

from robust_t5x.analysis import agreement, crossed, extremes, metrics, significance, statistics
from robust_t5x.analysis.sources import (
  Source,
  check_same_cells,
  check_same_sample,
  check_seeds,
  on_common_cells,
  read_sources,
)
from robust_t5x.analysis.statistics import Interval
from robust_t5x.results.schema import EXAMPLE, OBSERVED, UNOBSERVED, GrainError, Record, ResultsError
from seqio_tasks.errors import UserError

GAP = {UNOBSERVED: 1.0, OBSERVED: -1.0}
_AGREEMENT = {agreement.CONSISTENCY: (0.0, 1.0), agreement.KAPPA: (-1.0, 1.0)}  # and what they lie between


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Evaluations of the same cells, the first model being what the others are compared with.

  Attributes:
    models: labels, in the order given.
    runs: model -> where its results are from; more than one are seeds.
    groups: groups of phrasings.
    datasets: dataset -> group -> scores [runs, N, k], the runs of all models one after another. Where the results are
      accuracies of phrasings, N is 1.
    phrasings: a row per instruction: dataset, group, instruction_id, template, accuracy of each model.
    unmatched: model -> share of all outputs that should be one of some options and are none; NaN where that is unknown.
    records: model -> `run.json` of its first evaluation.
    grain: what the results are of, schema.EXAMPLE or schema.PHRASING.
    sources: the results of each run, in the order of the first axis of scores.
  """

  models: tuple[str, ...]
  runs: Mapping[str, tuple[str, ...]]
  groups: tuple[str, ...]
  datasets: Mapping[str, Mapping[str, np.ndarray]]
  phrasings: pd.DataFrame
  unmatched: Mapping[str, float]
  records: Mapping[str, Record]
  grain: str = EXAMPLE
  sources: tuple[Source, ...] = ()

  @property
  def metric_names(self) -> tuple[str, ...]:
    """The metrics of metrics.METRICS that results of this grain allow."""
    return tuple(m for m in metrics.METRICS if self.grain == EXAMPLE or m not in metrics.CASE_METRICS)

  def runs_of(self, model: str) -> slice:
    """Place of a model's runs on the first axis of scores."""
    before = self.models[: self.models.index(model)]
    start = sum(len(self.runs[m]) for m in before)
    return slice(start, start + len(self.runs[model]))

  def interval(self, model: str, group: str, metric: str, dataset: str | None = None) -> Interval:
    """A metric of one model under a group, mean over its seeds, of one dataset or the mean over those that have it (`left_out`).

    AvgP is of phrasings, examples and seeds like these (`crossed`); all else of these very phrasings, on examples and by
    seeds like these.

    Raises:
      GrainError: if the metric needs scores of examples, which the results do not have.
    """
    self._check_metric(metric)
    if self._is_mean(metric):
      return self._contrast({group: 1}, metric, [(model, 1)], dataset).share()
    values = self.values_of(model, group, metric, dataset)
    return statistics.of_draws(self.draws(model, group, metric, dataset), values, bounds=(0, 1))

  def of_phrasing(self, model: str, dataset: str, group: str, place: int) -> Interval:
    """Accuracy under the phrasing at a place of a group, on examples and by seeds like these."""
    scores = {group: self.datasets[dataset][group][..., place : place + 1]}
    names = {group: self.names[dataset, group][place : place + 1]}
    return crossed.contrast([scores], [names], {group: 1.0}, [(self.runs_of(model), 1.0)]).share()

  def change(self, model: str, group: str, metric: str, baseline: str | None = None) -> Interval:
    """A metric of a model less that of the baseline (the first model), paired over examples and phrasings."""
    return self._change(model, group, metric, baseline or self.models[0])[0]

  def _change(
    self, model: str, group: str, metric: str, baseline: str, dataset: str | None = None
  ) -> tuple[Interval, float]:
    """`change`, of one dataset or of all, and its p-value."""
    self._check_metric(metric)
    if self._is_mean(metric):
      found = self._contrast({group: 1}, metric, [(model, 1), (baseline, -1)], dataset)
      return found.interval(), found.p_value()
    draws = self.draws(model, group, metric, dataset) - self.draws(baseline, group, metric, dataset)
    values = [self.values_of(m, group, metric, dataset) for m in (model, baseline)]
    return statistics.of_draws(draws, *values, bounds=(-1, 1)), statistics.p_of_draws(draws, *values)

  def value(self, model: str, group: str, metric: str, dataset: str | None = None) -> float:
    """A metric of the data, of one dataset or the mean over those that have it (`left_out`)."""
    return float(self.values_of(model, group, metric, dataset).mean())

  def _is_mean(self, metric: str) -> bool:
    return metric == 'AvgP' or metric in metrics.CASE_METRICS

  def _contrast(
    self, groups: Mapping[str, float], metric: str, models: Sequence[tuple[str, float]], dataset: str | None = None
  ) -> crossed.Estimate:
    """A mean, or a difference of means, of scores or of what a case-level metric makes of each example."""
    scores, names = [], []
    for d in self._datasets_of(groups, metric, dataset):
      own = {g: self.datasets[d][g] for g in groups}
      if metric in metrics.CASE_METRICS:
        own = {g: metrics.CASE_METRICS[metric](s)[..., None] for g, s in own.items()}
      scores.append(own)
      names.append({g: self.names[d, g] if s.shape[-1] > 1 else (d,) for g, s in own.items()})
    return crossed.contrast(scores, names, groups, [(self.runs_of(m), sign) for m, sign in models])

  @functools.cached_property
  def names(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """(dataset, group) -> ids of its phrasings, in the order of the scores."""
    found = self.phrasings.groupby(['dataset', 'group'], sort=False)['instruction_id'].agg(tuple).to_dict()
    if self.sources:
      found = {
        (d, g): tuple(ids) for d, groups in self.sources[0].places.phrasings.items() for g, ids in groups.items()
      }
    return found

  def _datasets_with(self, groups: Iterable[str], dataset: str | None = None) -> list[str]:
    """Those that have all of some groups."""
    return [d for d, own in self.datasets.items() if set(groups) <= set(own) and dataset in (None, d)]

  def _datasets_of(self, groups: Iterable[str], metric: str, dataset: str | None = None) -> list[str]:
    """Those that have all of some groups and a metric under them, the same for all models; the former where none has the metric."""
    chosen = self._datasets_with(groups, dataset)
    return [d for d in chosen if not any((d, g, metric) in self._unpaired for g in groups)] or chosen

  @functools.cached_property
  def _unpaired(self) -> set[tuple[str, str, str]]:
    """(dataset, group, metric) where the metric has no two phrasings; all runs have the same cells, so the first one tells."""
    return {
      (dataset, group, metric)
      for dataset, groups in self.datasets.items()
      for group, scores in groups.items()
      for metric in metrics.OF_PAIRS
      if np.isnan(metrics.METRICS[metric](scores[0]))
    }

  def left_out(self, group: str) -> dict[str, list[str]]:
    """Metric, or measure of agreement -> datasets with a group that have no part in its mean, where there are others that have it.

    They have no two phrasings to compare, or for Fleiss' kappa a model gives one answer throughout.
    """
    own = self._datasets_with([group])
    chosen = {metric: self._datasets_of([group], metric) for metric in self.metric_names}
    if self.grain == EXAMPLE:
      chosen |= {name: self._agreeing(group, name) for name in _AGREEMENT}
    return {name: [d for d in own if d not in having] for name, having in chosen.items() if len(having) < len(own)}

  def values_of(self, model: str, group: str, metric: str, dataset: str | None = None) -> np.ndarray:
    """A metric [runs] of each run of a model, of one dataset or the mean over those that have it (`left_out`)."""
    self._check_metric(metric)
    chosen = self._datasets_of([group], metric, dataset)
    runs = self.runs_of(model)
    return np.mean([metrics.METRICS[metric](self.datasets[d][group][runs]) for d in chosen], axis=0)

  def draws(self, model: str, group: str, metric: str, dataset: str | None = None) -> np.ndarray:
    """A metric [1 + R] of a model's phrasings as they are, and of draws of their true accuracies (`extremes`)."""
    chosen = self._datasets_of([group], metric, dataset)
    runs = self.runs_of(model)
    values = [metrics.METRICS[metric](self._accuracies[d, group][:, runs, None]).mean(-1) for d in chosen]
    return np.mean(values, axis=0)

  def accuracy_draws(self, dataset: str, group: str, model: str) -> np.ndarray:
    """Accuracies [1 + R, k] of the phrasings of a dataset as measured, and draws of the true ones; mean over a model's seeds."""
    return self._accuracies[dataset, group][:, self.runs_of(model)].mean(1)

  @functools.cached_property
  def _accuracies(self) -> Mapping[tuple[str, str], np.ndarray]:
    """(dataset, group) -> [1 + R, runs, k] accuracies of the data, and draws of the true ones."""
    found = {}
    for place, (dataset, groups) in enumerate(self.datasets.items()):
      weights = self._weights[dataset]
      for number, (group, scores) in enumerate(groups.items()):
        if weights.shape[-1] > 1:
          found[dataset, group] = extremes.draw(scores, weights, np.random.default_rng([1, place, number]))
        else:  # accuracies of phrasings, whose noise is not known
          draws = np.full((len(weights), *metrics.phrasing_accuracy(scores).shape), np.nan)
          draws[0] = metrics.phrasing_accuracy(scores)
          found[dataset, group] = draws
    return found

  @property
  def has_gap(self) -> bool:
    """Whether some dataset has observed and unobserved phrasings."""
    return any({OBSERVED, UNOBSERVED} <= set(groups) for groups in self.datasets.values())

  def contrast(
    self, groups: Mapping[str, float], models: Sequence[tuple[str, float]], dataset: str | None = None
  ) -> crossed.Estimate:
    """A mean accuracy, or a difference of several, of one dataset or the mean over those that have the groups.

    Args:
      groups: group -> its weight, such as 1, or 1 and -1 for a gap.
      models: models and their weights, such as 1, or 1 and -1 for a change.
      dataset: one of them, or None.
    """
    return self._contrast(groups, 'AvgP', models, dataset)

  def difference(self, model: str, group: str, reference: str) -> float | None:
    """Mean accuracy under a group less that under another, over the datasets that have both; None where none has."""
    if not self._datasets_with([group, reference]):
      return None
    return self.contrast({group: 1, reference: -1}, [(model, 1)]).value

  def gap(self, model: str) -> Interval:
    """Observed gap of a model, over the datasets that have both groups."""
    return self.contrast(GAP, [(model, 1)]).interval()

  def gap_change(self, model: str, baseline: str | None = None) -> Interval:
    """Observed gap of a model less that of the baseline (the first model), paired."""
    return self.contrast(GAP, [(model, 1), (baseline or self.models[0], -1)]).interval()

  def answer_agreement(self, model: str, group: str) -> dict[str, Interval]:
    """Consistency rate and Fleiss' kappa of a model's answers, means over its seeds and the datasets that have it (`left_out`).

    Answers are compared after answers.normalise.

    Raises:
      GrainError: if the results have no answers.
    """
    found = self._agreement_of(model, group)
    return {
      name: statistics.of_resamples(found[name], self._examples_of(group, name), bounds)
      for name, bounds in _AGREEMENT.items()
    }

  def answer_agreement_change(self, model: str, group: str, baseline: str | None = None) -> dict[str, Interval]:
    """`answer_agreement` of a model less that of the baseline (the first model), paired over examples, under these very phrasings.

    Raises:
      GrainError: if the results have no answers.
    """
    found, others = (self._agreement_of(m, group) for m in (model, baseline or self.models[0]))
    return {
      name: statistics.change_of_resamples(found[name], others[name], self._examples_of(group, name)) for name in found
    }

  def _agreement_of(self, model: str, group: str) -> dict[str, np.ndarray]:
    """Name -> [1 + R, runs], means over the datasets that have it."""
    self._check_examples(agreement.CONSISTENCY)
    runs, found = self.runs_of(model), {}
    for name in _AGREEMENT:
      chosen = self._agreeing(group, name) or self._datasets_with([group])
      found[name] = np.mean([self._agreement[d, group][name][:, runs] for d in chosen], axis=0)
    return found

  def _agreeing(self, group: str, name: str) -> list[str]:
    """The datasets with a group that have a measure of agreement in all runs, the same for all models.

    A run that has it in no dataset, as one that always answers alike, takes none from the others.
    """
    known = {d: ~np.isnan(self._agreement[d, group][name][0]) for d in self._datasets_with([group])}
    somewhere = np.any(list(known.values()), axis=0)
    return [d for d, own in known.items() if own[somewhere].all()]

  def _examples_of(self, group: str, name: str) -> int:
    return sum(self.datasets[d][group].shape[-2] for d in self._agreeing(group, name))

  def kendalls_w(self, group: str) -> dict[str, float]:
    """Dataset -> how far the models agree on which phrasings of a group are hard; NaN for a single model."""
    return {
      dataset: agreement.kendalls_w(
        np.stack([metrics.phrasing_accuracy(groups[group][self.runs_of(m)]).mean(0) for m in self.models])
      )
      for dataset, groups in self.datasets.items()
      if group in groups
    }

  def paired(
    self, group: str, metric: str = 'AvgP', baseline: str | None = None, rule: str = significance.HOLM
  ) -> pd.DataFrame:
    """Each model against the baseline (the first model) on the same cells of a group.

    Returns:
      a row per model and dataset, and per model one with the dataset "all", their mean. Columns: model, baseline, group,
      dataset, value, baseline_value, difference, low, high (paired), p, p_adjusted (by the rule, over
      the rows of all datasets and over those of "all" apart), cohens_h.

    Raises:
      GrainError: if the metric needs scores of examples, which the results do not have.
    """
    baseline = baseline or self.models[0]
    rows = []
    for model in self.models:
      if model == baseline:
        continue
      for dataset in (None, *(d for d, groups in self.datasets.items() if group in groups)):
        value, other = (self.value(m, group, metric, dataset) for m in (model, baseline))
        change, p = self._change(model, group, metric, baseline, dataset)
        rows.append(
          {
            'model': model, 'baseline': baseline, 'group': group, 'dataset': 'all' if dataset is None else dataset,
            'value': value, 'baseline_value': other, 'difference': change.estimate, 'low': change.low,
            'high': change.high, 'p': p,
            'cohens_h': significance.cohens_h(value, other),
          }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    if len(table):
      whole = table['dataset'] == 'all'
      for family in (whole, ~whole):
        table.loc[family, 'p_adjusted'] = significance.adjust(table.loc[family, 'p'], rule)
    return table

  def mcnemar(self, model: str, group: str, baseline: str | None = None, rule: str = significance.HOLM) -> pd.DataFrame:
    """McNemar's test of a model's first run against the baseline's, for each phrasing of a group by itself.

    Returns:
      a row per phrasing: dataset, instruction_id, only_model and only_baseline (examples that only one has right), p,
      p_adjusted (by the rule, over all rows).

    Raises:
      GrainError: if the results have no scores of examples.
      UserError: if a score is neither 0 nor 1.
    """
    self._check_examples("McNemar's test")
    a, b = self.runs_of(model).start, self.runs_of(baseline or self.models[0]).start
    rows = []
    for dataset, groups in self.datasets.items():
      ids = self.sources[0].places.phrasings[dataset].get(group, ())
      for i, instruction in enumerate(ids):
        test = significance.mcnemar(groups[group][a, :, i], groups[group][b, :, i])
        rows.append((dataset, instruction, test.only_first, test.only_second, test.p))
    table = pd.DataFrame(rows, columns=['dataset', 'instruction_id', 'only_model', 'only_baseline', 'p'])
    return table.assign(p_adjusted=significance.adjust(table['p'], rule))

  @functools.cached_property
  def _agreement(self) -> Mapping[tuple[str, str], dict[str, np.ndarray]]:
    """(dataset, group) -> name -> agreement [1 + R, runs] of the answers, of the data and of resamples."""
    codes = [s.aligned_to(self.sources[0].places, s.answers()) for s in self.sources]
    return {
      (dataset, group): agreement.of_resamples(np.stack([c[dataset][group] for c in codes]), self._weights[dataset])
      for dataset, groups in self.datasets.items()
      for group in groups
    }

  @functools.cached_property
  def _weights(self) -> Mapping[str, np.ndarray]:
    """Dataset -> how often each resample holds each example, [1 + R, N]; the same for all groups and metrics."""
    return {
      dataset: statistics.example_weights(next(iter(groups.values())).shape[-2], statistics.REPLICATES, 0, place)
      for place, (dataset, groups) in enumerate(self.datasets.items())
    }

  def _check_metric(self, name: str) -> None:
    if name not in metrics.METRICS:
      raise UserError(f'no metric {name!r}; use one of {", ".join(metrics.METRICS)}')
    if name in metrics.CASE_METRICS:
      self._check_examples(name)

  def _check_examples(self, name: str) -> None:
    if self.grain != EXAMPLE:
      where = self.runs[self.models[0]][0]
      raise GrainError(f'{name} needs per-example scores; {where} has accuracies per phrasing')


def compare(paths: Sequence[str]) -> Comparison:
  """Reads results. A file may hold several models, and several files of others one model.

  Raises:
    ResultsError: if a path holds no finished results, or not the same cells as the first one.
  """
  if not paths:
    raise ResultsError('no evaluation given; name the OUTPUT_DIR of at least one `robust-t5x eval`')
  return compare_sources(read_sources(paths))


def compare_sources(sources: Sequence[Source]) -> Comparison:
  """Compares results that were read; those with the same label are seeds of one model.

  Where some stopped early, on the cells that all have (`on_common_cells`).

  Raises:
    ResultsError: if some have not the same cells as the first, or seeds were not made alike.
  """
  sources = on_common_cells(sources)
  order = [source for label in dict.fromkeys(s.label for s in sources) for source in sources if source.label == label]
  for source in order[1:]:
    check_same_cells(order[0], source)
  for before, source in itertools.pairwise(order):
    check_seeds(before, source)
  first = order[0].places
  scores = [source.aligned_to(first, source.scores()) for source in order]
  datasets = {
    dataset: {group: np.stack([s[dataset][group] for s in scores]) for group in groups}
    for dataset, groups in first.phrasings.items()
  }
  for source, own in zip(order[1:], scores[1:], strict=True):
    check_same_sample(order[0], scores[0], source, own)
  labels = tuple(dict.fromkeys(source.label for source in order))
  members = {label: [source for source in order if source.label == label] for label in labels}
  templates = {k: v for source in order for k, v in source.record['instructions'].items()}
  return Comparison(
    models=labels,
    runs={label: tuple(source.path for source in group) for label, group in members.items()},
    groups=tuple(dict.fromkeys(group for groups in first.phrasings.values() for group in groups)),
    datasets=datasets,
    phrasings=_phrasings({label: pd.concat([s.table for s in group]) for label, group in members.items()}, templates),
    unmatched={
      label: float(
        np.mean([1 - s.table['matched_option'].mean() if 'matched_option' in s.table else np.nan for s in group])
      )
      for label, group in members.items()
    },
    records={label: group[0].record for label, group in members.items()},
    grain=order[0].grain,
    sources=tuple(order),
  )


def _phrasings(tables: Mapping[str, pd.DataFrame], templates: Mapping[str, str]) -> pd.DataFrame:
  keys = ['dataset', 'group', 'instruction_id']
  accuracy = pd.concat(
    {label: table.groupby(keys, sort=False, observed=True)['score'].mean() for label, table in tables.items()}, axis=1
  ).reset_index()
  accuracy.insert(3, 'template', accuracy['instruction_id'].map(templates))
  return accuracy
