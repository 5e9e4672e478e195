"""The rooms: which of our own modules may import which, and where."""

import ast
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Imports of our own modules inside functions, each of what is heavy there and not always needed.
LATE = {
  ('robust_t5x/models/robust.py', 'robust_t5x.models.features'),  # TensorFlow, which T5X alone asks for
  ('robust_t5x/reports/design.py', 'robust_t5x.reports.plots'),
  ('robust_t5x/reports/effects.py', 'robust_t5x.reports.plots'),  # matplotlib
  ('robust_t5x/reports/page.py', 'robust_t5x.reports.plots'),
  ('robust_t5x/reports/representation.py', 'robust_t5x.reports.plots'),
  ('robust_t5x/reports/scaling.py', 'robust_t5x.models.families'),  # JAX, for models whose names tell a size
  ('robust_t5x/sweeps/check.py', 'robust_t5x.adapters.initial'),  # JAX, in the process that checks a grid alone
  ('robust_t5x/sweeps/check.py', 'robust_t5x.evaluation.checks'),
  ('robust_t5x/sweeps/check.py', 'robust_t5x.models.trainable'),
  ('robust_t5x/sweeps/check.py', 'robust_t5x.training.data'),
  ('seqio_tasks/pipeline/registration.py', 'seqio_tasks.pipeline.providers'),  # TensorFlow
}


def test_contracts_of_the_rooms_are_kept():
  """The contracts stand in pyproject.toml: layers, what is forbidden, no circle."""
  command = [
    sys.executable,
    '-c',
    'from importlinter.cli import lint_imports_command; lint_imports_command()',
    '--no-cache',
  ]
  done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=None)
  assert done.returncode == 0, done.stdout + done.stderr
  assert '6 kept, 0 broken' in done.stdout


def _own_imports_in_functions(path: pathlib.Path) -> set[str]:
  functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef | ast.Lambda)]
  found = set()
  for statement in (s for f in functions for s in ast.walk(f) if isinstance(s, ast.Import | ast.ImportFrom)):
    if isinstance(statement, ast.Import):
      found |= {alias.name for alias in statement.names}
    elif statement.module:
      whole = [f'{statement.module}.{alias.name}' for alias in statement.names]
      found |= {w if (ROOT / w.replace('.', '/')).with_suffix('.py').is_file() else statement.module for w in whole}
  return {name for name in found if name.partition('.')[0] in ('robust_t5x', 'seqio_tasks')}


def test_rooms_import_at_the_top():
  """Verbs, which stand outside the rooms, import late so that the command line answers at once."""
  found = {
    (str(path.relative_to(ROOT)), name)
    for package in ('robust_t5x', 'seqio_tasks')
    for path in (ROOT / package).glob('*/**/*.py')
    for name in _own_imports_in_functions(path)
  }
  assert found == LATE


def test_every_room_says_what_it_is_for():
  for package in ('robust_t5x', 'seqio_tasks'):
    for face in (ROOT / package).rglob('__init__.py'):
      text = ast.get_docstring(ast.parse(face.read_text()))
      assert text and len(text) > 60 and 'TODO' not in text, face
