"""Which cells (an example under a phrasing) of a task are evaluated."""

from collections.abc import Mapping, Sequence
from typing import Any

from robust_t5x.runtime import errors


def check_budget(budget: int | float | None, num_phrasings: Mapping[str, int]) -> None:
  """Raises UsageError for what is neither a number of cells nor a share of them, or a number below a task's phrasings."""
  whole = isinstance(budget, int) and not isinstance(budget, bool) and budget >= 1
  if budget is not None and not whole and not (isinstance(budget, float) and 0 < budget < 1):
    raise errors.UsageError(
      f'CELL_BUDGET is {budget!r}; give a whole number of cells for each task, a share of them above 0 and below 1, or None'
    )
  for name, phrasings in num_phrasings.items() if whole else ():
    _check_enough(budget, budget, phrasings, name)


def _check_enough(budget: int | float, count: int, num_phrasings: int, name: str) -> None:
  if count < num_phrasings:
    raise errors.UsageError(
      f'CELL_BUDGET is {budget}, which is {count} cells of {name}; its {num_phrasings} phrasings need one each at least'
    )


def sample_cells(
  rows: Sequence[Mapping[str, Any]], name: str, budget: int | float | None, seed: int
) -> Sequence[Mapping[str, Any]]:
  """The rows of a task that a budget allows, each phrasing and each example as evenly as possible.

  Raises:
    launcher.UsageError: if that is less than a row for each phrasing.
  """
  import zlib

  import numpy as np

  from robust_t5x.analysis import prompteval

  if budget is None:
    return rows
  examples = {e: i for i, e in enumerate(dict.fromkeys(row['example_id'] for row in rows))}
  phrasings = {p: i for i, p in enumerate(dict.fromkeys(row['instruction_id'] for row in rows))}
  count = budget if isinstance(budget, int) else round(budget * len(rows))
  _check_enough(budget, count, len(phrasings), name)
  if count >= len(rows):
    return rows
  # Tasks differ in their cells, and a task keeps its own whatever others are evaluated.
  own_seed = np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)[0]
  chosen = prompteval.balanced_cells(len(examples), len(phrasings), count, int(own_seed))
  return [row for row in rows if chosen[examples[row['example_id']], phrasings[row['instruction_id']]]]
