"""What is asked to end says in a line how to go on, with the status that shells expect."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from robust_t5x.runtime import signals

pytestmark = pytest.mark.usefixtures('control_c')


def _sent(number):
  os.kill(os.getpid(), number)
  signal.pause()


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_verb_with_its_status_and_a_line(number, status, capsys):
  before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

  def verb():
    signals.keeps('half of it is kept; the same command goes on')
    try:
      _sent(number)
    finally:
      print('cleaned up')

  assert signals.guarded(verb) == status
  assert capsys.readouterr() == ('cleaned up\n', 'interrupted: half of it is kept; the same command goes on\n')
  assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_what_a_verb_said_is_not_said_of_the_next(capsys):
  signals.guarded(lambda: signals.keeps('of the first') or 0)
  assert signals.guarded(lambda: _sent(signal.SIGTERM)) == 143
  assert 'of the first' not in capsys.readouterr().err


def test_a_verb_that_ends_by_itself_keeps_its_status():
  assert signals.guarded(lambda: 7) == 7


def test_work_that_would_be_lost_is_saved_first(capsys):
  saved = []

  def verb():
    with signals.deferrable() as stop:
      stop.defer()
      for step in range(1, 5):
        if step == 2:
          os.kill(os.getpid(), signal.SIGTERM)
        if stop.asked(step):
          saved.append(step)
          raise signals.Stopped(stop.number)
    return 0

  assert signals.guarded(verb) == 143
  assert saved == [2]


@pytest.mark.parametrize(('first', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_request_that_is_sent_again_does_not_cut_short_what_closes(first, status, capsys):
  closed = []

  def verb():
    try:
      return _sent(first)
    finally:
      os.kill(os.getpid(), signal.SIGTERM)
      closed.append(True)

  assert signals.guarded(verb) == status
  assert closed and capsys.readouterr().err.count('interrupted: ') == 1


def test_a_second_control_c_does_not_wait():
  def verb():
    with signals.deferrable() as stop:
      stop.defer()
      os.kill(os.getpid(), signal.SIGINT)
      assert stop.number == signal.SIGINT
      os.kill(os.getpid(), signal.SIGINT)
      signal.pause()
    return 0

  assert signals.guarded(verb) == 130


def test_a_terminal_that_closes_lets_a_run_save_and_say_so_to_nobody(tmp_path):
  code = (
    'import fcntl, sys, termios, time; from robust_t5x.runtime import progress, signals\n'
    'fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n'  # as a shell's: what closes it sends SIGHUP
    'def verb():\n'
    '  with signals.deferrable() as stop:\n'
    '    stop.defer()\n'
    '    with progress.Progress("work", 9):\n'
    '      while not stop.asked(1):\n'
    '        time.sleep(0.05)\n'
    f'    open({str(tmp_path / "saved")!r}, "w").close()\n'
    '    raise signals.Stopped(stop.number)\n'
    'sys.exit(signals.guarded(verb))'
  )
  terminal, its_end = pty.openpty()
  with subprocess.Popen(
    [sys.executable, '-c', code], stdin=its_end, stdout=its_end, stderr=its_end, start_new_session=True
  ) as process:
    os.close(its_end)
    shown = b''
    while b'work' not in shown:
      shown += os.read(terminal, 1000)
    os.close(terminal)
    assert process.wait(timeout=60) == 129
  assert (tmp_path / 'saved').exists()


def test_what_a_reader_that_is_gone_did_not_take_does_not_change_the_exit_status():
  code = (
    'import os, sys; from robust_t5x.runtime import signals\n'
    'def verb():\n'
    '  sys.stdout.write("half a line")\n'
    '  raise signals.Stopped(1)\n'
    'reader, end = os.pipe(); os.dup2(end, 1); os.close(end); os.close(reader)\n'
    'sys.exit(signals.guarded(verb))'
  )
  buffered = {name: value for name, value in os.environ.items() if name != 'PYTHONUNBUFFERED'}
  done = subprocess.run([sys.executable, '-c', code], stderr=subprocess.PIPE, check=False, timeout=60, env=buffered)
  assert done.returncode == 129 and b'Error' not in done.stderr


def test_ignored_signals_stay_ignored():
  before = signal.signal(signal.SIGINT, signal.SIG_IGN)
  try:
    assert signals.guarded(lambda: os.kill(os.getpid(), signal.SIGINT) or 0) == 0
  finally:
    signal.signal(signal.SIGINT, before)


def test_a_process_that_cannot_be_reached_ends_all_the_same():
  # Native code that does not return, as a compiler's: Python runs no handler meanwhile.
  code = (
    'import hashlib, os, sys, threading; from robust_t5x.runtime import signals; signals.GRACE = 0.2\n'
    'threading.Timer(1, os.kill, (os.getpid(), 15)).start()\n'
    'sys.exit(signals.guarded(lambda: hashlib.pbkdf2_hmac("sha256", b"x", b"x", 2**31 - 1)))'
  )
  done = subprocess.run([sys.executable, '-c', code], stderr=subprocess.PIPE, check=False, timeout=60)
  assert done.returncode == 143
  assert done.stderr.startswith(b'interrupted: ')
