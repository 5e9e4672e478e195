"""Imports the templates that Flan-T5 was tuned on from a clone of google-research/FLAN (Apache-2.0).

The templates are data in Python files: `flan/templates.py` (FLAN 2021) and `flan/v2/templates.py` (FLAN 2022). They are
read as syntax trees; nothing is executed. Two things about them:
- "{options_}" is listed as FLAN 2021 lists it, "OPTIONS:" and a line with a dash for each option. FLAN 2022 draws the
  heading and the bullets at random for each example.
- Many templates are turned around: "Write a question" asks for what is usually given. These go by the task's name
  followed by "_inverted".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
import dataclasses
import pathlib

from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.bank.layouts import STYLES, Answer, Layout
from seqio_tasks.errors import shorten
from seqio_tasks.importers import LeftOut, Part, SourceError, foreign, format_template, word

# File -> collection.
_FILES = {'flan/templates.py': 'FLAN2021', 'flan/v2/templates.py': 'FLAN2022'}
_OPTIONS = ('options_', 'options_str')
# What templates that are not turned around ask for.
_ANSWERS = ('{answer}', '{target}', '{targets}', '{output}', '{summary}', '{answer_str}')


def read(repository: pathlib.Path) -> Iterator[Part]:
  """Reads both files.

  Raises:
    SourceError: if a file is missing or holds no templates.
  """
  for file, collection in _FILES.items():
    path = pathlib.Path(repository) / file
    try:
      tree = foreign.read_python(pathlib.Path(repository), path)
    except SourceError as e:
      raise SourceError(f'{e}; give --repo a clone of github.com/google-research/FLAN') from e
    patterns, faults = _patterns(tree)
    if not patterns:
      raise SourceError(f'{path}: has no dictionary PATTERNS; give --repo a clone of github.com/google-research/FLAN')
    part = _part(collection, patterns)
    left_out = [LeftOut(shorten(name), f'{collection}/{shorten(name)}', '', reason) for name, reason in faults]
    yield dataclasses.replace(part, left_out=(*part.left_out, *left_out, *_other_patterns(tree, collection)))


def _patterns(tree: ast.Module) -> tuple[dict[str, list[tuple[str, str]]], list[tuple[str, str]]]:
  """Task -> (input template, output template), with tasks that share another's templates; and tasks with what is wrong."""
  patterns: dict[str, list[tuple[str, str]]] = {}
  faults: list[tuple[str, str]] = []
  for node in tree.body:
    match node:
      case ast.Assign(targets=[ast.Name(id='PATTERNS')], value=ast.Dict(keys=keys, values=values)):
        for key, value in zip(keys, values, strict=True):
          pairs = _pairs(value)
          match key:
            case ast.Constant(value=str(name)) if pairs is not None:
              patterns[name] = pairs
            case _:
              faults.append((f'line {value.lineno}', 'it is no name with a list of pairs of texts'))
      case ast.Assign(
        targets=[ast.Subscript(value=ast.Name(id='PATTERNS'), slice=ast.Constant(value=str(name)))],
        value=ast.Subscript(value=ast.Name(id='PATTERNS'), slice=ast.Constant(value=str(other))),
      ):
        if other in patterns:
          patterns[name] = patterns[other]
        else:
          faults.append((name, f'it shares the templates of {shorten(other)}, which has none'))
  return patterns, faults


def _pairs(node: ast.expr) -> list[tuple[str, str]] | None:
  """The pairs of texts that an expression lists, if it does."""
  try:
    value = ast.literal_eval(node)
  except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
    return None
  if not isinstance(value, list | tuple):
    return None
  pairs = [tuple(pair) for pair in value if isinstance(pair, list | tuple)]
  whole = len(pairs) == len(value) and all(len(p) == 2 and all(isinstance(t, str) for t in p) for p in pairs)
  return [(first, second) for first, second in pairs] if whole else None


def _other_patterns(tree: ast.Module, collection: str) -> Iterator[LeftOut]:
  """Tables of patterns beside the one that is read."""
  for node in tree.body:
    match node:
      case ast.Assign(targets=[ast.Name(id=name)]) if name.endswith('PATTERNS') and name != 'PATTERNS':
        yield LeftOut('', f'{collection}/{name}', 'few-shot', 'few-shot patterns of FLAN are not imported')
      case ast.Assign(targets=[ast.Name(id=name)]) if 'PATTERNS_NO_OPTIONS' in name:
        yield LeftOut('', f'{collection}/{name}', '', 'the same templates without their options')


def _part(collection: str, patterns: dict[str, list[tuple[str, str]]]) -> Part:
  instructions, left_out = [], []
  for name, templates in patterns.items():
    task = word(name)
    for number, (text, answer) in enumerate(templates, start=1):
      source = f'{collection}/{shorten(name)}/{number}'
      inverted = '' if answer in _ANSWERS or '{options_}' in text else '_inverted'
      key = f't{number:02}'
      try:
        layout = _layout(text, answer)
        instructions.append(
          make_instruction(collection, task + inverted, key, 'evaluation', layout.template, layout, source, True)
        )
      except ValueError as e:
        left_out.append(LeftOut(task, source, 'zero-shot', f'cannot be expressed: {shorten(e, 200)}'))
  return Part(collection, tuple(instructions), tuple(left_out))


def _layout(text: str, answer: str) -> Layout:
  template = format_template(text)
  blocks = {}
  for name in _OPTIONS:
    if f'{{{name}}}' in template:
      template = template.replace(f'{{{name}}}', 'OPTIONS:\n{options}')
      blocks['options'] = STYLES['bullets']
  form = '{option}' if answer == '{answer}' else format_template(answer)
  return Layout(template, blocks, answer=Answer(form))
