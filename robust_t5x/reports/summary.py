"""The numbers that several parts of a report share: every metric with its interval, gaps and changes."""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np
import pandas as pd

from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports.inputs import Inputs
from robust_t5x.results.schema import EXAMPLE


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
  """

  values: Mapping[tuple[str, str, str], Interval]
  gaps: Mapping[str, Interval]
  changes: Sequence[Change]


def summarise(inputs: Inputs) -> Summary:
  """Every metric with its interval."""
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
  return Summary(values, gaps, changes)


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


def _known(inputs: Inputs, value: Interval) -> Interval:
  """Without ends where nothing could be resampled: a single phrasing whose examples are not given."""
  fixed = inputs.grain != EXAMPLE and value.low == value.high
  return dataclasses.replace(value, low=np.nan, high=np.nan) if fixed else value
