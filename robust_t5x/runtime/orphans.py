"""Runs that end with the process that started them, however that ends."""

import os
import signal
import threading
import time

# Names the process that a run belongs to.
PARENT = 'ROBUST_T5X_PARENT'
_GRACE = 30.0  # seconds that a run has to save and end by itself


def environment() -> dict[str, str]:
  """The environment of a run that is to end with this process."""
  return os.environ | {PARENT: str(os.getpid())}


def end_with_parent(period: float = 1.0) -> None:
  """Watches the process that PARENT names, if it is this one's parent; where it ends, so does this one."""
  # Runs of this run have another parent.
  parent = os.environ.pop(PARENT, '')
  if parent.isdecimal():
    threading.Thread(target=_watch, args=(int(parent), period), daemon=True).start()


def _watch(parent: int, period: float) -> None:
  while os.getppid() == parent:
    time.sleep(period)
  os.kill(os.getpid(), signal.SIGTERM)
  time.sleep(_GRACE)
  os.kill(os.getpid(), signal.SIGKILL)
