"""The numbers that several parts of a report share: every metric with its interval, gaps and changes."""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np
import pandas as pd

from robust_t5x.analysis import decisions
from robust_t5x.analysis.decisions import Decision
from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports.inputs import Inputs
from robust_t5x.results.schema import EXAMPLE

GAP, GAP_CHANGE = 'gap', 'gap change'


@dataclasses.dataclass(frozen=True)
class Change:
  """What a model does against the first one, paired over examples and phrasings.

  Attributes:
    model: which.
    groups: group -> change of AvgP.
    gap: change of the observed gap; None where there is no gap.
  """

  model: str
  groups: Mapping[str, Interval]
  gap: Interval | None


@dataclasses.dataclass(frozen=True)
class Summary:
  """The numbers that several parts of a report share.

  Attributes:
    values: (model, group, metric) -> interval.
    gaps: model -> interval of the observed gap.
    changes: of each model that can be paired with the first.
    decisions: (model, GAP, GAP_CHANGE or a group whose change it is) -> whether it differs, and by less than the margin.
  """

  values: Mapping[tuple[str, str, str], Interval]
  gaps: Mapping[str, Interval]
  changes: Sequence[Change]
  decisions: Mapping[tuple[str, str], Decision]


def summarise(inputs: Inputs, margin: float = decisions.MARGIN) -> Summary:
  """Every metric with its interval, and what differences say against a margin, as a share."""
  models = inputs.models
  values = {
    (model, group, name): _known(inputs, inputs.interval(model, group, name))
    for model in models
    for group in inputs.groups
    for name in inputs.metric_names
  }
  gaps = {model: inputs.gap(model) for model in models} if inputs.has_gap else {}
  changes = [
    Change(
      model,
      {group: _known(inputs, inputs.change(model, group)) for group in inputs.groups},
      inputs.gap_change(model) if gaps else None,
    )
    for model in inputs.paired
  ]
  return Summary(values, gaps, changes, _decisions(inputs, margin))


def metric_frame(summary: Summary) -> pd.DataFrame:
  """Every metric and gap with its interval, a row each."""
  rows = [(*key, value) for key, value in summary.values.items()]
  rows += [(model, 'gap', 'observed gap', value) for model, value in summary.gaps.items()]
  return pd.DataFrame(
    [
      {'model': m, 'group': g, 'metric': name, 'estimate': v.estimate, 'low': v.low, 'high': v.high}
      for m, g, name, v in rows
    ]
  )


def _decisions(inputs: Inputs, margin: float) -> dict[tuple[str, str], Decision]:
  found = {(m, GAP): decisions.of_gap(inputs.of(m), m, margin) for m in inputs.models if inputs.of(m).has_gap}
  first = inputs.models[0]
  cohort = inputs.cohorts[0]
  for model in inputs.paired:
    for group in (g for g in inputs.groups if g in cohort.groups):
      found[model, group] = decisions.of_change(cohort, model, group, margin, first)
    if cohort.has_gap:
      found[model, GAP_CHANGE] = decisions.of_gap(cohort, model, margin, first)
  return found


def _known(inputs: Inputs, value: Interval) -> Interval:
  """Without ends where nothing could be resampled: a single phrasing whose examples are not given."""
  fixed = inputs.grain != EXAMPLE and value.low == value.high
  return dataclasses.replace(value, low=np.nan, high=np.nan) if fixed else value
