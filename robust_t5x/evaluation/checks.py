"""What can be told of an evaluation before there is a model."""

from collections.abc import Sequence

from robust_t5x.evaluation import stopping
from robust_t5x.evaluation.cells import Budget, check_budget, count_cells
from robust_t5x.results.scorers import SCORERS
from robust_t5x.runtime.errors import UsageError
from seqio_tasks.pipeline.evaluation import EvaluationTask


def check(
  tasks: Sequence[EvaluationTask],
  split: str = 'test',
  scorer: str = 'exact_match',
  cell_budget: Budget = None,
  stop_width: int | float | None = None,
) -> None:
  """Whether tasks can be evaluated so; the arguments are those of eval.evaluate.

  Raises:
    UsageError: naming the setting, and the task.
    DatasetError: if a task has no such split, or an example has more options than a phrasing has letters for.
  """
  if scorer not in SCORERS:
    raise UsageError(f'SCORER: unknown scorer {scorer!r}; use one of {", ".join(SCORERS)}')
  if stop_width is not None:
    stopping.check(stop_width, cell_budget)
  check_budget(cell_budget)
  for task in tasks:
    task.check_split(split)
    if cell_budget is not None:
      phrasings = len(task.instructions)
      count_cells(cell_budget, phrasings * len(task.example_ids(split)), phrasings, task.name)
    task.check_letters(split)
    fault = task.unrankable(split) if SCORERS[scorer].needs_options else None
    if fault is not None:
      raise UsageError(
        f'SCORER: {scorer} ranks options, but of {task.name} {fault}; use exact_match for this task, or mend the data'
      )
