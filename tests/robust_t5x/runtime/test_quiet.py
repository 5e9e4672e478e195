"""Chatter is kept away while it is muted, and no longer."""

import importlib
import logging
import os
import subprocess
import sys
import warnings

import pytest

from robust_t5x.runtime import quiet


def test_native_output_is_dropped_meanwhile(capfd):
  os.write(2, b'before\n')
  with pytest.raises(ZeroDivisionError), quiet.stderr_muted():
    os.write(2, b'meanwhile\n')
    raise ZeroDivisionError
  os.write(2, b'after\n')
  assert capfd.readouterr().err == 'before\nafter\n'


def test_what_the_project_warns_of_is_heard():
  quiet.set_up()
  for name in ('robust_t5x.served.serving', 'seqio_tasks.datasets.sources'):
    assert logging.getLogger(name).isEnabledFor(logging.WARNING)
  assert not logging.getLogger('absl').isEnabledFor(logging.WARNING)


def test_logs_are_dropped_meanwhile(caplog):
  logger = logging.getLogger('quiet_test')
  with pytest.raises(ZeroDivisionError), quiet.logs_muted():
    logger.error('meanwhile')
    raise ZeroDivisionError
  logger.error('after')
  assert caplog.messages == ['after']


def test_a_module_is_absent_meanwhile():
  name = 'colorsys'  # small, and of no one else
  sys.modules.pop(name, None)
  with pytest.raises(ZeroDivisionError), quiet.absent(name):
    with pytest.raises(ImportError):
      importlib.import_module(name)
    raise ZeroDivisionError
  there = importlib.import_module(name)
  with quiet.absent(name):
    assert importlib.import_module(name) is there


def test_tensorflow_is_quiet_and_off_the_accelerators_whoever_imports_it(tmp_path):
  """A stand-in for it, in a process of its own."""
  (tmp_path / 'tensorflow').mkdir()
  (tmp_path / 'tensorflow/__init__.py').write_text(
    'import logging, os, sys, types\n'
    'os.write(2, b"chatter")\n'
    'try:\n  import matplotlib\nexcept ImportError:\n  hidden = True\n'
    'calls = []\n'
    'config = types.SimpleNamespace(set_visible_devices=lambda *a: calls.append(a))\n'
    'get_logger = lambda: logging.getLogger("tensorflow")\n'
  )
  code = (
    'from robust_t5x.runtime import quiet; quiet.set_up(); quiet.set_up()\n'
    'import tensorflow as tf, importlib, matplotlib\n'
    'print(tf.hidden, tf.calls, type(tf.__loader__).__name__, tf.__spec__.loader is tf.__loader__, tf.__path__[0][-10:])'
  )
  where = os.pathsep.join([str(tmp_path), *sys.path])
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True, env={**os.environ, 'PYTHONPATH': where}
  )
  assert done.stdout == "True [([], 'GPU')] SourceFileLoader True tensorflow\n" and not done.stderr


def test_what_the_user_has_set_stays(monkeypatch):
  monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', '0')
  monkeypatch.setenv('GRPC_VERBOSITY', 'x')  # so that what stood there comes back after the test
  monkeypatch.delenv('GRPC_VERBOSITY')
  with warnings.catch_warnings():
    quiet.set_up()
  assert os.environ['TF_CPP_MIN_LOG_LEVEL'] == '0'
  assert os.environ['GRPC_VERBOSITY'] == 'ERROR'
  assert logging.getLogger('tensorflow').level == logging.ERROR
  assert logging.getLogger('seqio_tasks').level == logging.WARNING
