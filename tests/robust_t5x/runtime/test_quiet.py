"""Chatter is kept away while it is muted, and no longer."""

import importlib
import logging
import os
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
