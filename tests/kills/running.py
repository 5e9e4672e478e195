"""Starts a command in a process of its own, kills it, and looks at what is left."""

from collections.abc import Mapping
import contextlib
import multiprocessing
import os
import pathlib
import shutil
import sys
import time

from . import commands

ROOT = pathlib.Path(__file__).resolve().parents[2]
_LIMIT = 3600.0  # seconds that a run may take, on a machine that does much else
# Processes are forked from one that has imported these, which takes longer than a small run.
PRELOADED = [
  'jax', 'tensorflow', 'tensorflow_text', 'seqio', 'orbax.checkpoint', 'clu.metric_writers', 'pandas', 'robust_t5x.__main__'
]  # fmt: skip


def _work(arguments: list[str], log: str) -> None:
  """`robust-t5x ...` in a process of its own, as from a shell."""
  with open(log, 'ab') as f:
    os.dup2(f.fileno(), 1)
    os.dup2(f.fileno(), 2)
  os.chdir(ROOT)
  sys.argv = ['robust-t5x', *arguments]
  from robust_t5x import __main__ as command

  sys.exit(command.main())


def _peak(process: int) -> int:
  with contextlib.suppress(OSError):
    for line in pathlib.Path(f'/proc/{process}/status').read_text().splitlines():
      if line.startswith('VmHWM:'):
        return int(line.split()[1]) << 10
  return 0


def _used(process: int) -> float:
  """Seconds of the processor that a process and its children have used; those of a child that is gone count once it was waited for."""
  place = pathlib.Path(f'/proc/{process}')
  with contextlib.suppress(OSError):
    # Behind the name, which may hold spaces: utime, stime, cutime and cstime are fields 14 to 17.
    fields = (place / 'stat').read_text().rpartition(')')[2].split()
    children = [int(child) for path in place.glob('task/*/children') for child in path.read_text().split()]
    return sum(map(int, fields[11:15])) / os.sysconf('SC_CLK_TCK') + sum(map(_used, children))
  return 0.0


def alive(directory: pathlib.Path) -> list[int]:
  """Processes that were started with a path in the directory."""
  found = []
  for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
    with contextlib.suppress(OSError):
      if str(directory).encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
        found.append(int(path.parent.name))
  return found


class Killer:
  """Runs one command until it ends, or until it is killed."""

  def __init__(self, command: commands.Command, base: pathlib.Path, checkpoint: pathlib.Path, evaluated: pathlib.Path):
    self.out, self.log = base / 'out', base / 'log'
    self.arguments = command.arguments(checkpoint, evaluated, self.out)
    self._command, self._base, self.bytes, self.used = command, base, 0, 0.0
    self._context = multiprocessing.get_context('forkserver')

  def run(self, kill_after: float | None, again: bool = False) -> bool:
    """Runs it in the directory.

    Args:
      kill_after: seconds of the processor after which each of its processes is killed, so that it is not ended by then where the
        machine has other work; None to let it end, which it must do well.
      again: whether it was killed before, and may find all that it does done.

    Returns:
      whether it was killed, and not before at its end. `used` has the seconds of the processor that it took, about.
    """
    count = 1 if kill_after is None or not self._command.twice else 2
    running = [self._context.Process(target=_work, args=(self.arguments, str(self.log))) for _ in range(count)]
    for process in running:
      process.start()
    end = time.monotonic() + _LIMIT
    killed = False
    for process in running:
      self.used = 0.0
      while process.is_alive() and time.monotonic() < end and (kill_after is None or self.used < kill_after):
        process.join(0.1)
        self.bytes = max(self.bytes, _peak(process.pid or 0))
        self.used = max(self.used, _used(process.pid or 0))
      if process.is_alive():
        process.kill()
        killed = True
      process.join()
    if kill_after is None and running[0].exitcode and not (self._command.once and again):
      raise SystemExit(f'a run that nobody killed failed; the end of its log:\n{self.log.read_text()[-2000:]}')
    return killed

  def state(self) -> Mapping[str, str]:
    """What is left, moved out of the way of the next trial."""
    try:
      return self._command.state(self.out)
    except (OSError, ValueError) as e:
      return {'state': str(e)}

  def clear(self) -> None:
    """Removes what a trial left, and what lies beside it."""
    shutil.rmtree(self.out, ignore_errors=True)
