"""LMentry as datasets."""

from __future__ import annotations

from collections.abc import Sequence
import functools
import os

from seqio_tasks.datasets import lmentry_files, sources
from seqio_tasks.datasets.sources import Dataset, DatasetError, Example, split_parts


def lmentry_instances(
  directory: str | os.PathLike[str],
  tasks: Sequence[str] | None = None,
  train_percent: int = 0,
) -> list[Dataset]:
  """LMentry (Efrat et al. 2022); `seqio_tasks.lmentry` tells more.

  A task without one right answer has a rule as gold answer, such as "starts_with_letter: b".

  Args:
    directory: that holds instances/<task>.json.
    tasks: by default all that there are.
    train_percent: as in `bigbench`.

  Returns:
    lmentry_<task>, scored by the metric `lmentry`.

  Raises:
    DatasetError: if the directory holds no task, or one is unknown.
  """
  paths = sources.instance_files(directory, tasks)
  return [
    Dataset(
      f'lmentry_{task}',
      'lmentry',
      (f'lmentry_{task}',),
      split_parts(functools.partial(_read_lmentry, str(directory), task), train_percent),
      metric='lmentry',
    )
    for task in paths
  ]


@functools.lru_cache(maxsize=64)
def _read_lmentry(directory: str, task: str) -> tuple[Example, ...]:
  try:
    return tuple(lmentry_files.load_instances(directory, task))
  except lmentry_files.LmentryError as e:
    raise DatasetError(str(e)) from e
