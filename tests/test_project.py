"""The project as a whole: packaging, gin files, imports."""

import itertools
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
OBJECTIVES = sorted(p.stem for p in (ROOT / 'gin/objectives').glob('*.gin'))
ADAPTERS = sorted(p.stem for p in (ROOT / 'gin/adapters').glob('*.gin'))


def test_gin_is_not_a_package():
  """An `__init__.py` there would hide gin-config's own package when run from the repository."""
  assert not list((ROOT / 'gin').rglob('__init__.py'))


def test_every_file_is_installed_and_found_there(tmp_path):
  """Built as pip builds it: every file is there, and the command finds its gin files."""
  subprocess.run(
    [sys.executable, 'setup.py', '--quiet', 'build_py', '--build-lib', tmp_path],
    cwd=ROOT,
    check=True,
    capture_output=True,
  )
  present = {
    path.relative_to(ROOT).as_posix()
    for folder in ('robust_t5x', 'seqio_tasks', 'gin')
    for path in (ROOT / folder).rglob('*')
    if path.is_file() and '__pycache__' not in path.parts
  }
  installed = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*') if path.is_file()}
  assert present <= {name.removeprefix('robust_t5x/configs/') for name in installed}
  code = f"""
import os, sys
sys.path[0] = {str(tmp_path)!r}
from robust_t5x.runtime import gin_files, launcher
assert gin_files.gin_directory() == os.path.join({str(tmp_path)!r}, 'robust_t5x', 'configs', 'gin'), gin_files.gin_directory()
gin_files.parse_gin(launcher.parse_flags(['mini', '--OUTPUT_DIR=x'], '', 'eval'))
print(gin_files.macro('OUTPUT_DIR'))
"""
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=tmp_path, env={**os.environ, 'PYTHONPATH': ''}, capture_output=True, text=True,
    check=False,
  )  # fmt: skip
  assert done.stdout == 'x\n', done.stderr


@pytest.mark.parametrize(
  'module',
  [
    'robust_t5x',
    'robust_t5x.__main__',
    'robust_t5x.train',
    'robust_t5x.reports.page',
    'seqio_tasks',
    'seqio_tasks.bank',
  ],
)
def test_imports_are_light(module):
  code = f'import sys, {module}; print([m for m in ("tensorflow", "seqio", "t5x", "jax", "torch") if m in sys.modules])'
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT)
  assert done.stdout.strip() == '[]'
  assert done.stderr == ''


@pytest.mark.parametrize(
  ('adapter', 'objective'), [*((p, 'kl') for p in ADAPTERS), *(('prefix', o) for o in OBJECTIVES)]
)
def test_gin_files_mean_the_same_in_any_order(adapter, objective):
  import gin
  from robust_t5x.runtime import gin_files, launcher

  files = ['gin/recipes/train/align_mini.gin', f'gin/adapters/{adapter}.gin', f'gin/objectives/{objective}.gin']
  configurations = set()
  for order in itertools.permutations(files):
    gin.clear_config(clear_constants=True)
    gin_files.parse_gin(launcher.parse_flags([f'--gin_file={f}' for f in order], ''), all_set=False)
    configurations.add(gin.config_str())
  gin.clear_config(clear_constants=True)
  assert len(configurations) == 1


def test_gin_files_say_what_they_provide_and_require():
  for path in (ROOT / 'gin').rglob('*.gin'):
    text = path.read_text()
    assert re.search(r'^# .*Provides: .+', text, re.MULTILINE), path
    assert 'Requires: ' in text, path


def parsed(arguments) -> str:
  """The configuration that a command line gives; what must be set may be lacking."""
  import gin
  from robust_t5x.runtime import gin_files, launcher

  gin.clear_config(clear_constants=True)
  gin_files.parse_gin(launcher.parse_flags(arguments, ''), all_set=False)
  text = gin.config_str()
  gin.clear_config(clear_constants=True)
  return text


def names(folder):
  return sorted(p.stem for p in (ROOT / 'gin' / folder).glob('*.gin'))


FAMILIES = ('flan_t5', 't0', 't5_1_0', 't5_1_1')


# What each skeleton needs beside it.
PARTS = {
  'align': ['models/bundled', 'tasks/mini', 'adapters/soft_prompt', 'objectives/kl'],
  'whole_model': ['models/bundled', 'tasks/mini'],
  'eval': ['models/bundled', 'tasks/mini'],
  'eval_endpoint': ['observed/none', 'tasks/mini'],
  'represent': ['models/bundled', 'tasks/mini'],
  'infer': ['models/bundled'],
  'paraphrase': ['models/bundled'],
  'paraphrase_endpoint': [],
}


@pytest.mark.parametrize('run', names('runs'))
def test_every_run_parses_in_any_order(run):
  files = [f'runs/{run}', *PARTS[run], 'topologies/cpu']
  values = ['--TRAIN_STEPS=1', '--LEARNING_RATE=1.0'] if run == 'whole_model' else []
  orders = [files[i:] + files[:i] for i in range(len(files))] + [files[::-1]]
  assert len({parsed([*(f'--gin_file=gin/{f}.gin' for f in order), *values]) for order in orders}) == 1


def test_a_model_brings_what_it_observed_and_takes_it_given_too():
  model = ['--gin_file=gin/runs/eval.gin', '--gin_file=gin/models/flan_t5.gin', '--gin_file=gin/tasks/mmlu.gin',
           '--gin_file=gin/topologies/cpu.gin', '--MMLU_DIR=DIR']  # fmt: skip
  text = parsed(model)
  assert "OBSERVED_COLLECTIONS = ['FLAN', " in text
  assert parsed([*model, '--gin_file=gin/observed/flan_t5.gin']) == text
  from robust_t5x.runtime import errors

  with pytest.raises(errors.UsageError, match=r'OBSERVED_COLLECTIONS is .* in gin/observed/flan_t5.gin \(which'):
    parsed([*model, '--gin_file=gin/observed/none.gin'])


@pytest.mark.parametrize('topology', names('topologies'))
@pytest.mark.parametrize('model', [*FAMILIES, 'bundled', 'from_checkpoint', 'llama', 'mini', 'smollm2'])
def test_every_model_on_every_topology_in_any_order(model, topology):
  files = [
    'runs/align',
    f'models/{model}',
    f'topologies/{topology}',
    'tasks/mini',
    'adapters/prefix',
    'objectives/kl',
    *(['observed/none'] if model in ('from_checkpoint', 'llama', 'mini') else []),
  ]
  values = [f"--gin.SIZE='{size}'" for size in ('small', 'xxl')] if model in FAMILIES else ['--gin.SEED=1']
  required = ['--INITIAL_CHECKPOINT_PATH=x'] if model in ('t0', 'from_checkpoint') else []
  required += {'mini': ['--VOCABULARY=x'], 'llama': ["--FAMILY='qwen3'", '--SIZE=8b']}.get(model, [])
  for value in values:
    # Every file first once, and the whole backwards.
    orders = [files[i:] + files[:i] for i in range(len(files))] + [files[::-1]]
    texts = {parsed([*(f'--gin_file=gin/{f}.gin' for f in order), value, *required]) for order in orders}
    assert len(texts) == 1
    text = texts.pop()
    assert f"TOPOLOGY = '{topology}'" in text and value.removeprefix('--gin.').replace('=', ' = ') in text


@pytest.mark.parametrize('ablation', names('ablations'))
def test_ablations_override_wherever_they_stand(ablation):
  files = ['gin/recipes/train/align_mini.gin', 'gin/adapters/soft_prompt.gin', 'gin/objectives/kl.gin']
  flags = [f'--gin_file={f}' for f in files]
  own = f'--gin_file=gin/ablations/{ablation}.gin'
  texts = {parsed([*flags[:i], own, *flags[i:]]) for i in range(len(flags) + 1)}
  assert len(texts) == 1
  plain, changed = (set(t.splitlines()) for t in (parsed(flags), texts.pop()))
  settings = [line for line in changed - plain if ' = ' in line]
  assert len(settings) == 1, settings
  name, value = settings[0].split(' = ')
  assert f'{name} = {value}' in (ROOT / 'gin/ablations' / f'{ablation}.gin').read_text()


@pytest.mark.parametrize(
  ('files', 'message'),
  [
    (['topologies/cpu', 'topologies/v4-8'], "TOPOLOGY is 'cpu' in gin/topologies/cpu.gin and 'v4-8' in"),
    (['topologies/cpu', 'models/flan_t5', 'models/t5_1_1'], "is 'flan_t5' in gin/models/flan_t5.gin and 't5_1_1' in"),
    # In the same words, and not the same adapter.
    (
      ['topologies/cpu', 'adapters/lora'],
      'in gin/adapters/soft_prompt.gin and @adapters.AdapterConfig() in gin/adapters/lora',
    ),
  ],
)
def test_files_that_disagree_are_named(files, message):
  from robust_t5x.runtime import errors

  common = ['runs/align', 'tasks/mini', 'objectives/kl', 'adapters/soft_prompt']
  with pytest.raises(errors.UsageError, match=re.escape(message)):
    parsed([f'--gin_file=gin/{f}.gin' for f in (*common, *files)])


@pytest.mark.parametrize(
  ('missing', 'cure'),
  [('topologies/cpu', r'gin/topologies/ \(cpu, '), ('adapters/soft_prompt', r'gin/adapters/ \(.*soft_prompt'),
   ('objectives/kl', 'gin/objectives/'), ('tasks/mini', 'gin/tasks/'), ('models/flan_t5', 'gin/models/')],
)  # fmt: skip
def test_a_file_that_is_missing_is_named(missing, cure):
  from robust_t5x.runtime import errors

  files = {'runs/align', 'topologies/cpu', 'adapters/soft_prompt', 'objectives/kl', 'tasks/mini', 'models/flan_t5'} - {
    missing
  }
  with pytest.raises(errors.UsageError, match=f'not set: .*{cure}'):
    size = [] if missing.startswith('models/') else ["--gin.SIZE='small'"]
    parsed([*(f'--gin_file=gin/{f}.gin' for f in sorted(files)), *size])


@pytest.mark.parametrize('run', names('t5x'))
def test_files_for_t5x_parse_under_t5x_in_any_order(run):
  """Parsed by T5X's own launcher, which reads files in the order given."""
  pytest.importorskip('t5x.gin_utils', reason='T5X is not installed')
  files = [f't5x/{run}', 'models/flan_t5', 'topologies/v4-32', 'tasks/mmlu', 'adapters/prefix']
  files += ['objectives/kl'] if run == 'align' else []
  values = ["SIZE='xl'", "MMLU_DIR='x'", "MIXTURE_OR_TASK_NAME='x'"]
  values += ["MODEL_DIR='x'"] if run == 'align' else ["CHECKPOINT_PATH='x'", f"{run.upper()}_OUTPUT_DIR='x'"]
  script = {'align': 'train'}.get(run, run)
  code = f"""
import sys
sys.argv = ['x']
import runpy, gin, hashlib
from t5x import gin_utils
import t5x.{script} as script
sys.modules['__main__'].__dict__.update({{k: v for k, v in vars(script).items() if not k.startswith('__')}})
for order in {[files, files[::-1], files[2:] + files[:2]]!r}:
  gin.clear_config()
  gin_utils.parse_gin_flags(['.'], [f'gin/{{f}}.gin' for f in order], {values!r})
  print('#', hashlib.sha256(gin.config_str().encode()).hexdigest())
"""
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False, cwd=ROOT)
  assert done.returncode == 0, done.stderr[-2000:]
  digests = [line for line in done.stdout.splitlines() if line.startswith('#')]
  assert len(digests) == 3 and len(set(digests)) == 1


@pytest.mark.parametrize(
  'tasks', sorted(p.stem for p in (ROOT / 'gin/tasks').glob('*.gin') if p.stem not in ('common', 'mini'))
)
def test_task_files_parse_in_any_order(tasks):
  import gin
  from robust_t5x.runtime import errors, gin_files, launcher

  required = {
    'mmlu': ['MMLU_DIR'], 'bigbench': ['BIGBENCH_DIR'], 'bigbench_lite': ['BIGBENCH_DIR'], 'bigbench_wording': ['BIGBENCH_DIR'], 'bbh': ['BBH_DIR'], 'lmentry': ['LMENTRY_DIR'], 'glue': [],
    'super_natural_instructions': ['TASKS'], 'table': ['DATA_FILE', 'DATASET', 'BANK_TASKS'],
  }[tasks]  # fmt: skip
  files = ['gin/runs/eval.gin', f'gin/tasks/{tasks}.gin', 'gin/models/flan_t5.gin', 'gin/topologies/cpu.gin']
  values = [f'--gin.{name}={["x"] if name in ("TASKS", "BANK_TASKS") else "x"!r}' for name in required]
  configurations = set()
  for order in itertools.permutations(files):
    gin.clear_config(clear_constants=True)
    gin_files.parse_gin(launcher.parse_flags([*(f'--gin_file={f}' for f in order), *values], ''), all_set=False)
    configurations.add(gin.config_str())
  for name in required:
    gin.clear_config(clear_constants=True)
    fewer = [v for v in values if not v.startswith(f'--gin.{name}=')]
    with pytest.raises(errors.UsageError, match=f'not set: {name}; add --{name}='):
      gin_files.parse_gin(launcher.parse_flags([*(f'--gin_file={f}' for f in files), *fewer], ''), all_set=False)
  gin.clear_config(clear_constants=True)
  assert len(configurations) == 1 and 'suites.register' in configurations.pop()
