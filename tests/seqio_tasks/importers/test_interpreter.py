"""Tests of reading templates off code without running it."""

import pytest
from read_code import ANSWER, FIELD, FIRST, OPTIONS, item, run, text

from seqio_tasks.importers.interpreter import Interpreter
from seqio_tasks.importers.symbols import Raised, Symbol, Unsupported


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
  assert text(tmp_path, f'def f(item):\n  return {expression}\n').parts == parts


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
  parts = text(tmp_path, body).parts
  assert parts[0] == 'Pone'
  assert parts[1] == Symbol('field', 'item', 'question', (('split', ':', -1, 2, 0),))
  assert parts[2:5] == (Symbol('label', 'item', 0, ('lower',)), ') ', FIRST)
  assert parts[5] == '; '


def test_comparisons_with_data_are_followed_both_ways(tmp_path):
  body = 'def f(item):\n  if item["question"] == "x":\n    return "one"\n  return "two"\n'
  assert run(tmp_path, body, item()) == ['one', 'two']


def test_errors_of_the_code_are_told_from_what_is_not_understood(tmp_path):
  with pytest.raises(Raised, match="KeyError: 'nothing'"):
    text(tmp_path, 'def f(item):\n  return item["nothing"]\n')
  with pytest.raises(Raised, match='3 values for 2 names'):
    text(tmp_path, 'def f(item):\n  a, b = item["options"]\n')
  with pytest.raises(Raised, match="unexpected argument 'c'"):
    text(tmp_path, 'def g(a):\n  return a\ndef f(item):\n  return g(c=1)\n')


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
    text(tmp_path, f'import os\nimport subprocess\ndef f(item):\n  return {code}\n')
  assert not path.exists()


def test_endless_code_is_stopped(tmp_path):
  body = 'def f(item):\n' + ''.join(f'{"  " * d}for x{d} in range(1000):\n' for d in range(1, 4)) + '        pass\n'
  with pytest.raises(Unsupported, match='runs too long'):
    text(tmp_path, body)


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
    text(tmp_path, f'def f(item):\n  x = "xx"\n{body}')


def test_files_are_read_through_the_caller_only(tmp_path):
  body = 'import json, os\ndef f(d):\n  return json.load(open(os.path.join(d, "task.json"), "r"))["description"]\n'
  seen = []
  assert run(tmp_path, body, 'dir', read_json=lambda p: seen.append(p) or {'description': 'D'}) == ['D']
  assert seen == ['dir/task.json']
  with pytest.raises(Unsupported, match='lies outside'):
    Interpreter(tmp_path / 'x', lambda p: None).module('../m.py')
