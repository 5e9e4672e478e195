"""Tests of reading templates off code without running it."""

import pathlib

import pytest

from seqio_tasks.importers import fit as fit_lib
from seqio_tasks.importers.interpreter import Interpreter
from seqio_tasks.importers.symbols import Raised, Symbol, Text, Unsupported

OPTIONS = [Text([Symbol('option', 'item', i)]) for i in range(3)]


def _item():
  return {
    'question': Text([Symbol('field', 'item', 'question')]),
    'options': list(OPTIONS),
    'answer': Text([Symbol('answer', 'item', 1)]),
  }


def _run(tmp_path: pathlib.Path, body: str, *arguments, read_json=None):
  (tmp_path / 'm.py').write_text(body, encoding='utf-8')
  interpreter = Interpreter(tmp_path, read_json or (lambda path: pytest.fail(f'{path} is read')))
  function = interpreter.module('m.py').names['f']
  return [outcome for outcome, _ in interpreter.paths(lambda: interpreter.call(function, *arguments))]


def _text(tmp_path, body):
  (outcome,) = _run(tmp_path, body, _item())
  if isinstance(outcome, Raised):
    raise outcome
  return outcome


FIELD, FIRST, ANSWER = Symbol('field', 'item', 'question'), OPTIONS[0].symbol, Symbol('answer', 'item', 1)


@pytest.mark.parametrize(
  ('expression', 'parts'),
  [
    ('"Q: " + item["question"]', ('Q: ', FIELD)),
    ('"{}-{q}{{x}}".format(item["question"], q="a")', (FIELD, '-a{x}')),
    ('"{0} {1} {0}".format("a", item["question"])', ('a ', FIELD, ' a')),
    ('f"<{item[\'question\']}>"', ('<', FIELD, '>')),
    ('", ".join(item["options"][:2])', (OPTIONS[0].symbol, ', ', OPTIONS[1].symbol)),
    ('"%s" if len(item["options"]) == 2 else item["answer"]', (ANSWER,)),
    ('["A", "B", "C"][item["options"].index(item["answer"])]', (Symbol('answer_label', 'item', 1, ('upper',)),)),
    ('"Yes" if item["answer"] == "x" else "No"', (Symbol('mapped', 'item', 1, (('x', 'Yes'), ('*', 'No'))),)),
    ('{"x": "1", "y": "2"}[item["answer"]]', (Symbol('mapped', 'item', 1, (('x', '1'), ('y', '2'))),)),
    ('" ".join("({})".format(o) for o in item["options"] if o != item["options"][-1])',
     ('(', OPTIONS[0].symbol, ') (', OPTIONS[1].symbol, ')')),
    ('item["question"].replace("a", "").strip()',
     (Symbol('field', 'item', 'question', (('remove', 'a'), ('strip',))),)),
    ('item["question"].split("H: ", maxsplit=1)[-1]',
     (Symbol('field', 'item', 'question', (('split', 'H: ', 1, 0, -1),)),)),
    ('(lambda x, y="z": x + y)(item["question"])', (FIELD, 'z')),
    ('str(len(item["options"]))', (Symbol('count', 'item', 3),)),
    ('("- " + item["question"] + ", ")[2:-2]', (FIELD,)),
  ],
)  # fmt: skip
def test_expressions(tmp_path, expression, parts):
  assert _text(tmp_path, f'def f(item):\n  return {expression}\n').parts == parts


def test_statements_classes_and_closures(tmp_path):
  body = """
PREFIX = "P"

class Base:
  TEXTS = ["zero", "one"]

  def __init__(self, mark, other=None):
    self.mark = mark

  def render(self, item):
    out = ""
    for i, (letter, option) in enumerate(zip([chr(x) for x in range(ord("a"), ord("z") + 1)], item["options"])):
      if i != 0:
        out += self.mark
      out += "{}) {}".format(letter, option)
    return out

class Derived(Base):
  def __init__(self):
    super(Derived, self).__init__("; ")

  def render(self, item):
    first, second = item["question"].split(":")
    try:
      raise ValueError("never mind")
    except ValueError:
      pass
    return PREFIX + self.TEXTS[1] + first + super().render(item)

def f(item):
  made = Derived()
  def inner(x):
    return x
  return inner(made.render(item))
"""
  parts = _text(tmp_path, body).parts
  assert parts[0] == 'Pone'
  assert parts[1] == Symbol('field', 'item', 'question', (('split', ':', -1, 2, 0),))
  assert parts[2:5] == (Symbol('label', 'item', 0, ('lower',)), ') ', FIRST)
  assert parts[5] == '; '


def test_comparisons_with_data_are_followed_both_ways(tmp_path):
  body = 'def f(item):\n  if item["question"] == "x":\n    return "one"\n  return "two"\n'
  assert _run(tmp_path, body, _item()) == ['one', 'two']


def test_errors_of_the_code_are_told_from_what_is_not_understood(tmp_path):
  with pytest.raises(Raised, match="KeyError: 'nothing'"):
    _text(tmp_path, 'def f(item):\n  return item["nothing"]\n')
  with pytest.raises(Raised, match='3 values for 2 names'):
    _text(tmp_path, 'def f(item):\n  a, b = item["options"]\n')
  with pytest.raises(Raised, match="unexpected argument 'c'"):
    _text(tmp_path, 'def g(a):\n  return a\ndef f(item):\n  return g(c=1)\n')


@pytest.mark.parametrize(
  'expression',
  [
    '__import__("os").system("touch {path}")',
    'open("{path}", "w").write("x")',
    'item.__class__.__mro__',
    'eval("1")',
    '().__class__',
    'os.system("touch {path}")',
    'subprocess.run(["touch", "{path}"])',
    '"{0.__class__}".format(item["question"])',
  ],
)
def test_nothing_is_executed(tmp_path, expression):
  path = tmp_path / 'made'
  code = expression.replace('{path}', str(path))
  with pytest.raises((Unsupported, Raised)):
    _text(tmp_path, f'import os\nimport subprocess\ndef f(item):\n  return {code}\n')
  assert not path.exists()


def test_endless_code_is_stopped(tmp_path):
  body = 'def f(item):\n' + ''.join(f'{"  " * d}for x{d} in range(1000):\n' for d in range(1, 4)) + '        pass\n'
  with pytest.raises(Unsupported, match='runs too long'):
    _text(tmp_path, body)


@pytest.mark.parametrize(
  ('body', 'message'),
  [
    ('  for _ in range(100):\n    x = x + x\n', 'grows too long'),
    ('  y = [1]\n  for _ in range(100):\n    y = y + y\n', 'grows too long'),
    ('  for _ in range(1000000000):\n    pass\n', 'a range is too long'),
  ],
)
def test_memory_is_kept_too(tmp_path, body, message):
  with pytest.raises(Unsupported, match=message):
    _text(tmp_path, f'def f(item):\n  x = "xx"\n{body}')


def test_files_are_read_through_the_caller_only(tmp_path):
  body = 'import json, os\ndef f(d):\n  return json.load(open(os.path.join(d, "task.json"), "r"))["description"]\n'
  seen = []
  assert _run(tmp_path, body, 'dir', read_json=lambda p: seen.append(p) or {'description': 'D'}) == ['D']
  assert seen == ['dir/task.json']
  with pytest.raises(Unsupported, match='lies outside'):
    Interpreter(tmp_path / 'x', lambda p: None).module('../m.py')


def _probes(tmp_path, body, examples=()):
  probes = []
  for n in (2, 3, 4):
    item = _item() | {'options': [Text([Symbol('option', 'item', i)]) for i in range(n)]}
    (outcome,) = _run(tmp_path, body, item)
    if not isinstance(outcome, Raised):
      probes.append(fit_lib.Probe(n, (), outcome, Text([ANSWER]), item['options']))
  return probes


def test_lists_of_options_become_blocks(tmp_path):
  body = """
def f(item):
  out = "From "
  for i, o in enumerate(item["options"]):
    out += "'{}'".format(o)
    if i == len(item["options"]) - 2:
      out += " or "
    elif i < len(item["options"]) - 2:
      out += ", "
  return out + ": " + item["question"]
"""
  layout = fit_lib.fit(_probes(tmp_path, body), [], fit_lib.Names())
  assert layout.template == 'From {options}: {question}'
  (block,) = layout.blocks.values()
  assert (block.item, block.separator, block.last_separator) == ("'{option}'", ', ', ' or ')


def test_single_options_are_named_and_lists_cut(tmp_path):
  layout = fit_lib.fit(_probes(tmp_path, 'def f(item):\n  return item["options"][1] + "?"\n'), [], fit_lib.Names())
  assert layout.template == '{option_2}?'
  body = 'def f(item):\n  return " ".join("{} {}".format(a, o) for a, o in zip(["A", "B"], item["options"]))\n'
  layout = fit_lib.fit(_probes(tmp_path, body), [], fit_lib.Names())
  assert layout.render({'options': ['x', 'y', 'z'], 'answer': 'x'}).input_text == 'A x B y'


def test_what_no_layout_gives_is_refused(tmp_path):
  body = 'def f(item):\n  return "even" if len(item["options"]) % 2 == 0 else "odd"\n'
  with pytest.raises(Unsupported, match='the text would be'):
    fit_lib.fit(_probes(tmp_path, body), [], fit_lib.Names())
