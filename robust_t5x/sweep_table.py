"""The results of a sweep as one table, a row per cell."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from robust_t5x import metrics, results, sweep_cell

BASELINE, CELL = 'baseline', 'cell'  # kinds of rows
_UNTRAINED = 'without prompt'
GAP = 'observed gap'
_OBSERVED, _UNOBSERVED = 'observed', 'unobserved'


def summary(evaluation: str) -> dict[str, float]:
  """'GROUP METRIC' -> mean over the datasets that have the group, and the observed gap where there is one.

  Args:
    evaluation: directory of a finished evaluation.
  """
  datasets = metrics.table_cells(results.read(evaluation)[0])
  groups = dict.fromkeys(group for parts in datasets.values() for group in parts)
  found = {}
  for group in groups:
    scores = [parts[group].to_numpy() for parts in datasets.values() if group in parts]
    for name, metric in metrics.METRICS.items():
      found[f'{group} {name}'] = float(np.mean([metric(s) for s in scores]))
  both = [parts for parts in datasets.values() if {_OBSERVED, _UNOBSERVED} <= set(parts)]
  if both:
    gaps = [metrics.observed_gap(parts[_UNOBSERVED].to_numpy(), parts[_OBSERVED].to_numpy()) for parts in both]
    found[GAP] = float(np.mean(gaps))
  return found


def build(
  runs: Sequence[sweep_cell.CellRun], baselines: dict[str, str], axes: Sequence[str], summaries: dict[str, Any]
) -> pd.DataFrame:
  """The table.

  Args:
    runs: the cells, in the order of the grid.
    baselines: backbone -> directory of its evaluation without a prompt.
    axes: names of the grid's axes.
    summaries: directory -> `summary`, of evaluations that were read before; filled.

  Returns:
    columns `kind`, `cell`, `status`, one for each axis, `seed`, the metrics, `steps`, `train_seconds`, `parameters`, `error`,
    `model_dir`, `evaluation`, `train_command`, `eval_command`. The baselines' rows come first, their settings empty.
  """
  rows = []
  for checkpoint, directory in baselines.items():
    label = _UNTRAINED if len(baselines) == 1 else f'{_UNTRAINED}: {checkpoint}'
    rows.append(
      {'kind': BASELINE, 'cell': label, 'status': 'finished', **_summary(directory, summaries), 'evaluation': directory}
    )
  for run in runs:
    record, status = run.record, run.status
    error = record['error'] if status == 'failed' else None
    rows.append(
      {
        'kind': CELL,
        'cell': ', '.join(f'{k}={v}' for k, v in record['settings'].items()) or 'run',
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
  last = ['steps', 'train_seconds', 'parameters', 'error', 'model_dir', 'evaluation', 'train_command', 'eval_command']
  first = ['kind', 'cell', 'status', *(name for name in axes if name != 'SEED'), 'seed']
  middle = [c for c in table if c not in {*first, *last, 'SEED'}]
  return table.reindex(columns=[*first, *middle, *last])


def _summary(directory: str, summaries: dict[str, Any]) -> dict[str, float]:
  if directory not in summaries:
    summaries[directory] = summary(directory)
  return summaries[directory]
