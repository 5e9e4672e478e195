"""Runs the importers' interpreter on a few lines of code, with symbols in the place of data."""

import pathlib

import pytest

from seqio_tasks.importers.interpreter import Interpreter
from seqio_tasks.importers.symbols import Raised, Symbol, Text

OPTIONS = [Text([Symbol('option', 'item', i)]) for i in range(3)]

FIELD, FIRST, ANSWER = Symbol('field', 'item', 'question'), OPTIONS[0].symbol, Symbol('answer', 'item', 1)


def item():
  return {
    'question': Text([Symbol('field', 'item', 'question')]),
    'options': list(OPTIONS),
    'answer': Text([Symbol('answer', 'item', 1)]),
  }


def run(tmp_path: pathlib.Path, body: str, *arguments, read_json=None):
  (tmp_path / 'm.py').write_text(body, encoding='utf-8')
  interpreter = Interpreter(tmp_path, read_json or (lambda path: pytest.fail(f'{path} is read')))
  function = interpreter.module('m.py').names['f']
  return [outcome for outcome, _ in interpreter.paths(lambda: interpreter.call(function, *arguments))]


def text(tmp_path, body):
  (outcome,) = run(tmp_path, body, item())
  if isinstance(outcome, Raised):
    raise outcome
  return outcome
