"""BIG-bench's JSON tasks as datasets, a task's subtasks together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import functools
import math
import os
import pathlib
from typing import Any

from seqio_tasks.datasets.sources import Dataset, DatasetError, Example, Fault, Report, read_json, split_parts


def bigbench(
  directory: str | os.PathLike[str],
  tasks: Sequence[str] | None = None,
  train_percent: int = 0,
  strict: bool = False,
) -> list[Dataset]:
  """BIG-bench's JSON tasks (Srivastava et al. 2022), with their subtasks.

  An option with the highest of an example's target_scores is right. If several have it, the first one is what training
  asks for, and each of them counts as right in evaluation. A task without target_scores has free answers; of several
  targets each counts as right.

  Args:
    directory: that holds <task>/task.json, or <task>/<subtask>/task.json.
    tasks: by default all that there are.
    train_percent: how many of a hundred examples, chosen by a hash of their text, make the split "train" and are
      missing from "test".
    strict: see `datasets`.

  Returns:
    bigbench_<task>; the examples of its subtasks have ids that start with the subtask. Fields are question and
    task_prefix, what the task puts in front of every question.

  Raises:
    DatasetError: if the directory holds no task, or one is unknown.
  """
  root = pathlib.Path(directory)
  folders = sorted(root.iterdir()) if root.is_dir() else []
  found = {path.name: path for path in folders if path.is_dir() and not path.name.startswith('.')}
  paths = {name: _task_files(path) for name, path in found.items()}
  paths = {name: files for name, files in paths.items() if files}
  if not paths:
    raise DatasetError(f'{root}: holds no <task>/task.json; name the directory benchmark_tasks of BIG-bench')
  unknown = [t for t in tasks or () if t not in paths]
  if unknown:
    raise DatasetError(f'{root}: has no tasks {unknown}; there are {", ".join(paths)}')
  made = []
  for task in tasks or paths:
    read = functools.partial(_read_bigbench, paths[task], str(root / task), strict)
    names = (task, _INSTRUCTIONEVAL.get(task, task))
    made.append(
      Dataset(
        f'bigbench_{task}',
        'bigbench',
        names,
        split_parts(read, train_percent),
        parts=len(paths[task]) > 1,
        fields=('question', 'task_prefix'),
      )
    )
  return made


# How the published instructions of InstructionEval name a task.
_INSTRUCTIONEVAL = {
  'bbq_lite_json': 'BBQ_Lite',
  'code_line_description': 'Code_Line_Description',
  'conceptual_combinations': 'Conceptual_Combinations',
  'crash_blossom': 'Crash_Blossom',
  'empirical_judgments': 'Empirical_Judgments',
  'epistemic_reasoning': 'Epistemic_Reasoning',
  'hindu_knowledge': 'Hindu_Knowledge',
  'intent_recognition': 'Intent_Recognition',
  'known_unknowns': 'Known_Unknowns',
  'language_identification': 'Language_Identification',
  'logic_grid_puzzle': 'Logic_Grid_Puzzle',
  'logical_deduction': 'Logical_Deduction',
  'logical_sequence': 'Logical_Sequence',
  'novel_concepts': 'Novel_Concepts',
  'play_dialog_same_or_different': 'Play_Dialog',
  'strange_stories': 'Strange_Stories',
  'strategyqa': 'StrategyQA',
  'vitaminc_fact_verification': 'Vitaminc_Fact_Verification',
  'winowhy': 'Winowhy',
}


def _task_files(folder: pathlib.Path) -> tuple[str, ...]:
  """The files with examples: those of the subtasks, if there are any."""
  below = tuple(str(p) for p in sorted(folder.glob('*/task.json')))
  return below or tuple(str(p) for p in folder.glob('task.json'))


@functools.lru_cache(maxsize=256)
def _read_bigbench(paths: tuple[str, ...], root: str, strict: bool) -> tuple[Example, ...]:
  report = Report(strict)
  examples = []
  for path in paths:
    content = read_json(path)
    rows = content.get('examples') if isinstance(content, dict) else None
    if not isinstance(rows, list):
      raise DatasetError(f"{path}: has no list 'examples'; fetch the file anew")
    part = pathlib.Path(path).parent.relative_to(root).as_posix()
    prefix = '' if part == '.' else f'{part}/'
    # In some tasks the options are all there is, and every input is empty.
    blank = all(isinstance(r, dict) and r.get('input') == '' and r.get('target_scores') for r in rows)
    for number, row in enumerate(rows):
      try:
        if not blank and isinstance(row, dict) and isinstance(row.get('input'), str) and not row['input'].strip():
          raise Fault("'input' is blank, which it is not throughout the file", 'a blank input')
        examples.append(_bigbench_example(f'{prefix}{number}', row, content))
      except Fault as e:
        report(f'{path}: example {number}: {e}', e.reason)
  report.done(root, len(examples))
  return tuple(examples)


def _bigbench_example(example_id: str, row: Any, task: Mapping[str, Any]) -> Example:
  if not isinstance(row, dict) or not isinstance(row.get('input'), str):
    raise Fault("has no text 'input'", "no text 'input'")
  fields = {'question': row['input'], 'task_prefix': str(task.get('task_prefix') or '').strip()}
  example: dict[str, Any] = {'example_id': example_id, 'fields': fields}
  scores = row.get('target_scores')
  if scores is None:
    targets = row.get('target')
    targets = [targets] if isinstance(targets, str) else targets
    if not isinstance(targets, list) or not targets or not all(isinstance(t, str) and t.strip() for t in targets):
      raise Fault("has neither 'target_scores' nor a text or list of texts 'target'", 'no right answer')
    return example | {'gold': targets[0], 'options': [], 'alternatives': targets[1:]}
  if not isinstance(scores, dict) or not scores or not all(_is_score(s) for s in scores.values()):
    raise Fault(
      f"'target_scores' is {scores!r}; it must map each option to a finite number", "'target_scores' are not numbers"
    )
  if not all(option.strip() for option in scores):
    raise Fault("'target_scores' has an option without a text", 'an empty option')
  best = max(scores.values())
  if best <= 0:
    raise Fault('no option has a score above 0', 'no right answer')
  right = [option for option, score in scores.items() if score == best]
  options = list(scores)
  return example | {
    'gold': right[0], 'gold_index': options.index(right[0]), 'options': options, 'alternatives': right[1:]
  }  # fmt: skip


def _is_score(value: object) -> bool:
  """Whether it is a number that can be compared: JSON's readers take NaN and Infinity, and true is a number to Python."""
  if isinstance(value, bool) or not isinstance(value, int | float):
    return False
  return isinstance(value, int) or math.isfinite(value)
