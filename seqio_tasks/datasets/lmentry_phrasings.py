"""The phrasings that arXiv 2401.00595 publishes for LMentry and BIG-Bench Hard: hundreds for a task, each judged.

A directory holds `paraphrases/<task>.csv`, phrasings with a human's judgement whether they are correct. The data are not
part of this package. Two things about them:
- Templates name a field more than once, or leave one out, and are used as they are. A few cannot be filled in, since they
  name what no instance has; `Phrasing.problem` says so.
- Some phrasings of a task are the same text under several indices; all are kept.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import os
import pathlib

from seqio_tasks import tables
from seqio_tasks.bank.instruction import Instruction
from seqio_tasks.bank.templates import parse_template
from seqio_tasks.datasets import lmentry_instances
from seqio_tasks.datasets.sources import DatasetError
from seqio_tasks.errors import shorten

COLLECTION = 'lmentry'
_COLUMNS = ('prompt idx', 'method', 'prompt template', 'correct')


@dataclasses.dataclass(frozen=True)
class Phrasing:
  """One published phrasing of an LMentry task.

  Attributes:
    instruction: with the id "lmentry/<task>/<index>" and the role "default", "evaluation" or,
      where judged incorrect, "incorrect".
    index: the published "prompt idx", by which published accuracies are listed.
    method: how it was made, e.g. "default", "rephrase".
    correct: whether it was judged a correct paraphrase.
    problem: why it cannot be filled in, "" if it can.
  """

  instruction: Instruction
  index: int
  method: str
  correct: bool
  problem: str


def read_phrasings(directory: str | os.PathLike[str], task: str) -> list[Phrasing]:
  """Reads the phrasings of a task from its CSV, or its default templates where it has none.

  Raises:
    DatasetError: if the directory, the instances, a column or a cell is missing or malformed.
  """
  instances_path, content = lmentry_instances.read_file(directory, task)
  path = pathlib.Path(directory) / 'paraphrases' / f'{task}.csv'
  lists = [name for name, value in next(iter(content['examples'].values())).items() if isinstance(value, list)]
  names = {*lmentry_instances.field_names(content, instances_path), *(f'listed_{name}' for name in lists)}
  if path.exists():
    rows = read_rows(path)
  else:
    more = content.get('more_info')
    defaults = more.get('input_templates') if isinstance(more, dict) else None
    if not isinstance(defaults, list) or not defaults or not all(isinstance(t, str) and t for t in defaults):
      raise DatasetError(
        f'{instances_path}: has no more_info.input_templates, and there is no {path}; supply one of them'
      )
    rows = [(i + 1, 'default', template, True) for i, template in enumerate(defaults)]
  phrasings = []
  for index, method, template, correct in rows:
    for name in lists:
      template = template.replace(f'[{{{name}}}]', f'[{{listed_{name}}}]')
    phrasings.append(_phrasing(task, index, method, template, correct, names))
  return phrasings


def read_rows(
  path: pathlib.Path, bad_row: Callable[[str, str], None] | None = None
) -> list[tuple[int, str, str, bool]]:
  """(index, method, template, correct) of each row of a CSV of phrasings.

  Args:
    path: the file.
    bad_row: called with the index and what is wrong with a row, which is then left out; by default that is an error.

  Raises:
    DatasetError: naming file, row and cure.
  """
  bad_shape = None if bad_row is None else functools.partial(bad_row, 'a row')
  try:
    _, lines = tables.read_csv(path, required=_COLUMNS, bad_row=bad_shape)
  except tables.TableError as e:
    raise DatasetError(str(e)) from e
  rows: list[tuple[int, str, str, bool]] = []
  seen: set[str] = set()
  for _, row in lines:
    index, method, template, correct = (row[column] for column in _COLUMNS)
    fault = None
    if not (index.isdecimal() and len(index) < 10) or index in seen:
      fault = 'must be a whole number that stands once; mend that row'
    elif correct not in ('0', '1'):
      fault = f"column 'correct' is {shorten(repr(correct))}; it must be 0 or 1"
    elif not template:
      fault = "column 'prompt template' is empty; supply the template"
    if fault is None:
      seen.add(index)
      rows.append((int(index), method, template, correct == '1'))
    elif bad_row is None:
      raise DatasetError(f'{path}: prompt idx {shorten(repr(index))}: {fault}')
    else:
      bad_row(shorten(index), fault)
  if not rows:
    raise DatasetError(f'{path}: has no phrasing; supply at least one row')
  return rows


def role(method: str, correct: bool) -> str:
  """The role of a published phrasing in a bank."""
  if not correct:
    return 'incorrect'
  return 'default' if method == 'default' else 'evaluation'


def _phrasing(task: str, index: int, method: str, template: str, correct: bool, names: set[str]) -> Phrasing:
  """A phrasing, with what keeps it from being filled in."""
  fields: tuple[str, ...] = ()
  problem = ''
  try:
    fields = tuple(dict.fromkeys(name for _, name in parse_template(template) if name))
  except ValueError as e:
    problem = str(e)
  unknown = [name for name in fields if name not in names]
  if unknown:
    problem = f'the template names the fields {unknown}, but instances have {sorted(names)}'
  id_ = f'{COLLECTION}/{task}/{index}'
  instruction = Instruction(id_, task, role(method, correct), COLLECTION, template, fields)
  return Phrasing(instruction, index, method, correct, problem)
