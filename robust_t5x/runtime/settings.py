"""Settings as gin writes them down, and which of them differ between two runs."""

import ast
from collections.abc import Collection, Mapping
import re

from seqio_tasks.errors import shorten


def normalised(text: str) -> str:
  """The text of a gin value in one spelling: 0.10 and 0.1 are the same."""
  try:
    return repr(ast.literal_eval(text.strip()))
  except (ValueError, SyntaxError, MemoryError, RecursionError):
    return text.strip()  # a reference, or for gin to complain about


def read(config: str) -> dict[str, str]:
  """Name -> value of a configuration as gin writes it.

  >>> read("# Macros:\\nLR = 0.10\\nTASKS = \\\\\\n    ['a',\\n     'b']\\n")
  {'LR': '0.1', 'TASKS': "['a', 'b']"}
  """
  joined = re.sub(r'\\\n\s*', '', config)
  found = re.findall(r'^([\w./]+) = (.*(?:\n(?:[ \t].*|[\])}].*))*)', joined, re.MULTILINE)
  return {name: normalised(' '.join(value.split())) for name, value in found}


def changes(before: Mapping[str, str], now: Mapping[str, str], without: Collection[str] = ()) -> list[str]:
  """What differs, each with its old and its new value.

  >>> changes({'A': '1', 'B': '2'}, {'A': '3', 'B': '4', 'C': '5'}, without=['B'])
  ['A was 1, is 3', 'C was not set, is 5']

  Args:
    before: name -> value.
    now: name -> value.
    without: names that do not count.
  """
  return [
    f'{name} was {shorten(before.get(name, "not set"), 60)}, is {shorten(now.get(name, "not set"), 60)}'
    for name in sorted({*before, *now} - {*without})
    if before.get(name) != now.get(name)
  ]
