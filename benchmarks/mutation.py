"""Mutation testing of the core modules: which faults, put in one at a time, do the tests not see?

`pip install cosmic-ray`, then `python benchmarks/mutation.py [MODULE ...] [--sample 100] [--jobs 2]` from a checkout, with the
package installed with its tests. A mutant is a module with one operator, number, keyword or call changed, by cosmic-ray's operators and two
of our own: `f(x)` becomes `x`, and `in` becomes `not in`. It is killed if the module's tests or the examples of its docstrings fail, or do
not end in time. Printed are how many are killed, by module, and every mutant that survives. A mutant may be as good as the original, such
as another bound for a display; what survives is to be read, not counted alone. `mutation_equivalent.yaml` has those that were read and
found to be so, by their reason.

`--out FILE` keeps the counts and the survivors, by module; `--again` then tries only those that survived, such as after a new test.

Each mutant runs in a fork of a process that has imported what the tests import from others, so it costs the tests' own time.
"""

import argparse
from collections.abc import Sequence
import concurrent.futures
import dataclasses
import doctest
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

from cosmic_ray import ast as trees
from cosmic_ray import mutating, plugins
from cosmic_ray.operators.operator import Operator
import mutation_counts
import numpy as np
import parso

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Module -> its tests, from tests/.
MODULES = {
  'seqio_tasks/answers.py': ['seqio_tasks/test_answers.py'],
  'seqio_tasks/extraction.py': ['seqio_tasks/test_extraction.py'],
  'seqio_tasks/bank/layouts.py': ['seqio_tasks/bank/test_layouts.py'],
  'seqio_tasks/bank/templates.py': ['seqio_tasks/bank/test_templates.py'],
  'seqio_tasks/pipeline/seqio_metrics.py': ['seqio_tasks/pipeline/test_seqio_metrics.py'],
  **{
    f'seqio_tasks/datasets/{name}.py': [f'seqio_tasks/datasets/test_{name.removeprefix("_")}.py']
    for name in ('_lmentry', 'lmentry_instances', 'lmentry_phrasings')
  },
  'robust_t5x/results/scorers.py': ['robust_t5x/results/test_scorers.py', 'robust_t5x/evaluation/test_scorers.py'],
  'robust_t5x/results/cells.py': ['robust_t5x/results/test_cells.py'],
  **{
    f'robust_t5x/analysis/{name}.py': [f'robust_t5x/analysis/test_{name}.py']
    for name in (
      'agreement',
      'comparison',
      'crossed',
      'effects',
      'extremes',
      'metrics',
      'prompteval',
      'significance',
      'statistics',
    )
  },
  **{
    f'robust_t5x/objectives/{name}.py': [f'robust_t5x/objectives/test_{name}.py']
    for name in ('branches', 'divergences', 'representations', 'worst')
  },
  'robust_t5x/adapters/prefix.py': ['robust_t5x/adapters/test_prefix.py'],
  'robust_t5x/adapters/low_rank.py': ['robust_t5x/adapters/test_low_rank.py'],
  'robust_t5x/training/step.py': ['robust_t5x/training/test_step.py', 'robust_t5x/runtime/test_partitioning.py'],
  'robust_t5x/models/layers.py': ['robust_t5x/models/test_layers.py'],
}
_PAIRS = {
  'BinaryOperator': 'Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_Mul Pow_Mul BitAnd_BitOr BitOr_BitAnd',
  'ComparisonOperator': 'Eq_NotEq NotEq_Eq Lt_LtE Lt_Gt LtE_Lt LtE_Gt Gt_GtE Gt_Lt GtE_Gt GtE_Lt Is_IsNot IsNot_Is',
  'UnaryOperator': 'Delete_Not Delete_USub Delete_Invert',
}
_OPERATORS = [
  *(f'core/Replace{kind}_{pair}' for kind, pairs in _PAIRS.items() for pair in pairs.split()),
  'core/AddNot', 'core/NumberReplacer', 'core/ReplaceAndWithOr', 'core/ReplaceOrWithAnd', 'core/ReplaceTrueWithFalse',
  'core/ReplaceFalseWithTrue', 'core/ReplaceBreakWithContinue', 'core/ReplaceContinueWithBreak', 'core/ZeroIterationForLoop',
]  # fmt: skip


class DropCall(Operator):
  """Drops a call: `f(x)` becomes `x`, and `x.f()` becomes `x`; not where f is a class or stands for an error."""

  def mutation_positions(self, node):
    if node.type in ('atom_expr', 'power') and self._inner(node) is not None:
      yield node.start_pos, node.end_pos

  def mutate(self, node, index):
    del index
    return parso.parse(node.get_first_leaf().prefix + '(' + self._inner(node) + ')').children[0]

  def _inner(self, node) -> str | None:
    last = node.children[-1]
    if last.type != 'trailer' or last.children[0].value != '(':
      return None
    name = (
      node.children[-2].get_last_leaf().value if node.children[-2].type == 'trailer' else node.children[-2].get_code()
    )
    if name.strip()[:1].isupper() or len(node.children) < 2:
      return None
    if len(last.children) == 2:  # x.f()
      return ''.join(child.get_code() for child in node.children[:-2]).strip() if len(node.children) > 2 else None
    argument = last.children[1]
    if argument.type == 'arglist':
      argument = argument.children[0]
    return None if argument.type == 'argument' else argument.get_code().strip()

  @classmethod
  def examples(cls):
    return ()


class FlipMembership(Operator):
  """`a in b` becomes `a not in b`."""

  def mutation_positions(self, node):
    if node.type == 'comparison' and node.children[1].type == 'keyword' and node.children[1].value == 'in':
      yield node.start_pos, node.end_pos

  def mutate(self, node, index):
    del index
    node.children[1].value = 'not in'
    return node

  @classmethod
  def examples(cls):
    return ()


_OWN = {'drop call': DropCall, 'flip membership': FlipMembership}


@dataclasses.dataclass(frozen=True)
class Mutant:
  """A change of one place: which operator, its how-manieth place in the module, and that place's line."""

  operator: str
  occurrence: int
  line: int


def _operator(name: str) -> Operator:
  return _OWN[name]() if name in _OWN else plugins.get_operator(name)()


def mutants(source: str) -> list[Mutant]:
  """All changes of a module, but for annotations, decorators and texts of errors."""
  found = []
  for name in (*_OPERATORS, *_OWN):
    operator, count = _operator(name), 0
    for node in trees.ast_nodes(parso.parse(source)):
      for _ in operator.mutation_positions(node):
        if not _is_passive(node):
          found.append(Mutant(name, count, node.start_pos[0]))
        count += 1
  return found


def _is_passive(node) -> bool:
  """Whether a node stands in an annotation, a decorator, a raised error, or what is done for type checkers alone."""
  child, parent = node, node.parent
  while parent is not None:
    if parent.type == 'annassign' and child is parent.children[1]:
      return True
    if parent.type == 'tfpdef' and child is parent.children[2]:
      return True
    if parent.type == 'funcdef' and child is parent.annotation:
      return True
    if parent.type in ('decorator', 'raise_stmt', 'import_from', 'import_name'):
      return True
    child, parent = parent, parent.parent
  return False


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
  """Gives one module from a text."""

  def __init__(self, name: str, path: str, source: str):
    self._name, self._path, self._source = name, path, source

  def find_spec(self, name, path=None, target=None):
    return importlib.machinery.ModuleSpec(name, self, origin=self._path) if name == self._name else None

  def get_filename(self, name):
    return self._path

  def get_data(self, path):
    return self._source.encode()

  def path_stats(self, path):
    raise OSError  # so that no bytecode is read or written


def _child(module: str, source: str, tests: Sequence[str]) -> None:
  """Runs the tests, and the examples of docstrings, on a text of the module; ends the process with pytest's status."""
  os.setsid()
  null = os.open(os.devnull, os.O_RDWR)
  for stream in (0, 1, 2):
    os.dup2(null, stream)
  import pytest

  name = module.removesuffix('.py').replace('/', '.')
  sys.meta_path.insert(0, _Mutated(name, str(ROOT / module), source))
  status = 3
  try:
    status = int(pytest.main(['-x', '-q', '-p', 'no:cacheprovider', '-p', 'no:xdist', *(f'tests/{t}' for t in tests)]))
    status = status or min(doctest.testmod(importlib.import_module(name)).failed, 1)
  finally:
    os._exit(status)


def _status(module: str, source: str, tests: Sequence[str], limit: float) -> int | None:
  """pytest's status on a text of the module; None if it took too long."""
  pid = os.fork()
  if not pid:
    _child(module, source, tests)
  until = time.monotonic() + limit
  while time.monotonic() < until:
    done, status = os.waitpid(pid, os.WNOHANG)
    if done:
      return os.waitstatus_to_exitcode(status)
    time.sleep(0.02)
  os.killpg(pid, signal.SIGKILL)
  os.waitpid(pid, 0)
  return None


def _import_others(tests: Sequence[str]) -> None:
  """Imports what the tests import and is not the project's, found in a process of its own."""
  code = (
    'import sys, pytest\n'
    f'pytest.main(["-q", "--collect-only", *{[f"tests/{t}" for t in tests]!r}])\n'
    'print("\\nIMPORTED", *sorted(n for n in sys.modules if "." not in n))'
  )
  done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
  names = done.stdout.rpartition('IMPORTED ')[2].split()
  for name in names:
    if name.startswith(('robust_t5x', 'seqio_tasks', 'test_', 'conftest')) or (ROOT / f'tests/{name}.py').exists():
      continue
    try:
      importlib.import_module(name)
    except Exception:  # what cannot be imported alone, the tests import themselves
      continue


@dataclasses.dataclass(frozen=True)
class _Task:
  """What to try of a module: a sample, or the mutants that are named."""

  module: str
  sample: int | None
  seed: int
  named: Sequence[Mutant] | None


def _chosen(task: _Task, source: str) -> tuple[int, list[Mutant]]:
  """How many mutants there are, and those to try."""
  found = mutants(source)
  if task.named is not None:
    return len(found), list(task.named)
  if task.sample is None or task.sample >= len(found):
    return len(found), found
  picked = np.random.default_rng(task.seed).choice(len(found), task.sample, replace=False)
  return len(found), [found[i] for i in sorted(picked)]


def _run(task: _Task) -> dict[str, Any]:
  """Tries a module's mutants; what `--out` keeps of it."""
  os.chdir(ROOT)
  sys.path.insert(0, str(ROOT))
  tests = MODULES[task.module]
  _import_others(tests)
  source = (ROOT / task.module).read_text(encoding='utf-8')
  began = time.monotonic()
  status = _status(task.module, source, tests, 600)
  if status != 0:
    raise SystemExit(f'{task.module}: its tests end with status {status} without a change; mend them first')
  limit = 10 + 5 * (time.monotonic() - began)
  places, chosen = _chosen(task, source)
  tried, survivors = 0, []
  for mutant in chosen:
    changed = mutating.mutate_code(source, _operator(mutant.operator), mutant.occurrence)
    if changed is None or changed == source:
      continue
    tried += 1
    if _status(task.module, changed, tests, limit) != 0:
      continue
    pairs = zip(source.splitlines(), changed.splitlines(), strict=False)
    lines = next((f'{a.strip()}  ->  {b.strip()}' for a, b in pairs if a != b), '')
    survivors.append({**dataclasses.asdict(mutant), 'change': lines})
    print(f'{task.module}:{mutant.line}: {lines}', file=sys.stderr, flush=True)
  sha256 = hashlib.sha256(source.encode()).hexdigest()
  return {'sha256': sha256, 'mutants': places, 'tried': tried, 'killed': tried - len(survivors), 'survived': survivors}


def _read(path: pathlib.Path) -> dict[str, Any]:
  return json.loads(path.read_text(encoding='utf-8')) if path.exists() else {}


def _survivors(module: str, kept: dict[str, Any]) -> list[Mutant]:
  """The mutants that survived, by what `--out` kept."""
  source = (ROOT / module).read_bytes()
  if kept['sha256'] != hashlib.sha256(source).hexdigest():
    raise SystemExit(f'{module} is not what it was when its mutants were tried; try them all, without --again')
  return [Mutant(one['operator'], one['occurrence'], one['line']) for one in kept['survived']]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument(
    'module', nargs='*', metavar='MODULE', help='such as robust_t5x/analysis/metrics.py; by default all'
  )
  parser.add_argument('--sample', type=int, metavar='N', help='at most so many mutants of each module')
  parser.add_argument('--seed', type=int, default=0, help='of the sample')
  parser.add_argument('--jobs', type=int, default=1, help='modules at a time')
  parser.add_argument('--out', type=pathlib.Path, metavar='FILE', help='keep what was found here, by module')
  parser.add_argument('--again', action='store_true', help='only what survived, by --out')
  arguments = parser.parse_args()
  unknown = [m for m in arguments.module if m not in MODULES]
  if unknown:
    parser.error(f'no core module {unknown[0]}; there are {", ".join(MODULES)}')
  if arguments.again and arguments.out is None:
    parser.error('--again needs --out, which says what survived')
  kept = _read(arguments.out) if arguments.out else {}
  modules = [m for m in arguments.module or MODULES if not arguments.again or m in kept]
  tasks = [
    _Task(m, arguments.sample, arguments.seed, _survivors(m, kept[m]) if arguments.again else None) for m in modules
  ]
  print(mutation_counts.HEAD)
  # A process for each module, so that none finds another's imports.
  with concurrent.futures.ProcessPoolExecutor(arguments.jobs, max_tasks_per_child=1) as pool:
    for module, found in zip(modules, pool.map(_run, tasks), strict=True):
      if arguments.again:
        earlier = kept[module]['tried']
        found |= {'tried': earlier, 'killed': earlier - len(found['survived'])}
      print(mutation_counts.row(module, {module: found}), flush=True)
      if arguments.out:
        now = _read(arguments.out) | {module: found}  # read again: another run may have added its modules
        ordered = {m: now[m] for m in MODULES if m in now}
        arguments.out.write_text(json.dumps(ordered, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
  main()
