"""Files that are written whole or not at all."""

from collections.abc import Callable, Iterator
import contextlib
import errno
import glob
import os
import shutil
from typing import IO

from etils import epath


def write_atomically(path: str, content: str | bytes) -> None:
  """Writes a file, text as UTF-8, so that a reader finds the old one or the new one, never a part."""
  data = content.encode() if isinstance(content, str) else content
  if '://' in path:  # a bucket's objects appear whole
    epath.Path(path).write_bytes(data)
    return
  with written_whole(path) as f:
    f.write(data)


@contextlib.contextmanager
def written_whole(path: str) -> Iterator[IO[bytes]]:
  """A file on the disk to write, which takes its place when all is written; nothing is left of it after an error.

  What processes that were killed while they wrote the same file left beside it is removed.
  """
  temporary = f'{path}.{os.getpid()}.tmp'
  try:
    remove_leftovers(path)
    with open(temporary, 'wb') as f:
      yield f
      f.flush()
      os.fsync(f.fileno())  # a crash of the machine must not leave an empty file under the name
    os.replace(temporary, path)
  except BaseException as e:
    with contextlib.suppress(OSError):
      os.remove(temporary)
    if isinstance(e, OSError) and e.errno:
      raise OSError(e.errno, e.strerror, path) from e  # a full disk names no file
    raise


def check_writable(path: str) -> None:
  """Raises OSError if a file cannot be written there, before work is done for it; its directory is made."""
  if '://' in path:
    return
  os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
  if os.path.isdir(path):
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
  temporary = f'{path}.{os.getpid()}.tmp'
  try:
    with open(temporary, 'wb'):
      pass
    os.remove(temporary)
  except OSError as e:
    raise OSError(e.errno, e.strerror, path) from e


@contextlib.contextmanager
def made_beside(target: str, log: Callable[[str], object]) -> Iterator[str]:
  """A directory to fill, whose content takes the target's place when all is done; nothing is left of it after an error.

  Args:
    target: a directory, which need not be there; what it holds under other names stays.
    log: is told what processes that were killed left beside the target, which is removed.
  """
  target = target.rstrip('/')
  os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
  for left in remove_leftovers(target):
    log(f'removed {left}, which an interrupted command left')
  temporary = f'{target}.{os.getpid()}.tmp'
  try:
    yield temporary
    if os.path.isdir(target) and os.listdir(target):
      for name in os.listdir(temporary):
        os.replace(os.path.join(temporary, name), os.path.join(target, name))
    else:
      os.replace(temporary, target)
  except OSError as e:
    if e.errno:
      raise OSError(e.errno, e.strerror, str(e.filename or target).replace(temporary, target)) from e
    raise
  finally:
    shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(path: str) -> list[str]:
  """Removes what processes that were killed while they wrote a file or directory left beside it; returns what that was.

  They are named PATH.PID.tmp; those of processes that run are left alone.
  """
  found = []
  for left in sorted(glob.glob(f'{glob.escape(path)}.*.tmp')):
    number = left.removeprefix(f'{path}.').removesuffix('.tmp')
    if number.isdecimal() and not _is_running(int(number)):
      shutil.rmtree(left) if os.path.isdir(left) else os.remove(left)
      found.append(left)
  return found


def _is_running(process: int) -> bool:
  try:
    os.kill(process, 0)
  except (ProcessLookupError, OverflowError):
    return False
  except PermissionError:
    return True
  return True
