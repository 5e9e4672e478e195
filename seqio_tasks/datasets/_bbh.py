"""BIG-Bench Hard as datasets, read from the instances that arXiv 2401.00595 publishes."""

from __future__ import annotations

from collections.abc import Sequence
import functools
import os
import re

from seqio_tasks.datasets import sources
from seqio_tasks.datasets.sources import Dataset, DatasetError, Example, Report, read_json, split_parts

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
