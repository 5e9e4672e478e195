"""The rows of evaluation tasks: every example under every phrasing, tokenised."""

from collections.abc import Mapping
from typing import Any

from robust_t5x.runtime.errors import UsageError

# A row as the task's features have it: `inputs` is an array of tokens, texts are strings, lists are strings in JSON.
Row = Mapping[str, Any]


def read_task(name: str, task_feature_lengths: Mapping[str, int], split: str) -> list[Row]:
  """The rows of a flat evaluation task.

  Raises:
    UsageError: if the task has no such split or no rows.
  """
  import seqio

  task = seqio.get_mixture_or_task(name)
  if split not in task.splits:
    raise UsageError(f'SPLIT: task {name} has no split {split!r}, only {", ".join(task.splits)}')
  ds = task.get_dataset(dict(task_feature_lengths), split=split, shuffle=False)
  rows: list[Row] = []
  for row in ds.as_numpy_iterator():
    rows.append({k: v.decode() if isinstance(v, bytes) else v for k, v in row.items()})
  if not rows:
    raise UsageError(f'task {name} has no examples in split {split!r}')
  return rows
