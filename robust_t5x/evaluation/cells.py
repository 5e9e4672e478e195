"""Which cells of a task are evaluated: all, or a sample that a budget allows."""

from collections.abc import Sequence
import zlib

import numpy as np

from robust_t5x.analysis.prompteval import balanced_cells
from robust_t5x.evaluation.rows import Row
from robust_t5x.runtime.errors import UsageError

Budget = int | float | None  # a number of cells, a share of them, or all


def check_budget(budget: Budget) -> None:
  """Raises UsageError for what is neither a number of cells nor a share of them."""
  whole = isinstance(budget, int) and not isinstance(budget, bool) and budget >= 1
  if budget is not None and not whole and not (isinstance(budget, float) and 0 < budget < 1):
    raise UsageError(
      f'CELL_BUDGET is {budget!r}; give a whole number of cells for each task, a share of them above 0 and below 1, or None'
    )


def count_cells(budget: int | float, cells: int, num_phrasings: int, name: str) -> int:
  """How many of a task's cells a budget is; raises UsageError if that is less than one for each phrasing."""
  count = budget if isinstance(budget, int) else round(budget * cells)
  if count < num_phrasings:
    raise UsageError(
      f'CELL_BUDGET is {budget}, which is {count} cells of {name}; its {num_phrasings} phrasings need one each at least'
    )
  return count


def sample_cells(rows: Sequence[Row], name: str, budget: Budget, seed: int) -> Sequence[Row]:
  """The rows of a task that a budget allows, each phrasing and each example as evenly as possible.

  Raises:
    UsageError: if that is less than a row for each phrasing.
  """
  if budget is None:
    return rows
  examples = {e: i for i, e in enumerate(dict.fromkeys(row['example_id'] for row in rows))}
  phrasings = {p: i for i, p in enumerate(dict.fromkeys(row['instruction_id'] for row in rows))}
  count = count_cells(budget, len(rows), len(phrasings), name)
  if count >= len(rows):
    return rows
  # Tasks differ in their cells, and a task keeps its own whatever others are evaluated.
  own_seed = np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)[0]
  chosen = balanced_cells(len(examples), len(phrasings), count, int(own_seed))
  return [row for row in rows if chosen[examples[row['example_id']], phrasings[row['instruction_id']]]]
