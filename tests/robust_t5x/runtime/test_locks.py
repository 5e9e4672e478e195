"""One run works in a directory at a time, and a run that was killed holds nothing."""

import os
import signal
import subprocess
import sys

import pytest

from robust_t5x.runtime import locks
from robust_t5x.runtime.errors import UsageError

HOLD = (
  'import sys, time; from robust_t5x.runtime import locks\n'
  'with locks.held(sys.argv[1], "X"): print("held", flush=True); time.sleep(60)'
)


def test_the_second_is_refused_and_told_who_is_at_work(tmp_path):
  where = str(tmp_path / 'run')
  with locks.held(where, 'MODEL_DIR'):
    message = rf'MODEL_DIR: process {os.getpid()} on \S+ is at work in {where}; wait for it'
    with pytest.raises(UsageError, match=message), locks.held(where, 'MODEL_DIR'):
      pass
  assert os.listdir(where) == []
  with locks.held(where, 'MODEL_DIR'):
    pass


def test_a_killed_process_holds_nothing(tmp_path):
  with subprocess.Popen([sys.executable, '-c', HOLD, str(tmp_path)], stdout=subprocess.PIPE) as other:
    assert other.stdout.readline() == b'held\n'
    with pytest.raises(UsageError, match=f'process {other.pid} on'), locks.held(str(tmp_path), 'X'):
      pass
    other.send_signal(signal.SIGKILL)
  assert os.listdir(tmp_path) == [locks.NAME]  # and is taken over
  with locks.held(str(tmp_path), 'X'):
    assert f'process {os.getpid()} ' in (tmp_path / locks.NAME).read_text()
  assert os.listdir(tmp_path) == []


def test_buckets_are_not_held():
  with locks.held('gs://nowhere/x', 'X'), locks.held('gs://nowhere/x', 'X'):
    pass
