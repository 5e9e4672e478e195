"""The scripts that run several verbs in one process: what they run is understood, and a failure ends them."""

import importlib
import pathlib
import sys

import pytest

import gin
from robust_t5x.runtime import gin_files, launcher

LAUNCH = pathlib.Path(__file__).parents[2] / 'launch'


@pytest.fixture(params=['quickstart', 'real_model'])
def script(request, monkeypatch):
  monkeypatch.syspath_prepend(str(LAUNCH))
  monkeypatch.setattr(sys, 'argv', [request.param, '/data', 'out/here'])
  for name in ('quickstart', 'real_model'):
    monkeypatch.delitem(sys.modules, name, raising=False)
  return importlib.import_module(request.param)


def test_its_commands_are_understood_and_read_what_was_written(script, monkeypatch):
  commands = []
  monkeypatch.setattr(script, 'run', lambda given: commands.extend(given) or 0)
  assert script.main() == 0
  assert [arguments[0] for _, arguments in commands] == ['eval', 'train', 'eval', 'report']
  for _, (verb, *rest) in commands[:3]:
    gin.clear_config(clear_constants=True)
    gin_files.parse_gin(launcher.parse_flags(rest, '', verb), all_set=False)
  gin.clear_config(clear_constants=True)
  before, train, after, report = (' '.join(arguments) for _, arguments in commands)
  directory = train.split('--MODEL_DIR=')[1]
  assert f'--ADAPTER={directory}/adapter.safetensors' in after and '--ADAPTER' not in before
  for run in (before, after):
    assert run.split('--OUTPUT_DIR=')[1] in report.split()


def test_the_first_failure_ends_it(script, monkeypatch, capsys):
  monkeypatch.setattr('robust_t5x.__main__.main', lambda arguments: 3 if arguments[0] == 'train' else 0)
  assert script.main() == 3
  said = [line.split(':')[0] for line in capsys.readouterr().out.splitlines()]
  assert [line[:3] for line in said] == ['1/4', '2/4']
