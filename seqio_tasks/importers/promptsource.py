"""Imports promptsource's templates (what T0 was tuned on) from its directory of YAML files.

The package is neither imported nor needed: its `templates` directory is enough. Templates are Jinja; those that only
insert fields, and whose answer is a field or the right one of the answer choices, can be expressed here. The others,
which compute something, are left out and listed. Templates that ask for something else than the dataset does
(`original_task: false`), such as for a question to an answer, become phrasings of a task TASK_other.
"""

from __future__ import annotations

from collections.abc import Iterator
import pathlib
from typing import Any

import jinja2
import jinja2.nodes

from seqio_tasks import tables
from seqio_tasks.bank import yaml_files
from seqio_tasks.bank.fields import field_name
from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.bank.layouts import Answer, Layout
from seqio_tasks.errors import UserError, shorten
from seqio_tasks.importers import LeftOut, Part, SourceError, foreign, literal_template, word


class _Loader(yaml_files.Loader):  # type: ignore[misc,valid-type]
  """Reads promptsource's tagged mappings as plain ones."""


# Also of !TemplateMetadata, which says whether a template asks what the dataset asks.
_Loader.add_multi_constructor('!Template', lambda loader, suffix, node: loader.construct_mapping(node, deep=True))


def read(directory: pathlib.Path) -> Iterator[Part]:
  """Reads every `templates.yaml` below a directory.

  Raises:
    SourceError: if there is none, or one is malformed.
  """
  directory = pathlib.Path(directory)
  paths = tables.entries(directory, '**/templates.yaml')
  if not paths:
    raise SourceError(f"{directory}: holds no templates.yaml; name promptsource's directory `templates`")
  for path in paths:
    yield _part(directory, path, '_'.join(path.parent.relative_to(directory).parts) or directory.name)


def _part(directory: pathlib.Path, path: pathlib.Path, dataset: str) -> Part:
  task = word(dataset)
  try:
    foreign.check_file(directory, path)
    content, _ = yaml_files.read(path, _Loader)
  except UserError as e:
    return Part(task, (), (LeftOut(task, '', '', shorten(e, 300)),))
  entries = content.get('templates') if isinstance(content, dict) else None
  if not isinstance(entries, dict):
    return Part(task, (), (LeftOut(task, '', '', f'{path}: is not a file of promptsource templates'),))
  instructions, left_out = [], []
  for number, entry in enumerate(entries.values(), start=1):
    name = str(number)
    try:
      if not isinstance(entry, dict) or not isinstance(entry.get('jinja'), str):
        raise UserError('it has no text `jinja`')
      name = shorten(entry.get('name') or number)
      choices = entry.get('answer_choices')
      if choices is not None and not isinstance(choices, str):
        raise UserError('its answer_choices are no text')
      layout = _layout(entry['jinja'], choices)
      about = entry.get('metadata')
      original = not isinstance(about, dict) or about.get('original_task') is not False
      own_task = task if original else f'{task}_other'
      instructions.append(
        make_instruction(
          'P3', own_task, f't{number:02}', 'evaluation', layout.template, layout, source=name, verbatim=True
        )
      )
    except (ValueError, jinja2.TemplateError, RecursionError) as e:
      left_out.append(LeftOut(task, name, 'zero-shot', f'cannot be expressed: {shorten(e, 200)}'))
  return Part(task, tuple(instructions), tuple(left_out))


def _layout(text: str, choices: str | None) -> Layout:
  question, separator, answer = text.partition('|||')
  if not separator:
    raise UserError('it has no answer')
  if '|||' in answer:
    raise UserError('it has more than one answer')
  space = None
  if choices:
    if '{{' in choices or '{%' in choices:
      raise UserError('its answer choices depend on the example')
    space = tuple(c.strip() for c in choices.split('|||'))
  template, output = _template(question.strip()), _template(answer.strip())
  if '{answer_choice}' in template:
    raise UserError('it has the right answer in its question')
  if output in ('{answer_choice}', '{data_answer}'):
    return Layout(template, answer=Answer(label_space=space))
  return Layout(template, answer=Answer(output, label_space=space))


def _template(text: str) -> str:
  """A Jinja template that only inserts fields, as one of ours."""
  pieces: list[str] = []
  for node in jinja2.Environment(autoescape=False).parse(text).body:
    if not isinstance(node, jinja2.nodes.Output):
      raise UserError(f'it computes something ({type(node).__name__.lower()})')
    pieces += [_piece(inner) for inner in node.nodes]
  return ''.join(pieces)


def _piece(node: Any) -> str:
  match node:
    case jinja2.nodes.TemplateData():
      return literal_template(node.data)
    case jinja2.nodes.Name():
      return '{' + field_name(node.name) + '}'
    case jinja2.nodes.Getitem(node=jinja2.nodes.Name(name='answer_choices'), arg=jinja2.nodes.Name(name='label')):
      return '{answer_choice}'
  raise UserError(f'it computes something ({type(node).__name__.lower()})')
