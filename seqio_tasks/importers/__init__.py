"""Instruction sets that others published, as bank files: read from a user's own copy, never shipped.

Each source is a module with a function `read` that gives `Part`s: `flan`, `instructioneval`, `multiprompt`, `promptsource` and, for
a CSV file of one's own, `table`. `write` makes bank files of them, and a report of what could not be expressed.
InstructionEval's phrasings are code: `interpreter` walks it with `symbols` in the place of data (`objects` and `operations` are what
it computes with), and `fit` and `templating` write what comes out as layouts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
import json
import os
import pathlib
import re
import string
from typing import Any

from seqio_tasks.bank import checks, schema
from seqio_tasks.bank.fields import field_name
from seqio_tasks.bank.instruction import NAME, Instruction
from seqio_tasks.errors import UserError, shorten

REPORT = 'left_out.json'
_MOST_LETTERS = 100  # of a name, which may become one of a file
# Names that Windows keeps for devices, whatever follows the first dot.
_DEVICES = re.compile(r'(con|prn|aux|nul|com[0-9]|lpt[0-9])', re.IGNORECASE)
_BRACES = {'{': '{brace_open}', '}': '{brace_close}'}


class SourceError(UserError):
  """A source that cannot be imported; the message names the file and the cure."""


@dataclasses.dataclass(frozen=True)
class LeftOut:
  """What could not be imported.

  Attributes:
    task: name of the task.
    source: what the source calls the instruction; "" for the whole task.
    form: "zero-shot", "few-shot" or "" for both.
    reason: why.
  """

  task: str
  source: str
  form: str
  reason: str


@dataclasses.dataclass(frozen=True)
class Part:
  """A piece of a source that becomes a file for each collection in it.

  Attributes:
    name: of the file.
    instructions: what was imported.
    left_out: what was not.
  """

  name: str
  instructions: tuple[Instruction, ...]
  left_out: tuple[LeftOut, ...] = ()


def write(family: str, parts: Iterable[Part], directory: pathlib.Path) -> Mapping[str, Any]:
  """Writes bank files, and `left_out.json` with what is not in them.

  Nothing is written before the whole source has been read. A directory that already holds YAML files is left alone.

  Returns:
    the numbers of files, instructions, few-shot forms and things left out; and, as "whole", the tasks of which something
    could not be read at all.

  Raises:
    SourceError: if the directory holds YAML files.
  """
  directory = pathlib.Path(directory)
  check_free(directory)
  ids: set[str] = set()
  parts = [_with_names(_without_leaks(part), ids) for part in parts]
  directory.mkdir(parents=True, exist_ok=True)
  files: set[str] = set()
  counts: dict[str, Any] = {'files': 0, 'instructions': 0, 'few_shot': 0, 'left_out': 0}
  left_out: list[dict[str, str]] = []
  for part in parts:
    for collection in dict.fromkeys(i.collection for i in part.instructions):
      members = [i for i in part.instructions if i.collection == collection]
      name = part.name if part.name == collection else f'{part.name}__{collection}'
      defaults = {'collection': collection}
      if len({i.role for i in members}) == 1:
        defaults['role'] = members[0].role
      text = schema.file_text(family, members, any(i.verbatim for i in members), **defaults)
      _write_text(directory / f'{_file_name(name, files)}.yaml', text)
      counts['files'] += 1
      counts['instructions'] += len(members)
      counts['few_shot'] += sum(i.layout.few_shot is not None for i in members)
    left_out += [dataclasses.asdict(entry) for entry in part.left_out]
  counts['left_out'] = len(left_out)
  counts['whole'] = list(dict.fromkeys(entry['task'] for entry in left_out if not entry['source']))
  _write_text(directory / REPORT, json.dumps(left_out, indent=1, ensure_ascii=False) + '\n')
  return counts


def check_free(directory: pathlib.Path) -> None:
  """SourceError if a directory holds YAML files."""
  if directory.is_dir() and next(directory.glob('*.yaml'), None) is not None:
    raise SourceError(f'{directory}: already holds YAML files; give --out another directory, or empty that one')


def _without_leaks(part: Part) -> Part:
  """A part without the instructions that tell the right answer in the question, as their source has them."""
  leaks = [i for i in part.instructions if i.layout.shows_the_answer]
  reason = 'the source writes the right answer into the question'
  left_out = [LeftOut(i.task, i.source or i.key, '', reason) for i in leaks]
  kept = tuple(i for i in part.instructions if not i.layout.shows_the_answer)
  return dataclasses.replace(part, instructions=kept, left_out=(*part.left_out, *left_out))


def word(name: object) -> str:
  """A name as a bank may have it, other characters replaced by underscores."""
  return re.sub(r'[^A-Za-z0-9_]', '_', str(name))


def _with_names(part: Part, ids: set[str]) -> Part:
  """A part without what a bank has no name or place for, and without ids that other parts have; `ids` receives its own.

  Names are the source's, and become those of files: only words of bearable length are taken.
  """
  kept: list[Instruction] = []
  left_out: list[LeftOut] = []
  for instruction in part.instructions:
    key = instruction.id.removeprefix(f'{instruction.collection}/{instruction.task}/')
    names = (part.name, instruction.collection, instruction.task, key)
    bad = [name for name in names if len(name) > _MOST_LETTERS or not NAME.fullmatch(name)]
    reason = ''
    if bad:
      reason = f'the name {shorten(repr(bad[0]))} is not one word of at most {_MOST_LETTERS} letters, digits and _'
    elif instruction.id in ids:
      reason = f'another one has become {instruction.id}, too'
    elif faults := [*schema.faults(instruction.layout), *checks.form_faults(instruction)]:
      reason = f'a bank file cannot hold it: {shorten(faults[0], 200)}'
    else:
      kept.append(instruction)
      ids.add(instruction.id)
    if reason:
      left_out.append(LeftOut(shorten(instruction.task), shorten(instruction.source or instruction.key), '', reason))
  return dataclasses.replace(part, instructions=tuple(kept), left_out=(*part.left_out, *left_out))


def _file_name(name: str, taken: set[str]) -> str:
  """A name that no other file has, on systems that know no case either; `taken` receives it."""
  if _DEVICES.fullmatch(name):
    name += '_'
  made, number = name, 1
  while made.lower() in taken:
    number += 1
    made = f'{name}_{number}'
  taken.add(made.lower())
  return made


def format_template(text: str) -> str:
  """A `str.format` template as one of ours: doubled braces become fields that stand for braces, fields are data's.

  Raises:
    ValueError: if a field is more than a name.
  """
  pieces = []
  for literal, name, spec, conversion in string.Formatter().parse(text):
    pieces.append(literal_template(literal))
    if name is not None:
      if not (name.isidentifier() and name.isascii()) or spec or conversion:
        raise UserError(f'the field {{{shorten(name)}}} is more than a name')
      pieces.append(f'{{{field_name(name)}}}')
  return ''.join(pieces)


def literal_template(text: str) -> str:
  """A template that is just this text."""
  return ''.join(_BRACES.get(c, c) for c in text)


def _write_text(path: pathlib.Path, text: str) -> None:
  partial = path.with_name(path.name + '.tmp')
  partial.write_text(text, encoding='utf-8')
  os.replace(partial, path)
