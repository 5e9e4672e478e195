"""The project as a whole: packaging, gin files, imports."""

import itertools
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
OBJECTIVES = sorted(p.stem for p in (ROOT / 'gin/objectives').glob('*.gin'))
PROMPTS = sorted(p.stem for p in (ROOT / 'gin/prompts').glob('*.gin'))


def test_gin_is_not_a_package():
  """An `__init__.py` there would hide gin-config's own package when run from the repository."""
  assert not list((ROOT / 'gin').rglob('__init__.py'))


def test_every_package_and_every_data_file_is_listed():
  listed = set(
    re.findall(r"^    '((?:robust_t5x|seqio_tasks)[\w.]*)',$", (ROOT / 'setup.py').read_text(), re.MULTILINE)
  )
  present = {
    '.'.join(path.parent.relative_to(ROOT).parts)
    for package in ('robust_t5x', 'seqio_tasks')
    for path in (ROOT / package).rglob('*')
    if path.is_file() and '__pycache__' not in path.parts
  }
  assert present <= listed
  folders = re.search(r'GIN_FOLDERS = \[(.*?)\]', (ROOT / 'setup.py').read_text())[1]
  assert {p.parent.name for p in (ROOT / 'gin').rglob('*.gin')} <= set(re.findall(r"'(\w*)'", folders))


@pytest.mark.parametrize(
  'module', ['robust_t5x', 'robust_t5x.__main__', 'robust_t5x.train', 'seqio_tasks', 'seqio_tasks.bank']
)
def test_imports_are_light(module):
  code = f'import sys, {module}; print([m for m in ("tensorflow", "seqio", "t5x", "jax", "torch") if m in sys.modules])'
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT)
  assert done.stdout.strip() == '[]'
  assert done.stderr == ''


def test_the_command_says_what_it_can_do():
  done = subprocess.run(
    [sys.executable, '-m', 'robust_t5x', 'evaluate'], capture_output=True, text=True, check=False, cwd=ROOT
  )
  assert done.returncode == 2
  assert "error: no verb 'evaluate'; did you mean eval?" in done.stderr


@pytest.mark.parametrize(('prompt', 'objective'), [*itertools.product(PROMPTS, OBJECTIVES)])
def test_gin_files_mean_the_same_in_any_order(prompt, objective):
  import gin
  from robust_t5x import launcher

  files = ['gin/runs/align_mini.gin', f'gin/prompts/{prompt}.gin', f'gin/objectives/{objective}.gin']
  configurations = set()
  for order in itertools.permutations(files):
    gin.clear_config(clear_constants=True)
    launcher.parse_gin(launcher.parse_flags([f'--gin_file={f}' for f in order], ''))
    configurations.add(gin.config_str())
  gin.clear_config(clear_constants=True)
  assert len(configurations) == 1


def test_gin_files_say_what_they_provide_and_require():
  for path in (ROOT / 'gin').rglob('*.gin'):
    text = path.read_text()
    assert re.search(r'^# .*Provides: .+', text, re.MULTILINE), path
    assert 'Requires: ' in text, path


def test_every_run_file_parses():
  import gin
  from robust_t5x import launcher

  runs = sorted((ROOT / 'gin/runs').glob('*.gin'))
  assert len(runs) >= 6
  for path in runs:
    gin.clear_config(clear_constants=True)
    text = path.read_text()
    extra = []
    if path.stem.startswith('align'):
      extra += ['--gin_file=gin/prompts/input.gin', '--gin_file=gin/objectives/kl.gin']
    if 'REGISTER_TASKS' in text:
      extra += ['--gin_file=gin/tasks/mmlu.gin', '--gin_file=gin/observed/none.gin', "--gin.MMLU_DIR='DIR'"]
    if path.stem == 'eval':
      extra += ["--gin.INITIAL_CHECKPOINT_PATH='bundled'"]
    launcher.parse_gin(launcher.parse_flags([f'--gin_file=gin/runs/{path.name}', *extra], ''))
    assert gin.config_str()
  gin.clear_config(clear_constants=True)


@pytest.mark.parametrize(
  'tasks', sorted(p.stem for p in (ROOT / 'gin/tasks').glob('*.gin') if p.stem not in ('common', 'mini'))
)
def test_task_files_parse_in_any_order(tasks):
  import gin
  from robust_t5x import launcher

  required = {
    'mmlu': ['MMLU_DIR'], 'bigbench': ['BIGBENCH_DIR'], 'bbh': ['BBH_DIR'], 'lmentry': ['LMENTRY_DIR'], 'glue': [],
    'super_natural_instructions': ['TASKS'], 'table': ['DATA_FILE', 'DATASET', 'BANK_TASKS'],
  }[tasks]  # fmt: skip
  files = ['gin/runs/eval.gin', f'gin/tasks/{tasks}.gin', 'gin/observed/flan_t5.gin']
  values = [f"--gin.{name}='x'" for name in (*required, 'INITIAL_CHECKPOINT_PATH')]
  configurations = set()
  for order in itertools.permutations(files):
    gin.clear_config(clear_constants=True)
    launcher.parse_gin(launcher.parse_flags([*(f'--gin_file={f}' for f in order), *values], ''))
    configurations.add(gin.config_str())
  for name in required:
    gin.clear_config(clear_constants=True)
    fewer = [v for v in values if not v.startswith(f'--gin.{name}=')]
    with pytest.raises(launcher.UsageError, match=f'not set: {name}; add --gin.{name}='):
      launcher.parse_gin(launcher.parse_flags([*(f'--gin_file={f}' for f in files), *fewer], ''))
  gin.clear_config(clear_constants=True)
  assert len(configurations) == 1 and 'register_benchmark' in configurations.pop()
