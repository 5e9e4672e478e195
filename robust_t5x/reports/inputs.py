"""What a report reads: one comparison, or several where published tables give each model its own phrasings.

InstructionEval's tables, for example, have other observed phrasings for Flan-T5 than for Alpaca. Each model's accuracy and
gap then stand side by side; paired changes are for models of the same phrasings alone.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses

import numpy as np
import pandas as pd

from robust_t5x.analysis.comparison import Comparison, compare
from robust_t5x.analysis.statistics import Interval
from robust_t5x.results import reading
from robust_t5x.results.cells import Cells
from robust_t5x.results.schema import OBSERVED, PHRASING, UNOBSERVED, Record, ResultsError, grain
from seqio_tasks.errors import UserError

GAP_GROUPS = (OBSERVED, UNOBSERVED)
FOCUS = (UNOBSERVED, 'reported', 'correct')  # the group whose phrasings are looked at one by one, where there is one
_ORDER = (*GAP_GROUPS, 'correct', 'default')
_NONE = Interval(np.nan, np.nan, np.nan)


@dataclasses.dataclass(frozen=True)
class Inputs:
  """The models of a report.

  Attributes:
    cohorts: comparisons of models with the same cells; the first holds the model that others are compared with.
    models: labels of all models.
    groups: groups of phrasings, observed and unobserved first.
    phrasings: see analysis.comparison.Comparison; missing where a model has no result under a phrasing.
  """

  cohorts: tuple[Comparison, ...]
  models: tuple[str, ...]
  groups: tuple[str, ...]
  phrasings: pd.DataFrame

  @property
  def grain(self) -> str:
    """What the results are of; see results.schema.grain."""
    return self.cohorts[0].grain

  @property
  def metric_names(self) -> tuple[str, ...]:
    """The metrics that results of this grain allow."""
    return self.cohorts[0].metric_names

  @property
  def runs(self) -> Mapping[str, tuple[str, ...]]:
    """Model -> where its results are from."""
    return {model: self.of(model).runs[model] for model in self.models}

  @property
  def records(self) -> Mapping[str, Record]:
    """Model -> record of its first results."""
    return {model: self.of(model).records[model] for model in self.models}

  @property
  def unmatched(self) -> Mapping[str, float]:
    """Model -> share of all outputs that should be one of some options and are none; NaN where unknown."""
    return {model: self.of(model).unmatched[model] for model in self.models}

  @property
  def paired(self) -> tuple[str, ...]:
    """The models that can be compared with the first, cell by cell."""
    return self.cohorts[0].models[1:]

  @property
  def num_examples(self) -> int:
    """Examples of all datasets."""
    counts = {d: next(iter(groups.values())).shape[-2] for c in self.cohorts for d, groups in c.datasets.items()}
    return sum(counts.values())

  def of(self, model: str) -> Comparison:
    """The comparison that a model is part of."""
    return next(c for c in self.cohorts if model in c.models)

  def interval(self, model: str, group: str, metric: str) -> Interval:
    """See Comparison.interval; without value where the model has no phrasing of the group."""
    cohort = self.of(model)
    return cohort.interval(model, group, metric) if group in cohort.groups else _NONE

  def gap(self, model: str) -> Interval:
    """Observed gap; without value where the model lacks one of the groups."""
    cohort = self.of(model)
    return cohort.gap(model) if cohort.has_gap else _NONE

  @property
  def has_gap(self) -> bool:
    """Whether some model has observed and unobserved phrasings of a dataset."""
    return any(c.has_gap for c in self.cohorts)

  def change(self, model: str, group: str) -> Interval:
    """AvgP of a model less that of the first, paired."""
    return self.cohorts[0].change(model, group, 'AvgP') if group in self.cohorts[0].groups else _NONE

  def gap_change(self, model: str) -> Interval:
    """Observed gap of a model less that of the first, paired; without value where these lack one of the groups."""
    return self.cohorts[0].gap_change(model) if self.cohorts[0].has_gap else _NONE


def read(paths: Sequence[str]) -> Inputs:
  """Reads results.

  Raises:
    ResultsError: if a path holds no finished results, or evaluations are not of the same cells as the first.
  """
  try:
    comparison = compare(paths)
  except ResultsError:
    cohorts = _published(paths)
    if cohorts is None:
      raise
    return _join(cohorts)
  return of_comparison(comparison)


def of_comparison(comparison: Comparison) -> Inputs:
  """A comparison that was made as what a report reads."""
  return _join((comparison,))


def focus_of(groups: Sequence[str]) -> str:
  """The group whose phrasings are looked at one by one."""
  return next((group for group in FOCUS if group in groups), groups[0])


def words_of(phrasing: pd.Series) -> str:
  """The text of a row of `Inputs.phrasings`, or its id where the text is not known."""
  template = phrasing['template']
  return template if isinstance(template, str) and template else str(phrasing['instruction_id'])


def in_order(groups: Iterable[str]) -> list[str]:
  """Groups of phrasings without repetition, observed and unobserved first."""
  groups = dict.fromkeys(groups)
  return [g for g in _ORDER if g in groups] + [g for g in groups if g not in _ORDER]


def _join(cohorts: Sequence[Comparison]) -> Inputs:
  keys = ['dataset', 'group', 'instruction_id']
  frame = cohorts[0].phrasings
  for cohort in cohorts[1:]:
    frame = frame.merge(cohort.phrasings.drop(columns='template'), on=keys, how='outer', sort=False)
  if len(cohorts) > 1:
    templates = pd.concat([c.phrasings[['instruction_id', 'template']] for c in cohorts]).drop_duplicates(
      'instruction_id'
    )
    frame['template'] = frame['instruction_id'].map(templates.set_index('instruction_id')['template'])
  order = in_order(g for c in cohorts for g in c.groups)
  frame = frame.sort_values('group', key=lambda column: column.map(order.index), kind='stable')
  first = {d: i for i, d in enumerate(dict.fromkeys(d for c in cohorts for d in c.datasets))}
  frame = frame.sort_values('dataset', key=lambda column: column.map(first), kind='stable').reset_index(drop=True)
  return Inputs(tuple(cohorts), tuple(m for c in cohorts for m in c.models), tuple(order), frame)


def _published(paths: Sequence[str]) -> list[Comparison] | None:
  """Comparisons of published models that have the same phrasings, or None if some results are our own."""
  tables: dict[frozenset[tuple[str, str, str]], list[reading.ModelResults]] = {}
  for results in reading.read_models(paths):
    part = results.table
    if results.record.get('launcher') != 'published' or grain(part) != PHRASING:
      return None
    places = frozenset(zip(part['dataset'], part['group'], part['instruction_id'], strict=True))
    tables.setdefault(places, []).append(results)
  return [_cohort(members) for members in tables.values()]


def _cohort(members: Sequence[reading.ModelResults]) -> Comparison:
  keys = ['dataset', 'group', 'instruction_id']
  first = members[0].table
  order = pd.MultiIndex.from_frame(first[keys])  # one for the scores of all, and for the phrasings' names
  parts = {r.model: r.table.set_index(keys).loc[order].reset_index() for r in members}
  datasets: dict[str, dict[str, list[np.ndarray]]] = {}
  for r in members:
    part = parts[r.model]
    try:
      filled = Cells(part).fill(part['score'].to_numpy(float), np.nan)
    except UserError as e:
      raise ResultsError(f'{r.path}: {e}') from e
    for dataset, groups in filled.items():
      for group, scores in groups.items():
        datasets.setdefault(dataset, {}).setdefault(group, []).append(scores)
  templates = {k: v for r in members for k, v in r.record['instructions'].items()}
  phrasings = first[keys].assign(template=first['instruction_id'].map(templates)).reset_index(drop=True)
  for model, part in parts.items():
    phrasings = phrasings.merge(part[[*keys, 'score']].rename(columns={'score': model}), on=keys)
  return Comparison(
    models=tuple(parts),
    runs={r.model: (r.path,) for r in members},
    groups=tuple(first['group'].unique()),
    datasets={d: {g: np.stack(s) for g, s in groups.items()} for d, groups in datasets.items()},
    phrasings=phrasings,
    unmatched=dict.fromkeys(parts, np.nan),
    records={r.model: r.record for r in members},
    grain=PHRASING,
  )
