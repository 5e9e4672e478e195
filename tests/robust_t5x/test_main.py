"""The command `robust-t5x`: its help, and a verb that it does not have."""

import gc
import importlib.util
import pathlib
import subprocess
import sys

import pytest

from robust_t5x import __main__ as command
from robust_t5x import recipes

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_command_says_what_it_can_do():
  done = subprocess.run(
    [sys.executable, '-m', 'robust_t5x', 'evaluate'], capture_output=True, text=True, check=False, cwd=ROOT
  )
  assert done.returncode == 2
  assert "error: no verb 'evaluate'; did you mean eval?" in done.stderr


def test_help_names_every_verb(capsys):
  assert command.main(['--help']) == 0
  said = capsys.readouterr().out
  for verb, (module, about) in command.VERBS.items():
    assert f'\n  {verb:<11}{about}\n' in said
    assert importlib.util.find_spec(module), module


def test_without_a_verb_the_help_is_shown_and_the_status_is_bad(capsys):
  assert command.main([]) == 2
  assert capsys.readouterr().out == f'{command.usage()}\n'


def test_a_verb_gets_the_arguments_after_it_and_gives_the_status(monkeypatch):
  given = []
  for status, expected in ((None, 0), (2, 2)):
    monkeypatch.setattr(recipes, 'main', lambda argv, status=status: given.append(argv) or status)
    assert command.main(['recipes', '--x', 'y']) == expected
  assert given == [['--x', 'y']] * 2


def test_a_process_of_its_own_seldom_looks_for_garbage(monkeypatch):
  monkeypatch.setattr(recipes, 'main', lambda argv: 0)
  monkeypatch.setattr(sys, 'argv', ['robust-t5x', 'recipes'])
  set_to = []
  monkeypatch.setattr(gc, 'set_threshold', lambda *thresholds: set_to.append(thresholds))
  assert command.main(['recipes']) == 0
  assert not set_to  # a program that calls it has its own
  assert command.main() == 0
  assert [thresholds[0] for thresholds in set_to] == [100_000]


def test_bytes_that_are_no_letters_are_refused(capsys):
  assert command.main(['report', 'caf\udce9']) == 2
  assert capsys.readouterr().err == "error: 'caf\\udce9' is not UTF-8; give names and files that are\n"


@pytest.mark.skipif(not pathlib.Path('/dev/full').exists(), reason='a device that is always full')
def test_a_full_disk_under_the_output_is_told_in_a_line():
  with open('/dev/full', 'w') as full:
    done = subprocess.run(
      [sys.executable, '-m', 'robust_t5x', 'recipes'],
      stdout=full,
      stderr=subprocess.PIPE,
      text=True,
      check=False,
      cwd=ROOT,
    )
  assert done.returncode == 2
  assert done.stderr == (
    'error: No space left on device, where the output goes or a file is written; make room there; the same command then goes on\n'
  )


def test_an_output_that_is_closed_is_written_to_by_nobody():
  done = subprocess.run(
    f'{sys.executable} -m robust_t5x recipes >&-', shell=True, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT
  )
  assert (done.returncode, done.stderr) == (0, '')


def test_control_c_before_anything_has_begun_leaves_no_trace():
  code = (
    'import os, signal, sys\n'
    'signal.signal(signal.SIGINT, signal.default_int_handler)\n'  # which what runs in the background ignores
    'class Interrupting:\n'
    '  def find_spec(self, name, path=None, target=None):\n'
    '    if name == "robust_t5x.runtime.signals":\n'
    '      os.kill(os.getpid(), signal.SIGINT)\n'
    'sys.meta_path.insert(0, Interrupting()); sys.argv = ["robust-t5x", "recipes"]\n'
    'from robust_t5x import __main__ as command; sys.exit(command.main())'
  )
  done = subprocess.run([sys.executable, '-c', code], stderr=subprocess.PIPE, check=False, cwd=ROOT)
  assert (done.returncode, done.stderr) == (-2, b'')
