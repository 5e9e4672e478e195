"""The Cloud TPU launcher against a gcloud of our own, which runs what it is told on this machine."""

import importlib.util
import json
import os
import pathlib
import shlex
import stat
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
ARGUMENTS = ['train', '--gin_file=gin/runs/align.gin', "--gin.MODEL_DIR='gs://b/a b'", '--gin.X="$(touch HACKED)"',
             "--gin.LABEL='it''s; rm -rf *'", '--gin.Y={"a": `id`}', '--gin.Z=line\nbreak \\ *']  # fmt: skip

# Keeps a state in a file; a script for a worker runs in a directory of its own.
GCLOUD = r"""#!%(python)s
import json, os, pathlib, subprocess, sys
home = pathlib.Path(%(home)r)
argv = sys.argv[1:]
with open(home / 'calls.jsonl', 'a') as f:
  f.write(json.dumps(argv) + '\n')
verb, state = argv[3], home / 'state'
if verb == 'describe':
  if not state.exists():
    sys.exit(1)
  print(state.read_text())
elif verb == 'create':
  state.write_text('READY')
elif verb == 'delete':
  state.unlink()
elif verb == 'ssh':
  command = next(a for a in argv if a.startswith('--command=')).partition('=')[2]
  sys.exit(subprocess.run(['sh', '-c', command], cwd=home, env=os.environ | {'HOME': str(home)}).returncode)
"""
PYTHON = r"""#!%(python)s
import json, pathlib, sys
home = pathlib.Path(%(home)r)
with open(home / 'programs.jsonl', 'a') as f:
  f.write(json.dumps(sys.argv[1:]) + '\n')
if 'preflight' in sys.argv:
  sys.exit(0)
print('training', flush=True)
attempts = len((home / 'programs.jsonl').read_text().splitlines())
if (home / 'preempt').exists():
  (home / 'preempt').unlink()
  (home / 'state').write_text('PREEMPTED')
  sys.exit(1)
sys.exit(int((home / 'exit').read_text()) if (home / 'exit').exists() else 0)
"""


@pytest.fixture
def tpu(monkeypatch, tmp_path):
  """The launcher's module, and the directory that stands for a worker's home."""
  specification = importlib.util.spec_from_file_location('cloud_tpu', ROOT / 'launch' / 'cloud_tpu.py')
  module = importlib.util.module_from_spec(specification)
  specification.loader.exec_module(module)
  home = tmp_path / 'home'
  commands = home / 'robust_t5x' / '.venv' / 'bin'
  commands.mkdir(parents=True)
  (commands / 'activate').write_text(f'PATH={commands}:$PATH\n')
  local = tmp_path / 'bin'
  local.mkdir()
  for path, text in ((local / 'gcloud', GCLOUD), (commands / 'python', PYTHON)):
    path.write_text(text % {'python': sys.executable, 'home': str(home)})
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
  monkeypatch.setenv('PATH', f'{local}{os.pathsep}{os.environ["PATH"]}')
  monkeypatch.setattr(module, 'POLL_SECONDS', 0.1)
  monkeypatch.setattr(module, 'install', lambda *_: None)
  return module, home


def _lines(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def _run(module, *flags, arguments=ARGUMENTS, topology='v4-32'):
  return module.main(['run', '--name=n', '--zone=z', f'--topology={topology}', *flags, '--', *arguments])


def test_arguments_arrive_as_they_were_given(tpu, capfd):
  module, home = tpu
  assert _run(module) == 0
  preflight, train = _lines(home / 'programs.jsonl')
  assert preflight == ['-m', 'robust_t5x', 'preflight', '--topology', 'v4-32', '--multiprocess']
  assert train == ['-m', 'robust_t5x', *ARGUMENTS, '--multiprocess']
  assert not list(home.rglob('HACKED'))
  assert 'training' in capfd.readouterr().out.splitlines()
  create = next(call for call in _lines(home / 'calls.jsonl') if call[3] == 'create')
  assert create[4:] == ['n', '--accelerator-type=v4-32', '--version=tpu-ubuntu2204-base', '--zone=z']


def test_what_is_written_just_before_the_end_is_shown(tpu, monkeypatch, capfd):
  module, _ = tpu
  done = []

  def read(_, script):
    # The command writes its last line and ends between the first look and the second.
    text = {True: '0' if done else None, False: 'last line' if done else ''}[script.startswith('cat')]
    done.append(True)
    return text

  monkeypatch.setattr(module.Tpu, 'read', read)
  assert module.main(['logs', '--name=n', '--zone=z']) == 0
  assert 'last line' in capfd.readouterr().out.splitlines()


def test_one_that_is_there_is_used_again(tpu):
  module, home = tpu
  (home / 'state').write_text('READY')
  assert _run(module, topology='v5e-4') == 0
  assert 'create' not in [call[3] for call in _lines(home / 'calls.jsonl')]
  assert _lines(home / 'programs.jsonl')[1] == ['-m', 'robust_t5x', *ARGUMENTS]  # one worker


def test_t5x_is_run_as_a_module_of_its_own(tpu):
  module, home = tpu
  assert _run(module, arguments=['t5x.train', '--gin_file=gin/t5x/align.gin']) == 0
  assert _lines(home / 'programs.jsonl')[1] == ['-m', 't5x.train', '--gin_file=gin/t5x/align.gin']


def test_a_spot_tpu_that_is_taken_away_is_replaced(tpu):
  module, home = tpu
  (home / 'preempt').write_text('')
  assert _run(module, '--spot') == 0
  calls = [call[3] for call in _lines(home / 'calls.jsonl')]
  assert calls.count('create') == 2 and calls.count('delete') == 1
  assert [p[2] for p in _lines(home / 'programs.jsonl')] == ['preflight', 'train'] * 2
  assert all('--spot' in call for call in _lines(home / 'calls.jsonl') if call[3] == 'create')


def test_a_failure_is_the_exit_status(tpu):
  module, home = tpu
  (home / 'exit').write_text('3')
  assert _run(module, '--spot') == 3
  assert [call[3] for call in _lines(home / 'calls.jsonl')].count('create') == 1


def test_a_lost_tpu_that_is_not_spot_is_an_error(tpu, capfd):
  module, home = tpu
  (home / 'preempt').write_text('')
  assert _run(module) == 2
  assert 'error: n was lost; run the same command again' in capfd.readouterr().err


@pytest.mark.parametrize('verb', ['up', 'check', 'run', 'logs', 'stop', 'fetch', 'down'])
def test_a_dry_run_prints_commands_that_a_shell_reads_back(verb, tmp_path):
  more = {'run': ['--topology=v4-32', '--spot', '--', *ARGUMENTS], 'up': ['--topology=v4-32', '--t5x'],
          'check': ['--topology=v4-32'], 'fetch': ['a b', 'c']}.get(verb, [])  # fmt: skip
  done = subprocess.run(
    [sys.executable, str(ROOT / 'launch' / 'cloud_tpu.py'), verb, '--name=n', '--zone=z', '--dry-run', *more],
    capture_output=True, text=True, check=True, env={'PATH': str(tmp_path)},
  )  # fmt: skip
  commands = [shlex.split(part) for part in ('\n' + done.stdout).split('\n$ ')[1:]]
  assert commands and all(c[0] in ('gcloud', 'git') for c in commands)
  if verb == 'run':
    script = next(a for c in commands for a in c if a.startswith('--command=rm -f'))
    body = shlex.split(script.partition('=')[2])
    inner = body[body.index('-c') + 1]
    assert inner.startswith('(cd robust_t5x') and shlex.quote(ARGUMENTS[3]) in inner


def test_a_command_is_needed_and_only_by_run(capsys):
  for arguments in (
    ['run', '--name=n', '--zone=z', '--topology=v4-8'],
    ['down', '--name=n', '--zone=z', '--', 'train'],
  ):
    done = subprocess.run(
      [sys.executable, str(ROOT / 'launch' / 'cloud_tpu.py'), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and 'takes a command after --' in done.stderr


def test_every_topology_has_a_machine():
  from robust_t5x.runtime import topologies

  text = (ROOT / 'launch' / 'cloud_tpu.py').read_text()
  for name, topology in topologies.TPUS.items():
    assert f"'{name}': (" in text
    line = next(line for line in text.splitlines() if line.startswith(f"  '{name}': ("))
    assert line.endswith(f', {topology.hosts}),')


@pytest.mark.parametrize(
  ('arguments', 'told'),
  [
    (['down', '--name=--quiet', '--zone=z'], "--name is '--quiet'; give small letters"),
    (['down', '--name=a,b', '--zone=z'], '--name is'),
    (['down', '--name=a b', '--zone=z'], '--name is'),
    (['down', f'--name={"a" * 64}', '--zone=z'], '--name is'),
    (['down', '--name=n', '--zone=z\n--project=other'], '--zone is'),
    (['down', '--name=n', '--zone=-z'], '--zone is'),
    (['down', '--name=n', '--zone=z', '--project=a;b'], '--project is'),
    (['fetch', '--name=n', '--zone=z', '--', 'x'], 'required: remote, local'),
    (['fetch', '--name=n', '--zone=z', 'x:y', 'out'], 'REMOTE is'),
    (['fetch', '--name=n', '--zone=z', 'x\ny', 'out'], 'REMOTE is'),
    (['fetch', '--name=n', '--zone=z', 'x', 'other:out'], 'LOCAL is'),
    (['run', '--name=n', '--zone=z', '--topology=v4-8', '--', '--help'], "'--help' is no verb of robust-t5x"),
    (['run', '--name=n', '--zone=z', '--topology=v4-8', '--', 'train', 'a\0b'], 'a NUL character'),
  ],
)
def test_what_gcloud_would_take_for_something_else_is_refused(tpu, capsys, arguments, told):
  with pytest.raises(SystemExit) as ended:
    tpu[0].main([*arguments[:1], '--dry-run', *arguments[1:]])
  said = capsys.readouterr()
  assert ended.value.code == 2 and told in said.err and said.out == ''
