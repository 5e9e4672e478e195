"""Systems that are timed in turn: each is a process of its own, so that what else the machine does meets all alike.

A script starts itself anew for each system, with the system's interpreter. Such a process calls `serve`; who started it asks by `Peer`.
A line of text goes in, a line of JSON comes out. Imports nothing but Python's own, since every system's interpreter reads it.
"""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any

Turn = dict[str, Any]


class Peer:
  """A system's process, as who started it sees it."""

  def __init__(self, python: str, arguments: Sequence[Any], environment: Mapping[str, str] | None = None):
    """Starts the running script anew.

    Args:
      python: the interpreter.
      arguments: what tells the script to serve, and as what.
      environment: of the process; this one's by default.
    """
    command = [python, os.path.abspath(sys.argv[0]), *map(str, arguments)]
    self._process = subprocess.Popen(
      command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=None if environment is None else {**environment}
    )  # fmt: skip

  def tell(self, line: str = 'turn') -> None:
    """Asks, and does not wait."""
    assert self._process.stdin is not None
    self._process.stdin.write(f'{line}\n')
    self._process.stdin.flush()

  def answer(self) -> Turn:
    """The answer to what was asked.

    Raises:
      SystemExit: if the process has ended instead.
    """
    assert self._process.stdout is not None
    line = self._process.stdout.readline()
    if not line:
      raise SystemExit(f'{self._process.args} ended with status {self._process.wait()}')
    return json.loads(line)

  def ask(self, line: str = 'turn') -> Turn:
    """Asks and waits."""
    self.tell(line)
    return self.answer()

  def close(self) -> None:
    """Ends the process."""
    assert self._process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
      self._process.stdin.close()
    self._process.wait()


@contextlib.contextmanager
def closing(peers: Mapping[Any, Peer]):
  """Ends the processes at the end, whatever happens."""
  try:
    yield peers
  finally:
    for peer in peers.values():
      peer.close()


def serve(make: Callable[[], Callable[[str], Turn]], cores: int = 0) -> None:
  """The loop of a system's process.

  Args:
    make: prepares, and returns what answers a line.
    cores: that the process keeps to, the last ones; 0 for all.
  """
  if cores and hasattr(os, 'sched_setaffinity'):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
  answers = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)  # what libraries print must not come between
  answer = make()
  for line in sys.stdin:
    print(json.dumps(answer(line.strip())), file=answers, flush=True)


def timed(run: Callable[[], Any]) -> Turn:
  """Seconds of the clock and of the processor that a call takes, and what it found."""
  wall, cpu = time.perf_counter(), time.process_time()
  found = run()
  return {'wall': time.perf_counter() - wall, 'cpu': time.process_time() - cpu, 'found': found}


def spread(values: Sequence[float]) -> dict[str, float]:
  """The least, median and greatest."""
  return {'min': min(values), 'median': statistics.median(values), 'max': max(values)}


def ratios(theirs: Sequence[Turn], ours: Sequence[Turn]) -> dict[str, dict[str, float]]:
  """Of the seconds of two systems, turn by turn."""
  return {kind: spread([a[kind] / b[kind] for a, b in zip(theirs, ours, strict=True)]) for kind in ('wall', 'cpu')}


def write(out: str | pathlib.Path | None, made: Mapping[str, Any]) -> None:
  """Writes what was made, where a file is named."""
  if out:
    file = pathlib.Path(out)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(made, indent=2) + '\n', encoding='utf-8')
