"""The shape of the package: what a folder says of itself, that every file has its tests, and that imports are light."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = sorted(p.relative_to(ROOT) for p in (ROOT / 'seqio_tasks').rglob('*.py'))


@pytest.mark.parametrize('path', FILES, ids=str)
def test_a_file_says_what_it_is_for(path):
  text = ast.get_docstring(ast.parse((ROOT / path).read_text('utf-8')))
  assert text is not None and len(text) > 40 and 'TODO' not in text


@pytest.mark.parametrize('path', [p for p in FILES if p.name != '__init__.py'], ids=str)
def test_every_file_has_tests_at_the_mirrored_path(path):
  assert (ROOT / 'tests' / path.with_name(f'test_{path.name.lstrip("_")}')).is_file()


@pytest.mark.parametrize('path', FILES, ids=str)
def test_files_can_be_read_in_one_sitting(path):
  assert len((ROOT / path).read_text('utf-8').splitlines()) <= 400


def test_nothing_imports_the_model():
  for path in FILES:
    for node in ast.walk(ast.parse((ROOT / path).read_text('utf-8'))):
      names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
      names += [node.module or ''] if isinstance(node, ast.ImportFrom) else []
      assert not [n for n in names if n.split('.')[0] == 'robust_t5x'], path


def test_importing_the_data_layer_imports_nothing_heavy():
  modules = [
    '.'.join(p.with_suffix('').parts).removesuffix('.__init__')
    for p in FILES
    if p.name != 'providers.py'  # made to be imported late
  ]
  code = f'import sys, {", ".join(modules)}; print([m for m in ("tensorflow", "seqio", "jax") if m in sys.modules])'
  out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT)
  assert out.stdout.strip() == '[]'
