"""LMentry under its published phrasings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import os
from typing import TYPE_CHECKING

from seqio_tasks import answers
from seqio_tasks.datasets import lmentry_files
from seqio_tasks.pipeline import registration

if TYPE_CHECKING:
  import seqio


def lmentry(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
  """SeqIO metric: the mean of `score`, in [0, 1]."""
  return _mean_score(targets, predictions, ())


def lmentry_yes_no(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
  """SeqIO metric: the mean of `score` where the options are yes and no, in [0, 1]."""
  return _mean_score(targets, predictions, answers.YES_NO)


def register_lmentry(
  directory: str | os.PathLike[str],
  tasks: Iterable[str],
  vocabulary: seqio.Vocabulary,
  num_examples: int = 100,
) -> list[str]:
  """Registers flat evaluation tasks, all with the one split "test" and the metric `lmentry`.

  For each task: lmentry_<task>_eval under all phrasings judged correct,
  lmentry_<task>_eval_incorrect under those judged incorrect (if any), and lmentry_<task>__<index>
  under one phrasing; and the mixtures lmentry_eval and lmentry_eval_incorrect over the given tasks.
  Phrasings that cannot be filled in are left out with a warning.

  Args:
    directory: that holds instances/ and paraphrases/.
    tasks: names among `TASKS`.
    vocabulary: of inputs and targets.
    num_examples: how many instances, the first ones of the file.

  Returns:
    the names of the tasks and then of the mixtures.

  Raises:
    LmentryError: if a task is unknown, or its files are not as they should be.
  """
  names: dict[str, list[str]] = {group: [] for group in lmentry_files.GROUPS}
  single = []
  for task in tasks:
    if task not in lmentry_files.TASKS:
      raise lmentry_files.LmentryError(f'unknown LMentry task {task!r}; choose among {", ".join(lmentry_files.TASKS)}')
    instances = lmentry_files.load_instances(directory, task)
    if not 1 <= num_examples <= len(instances):
      raise lmentry_files.LmentryError(
        f"num_examples is {num_examples}, but LMentry's {task} has {len(instances)} instances; "
        f'choose 1 to {len(instances)}'
      )
    usable = []
    for phrasing in lmentry_files.load_phrasings(directory, task):
      if phrasing.problem:
        lmentry_files._logger.warning('%s is left out: %s', phrasing.instruction.id, phrasing.problem)
      else:
        usable.append(phrasing)

    def register(name, group, instructions, task=task, instances=instances):
      return registration.register_evaluation_task(
        name,
        f'lmentry_{task}',
        group,
        instructions,
        {'test': instances[:num_examples]},
        vocabulary,
        metric_fns=(lmentry_yes_no if instances[0]['options'] == list(answers.YES_NO) else lmentry,),
      )

    for group, suffix in zip(lmentry_files.GROUPS, ('', '_incorrect'), strict=True):
      members = [p.instruction for p in usable if p.group == group]
      if members:
        names[group].append(register(f'lmentry_{task}_eval{suffix}', group, members))
    single += [register(f'lmentry_{task}__{p.index}', p.group, [p.instruction]) for p in usable]
  mixtures = [
    registration.register_mixture(name, names[group])
    for group, name in zip(lmentry_files.GROUPS, ('lmentry_eval', 'lmentry_eval_incorrect'), strict=True)
    if names[group]
  ]
  return names['correct'] + names['incorrect'] + single + mixtures


def _mean_score(targets: Sequence[str], predictions: Sequence[str], options: Sequence[str]) -> dict[str, float]:
  scores = [answers.lmentry_score(p, t, options) for t, p in zip(targets, predictions, strict=True)]
  return {'lmentry': sum(scores) / max(len(scores), 1)}
