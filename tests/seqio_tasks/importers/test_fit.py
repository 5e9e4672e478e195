"""Tests of turning what code gave into layouts."""

import pytest
from read_code import ANSWER, item, run

from seqio_tasks.importers.fit import Probe, fit
from seqio_tasks.importers.symbols import Raised, Symbol, Text, Unsupported
from seqio_tasks.importers.templating import Names


def _probes(tmp_path, body, examples=()):
  probes = []
  for n in (2, 3, 4):
    made = item() | {'options': [Text([Symbol('option', 'item', i)]) for i in range(n)]}
    (outcome,) = run(tmp_path, body, made)
    if not isinstance(outcome, Raised):
      probes.append(Probe(n, (), outcome, Text([ANSWER]), made['options']))
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
  layout = fit(_probes(tmp_path, body), [], Names())
  assert layout.template == 'From {options}: {question}'
  (block,) = layout.blocks.values()
  assert (block.item, block.separator, block.last_separator) == ("'{option}'", ', ', ' or ')


def test_single_options_are_named_and_lists_cut(tmp_path):
  layout = fit(_probes(tmp_path, 'def f(item):\n  return item["options"][1] + "?"\n'), [], Names())
  assert layout.template == '{option_2}?'
  body = 'def f(item):\n  return " ".join("{} {}".format(a, o) for a, o in zip(["A", "B"], item["options"]))\n'
  layout = fit(_probes(tmp_path, body), [], Names())
  assert layout.render({'options': ['x', 'y', 'z'], 'answer': 'x'}).input_text == 'A x B y'


def test_what_no_layout_gives_is_refused(tmp_path):
  body = 'def f(item):\n  return "even" if len(item["options"]) % 2 == 0 else "odd"\n'
  with pytest.raises(Unsupported, match='the text would be'):
    fit(_probes(tmp_path, body), [], Names())
