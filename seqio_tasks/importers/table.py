"""Imports phrasings from a CSV file of one's own.

The file has a column "template" and may have "task", "role", "options" (a style, see `layouts.STYLES`), "answer"
(label or text) and "id". What has no column is the same for the whole file.
"""

from __future__ import annotations

import pathlib

from seqio_tasks import tables
from seqio_tasks.bank import schema
from seqio_tasks.bank.instruction import NAME, ROLES, Instruction, make_instruction
from seqio_tasks.errors import shorten
from seqio_tasks.importers import Part, SourceError

_COLUMNS = ('template', 'task', 'role', 'options', 'answer', 'id')
_MOST_FAULTS = 20  # that are told


def read(path: pathlib.Path, collection: str, task: str | None = None, role: str = 'evaluation') -> Part:
  """Reads a file.

  Args:
    path: the CSV file.
    collection: of all phrasings.
    task: of the phrasings, where there is no column "task".
    role: of the phrasings, where there is no column "role".

  Raises:
    SourceError: with every fault of the file, by line.
  """
  path = pathlib.Path(path)
  try:
    columns, rows = tables.read_csv(path, required=('template',))
  except tables.TableError as e:
    raise SourceError(str(e)) from e
  problems = []
  unknown = [repr(shorten(c, 40)) for c in columns if c not in _COLUMNS]
  if unknown:
    more = f' and {len(unknown) - 5} more' if len(unknown) > 5 else ''
    problems.append(
      f'unknown column{"s" if len(unknown) > 1 else ""} {", ".join(unknown[:5])}{more}; the columns are {", ".join(_COLUMNS)}'
    )
  if task is None and 'task' not in columns:
    problems.append('there is no column "task"; add it, or give --task')
  if not NAME.fullmatch(collection):
    problems.append(
      f'the collection {shorten(collection)!r} must be one word of letters, digits and _; give another --collection'
    )
  instructions: list[Instruction] = []
  shared = schema.SharedParts({}, {})
  seen: set[tuple[str, str]] = set()
  for number, (line, row) in enumerate(rows, start=1):
    name, key = row.get('task') or task or '', row.get('id') or f'row{number:03}'
    entry = {'template': row['template']} | {k: row[k] for k in ('options', 'answer') if row.get(k)}
    faults: list[str] = []
    layout = schema.read_layout(entry, shared, faults.append)
    row_role = row.get('role') or role
    if row_role not in ROLES:
      faults.append(f'unknown role {shorten(row_role)!r}; use one of {", ".join(ROLES)}')
    for what, value in (('task', name), ('id', key)):
      if not NAME.fullmatch(value):
        faults.append(f'{what} {shorten(value)!r} must be one word of letters, digits and _')
    if (name, key) in seen:
      faults.append(f'the id {shorten(key)!r} stands twice; give each phrasing an id of its own')
    seen.add((name, key))
    problems += [f'line {line}: {fault}' for fault in faults]
    if layout is not None and not faults:
      instructions.append(make_instruction(collection, name, key, row_role, layout.template, layout))
  if problems:
    more = f'; and {len(problems) - _MOST_FAULTS} more' if len(problems) > _MOST_FAULTS else ''
    raise SourceError(f'{path}: ' + '; '.join(problems[:_MOST_FAULTS]) + more)
  return Part(collection, tuple(instructions))
