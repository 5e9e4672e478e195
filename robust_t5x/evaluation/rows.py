"""The rows of evaluation tasks: every example under every phrasing, tokenised."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from robust_t5x.runtime.errors import UsageError
from seqio_tasks.pipeline import registration
from seqio_tasks.pipeline.evaluation import EvaluationTask
from seqio_tasks.pipeline.tasks import ExamplesTask

# A row as the task's features have it: `inputs` is an array of tokens, texts are strings, lists are strings in JSON.
Row = Mapping[str, Any]


def read_task(name: str, task_feature_lengths: Mapping[str, int], split: str) -> list[Row]:
  """The rows of a flat evaluation task.

  Raises:
    UsageError: if the task has no such split, or is none to evaluate.
    DatasetError: if it has no examples, or one lacks what a phrasing needs.
  """
  task = registration.find(name)
  if not isinstance(task, ExamplesTask) or task.evaluation is None:
    raise UsageError(f'{name} is no evaluation task; `robust-t5x tasks list` names those')
  if split not in task.splits:
    raise UsageError(f'SPLIT: task {name} has no split {split!r}, only {", ".join(task.splits)}')
  return list(task.reader(split, task_feature_lengths).rows())


def read_grid(
  tasks: Sequence[EvaluationTask], task_feature_lengths: Mapping[str, int], split: str, max_examples: int
) -> tuple[pd.DataFrame, list[np.ndarray]]:
  """Rows of one dataset's tasks, by example and then phrasing.

  Args:
    tasks: of one dataset, with the same examples under different phrasings.
    task_feature_lengths: tokens of 'inputs'; longer ones are cut.
    split: of the tasks.
    max_examples: the first so many.

  Returns:
    (a frame with example_id, group, instruction_id, template and truncated_tokens; the tokens of each row).

  Raises:
    UsageError: if the tasks do not have the same examples.
  """
  parts = []
  for task in tasks:
    templates = {i.id: i.template for i in task.instructions}
    rows = read_task(task.name, task_feature_lengths, split)
    parts.append(
      pd.DataFrame(
        {
          'example_id': [row['example_id'] for row in rows],
          'group': task.group,
          'instruction_id': [row['instruction_id'] for row in rows],
          'template': [templates[row['instruction_id']] for row in rows],
          'truncated_tokens': [row['truncated_tokens'] for row in rows],
          'inputs': [row['inputs'] for row in rows],
        }
      )
    )
  frame = pd.concat(parts, ignore_index=True)
  chosen = list(parts[0]['example_id'].unique()[:max_examples])
  order = {name: i for i, name in enumerate(frame['instruction_id'].unique())}
  frame = frame[frame['example_id'].isin(chosen)]
  frame = frame.assign(e=frame['example_id'].map(chosen.index), i=frame['instruction_id'].map(order))
  frame = frame.sort_values(['e', 'i'], kind='stable').drop(columns=['e', 'i']).reset_index(drop=True)
  if len(frame) != len(chosen) * len(order):
    raise UsageError(
      f'{tasks[0].dataset}: its tasks {", ".join(t.name for t in tasks)} do not have the same examples; name tasks that do'
    )
  return frame, list(frame.pop('inputs'))
