"""LMentry as datasets, under phrasings of the banks or under the published ones.

Published accuracies were taken on 100 samples for each phrasing (column `samples`), but which ones is not recorded; NUM_EXAMPLES
takes the first ones of the file. A model that gives one answer throughout scores 0.56 on all_words_from_category in the
published tables, just as on its first 100 instances, but 0.53 on any_words_from_category, where they give 0.52: so the
published sample is close to this one at best, and accuracies agree with it up to sampling only.

The published scoring matches regular expressions over many ways to put an answer into a sentence. The scorer `lmentry` here
is stricter: the answer must be all that is said; see `answers.lmentry_score`.
"""

from __future__ import annotations

from collections.abc import Sequence
import functools
import logging
import os

from seqio_tasks.bank.instruction import Instruction
from seqio_tasks.datasets import lmentry_phrasings, sources
from seqio_tasks.datasets.lmentry_instances import TASKS, read_instances
from seqio_tasks.datasets.sources import Dataset, DatasetError, Example, OwnPhrasings, split_parts

# Role of a published phrasing -> group that it is evaluated in.
_GROUPS = {'default': 'correct', 'evaluation': 'correct', 'incorrect': 'incorrect'}
_logger = logging.getLogger(__name__)


def lmentry(
  directory: str | os.PathLike[str],
  tasks: Sequence[str] | None = None,
  train_percent: int = 0,
  phrasings: str = 'package',
) -> list[Dataset]:
  """LMentry (Efrat et al. 2022).

  A task without one right answer has a rule as gold answer, such as "starts_with_letter: b".

  Args:
    directory: that holds instances/<task>.json and, for published phrasings, paraphrases/<task>.csv.
    tasks: by default all that there are; under published phrasings, all of them with one right answer.
    train_percent: as in `bigbench`.
    phrasings: "package" for those of the banks; "published" for those of arXiv 2401.00595, in the groups "correct", which
      names of tasks and mixtures leave out, and "incorrect". Those that cannot be filled in are left out with a warning.

  Returns:
    lmentry_<task>, scored by the metric `lmentry`.

  Raises:
    DatasetError: if the directory holds no task, one is unknown, or a file is not as it should be.
  """
  if phrasings not in ('package', 'published'):
    raise DatasetError(f'phrasings is {phrasings!r}; use package or published')
  published = phrasings == 'published'
  unknown = [t for t in tasks or () if published and t not in TASKS]
  if unknown:
    raise DatasetError(f'unknown LMentry task {unknown[0]!r}; choose among {", ".join(TASKS)}')
  made = []
  for task in sources.instance_files(directory, tasks):
    if published and task not in TASKS:
      continue
    read = functools.partial(_read, str(directory), task)
    made.append(
      Dataset(
        f'lmentry_{task}',
        'lmentry',
        (task if published else f'lmentry_{task}',),
        split_parts(read, train_percent),
        metric='lmentry',
        sizes={'test': len(read())} if published and not train_percent else {},
        own=_published(str(directory), task) if published else None,
      )
    )
  return made


@functools.lru_cache(maxsize=64)
def _read(directory: str, task: str) -> tuple[Example, ...]:
  return tuple(read_instances(directory, task))


def _published(directory: str, task: str) -> OwnPhrasings:
  return OwnPhrasings(functools.partial(_fillable, directory, task), groups=_GROUPS, unnamed='correct')


def _fillable(directory: str, task: str) -> list[Instruction]:
  """The published phrasings of a task that can be filled in."""
  made = []
  for phrasing in lmentry_phrasings.read_phrasings(directory, task):
    if phrasing.problem:
      _logger.warning('%s is left out: %s', phrasing.instruction.id, phrasing.problem)
    else:
      made.append(phrasing.instruction)
  return made
