"""Runs readers on damaged inputs in a process of their own, and says what came of each."""

from collections.abc import Callable, Iterable, Iterator
import contextlib
import dataclasses
import importlib
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import pkgutil
import resource
import signal
import tempfile
import time
import traceback
import zlib

import numpy as np

from robust_t5x.runtime import quiet
from seqio_tasks.errors import UserError

Reader = Callable[[np.random.Generator, pathlib.Path], Callable[[], object]]

SECONDS = 10.0  # of the processor that a call may take, so that a machine with other work says the same
_WAIT = 300.0  # seconds after which a call hangs that waits for something
BYTES = 1 << 30  # that it may need
LETTERS = 500  # of a clear message
FAULTS = ('wrong', 'unclear', 'traceback', 'hang', 'memory')
OUTCOMES = ('fine', 'clear', *FAULTS)


class Wrong(Exception):
  """For calls that check what was read: damage that was read without a word, as something else."""


@dataclasses.dataclass(frozen=True)
class Reading:
  """A call, with the words of which a clear message must have one; without it they are the names of the written files."""

  call: Callable[[], object]
  names: tuple[str, ...]

  def __call__(self) -> object:
    return self.call()


@dataclasses.dataclass(frozen=True)
class Result:
  """What came of one input.

  Attributes:
    reader: name of the reader.
    seed: of the input; with the reader's name it makes the input again.
    outcome: one of OUTCOMES.
    detail: the message, or the end of the traceback.
    seconds: of the processor that the call took.
    bytes: of memory that it needed beyond what the process had.
  """

  reader: str
  seed: int
  outcome: str
  detail: str
  seconds: float
  bytes: int


class _TooLong(BaseException):
  """Raised by the alarm; no reader catches it by mistake."""


def readers() -> dict[str, Reader]:
  """All readers of the modules of this folder."""
  found: dict[str, Reader] = {}
  package = __name__.rpartition('.')[0]
  for module in pkgutil.iter_modules([str(pathlib.Path(__file__).parent)]):
    if module.name not in ('__main__', 'damage', 'running', 'test_short'):
      found |= importlib.import_module(f'{package}.{module.name}').READERS
  return found


def made(reader: str, seed: int, directory: pathlib.Path, known: dict[str, Reader]) -> Callable[[], object]:
  """Writes the damaged input of a seed into a directory; returns the call that reads it."""
  return known[reader](np.random.default_rng([zlib.crc32(reader.encode()), seed]), directory)


def run(jobs: Iterable[tuple[str, int]]) -> Iterator[Result]:
  """What comes of each (reader, seed), one after the other, in a process that is replaced where it hangs or dies."""
  waiting = list(jobs)[::-1]
  context = multiprocessing.get_context('spawn')
  while waiting:
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    ours.recv()  # it has imported what it needs
    while waiting:
      reader, seed = waiting.pop()
      began = time.monotonic()
      ours.send((reader, seed))
      try:
        if not ours.poll(_WAIT):
          yield Result(reader, seed, 'hang', 'nothing stops it', time.monotonic() - began, 0)
          break
        yield ours.recv()
      except EOFError:
        process.join()
        yield Result(reader, seed, 'traceback', f'the process died ({process.exitcode})', time.monotonic() - began, 0)
        break
    process.kill()
    process.join()


def _work(connection: multiprocessing.connection.Connection) -> None:
  # Some readers import it when they are called, which takes longer than all that they read.
  quiet.import_tensorflow()
  known = readers()
  with open(os.devnull, 'w') as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
    connection.send(len(known))
    while True:
      reader, seed = connection.recv()
      with tempfile.TemporaryDirectory() as directory:
        connection.send(_result(reader, seed, pathlib.Path(directory), known))


def _result(reader: str, seed: int, directory: pathlib.Path, known: dict[str, Reader]) -> Result:
  call = made(reader, seed, directory, known)
  written = [path.name for path in directory.rglob('*')]
  names = call.names if isinstance(call, Reading) else tuple(name for path in written for name in (path,))
  signal.signal(signal.SIGPROF, _alarm)
  before = _reset_peak()
  limits = resource.getrlimit(resource.RLIMIT_AS)
  resource.setrlimit(resource.RLIMIT_AS, (_address_space() + 2 * BYTES, limits[1]))
  began = time.process_time()
  signal.setitimer(signal.ITIMER_PROF, SECONDS)
  try:
    call()
    outcome, detail = 'fine', ''
  except _TooLong:
    outcome, detail = 'hang', traceback.format_exc()[-1500:]
  except MemoryError:
    outcome, detail = 'memory', traceback.format_exc()[-1500:]
  except Wrong as e:
    outcome, detail = 'wrong', str(e)
  except (UserError, OSError) as e:
    outcome, detail = _clarity(e, names), str(e)[:1500]
  except Exception:
    outcome, detail = 'traceback', traceback.format_exc()[-1500:]
  except SystemExit as e:
    # 2 is argparse's, whose line `errors.Parser` writes.
    outcome, detail = {None: 'fine', 0: 'fine', 2: 'clear'}.get(e.code, 'traceback'), f'exit status {e.code}'
  finally:
    signal.setitimer(signal.ITIMER_PROF, 0)
    resource.setrlimit(resource.RLIMIT_AS, limits)
  needed = max(_peak() - before, 0)
  if needed > BYTES and outcome in ('fine', 'clear'):
    outcome, detail = 'memory', f'{needed / 2**20:.0f} MiB'
  return Result(reader, seed, outcome, detail, time.process_time() - began, needed)


def _clarity(error: Exception, names: Iterable[str]) -> str:
  text = str(error)
  if '\n' in text.strip() or len(text) > LETTERS or not any(name in text for name in names):
    return 'unclear'
  return 'clear'


def _alarm(*_: object) -> None:
  raise _TooLong


def _status(field: str) -> int:
  for line in pathlib.Path('/proc/self/status').read_text().splitlines():
    if line.startswith(f'{field}:'):
      return int(line.split()[1]) << 10
  return 0


def _reset_peak() -> int:
  """Makes the peak of memory what there is now, where the system lets it; returns the peak."""
  with contextlib.suppress(OSError):
    pathlib.Path('/proc/self/clear_refs').write_text('5')
  return _peak()


def _peak() -> int:
  return _status('VmHWM')


def _address_space() -> int:
  return _status('VmSize')
