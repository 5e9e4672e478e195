"""Benchmarks as data: where their examples are, and which phrasings of the bank serve them.

Every function here returns `Dataset`s without reading examples; these are read when a split is asked for. Examples are
dictionaries of example_id, fields, gold and options, and where they matter gold_index (which option is right, where two
read alike) and alternatives (what else is right).

A row that cannot be used is left out, with a warning that names file and line; with strict=True it is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import functools
import os
import pathlib
import re
from typing import Any

from seqio_tasks import lmentry, tables
from seqio_tasks.sources import Dataset, DatasetError, Example, Report, read_json, split_parts

_MMLU_COLUMNS = ('question', 'A', 'B', 'C', 'D', 'answer')
_MMLU_FIELDS = ('question', 'subject', 'domain')
_MMLU_SPLITS = ('auxiliary_train', 'dev', 'val', 'test')


# MMLU.


def mmlu(
  directory: str | os.PathLike[str],
  subjects: Sequence[str] | None = None,
  all_subjects: bool = True,
  strict: bool = False,
) -> list[Dataset]:
  """MMLU (Hendrycks et al. 2021) in its published CSV layout.

  Args:
    directory: that holds test/<subject>_test.csv, and dev/ and val/ where there are such.
    subjects: by default all that there are.
    all_subjects: whether there is also the dataset "mmlu_all" of all subjects together.
    strict: see the module.

  Returns:
    mmlu_<subject> for each subject, and mmlu_all. Fields are question and subject ("college biology").

  Raises:
    DatasetError: if the directory holds no such files, or a subject is unknown.
  """
  root = pathlib.Path(directory)
  files: dict[str, dict[str, str]] = {}
  for split in _MMLU_SPLITS:
    for path in sorted((root / split).glob('*.csv')):
      files.setdefault(path.stem.removesuffix(f'_{split}'), {})[split] = str(path)
  tested = {s: f for s, f in sorted(files.items()) if 'test' in f or 'val' in f}
  if not tested:
    raise DatasetError(
      f"{root}: holds no test/*.csv; name the directory of MMLU's data, with the folders dev, val, test"
    )
  unknown = [s for s in subjects or () if s not in tested]
  if unknown:
    raise DatasetError(f'{root}: has no subjects {unknown}; there are {", ".join(tested)}')
  made = []
  readers: dict[str, list[Callable[[], Sequence[Example]]]] = {}
  for subject in subjects or tested:
    splits = {
      _split_name(split): functools.partial(_read_mmlu, path, subject, strict) for split, path in files[subject].items()
    }
    for split, reader in splits.items():
      readers.setdefault(split, []).append(reader)
    tasks = (f'mmlu_{subject}', 'MMLU_General', 'MMLU_Specific', 'multiple_choice')
    made.append(Dataset(f'mmlu_{subject}', 'mmlu', tasks, splits, fields=_MMLU_FIELDS))
  if all_subjects:
    splits = {split: functools.partial(_read_all, tuple(r)) for split, r in readers.items()}
    made.append(
      Dataset('mmlu_all', 'mmlu_all', ('MMLU_General', 'MMLU_Specific', 'multiple_choice'), splits, parts=True)
    )
  return made


def _split_name(split: str) -> str:
  return {'val': 'validation', 'auxiliary_train': 'train'}.get(split, split)


@functools.lru_cache(maxsize=256)
def _read_mmlu(path: str, subject: str, strict: bool) -> tuple[Example, ...]:
  report = Report(strict)
  try:
    _, rows = tables.read_csv(path, columns=_MMLU_COLUMNS, bad_row=report)
  except tables.TableError as e:
    raise DatasetError(str(e)) from e
  examples = []
  for line, row in rows:
    options = [row[c] for c in 'ABCD']
    if row['answer'] not in tuple('ABCD'):
      report(f'{path}: line {line}: the answer is {row["answer"]!r}; it must be A, B, C or D')
      continue
    index = 'ABCD'.index(row['answer'])
    examples.append(
      {
        'example_id': f'{subject}/{line}',
        'fields': {
          'question': row['question'],
          'subject': subject.replace('_', ' '),
          'domain': subject.replace('_', ' '),
        },
        'gold': options[index],
        'gold_index': index,
        'options': options,
      }
    )
  report.done(path, len(examples))
  return tuple(examples)


def _read_all(readers: Sequence[Callable[[], Sequence[Example]]]) -> tuple[Example, ...]:
  return tuple(example for reader in readers for example in reader())


# BIG-bench.


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
    strict: see the module.

  Returns:
    bigbench_<task>; the examples of its subtasks have ids that start with the subtask. Fields are question and
    task_prefix, what the task puts in front of every question.

  Raises:
    DatasetError: if the directory holds no task, or one is unknown.
  """
  root = pathlib.Path(directory)
  found = {path.name: path for path in sorted(root.iterdir()) if path.is_dir()} if root.is_dir() else {}
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
    for number, row in enumerate(rows):
      try:
        examples.append(_bigbench_example(f'{prefix}{number}', row, content))
      except DatasetError as e:
        report(f'{path}: example {number}: {e}')
  report.done(root, len(examples))
  return tuple(examples)


def _bigbench_example(example_id: str, row: Any, task: Mapping[str, Any]) -> Example:
  if not isinstance(row, dict) or not isinstance(row.get('input'), str):
    raise DatasetError("has no text 'input'")
  fields = {'question': row['input'], 'task_prefix': str(task.get('task_prefix', '')).strip()}
  example: dict[str, Any] = {'example_id': example_id, 'fields': fields}
  scores = row.get('target_scores')
  if scores is None:
    targets = row.get('target')
    targets = [targets] if isinstance(targets, str) else targets
    if not isinstance(targets, list) or not targets or not all(isinstance(t, str) for t in targets):
      raise DatasetError("has neither 'target_scores' nor a text or list of texts 'target'")
    return example | {'gold': targets[0], 'options': [], 'alternatives': targets[1:]}
  if not isinstance(scores, dict) or not scores or not all(isinstance(s, int | float) for s in scores.values()):
    raise DatasetError("'target_scores' does not map options to numbers")
  best = max(scores.values())
  if best <= 0:
    raise DatasetError('no option has a score above 0')
  right = [option for option, score in scores.items() if score == best]
  options = list(scores)
  return example | {
    'gold': right[0], 'gold_index': options.index(right[0]), 'options': options, 'alternatives': right[1:]
  }  # fmt: skip


# BIG-Bench Hard and LMentry, in the form of Mizrahi et al. (2024).

_LETTERED = re.compile(r'\(([A-Z])\) ?(.*)', re.DOTALL)


def bbh(
  directory: str | os.PathLike[str],
  tasks: Sequence[str] | None = None,
  train_percent: int = 0,
  strict: bool = False,
) -> list[Dataset]:
  """BIG-Bench Hard (Suzgun et al. 2022) in the form that Mizrahi et al. (2024, arXiv 2401.00595) published it.

  Args:
    directory: that holds <task>.json, or a folder instances with them.
    tasks: by default all that there are.
    train_percent: as in `bigbench`.
    strict: see the module.

  Returns:
    bbh_<task>. Fields are those of the instances, under the names in the file and in its templates.

  Raises:
    DatasetError: if the directory holds no task, or one is unknown.
  """
  paths = _instance_files(directory, tasks)
  return [
    Dataset(
      f'bbh_{task}',
      'bbh',
      (f'bbh_{task}',),
      split_parts(functools.partial(_read_bbh, path, task, strict), train_percent),
    )
    for task, path in paths.items()
  ]


def lmentry_instances(
  directory: str | os.PathLike[str],
  tasks: Sequence[str] | None = None,
  train_percent: int = 0,
) -> list[Dataset]:
  """LMentry (Efrat et al. 2022); `seqio_tasks.lmentry` tells more.

  A task without one right answer has a rule as gold answer, such as "starts_with_letter: b".

  Args:
    directory: that holds instances/<task>.json.
    tasks: by default all that there are.
    train_percent: as in `bigbench`.

  Returns:
    lmentry_<task>, scored by the metric `lmentry`.

  Raises:
    DatasetError: if the directory holds no task, or one is unknown.
  """
  paths = _instance_files(directory, tasks)
  return [
    Dataset(
      f'lmentry_{task}',
      'lmentry',
      (f'lmentry_{task}',),
      split_parts(functools.partial(_read_lmentry, str(directory), task), train_percent),
      metric='lmentry',
    )
    for task in paths
  ]


@functools.lru_cache(maxsize=64)
def _read_lmentry(directory: str, task: str) -> tuple[Example, ...]:
  try:
    return tuple(lmentry.load_instances(directory, task))
  except lmentry.LmentryError as e:
    raise DatasetError(str(e)) from e


def _instance_files(directory: str | os.PathLike[str], tasks: Sequence[str] | None) -> dict[str, str]:
  root = pathlib.Path(directory)
  if (root / 'instances').is_dir():
    root = root / 'instances'
  paths = {path.stem: str(path) for path in sorted(root.glob('*.json'))}
  if not paths:
    raise DatasetError(f'{root}: holds no <task>.json; name the directory with the instances')
  unknown = [t for t in tasks or () if t not in paths]
  if unknown:
    raise DatasetError(f'{root}: has no tasks {unknown}; there are {", ".join(paths)}')
  return {t: paths[t] for t in tasks or paths}


@functools.lru_cache(maxsize=64)
def _read_bbh(path: str, task: str, strict: bool) -> tuple[Example, ...]:
  content = read_json(path)
  rows = content.get('examples') if isinstance(content, dict) else None
  if not isinstance(rows, dict) or not rows:
    raise DatasetError(f"{path}: has no mapping 'examples'; fetch the file anew")
  report = Report(strict)
  names = content.get('more_info', {}).get('key_names', [])
  free = content.get('format') == 'seq2seq'
  choices = [] if free else sorted({str(r.get('gold')) for r in rows.values() if 'options' not in r}, reverse=True)
  examples = []
  for key, row in rows.items():
    fields = {n: str(v) for n, v in row.items() if n not in ('gold', 'options', 'more_info')}
    # ruin_names calls its field by one name in the instances and by another in the templates.
    unnamed, missing = [n for n in fields if n not in names], [n for n in names if n not in (*fields, 'options')]
    for old, new in zip(unnamed, missing, strict=False):
      fields[new] = fields[old]
    example = {'example_id': key, 'fields': fields, 'gold': str(row.get('gold', '')), 'options': choices}
    if 'options' in row:
      parsed = [_LETTERED.fullmatch(o) for o in row['options']]
      letters = [m[1] for m in parsed if m]
      if len(letters) != len(parsed) or row.get('gold') not in letters:
        report(f'{path}: example {key}: the answer {row.get("gold")!r} is not among the options {row["options"]}')
        continue
      options = [m[2] for m in parsed if m]
      index = letters.index(row['gold'])
      example |= {'gold': options[index], 'gold_index': index, 'options': options}
    if not example['gold'].strip():
      report(f'{path}: example {key}: has no answer')
      continue
    examples.append(example)
  report.done(path, len(examples))
  return tuple(examples)
