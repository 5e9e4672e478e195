"""Scores the rows of a task with one of `results.scorers`, as a results table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from robust_t5x.evaluation.rows import Row
from robust_t5x.evaluation.subjects import CountingRunner
from robust_t5x.results.schema import COLUMNS
from robust_t5x.results.scorers import Runner, Scored, Scorer
from robust_t5x.runtime.costs import Cost
from robust_t5x.runtime.progress import OnDone, untold
from seqio_tasks.answers import AnswerKey
from seqio_tasks.pipeline.registration import EvaluationTask


def score_task(
  runner: Runner,
  rows: Sequence[Row],
  task: EvaluationTask,
  scorer: Scorer,
  label: str,
  on_done: OnDone = untold,
) -> pd.DataFrame:
  """Scores the rows of one task.

  Args:
    runner: the model.
    rows: of `rows.read_task`.
    task: that they are of.
    scorer: one of `results.scorers.SCORERS`.
    label: name of the model.
    on_done: called now and then with how many rows were done since.

  Returns:
    a results table, with `results.schema.COLUMNS`.
  """
  return score_tasks(runner, [(task, rows)], scorer, label, on_done)


def score_tasks(
  runner: Runner,
  parts: Sequence[tuple[EvaluationTask, Sequence[Row]]],
  scorer: Scorer,
  label: str,
  on_done: OnDone = untold,
) -> pd.DataFrame:
  """As `score_task`, of rows of several tasks, which run together."""
  rows = [row for _, own in parts for row in own]
  table = pd.DataFrame(_scored(runner, rows, scorer, on_done)).assign(
    model=label,
    dataset=[task.dataset for task, own in parts for _ in own],
    example_id=[row['example_id'] for row in rows],
    instruction_id=[row['instruction_id'] for row in rows],
    group=[task.group for task, own in parts for _ in own],
    truncated_tokens=[int(row['truncated_tokens']) for row in rows],
    cut_answer_tokens=[0 if scorer.rank else int(row['cut_answer_tokens']) for row in rows],
  )
  return table[list(COLUMNS)]


def cost_of(runner: CountingRunner, rows: Sequence[Row], scorer: Scorer) -> Cost:
  """What scoring the rows of a task takes."""
  options = [AnswerKey.of_features(row).options for row in rows] if scorer.rank else []
  return runner.cost([row['inputs'] for row in rows], options)


def _scored(runner: Runner, rows: Sequence[Row], scorer: Scorer, on_done: OnDone) -> list[Scored]:
  inputs: list[np.ndarray] = [row['inputs'] for row in rows]
  keys = [AnswerKey.of_features(row) for row in rows]
  if scorer.rank is None:
    return [scorer.of_output(*cell) for cell in zip(runner.generate(inputs, on_done), keys, strict=True)]
  options = [key.options for key in keys]
  numbers, tokens = scorer.rank(runner, inputs, options, on_done), runner.count_tokens(options)
  return [scorer.of_ranking(*cell) for cell in zip(numbers, keys, tokens, strict=True)]
