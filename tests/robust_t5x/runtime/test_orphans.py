"""A run ends with the process that started it."""

import subprocess
import sys

RUN = 'from robust_t5x.runtime import orphans; import time; orphans.end_with_parent(0.05); print("up", flush=True); time.sleep(60)'
PARENT = (
  'import subprocess, sys, time; from robust_t5x.runtime import orphans\n'
  f'subprocess.Popen([sys.executable, "-c", {RUN!r}], env=orphans.environment()); time.sleep(60)'
)


def test_a_run_ends_when_its_parent_is_killed():
  with subprocess.Popen([sys.executable, '-c', PARENT], stdout=subprocess.PIPE) as parent:
    assert parent.stdout.readline() == b'up\n'
    parent.kill()
    # The run holds the other end until it has ended; alone it would do so for a minute.
    assert parent.communicate(timeout=20) == (b'', None)


def test_a_run_of_nobody_goes_on(monkeypatch):
  from robust_t5x.runtime import orphans

  monkeypatch.delenv(orphans.PARENT, raising=False)
  orphans.end_with_parent()
