"""Signals that ask a run to end: Ctrl-C (SIGINT), SIGTERM, which clouds send before they take a machine away, and SIGHUP, of a
terminal or connection that closes.

A signal raises `Stopped` in the main thread, and what is half written is removed on its way out. Work that would be lost by that,
such as steps since the last checkpoint, defers the signal until it has been saved. Then one line says how to go on.
"""

from collections.abc import Callable, Iterator
import contextlib
import os
import signal
import socket
import sys
import threading
import types

from robust_t5x.runtime import processes

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds after which a process ends that cannot be reached, since it compiles, or waits for another process.
GRACE = 5.0
_AGAIN = 'nothing that was saved before is lost; the same command starts again'


class Stopped(KeyboardInterrupt):
  """The process was asked to end."""

  def __init__(self, number: int):
    super().__init__(signal.Signals(number).name)
    self.number = number


class Stop:
  """A request to end, of one run; see `deferrable`."""

  def __init__(self) -> None:
    self.number = 0  # of the signal, 0 for none
    self.deferred = False

  def defer(self) -> None:
    """From here on there is something to save: a signal waits for `asked`."""
    self.deferred = True

  def asked(self, step: int) -> bool:
    """Whether to save and end now; all processes of a run call it after each step, and get one answer.

    Args:
      step: steps taken so far.
    """
    if processes.several():
      from jax.experimental import multihost_utils

      if multihost_utils.reached_preemption_sync_point(step):
        self.number = self.number or signal.SIGTERM
        answered()
        return True
      return False
    if self.number:
      answered()
    return bool(self.number)


class _State:
  """What the process's handler goes by."""

  def __init__(self) -> None:
    self.kept = _AGAIN
    self.stop: Stop | None = None
    self.ending = False  # `Stopped` was raised
    self.answered = threading.Event()


_state = _State()


def keeps(text: str) -> None:
  """Says what is on disk and how to go on, for the case that the process is asked to end from now on."""
  _state.kept = text


def answered() -> None:
  """The main thread has the signal, and may take its time to end."""
  _state.answered.set()


@contextlib.contextmanager
def deferrable() -> Iterator[Stop]:
  """Within it a signal can be deferred; a second Ctrl-C is not."""
  _state.stop = stop = Stop()
  try:
    yield stop
  finally:
    _state.stop = None


def guarded(verb: Callable[[], int]) -> int:
  """Runs a verb that can be asked to end.

  Returns:
    its exit status, or 128 and the signal's number: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP.
  """
  global _state
  if threading.current_thread() is not threading.main_thread():
    return verb()
  _state = _State()
  # What is ignored, as by nohup, stays so.
  before = [(n, signal.signal(n, _handle)) for n in SIGNALS if signal.getsignal(n) != signal.SIG_IGN]
  try:
    with _watched():
      return verb()
  except KeyboardInterrupt as e:
    answered()
    number = e.number if isinstance(e, Stopped) else int(signal.SIGINT)
    _say(_state.kept)
    _let_go()
    return 128 + number
  finally:
    answered()
    for number, handler in before:
      signal.signal(number, handler)


def _handle(number: int, frame: types.FrameType | None) -> None:
  del frame
  stop = _state.stop
  if stop and stop.deferred and not (stop.number == number == signal.SIGINT):
    stop.number = number
    if processes.several():  # JAX takes SIGTERM and makes all processes stop after the same step
      os.kill(os.getpid(), signal.SIGTERM)
    return
  if _state.ending and number != signal.SIGINT:
    return  # sent twice, as `timeout` does, or after the terminal's SIGINT; what closes on the way out is not to be cut short
  _state.ending = True
  raise Stopped(number)


@contextlib.contextmanager
def _watched() -> Iterator[None]:
  """Ends the process if a signal is not answered: a handler runs between two of Python's instructions only."""
  reading, writing = socket.socketpair()
  writing.setblocking(False)
  before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
  threading.Thread(target=_watch, args=(reading, _state), daemon=True).start()
  try:
    yield
  finally:
    signal.set_wakeup_fd(before)
    writing.close()


def _watch(reading: socket.socket, state: _State) -> None:
  with reading:
    while received := reading.recv(1):
      if received[0] not in SIGNALS:
        continue
      while not state.answered.wait(GRACE):
        if not (state.stop and state.stop.deferred):
          _say(state.kept)
          os._exit(128 + received[0])


def _let_go() -> None:
  """Drops what waits for a terminal or reader that is gone: Python writes it when it ends, and for a fault there ends with 120."""
  for stream in (sys.stdout, sys.stderr):
    try:
      if stream is not None:
        stream.flush()
    except OSError:
      os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(kept: str) -> None:
  with contextlib.suppress(OSError):  # the terminal may be gone
    print(f'interrupted: {kept}', file=sys.stderr, flush=True)
