"""A directory that one run works in at a time."""

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import os
import socket

from robust_t5x.runtime import processes
from robust_t5x.runtime.errors import UsageError

NAME = '.lock'
# What file systems without locks answer.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def held(directory: str, setting: str) -> Iterator[None]:
  """Holds a directory, made if absent, for the main process of a run; the system frees it when that ends, however it ends.

  A bucket, or a file system without locks, is not held.

  Args:
    directory: where the run writes.
    setting: the macro or flag that names it, for the message.

  Raises:
    UsageError: if another process holds it.
  """
  if '://' in directory or not processes.is_main():
    yield
    return
  os.makedirs(directory, exist_ok=True)
  path = os.path.join(directory, NAME)
  lock = _taken(path, directory, setting)
  try:
    yield
  finally:
    # Removed while it is held, so that nobody's lock but ours can go.
    with contextlib.suppress(OSError):
      os.remove(path)
    os.close(lock)


def _taken(path: str, directory: str, setting: str) -> int:
  while True:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
      who = os.pread(lock, 400, 0).decode(errors='replace').strip() or 'another process'
      os.close(lock)
      raise UsageError(
        f'{setting}: {who} is at work in {directory}; wait for it or end it, or give another directory'
      ) from e
    except OSError as e:
      if e.errno in _NO_LOCKS:
        return lock
      os.close(lock)
      raise
    # Whoever held the file before may have removed it since we opened it.
    with contextlib.suppress(FileNotFoundError):
      if os.path.samestat(os.fstat(lock), os.stat(path)):
        os.ftruncate(lock, 0)
        os.pwrite(lock, f'process {os.getpid()} on {socket.gethostname()}\n'.encode(), 0)
        return lock
    os.close(lock)
