"""Damaged bank files, and damaged sources of phrasings that are imported."""

from collections.abc import Callable, Iterable
import json
import pathlib

import numpy as np
import yaml

from seqio_tasks import importers
from seqio_tasks.bank import reading
from seqio_tasks.bank.instruction import BankError
from seqio_tasks.errors import UserError
from seqio_tasks.importers import flan, instructioneval, multiprompt, promptsource, table

from . import damage
from .running import Reading, Wrong

_BANK = {
  'family': 'mine',
  'collection': 'mine_2026',
  'role': 'evaluation',
  'blocks': {'listed': {'item': '{label}. {option}', 'separator': '\n', 'labels': 'upper', 'limit': 5}},
  'derived': {'premise': {'from': 'question', 'steps': [{'split': {'separator': '.', 'index': 0, 'most': 1}}, 'strip']}},
  'instructions': {
    'choice': {
      'short': '{question}\n{options}\nLetter:',
      'by_text': {'template': '{question} Is it {options}?', 'options': 'inline_or', 'source': 'A/1'},
      'own': {'template': 'Q {premise}\n{listed}', 'answer': 'label', 'role': 'default'},
      'few': {'template': 'Z {question}', 'few_shot': {'prefix': 'Hi', 'example': '{question} A: {answer}', 'input': '{question} A:'}},
      'mapped': {'template': 'Map {question}', 'answer': {'form': '{option}', 'mapping': {'a': 'b'}, 'label_space': ['x', 'y']}},
    },
    'yes_no': {'a': 'Say yes or no: {question}', 'b': 'True? {question}'},
  },
}  # fmt: skip
_ITEM = {'question': 'One. Two?', 'options': ['x', 'y', 'z'], 'answer': 'y'}
_CSV = (
  'template,task,id,options,answer,role\n"{question}, please",t,x,,,\n"{question} {options}",t,y,bullets,text,default\n'
)
_MULTI = (
  'prompt idx,method,prompt template,correct\n1,default,"Say {word}.",1\n2,rephrase,"Tell me {word}: [{words}]",0\n'
)
_FLAN = (
  'PATTERNS = {\n  "rte": [\n    ("{premise} so {hypothesis}?\\n{options_}", "{answer}"),\n    ("Write one.", "P: {premise}"),\n  ],\n'
  '  "a": [("{{x}} {text}", "{summary}")],\n}\nPATTERNS["b"] = PATTERNS["a"]\nFEWSHOT_PATTERNS = {}\n'
)
_PROMPTS = {
  'dataset': 'own',
  'templates': {
    'x1': {'name': 'plain', 'answer_choices': 'yes ||| no', 'jinja': 'Is {{text}} so? ||| {{ answer_choices[label] }}'},
    'x2': {'name': 'free', 'answer_choices': None, 'jinja': '{{question}} Answer: ||| {{answer}}'},
    'x3': {'name': 'computed', 'answer_choices': None, 'jinja': '{% if x %}{{y}}{% endif %} ||| {{z}}'},
  },
}
_CODE = """
class Preprocessor:
  pass


class Own(Preprocessor):
  LETTERS = ["A", "B", "C"]

  def __init__(self, instruction, examples, ordered=True, directory=None):
    self.instr2preprocessor = {"NIV2/QA/1": self.one, "NIV2/QA/2": lambda item: self.two(item, 3)}
    self.instr2preprocessor_fs = {}

  def one(self, item):
    text = "Decide among {}.\\n{}".format(len(item["options"]), item["question"])
    for letter, option in zip([chr(x) for x in range(ord("A"), ord("Z") + 1)], item["options"]):
      text += "\\n({}) {}".format(letter, option)
    return {"input_text": text, "output_text": item["answer"], "label_space": item["options"]}

  def two(self, item, number):
    text = " ".join(["x" * 1 if i == 4 else f"{i}" for i in range(number)]) + item["question"].replace("a", "b").strip()
    answer = "Yes" if item["answer"] == "right" else "No"
    return {"input_text": text, "output_text": answer, "label_space": ["Yes", "No"]}
"""


def _write(path: pathlib.Path, data: bytes) -> pathlib.Path:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(data)
  return path


def _plain(value: object) -> str:
  return yaml.safe_dump(value, allow_unicode=True, sort_keys=False)


def _of_tree(rng: np.random.Generator, value: object, dump: Callable[[object], str]) -> bytes:
  """A tree's text with damage to the tree, to the text, or to both."""
  how = int(rng.integers(3))
  made = dump(damage.tree(rng, value) if how else value)
  return damage.text(rng, made) if how != 1 else made.encode('utf-8', 'surrogatepass')


def _json(value: object) -> str:
  try:
    return json.dumps(value)
  except ValueError:  # numbers of thousands of digits
    return '9' * 5000


def _read_bank(paths: Iterable[pathlib.Path]) -> None:
  """Reads a bank and fills its layouts in; every fault must be a line of bearable length."""
  paths = list(paths)
  try:
    bank = reading.validate(paths)
  except BankError as e:
    bad = [problem for problem in e.problems if '\n' in problem or not any(path.name in problem for path in paths)]
    raise UserError(bad[0] if bad else max(e.problems, key=len)) from e
  for instruction in bank:
    try:
      instruction.layout.render(_ITEM)
    except UserError:
      continue


def _bank(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  path = _write(directory / 'bank.yaml', _of_tree(rng, _BANK, _plain))
  return lambda: _read_bank([path])


def _imported(directory: pathlib.Path, read: Callable[[], Iterable[importers.Part]], names: tuple[str, ...]) -> Reading:
  """A call that imports a source: what it writes lies in its folder, and is a bank."""

  def call() -> None:
    before = {path for path in directory.rglob('*')}
    out = directory / 'deep' / 'out'
    importers.write('x', read(), out)
    outside = [path for path in {*directory.rglob('*')} - before if path != out.parent and not path.is_relative_to(out)]
    if outside:
      raise Wrong(f'{outside} is written outside of the folder')
    files = sorted(out.glob('*.yaml'))
    if files:
      try:
        reading.validate(files)
      except BankError as e:
        if any('the same phrasing' not in problem and 'also' not in problem for problem in e.problems):
          raise Wrong(str(e)) from e

  return Reading(call, names)


def _csv(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  path = _write(directory / 'mine.csv', damage.text(rng, _CSV))

  def read() -> list[importers.Part]:
    try:
      return [table.read(path, 'mine', 't')]
    except importers.SourceError as e:
      raise UserError(str(e).split('; line ')[0]) from e  # a line may have several faults, each of which must be clear

  return _imported(directory, read, (path.name,))


def _multiprompt(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  name = 'task' if rng.random() < 0.8 else damage.pick(rng, ('a b', 'ä', 'x' * 150, '..', 'con', 'A.b'))
  path = _write(directory / 'in' / f'{name}.csv', damage.text(rng, _MULTI))
  return _imported(directory, lambda: multiprompt.read(path.parent, 'bbh'), (path.name,))


def _flan(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  for name in ('flan/templates.py', 'flan/v2/templates.py'):
    _write(directory / 'in' / name, damage.text(rng, _FLAN))
  return _imported(directory, lambda: flan.read(directory / 'in'), ('templates.py',))


def _promptsource(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  for name in ('qa', 'qa-2', 'nested/qa'):
    _write(directory / 'in' / name / 'templates.yaml', _of_tree(rng, _PROMPTS, _plain))
  return _imported(directory, lambda: promptsource.read(directory / 'in'), ('templates.yaml',))


def _instructioneval(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  lists = {
    'dirs.json': {'Own': ['./data/own', './own.py'], 'Other': ['./data/own', './own.py']},
    'instructions.json': {'Own': ['NIV2/QA/1', 'NIV2/QA/2']},
  }
  for name, value in lists.items():
    damaged = _of_tree(rng, value, _json) if rng.random() < 0.4 else _json(value).encode()
    _write(directory / 'in' / name, damaged)
  _write(directory / 'in' / 'own.py', damage.text(rng, _CODE))
  return _imported(directory, lambda: instructioneval.read(directory / 'in'), tuple(lists))


READERS = {
  'bank': _bank,
  'import csv': _csv,
  'import multiprompt': _multiprompt,
  'import flan': _flan,
  'import promptsource': _promptsource,
  'import instructioneval': _instructioneval,
}
