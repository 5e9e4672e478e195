"""Reads what T5X's evaluator leaves in `inference_eval/` as a results table.

SeqIO's JSONLogger writes `TASK-STEP.jsonl`, a line for each row of an evaluation task: its features, the target, and the
prediction or the score.
"""

from collections.abc import Iterator
import json
import os
import re
from typing import Any

import pandas as pd

from robust_t5x.results.schema import COLUMNS, Record, counts
from robust_t5x.results.scorers import SCORERS
from seqio_tasks.answers import AnswerKey
from seqio_tasks.errors import UserError

SUBDIRECTORY = 'inference_eval'
RANK_SUFFIX = '__rank'

Line = dict[str, Any]  # of T5X's file: `input`, the features of a row, and `prediction` or `score`
Row = dict[str, Any]  # of the results table


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
  label = os.path.basename(os.path.abspath(directory))
  tables = []
  for task, step in files.items():
    path = _file(where, task, step)
    lines = _lines(path)
    dataset, _, group = task.removesuffix(RANK_SUFFIX).rpartition('_eval_')
    rows = _ranked(path, lines) if task.endswith(RANK_SUFFIX) else _decoded(lines)
    tables.append(pd.DataFrame(rows).assign(model=label, dataset=dataset, group=group))
  table = pd.concat(tables, ignore_index=True)
  record: Record = {
    'label': label,
    'fingerprint': {'scorer': sorted(set(table['scorer'])), 'tasks': sorted(files)},
    'instructions': {},
    'rows': len(table),
    **counts(table),
    'launcher': 't5x',
    'step': max(files.values()),
    'gin_config': _read_if_there(os.path.join(directory, 'config.gin')),
    'finished': 'by T5X',
    'versions': {},
  }
  return table[list(COLUMNS)], record


def _file(where: str, task: str, step: int) -> str:
  return os.path.join(where, f'{task}-{step:06}.jsonl')


def _lines(path: str) -> Iterator[Line]:
  """The objects of a file; names file and line of what is none."""
  with open(path, encoding='utf-8') as f:
    for number, line in enumerate(f, 1):
      try:
        row = json.loads(line)
        row['input']['example_id'], row['input']['instruction_id']
      except (ValueError, KeyError, TypeError) as e:
        raise T5XResultsError(f'{path}, line {number}: not a row of an evaluation task ({e}); evaluate again') from e
      yield row


def _decoded(lines: Iterator[Line]) -> list[Row]:
  """Rows scored by exact match of the prediction."""
  rows = []
  for line in lines:
    features = line['input']
    scored = SCORERS['exact_match'].of_output(line['prediction'], AnswerKey.of_features(features))
    rows.append({**_shared(features), **scored})
  return rows


def _ranked(path: str, lines: Iterator[Line]) -> list[Row]:
  """One row for the options of each example under each phrasing."""
  groups: dict[tuple[str, str], list[Line]] = {}
  for line in lines:
    groups.setdefault((line['input']['example_id'], line['input']['instruction_id']), []).append(line)
  rows = []
  for members in groups.values():
    options = tuple(m['input']['targets_pretokenized'] for m in members)
    right = tuple(i for i, m in enumerate(members) if m['input']['is_correct'])
    key = AnswerKey(tuple(options[i] for i in right) or ('',), options, right)
    try:
      scored = SCORERS['rank_likelihood'].of_ranking([float(m['score']) for m in members], key)
    except UserError as e:
      raise T5XResultsError(
        f'{path}: example {members[0]["input"]["example_id"]!r} has scores that are wrong: {e}'
      ) from e
    rows.append({**_shared(members[0]['input']), **scored})
  return rows


def _shared(features: Line) -> Row:
  return {
    'example_id': features['example_id'],
    'instruction_id': features['instruction_id'],
    'truncated_tokens': int(features.get('truncated_tokens', 0)),
    'cut_answer_tokens': int(features.get('cut_answer_tokens', 0)),
  }


def _read_if_there(path: str) -> str:
  if not os.path.isfile(path):
    return ''
  with open(path, encoding='utf-8') as f:
    return f.read()
