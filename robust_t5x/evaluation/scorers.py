"""Scores the rows of a task with one of `results.scorers`, as a results table."""

from collections.abc import Sequence
import json

import numpy as np
import pandas as pd

from robust_t5x.evaluation.rows import Row
from robust_t5x.results.schema import COLUMNS
from robust_t5x.results.scorers import Runner, Scored, Scorer
from seqio_tasks.pipeline.registration import EvaluationTask


def score_task(runner: Runner, rows: Sequence[Row], task: EvaluationTask, scorer: Scorer, label: str) -> pd.DataFrame:
  """Scores the rows of one task.

  Args:
    runner: the model.
    rows: of `rows.read_task`.
    task: that they are of.
    scorer: one of `results.scorers.SCORERS`.
    label: name of the model.

  Returns:
    a results table, with `results.schema.COLUMNS`.
  """
  table = pd.DataFrame(_scored(runner, rows, scorer)).assign(
    model=label,
    dataset=task.dataset,
    example_id=[row['example_id'] for row in rows],
    instruction_id=[row['instruction_id'] for row in rows],
    group=task.group,
    truncated_tokens=[int(row['truncated_tokens']) for row in rows],
  )
  return table[list(COLUMNS)]


def _scored(runner: Runner, rows: Sequence[Row], scorer: Scorer) -> list[Scored]:
  inputs: list[np.ndarray] = [row['inputs'] for row in rows]
  options: list[list[str]] = [json.loads(row['options']) for row in rows]
  right = [[row['targets_pretokenized'], *json.loads(row['alternatives'])] for row in rows]
  if scorer.rank is None:
    outputs = runner.generate(inputs)
    return [scorer.of_output(*cell) for cell in zip(outputs, right, options, strict=True)]
  return [
    scorer.of_ranking(scores, own, golds[0], [scorer.judge(option, golds, own) for option in own])
    for scores, golds, own in zip(scorer.rank(runner, inputs, options), right, options, strict=True)
  ]
