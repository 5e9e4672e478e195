"""The results of a sweep as one table: a row for each trial, and for each model without an adapter."""

from collections.abc import Mapping, Sequence
import hashlib
import json

import numpy as np
import pandas as pd

from robust_t5x.analysis.metrics import METRICS, observed_gap, table_cells
from robust_t5x.results.reading import read
from robust_t5x.results.schema import OBSERVED, UNOBSERVED
from robust_t5x.sweeps.trial import TrialRun

BASELINE, TRIAL = 'baseline', 'trial'  # kinds of rows
_UNTRAINED = 'without adapter'
GAP = 'observed gap'

Summary = Mapping[str, float | str]  # column -> value, of an evaluation


def summary(evaluation: str) -> dict[str, float]:
  """'GROUP METRIC' -> mean over the datasets that have the metric under the group, and the observed gap where there is one.

  Args:
    evaluation: directory of a finished evaluation.
  """
  datasets = table_cells(read(evaluation)[0])
  groups = dict.fromkeys(group for parts in datasets.values() for group in parts)
  found = {}
  for group in groups:
    scores = [parts[group].to_numpy() for parts in datasets.values() if group in parts]
    for name, metric in METRICS.items():
      values = np.array([metric(s) for s in scores])
      known = values[~np.isnan(values)]
      found[f'{group} {name}'] = float(known.mean()) if len(known) else np.nan
  both = [parts for parts in datasets.values() if {OBSERVED, UNOBSERVED} <= set(parts)]
  if both:
    gaps = [observed_gap(parts[UNOBSERVED].to_numpy(), parts[OBSERVED].to_numpy()) for parts in both]
    found[GAP] = float(np.mean(gaps))
  return found


def measured_on(evaluation: str) -> str:
  """Hash of what an evaluation was made on: examples, phrasings, scorer, lengths; all but the model.

  Rows of the table can be compared where it is the same.
  """
  fingerprint = read(evaluation)[1].get('fingerprint', {})
  rest = {name: value for name, value in fingerprint.items() if name not in ('backbone', 'adapter', 'vocabulary')}
  return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:8]


def build(
  runs: Sequence[TrialRun], baselines: Mapping[str, str], axes: Sequence[str], summaries: dict[str, Summary]
) -> pd.DataFrame:
  """The table.

  Args:
    runs: the trials, in the order of the grid.
    baselines: backbone -> directory of its evaluation without an adapter.
    axes: names of the grid's axes.
    summaries: directory -> `summary`, of evaluations that were read before; filled.

  Returns:
    columns `kind`, `trial`, `status`, one for each axis, `seed`, the metrics, `steps`, `train_seconds`, `parameters`, `error`,
    `model_dir`, `evaluation`, `measured_on`, `train_command`, `eval_command`. The baselines' rows come first, their settings empty.
  """
  rows: list[Mapping[str, object]] = []
  for checkpoint, directory in baselines.items():
    label = _UNTRAINED if len(baselines) == 1 else f'{_UNTRAINED}: {checkpoint}'
    rows.append(
      {
        'kind': BASELINE,
        'trial': label,
        'status': 'finished',
        **_summary(directory, summaries),
        'evaluation': directory,
      }
    )
  for run in runs:
    record, status = run.record, run.status
    error = record['error'] if status == 'failed' else None
    rows.append(
      {
        'kind': TRIAL,
        'trial': ', '.join(f'{k}={v}' for k, v in record['settings'].items()) or 'run',
        'status': status,
        **record['settings'],
        'seed': record['seed'],
        **(_summary(run.evaluation, summaries) if status == 'finished' else {}),
        'steps': record['steps'],
        'train_seconds': record['seconds'],
        'parameters': record['parameters'],
        'error': f'{error["stage"]}: {error["message"]}' if error else '',
        'model_dir': f'{run.directory}/train',
        'evaluation': run.evaluation,
        'train_command': record['train_command'],
        'eval_command': record['eval_command'],
      }
    )
  table = pd.DataFrame(rows)
  whole = ['seed', 'steps', 'parameters']
  table[whole] = table[whole].astype('Int64')
  last = [
    'steps', 'train_seconds', 'parameters', 'error', 'model_dir', 'evaluation', 'measured_on', 'train_command',
    'eval_command',
  ]  # fmt: skip
  first = ['kind', 'trial', 'status', *(name for name in axes if name != 'SEED'), 'seed']
  middle = [c for c in table if c not in {*first, *last, 'SEED'}]
  return table.reindex(columns=[*first, *middle, *last])


def caution(table: pd.DataFrame) -> str:
  """Why rows of the table may not be compared; '' if they may."""
  counts = table['measured_on'].value_counts()
  if len(counts) < 2:
    return ''
  kinds = ', '.join(f'{count} measured_on {name}' for name, count in counts.items())
  return (
    f'The evaluations differ in examples, phrasings or scoring ({kinds}), since these changed between them. Delete the '
    'evaluations of one kind (column `evaluation`) and start again; training is kept.'
  )


def _summary(directory: str, summaries: dict[str, Summary]) -> Summary:
  if directory not in summaries:
    summaries[directory] = {**summary(directory), 'measured_on': measured_on(directory)}
  return summaries[directory]
