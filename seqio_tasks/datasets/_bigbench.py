"""BIG-bench's JSON tasks as datasets, a task's subtasks together or one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import functools
import math
import os
import pathlib
import re
from typing import Any

from seqio_tasks import tables
from seqio_tasks.datasets.sources import (
  Dataset,
  DatasetError,
  Example,
  Fault,
  Report,
  leave_out_file,
  read_json,
  split_parts,
)


def bigbench(
  directory: str | os.PathLike[str],
  tasks: Sequence[str] | None = None,
  train_percent: int = 0,
  validation_percent: int = 0,
  strict: bool = False,
) -> list[Dataset]:
  """BIG-bench's JSON tasks (Srivastava et al. 2022), with their subtasks.

  An option with the highest of an example's target_scores is right. If several have it, the first one is what training
  asks for, and each of them counts as right in evaluation. A task without target_scores has free answers; of several
  targets each counts as right.

  Args:
    directory: that holds <task>/task.json, or <task>/<subtask>/task.json.
    tasks: <task>, or <task>/<subtask> for a subtask by itself; by default all tasks that there are.
    train_percent: how many of a hundred examples, chosen by a hash of their text, make the split "train" and are
      missing from "test".
    validation_percent: the same for a split "validation".
    strict: see `datasets`.

  Returns:
    bigbench_<task>; the examples of its subtasks have ids that start with the subtask. A subtask by itself is
    bigbench_<subtask>. Fields are question and task_prefix, what the task puts in front of every question; some tasks have
    the parts of their questions as fields besides, see `PARTS`.

  Raises:
    DatasetError: if the directory holds no task, or one is unknown.
  """
  root = pathlib.Path(directory)
  paths = {p.name: _task_files(p) for p in tables.entries(root) if p.is_dir()}
  paths = {name: files for name, files in paths.items() if files}
  if not paths:
    raise DatasetError(f'{root}: holds no <task>/task.json; name the directory benchmark_tasks of BIG-bench')
  below = {
    f'{task}/{pathlib.Path(f).parent.name}': (f,) for task, files in paths.items() for f in files if len(files) > 1
  }
  unknown = [t for t in tasks or () if t not in paths and t not in below]
  if unknown:
    raise DatasetError(f'{root}: has no tasks {unknown}; there are {", ".join((*paths, *below))}')
  made = []
  for task in tasks or paths:
    files = paths.get(task) or below[task]
    whole = root / task / 'task.json'
    if task in paths and files != (str(whole),) and whole.is_file():
      leave_out_file(whole, f'there are subtasks beside it, such as {files[0]}')
    name = task.rsplit('/', 1)[-1]
    parts = _named_parts(name)
    read = functools.partial(_read_bigbench, files, str(root / task), strict)
    made.append(
      Dataset(
        f'bigbench_{name}',
        'bigbench',
        (name, _INSTRUCTIONEVAL.get(name, name)),
        split_parts(read, train_percent, validation_percent),
        parts=len(files) > 1,
        fields=('question', 'task_prefix', *parts),
      )
    )
  return made


# What the questions of a task or subtask are made of: phrasings may name the parts instead of the question.
PARTS = {
  'step_inference': re.compile(r"The most reasonable step of '(?P<goal>.+)' is", re.DOTALL),
  'goal_inference': re.compile(r"The most reasonable goal of '(?P<step>.+)' is", re.DOTALL),
  'intent_recognition': re.compile(r'Utterance: (?P<utterance>.+)', re.DOTALL),
  'similarities_abstraction': re.compile(r'Tell me how (?P<first>.+) and (?P<second>.+) are alike\.', re.DOTALL),
}


def _named_parts(name: str) -> tuple[str, ...]:
  return tuple(PARTS[name].groupindex) if name in PARTS else ()


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
  below = tuple(map(str, tables.entries(folder, '*/task.json')))
  whole = folder / 'task.json'
  return below or ((str(whole),) if whole.is_file() else ())


@functools.lru_cache(maxsize=256)
def _read_bigbench(paths: tuple[str, ...], root: str, strict: bool) -> tuple[Example, ...]:
  report = Report(strict)
  examples: list[Example] = []
  for path in paths:
    content = read_json(path)
    rows = content.get('examples') if isinstance(content, dict) else None
    if not isinstance(rows, list):
      raise DatasetError(f"{path}: has no list 'examples'; fetch the file anew")
    part = pathlib.Path(path).parent.relative_to(root).as_posix()
    prefix = '' if part == '.' else f'{part}/'
    # By the subtask, or the task without any; where subtasks are read together, their questions differ in form.
    form = PARTS.get(pathlib.Path(root).name)
    # In some tasks the options are all there is, and every input is empty.
    before = len(examples)
    blank = all(isinstance(r, dict) and r.get('input') == '' and r.get('target_scores') for r in rows)
    for number, row in enumerate(rows):
      try:
        if not blank and isinstance(row, dict) and isinstance(row.get('input'), str) and not row['input'].strip():
          raise Fault("'input' is blank, which it is not throughout the file", 'a blank input')
        examples.append(_bigbench_example(f'{prefix}{number}', row, content, form))
      except Fault as e:
        report(f'{path}: example {number}: {e}', e.reason)
    if len(paths) > 1 and len(examples) == before:
      leave_out_file(path, 'has no example that can be used')
  report.done(root, len(examples))
  return tuple(examples)


def _bigbench_example(example_id: str, row: Any, task: Mapping[str, Any], form: re.Pattern[str] | None) -> Example:
  if not isinstance(row, dict) or not isinstance(row.get('input'), str):
    raise Fault("has no text 'input'", "no text 'input'")
  prefix = task.get('task_prefix')
  fields = {'question': row['input'], 'task_prefix': prefix.strip() if isinstance(prefix, str) else ''}
  if form is not None:
    found = form.fullmatch(row['input'].strip())
    if found is None:
      raise Fault(f"'input' is not of the form {form.pattern!r}", 'a question of another form')
    fields |= found.groupdict()
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
  if len(scores) < 2:
    raise Fault("'target_scores' has one option; there must be two or more", 'fewer than two options')
  # A tie but for rounding is one, as of 0.1 + 0.2 and 0.3; whole numbers may be too great for that.
  right = [o for o, score in scores.items() if score == best or (isinstance(best, float) and math.isclose(score, best))]
  options = list(scores)
  return example | {
    'gold': right[0], 'gold_index': options.index(right[0]), 'options': options, 'alternatives': right[1:]
  }  # fmt: skip


def _is_score(value: object) -> bool:
  """Whether it is a number that can be compared: JSON's readers take NaN and Infinity, and true is a number to Python."""
  if isinstance(value, bool) or not isinstance(value, int | float):
    return False
  return isinstance(value, int) or math.isfinite(value)
