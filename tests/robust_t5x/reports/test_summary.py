"""The numbers that parts of a report share."""

import pandas as pd

from robust_t5x.reports.inputs import read
from robust_t5x.reports.summary import metric_frame, summarise


def test_every_metric_gap_and_change(evaluations):
  before, after = evaluations
  inputs = read([before, *after])
  summary = summarise(inputs)
  assert set(summary.values) == {(m, g, n) for m in inputs.models for g in inputs.groups for n in inputs.metric_names}
  assert summary.gaps['aligned'] == inputs.gap('aligned')
  (change,) = summary.changes
  assert (change.model, change.gap) == ('aligned', inputs.gap_change('aligned'))
  assert change.groups['unobserved'] == inputs.change('aligned', 'unobserved')
  frame = metric_frame(summary)
  assert len(frame) == len(summary.values) + 2
  row = frame.query('model == "no adapter" and group == "observed" and metric == "MaxP"').iloc[0]
  assert row['estimate'] == summary.values['no adapter', 'observed', 'MaxP'].estimate


def test_a_single_accuracy_has_no_interval(tmp_path):
  rows = [('m', 'd', 'observed', 'a', 0.5), ('m', 'd', 'unobserved', 'b', 0.25), ('m', 'd', 'unobserved', 'c', 0.75)]
  table = pd.DataFrame(rows, columns=['model', 'dataset', 'group', 'instruction_id', 'score'])
  table.to_csv(tmp_path / 't.csv', index=False)
  summary = summarise(read([str(tmp_path / 't.csv')]))
  assert not summary.values['m', 'observed', 'AvgP'].has_ends  # nothing to resample
  assert summary.values['m', 'unobserved', 'AvgP'].has_ends
  assert summary.changes == []
