"""BIG-Bench Hard as datasets, read from the instances that arXiv 2401.00595 publishes."""

from __future__ import annotations

from collections.abc import Sequence
import functools
import os
import re
from typing import Any

from seqio_tasks.datasets import sources
from seqio_tasks.datasets.sources import Dataset, DatasetError, Example, Report, has_text, read_json, split_parts

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
    strict: see `datasets`.

  Returns:
    bbh_<task>. Fields are those of the instances, under the names in the file and in its templates.

  Raises:
    DatasetError: if the directory holds no task, or one is unknown.
  """
  paths = sources.instance_files(directory, tasks)
  return [
    Dataset(
      f'bbh_{task}',
      'bbh',
      (f'bbh_{task}',),
      split_parts(functools.partial(_read_bbh, path, task, strict), train_percent),
    )
    for task, path in paths.items()
  ]


@functools.lru_cache(maxsize=64)
def _read_bbh(path: str, task: str, strict: bool) -> tuple[Example, ...]:
  content = read_json(path)
  rows = content.get('examples') if isinstance(content, dict) else None
  if isinstance(rows, list) and rows and isinstance(rows[0], dict) and {'input', 'target'} <= set(rows[0]):
    raise DatasetError(
      f"{path}: is in BIG-Bench Hard's own layout, a list of examples with 'input' and 'target'; what is read here is the "
      "layout of arXiv 2401.00595, a mapping 'examples' with a field for each part: name a directory with such files"
    )
  if not isinstance(rows, dict) or not rows:
    raise DatasetError(
      f"{path}: has no mapping 'examples', as the files of arXiv 2401.00595 have; name a directory with such files"
    )
  rows = {key: _with_plain_gold(row) for key, row in rows.items()}
  report = Report(strict)
  more = content.get('more_info')
  names = more.get('key_names') if isinstance(more, dict) else None
  names = [n for n in names if isinstance(n, str)] if isinstance(names, list) else []
  free = content.get('format') == 'seq2seq'
  plain = [r for r in rows.values() if isinstance(r, dict) and 'options' not in r]
  spelled: dict[str, str] = {}  # an answer in other capitals is the same one
  for r in [] if free else plain:
    if has_text(r.get('gold')):
      spelled.setdefault(str(r['gold']).casefold(), str(r['gold']))
  choices = sorted(spelled.values(), reverse=True)
  choices = choices if len(choices) > 1 else []  # the one of a single answer is no choice, and would always be right
  examples = []
  for key, row in rows.items():
    if not isinstance(row, dict) or not has_text(row.get('gold')):
      report(f'{path}: example {key}: has no answer', 'no right answer')
      continue
    values = {n: v for n, v in row.items() if n not in ('gold', 'options', 'more_info')}
    empty = [n for n, v in values.items() if not has_text(v)]
    # In hyperbaton and snarks, the options are all there is.
    if empty or not (values or 'options' in row):
      report(f'{path}: example {key}: the fields {empty or "of an example"} hold no text', 'a field without a text')
      continue
    fields = {n: str(v) for n, v in values.items()}
    # ruin_names calls its field by one name in the instances and by another in the templates.
    unnamed, missing = [n for n in fields if n not in names], [n for n in names if n not in (*fields, 'options')]
    for old, new in zip(unnamed, missing, strict=False):
      fields[new] = fields[old]
    gold = str(row['gold'])
    example = {'example_id': key, 'fields': fields, 'gold': spelled.get(gold.casefold(), gold), 'options': choices}
    if 'options' in row:
      listed = row['options'] if isinstance(row['options'], list) else []
      parsed = [_LETTERED.fullmatch(o) if isinstance(o, str) else None for o in listed]
      letters = [m[1] for m in parsed if m]
      if len(letters) != len(parsed) or row['gold'] not in letters:
        fault = f'the answer {row["gold"]!r} is not among the options {row["options"]}'
        report(f'{path}: example {key}: {fault}', 'the answer is no option')
        continue
      if len(letters) < 2:
        report(f'{path}: example {key}: has one option; there must be two or more', 'fewer than two options')
        continue
      if len(set(letters)) < len(letters) or not all(m[2].strip() for m in parsed if m):
        report(f'{path}: example {key}: an option is empty, or has the letter of another', 'an empty or doubled option')
        continue
      options = [m[2] for m in parsed if m]
      index = letters.index(row['gold'])
      example |= {'gold': options[index], 'gold_index': index, 'options': options}
    examples.append(example)
  report.done(path, len(examples))
  return tuple(examples)


def _with_plain_gold(row: Any) -> Any:
  """An instance without blanks around its answer, with which it would be another one."""
  gold = row.get('gold') if isinstance(row, dict) else None
  return row | {'gold': gold.strip()} if isinstance(gold, str) else row
