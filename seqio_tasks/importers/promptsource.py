"""Imports promptsource's templates (what T0 was tuned on) from its directory of YAML files.

The package is neither imported nor needed: its `templates` directory is enough. Templates are Jinja; those that only
insert fields, and whose answer is a field or the right one of the answer choices, can be expressed here. The others,
which compute something, are left out and listed.
"""

from __future__ import annotations

from collections.abc import Iterator
import pathlib
import re
from typing import Any

import jinja2
import jinja2.nodes
import yaml

from seqio_tasks.bank.fields import field_name
from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.bank.layouts import Answer, Layout
from seqio_tasks.errors import UserError
from seqio_tasks.importers import LeftOut, Part, SourceError, literal_template


class _Loader(getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):  # type: ignore[misc]
  """Reads promptsource's tagged mappings as plain ones."""


_Loader.add_multi_constructor('!Template', lambda loader, suffix, node: loader.construct_mapping(node, deep=True))


def read(directory: pathlib.Path) -> Iterator[Part]:
  """Reads every `templates.yaml` below a directory.

  Raises:
    SourceError: if there is none, or one is malformed.
  """
  directory = pathlib.Path(directory)
  paths = sorted(directory.rglob('templates.yaml'))
  if not paths:
    raise SourceError(f"{directory}: holds no templates.yaml; name promptsource's directory `templates`")
  for path in paths:
    yield _part(path, '_'.join(path.parent.relative_to(directory).parts) or directory.name)


def _part(path: pathlib.Path, dataset: str) -> Part:
  try:
    content = yaml.load(path.read_text(encoding='utf-8'), Loader=_Loader)
    entries = content['templates'].values()
  except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as e:
    raise SourceError(f'{path}: is not a file of promptsource templates ({e!r}); fetch it anew') from e
  task = re.sub(r'\W', '_', dataset)
  instructions, left_out = [], []
  for number, entry in enumerate(entries, start=1):
    name = str(entry.get('name', number))
    try:
      layout = _layout(str(entry.get('jinja', '')), entry.get('answer_choices'))
    except (ValueError, jinja2.TemplateError) as e:
      left_out.append(LeftOut(task, name, 'zero-shot', f'cannot be expressed: {e}'))
      continue
    instructions.append(
      make_instruction('P3', task, f't{number:02}', 'evaluation', layout.template, layout, source=name, verbatim=True)
    )
  return Part(task, tuple(instructions), tuple(left_out))


def _layout(text: str, choices: str | None) -> Layout:
  question, separator, answer = text.partition('|||')
  if not separator:
    raise UserError('it has no answer')
  space = None
  if choices:
    if '{{' in choices or '{%' in choices:
      raise UserError('its answer choices depend on the example')
    space = tuple(c.strip() for c in choices.split('|||'))
  output = _template(answer.strip())
  if output in ('{answer_choice}', '{data_answer}'):
    return Layout(_template(question.strip()), answer=Answer(label_space=space))
  return Layout(_template(question.strip()), answer=Answer(output, label_space=space))


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
