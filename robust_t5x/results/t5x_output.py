"""Reads what T5X's evaluator leaves in `inference_eval/` as a results table.

SeqIO's JSONLogger writes `TASK-STEP.jsonl`, a line for each row of an evaluation task: its features, the target, and the
prediction or the score.
"""

import os
import re
from typing import Any, NotRequired, TypedDict

import pandas as pd

from robust_t5x.results.schema import COLUMNS, Record, counts
from robust_t5x.results.scorers import SCORERS
from robust_t5x.runtime import records
from seqio_tasks import tables
from seqio_tasks.answers import AnswerKey
from seqio_tasks.errors import UserError

SUBDIRECTORY = 'inference_eval'
RANK_SUFFIX = '__rank'

Row = dict[str, Any]  # of the results table


class Decoded(TypedDict):
  """Features of a row whose answer is decoded; the lists are JSON, see answers.AnswerKey.of_features."""

  example_id: str
  instruction_id: str
  group: NotRequired[str]  # as `robust-t5x eval` counts it; older files tell it by their name alone
  targets_pretokenized: str
  options: NotRequired[str]
  alternatives: NotRequired[str]
  right_options: NotRequired[str]
  option_texts: NotRequired[str]
  truncated_tokens: NotRequired[int]
  cut_answer_tokens: NotRequired[int]


class Option(TypedDict):
  """Features of a row that stands for one option of an example under a phrasing."""

  example_id: str
  instruction_id: str
  group: NotRequired[str]  # as `robust-t5x eval` counts it; older files tell it by their name alone
  targets_pretokenized: str
  is_correct: bool | int
  idx: NotRequired[list[int]]  # number of the example and phrasing, number of the option
  truncated_tokens: NotRequired[int]
  cut_answer_tokens: NotRequired[int]


class DecodedLine(TypedDict):
  """A line of T5X's file."""

  input: Decoded
  prediction: str


class OptionLine(TypedDict):
  """A line of T5X's file."""

  input: Option
  score: float


class T5XResultsError(UserError):
  """Output of T5X's evaluator that cannot be read as results."""


def read(directory: str) -> tuple[pd.DataFrame, Record]:
  """The newest step's inferences of all evaluation tasks.

  Args:
    directory: EVAL_OUTPUT_DIR of `t5x.eval` or MODEL_DIR of `t5x.train`; its name becomes the model's.

  Returns:
    (results table; a record like that of run.json: label, scorer, step, gin configuration).

  Raises:
    T5XResultsError: if there is no inference of an evaluation task (NAME_eval_GROUP, with __rank for scores).
  """
  where = os.path.join(directory, SUBDIRECTORY)
  files: dict[str, int] = {}  # task -> newest step
  for name in sorted(os.listdir(where)):
    match = re.fullmatch(r'(.+_eval_.+)-(-?\d+)\.jsonl', name)
    if match and (match[1] not in files or int(match[2]) > files[match[1]]):
      files[match[1]] = int(match[2])
  if not files:
    raise T5XResultsError(
      f'{where}: no inferences of an evaluation task, such as mini_first_word_eval_observed-000400.jsonl; '
      'evaluate a mixture NAME_eval_GROUP with seqio.JSONLogger among the loggers'
    )
  step = max(files.values())
  behind = sorted(task for task in files if files[task] < step)
  if behind:
    raise T5XResultsError(
      f'{where}: {behind[0]} was evaluated at step {files[behind[0]]}, others at step {step}; evaluate again, or remove '
      f'the files *-{step:06}.jsonl'
    )
  label = os.path.basename(os.path.abspath(directory))
  parts = []
  for task in files:
    path = _file(where, task, step)
    dataset, _, group = task.removesuffix(RANK_SUFFIX).rpartition('_eval_')
    rows = _ranked(path) if task.endswith(RANK_SUFFIX) else _decoded(path)
    if not rows:
      raise T5XResultsError(f'{path}: holds no row; evaluate again')
    parts.append(pd.DataFrame([{'group': group} | row for row in rows]).assign(model=label, dataset=dataset))
  table = pd.concat(parts, ignore_index=True)
  record: Record = {
    'label': label,
    'fingerprint': {'scorer': sorted(set(table['scorer'])), 'tasks': sorted(files)},
    'instructions': {},
    'rows': len(table),
    **counts(table),
    'launcher': 't5x',
    'step': step,
    'gin_config': _read_if_there(os.path.join(directory, 'config.gin')),
    'finished': 'by T5X',
    'versions': {},
  }
  return table[list(COLUMNS)], record


def _file(where: str, task: str, step: int) -> str:
  return os.path.join(where, f'{task}-{step:06}.jsonl')


def _lines(path: str, kind: Any) -> list[tuple[int, Any]]:
  """Line numbers and objects of a file; names file and line of what is no `kind`."""
  try:
    lines = tables.read_jsonl(path)
  except tables.TableError as e:
    raise T5XResultsError(f'{e}; evaluate again') from e
  for number, line in lines:
    fault = records.fault(line, kind)
    if fault:
      raise T5XResultsError(f'{path}, line {number}: not a row of an evaluation task ({fault}); evaluate again')
  return lines


def _decoded(path: str) -> list[Row]:
  """Rows scored by exact match of the prediction."""
  rows: dict[tuple[str, str], Row] = {}
  for number, line in _lines(path, DecodedLine):
    features = line['input']
    try:
      key = AnswerKey.of_features(features)
    except (ValueError, TypeError, RecursionError) as e:
      raise T5XResultsError(f'{path}, line {number}: its options are no JSON lists ({e}); evaluate again') from e
    fault = records.fault([list(key.right), list(key.options), list(key.option_texts)], list[list[str]], 'its answers')
    fault = fault or records.fault(list(key.right_options), list[int], 'right_options')
    if fault or not all(0 <= i < len(key.options) for i in key.right_options):
      raise T5XResultsError(
        f'{path}, line {number}: {fault or "right_options are none of the options"}; evaluate again'
      )
    cell = features['example_id'], features['instruction_id']
    if cell in rows:
      raise T5XResultsError(f'{path}, line {number}: a second row of {cell[0]!r} under {cell[1]!r}; evaluate again')
    rows[cell] = {**_shared(features), **SCORERS['exact_match'].of_output(line['prediction'], key)}
  return list(rows.values())


def _ranked(path: str) -> list[Row]:
  """One row for the options of each example under each phrasing."""
  groups: dict[tuple[str, str], list[OptionLine]] = {}
  for _, line in _lines(path, OptionLine):
    groups.setdefault((line['input']['example_id'], line['input']['instruction_id']), []).append(line)
  counts: dict[str, int] = {}
  rows = []
  for (example, instruction), members in groups.items():
    options = tuple(m['input']['targets_pretokenized'] for m in members)
    numbers = [m['input']['idx'][-1] for m in members if m['input'].get('idx')]
    if counts.setdefault(example, len(members)) != len(members) or numbers not in ([], list(range(len(members)))):
      raise T5XResultsError(
        f'{path}: example {example!r} under {instruction!r} has not a row for each of its options once; evaluate again'
      )
    right = tuple(i for i, m in enumerate(members) if m['input']['is_correct'])
    if not right:
      raise T5XResultsError(
        f'{path}: none of the options of example {example!r} under {instruction!r} is right; mend the example and evaluate again'
      )
    key = AnswerKey(tuple(options[i] for i in right), options, right)
    try:
      scored = SCORERS['rank_likelihood'].of_ranking([float(m['score']) for m in members], key)
    except UserError as e:
      raise T5XResultsError(f'{path}: example {example!r} has scores that are wrong: {e}') from e
    rows.append({**_shared(members[0]['input']), **scored})
  return rows


def _shared(features: Decoded | Option) -> Row:
  return {
    'example_id': features['example_id'],
    'instruction_id': features['instruction_id'],
    **({'group': features['group']} if 'group' in features else {}),
    'truncated_tokens': features.get('truncated_tokens', 0),
    'cut_answer_tokens': features.get('cut_answer_tokens', 0),
  }


def _read_if_there(path: str) -> str:
  if not os.path.isfile(path):
    return ''
  with open(path, encoding='utf-8') as f:
    return f.read()
