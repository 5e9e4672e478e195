"""Several processes as one run: a pod's workers, or processes of one machine."""

from collections.abc import Callable
import ctypes
import os
import re
import secrets
import signal
import sys
import tempfile
import time
import traceback
from typing import Any

import numpy as np

from robust_t5x.runtime import quiet, topologies
from seqio_tasks.errors import UserError, shorten


class ProcessError(UserError):
  """Workers or devices that are not what the run expects."""


# Seconds until the others know of a process that does not answer; of one that ended they may know at once.
_HEARTBEAT = 30
_OWN_ERROR = 3.0  # seconds that a process has to say itself why it fails, when the others fail too
# What JAX and its collectives say where another process is gone.
_LOST = re.compile('JAX distributed service|oordination|Gloo|gloo|by peer|heartbeat|Socket closed')
_LOSS = (
  'another process of this run has ended or does not answer, what it said last tells why; start all of them again, a run '
  'goes on from what it has saved'
)


def start(
  coordinator_address: str | None, process_count: int | None, process_index: int | None, stops_together: bool = False
) -> None:
  """Joins this process to the others; before anything uses a device.

  Args:
    coordinator_address: HOST:PORT of process 0; None on Cloud TPU, where JAX finds the other workers by itself.
    process_count: of the run, or None as above.
    process_index: of this process, or None as above.
    stops_together: whether SIGTERM to one makes all stop after the same step, see `signals.Stop`; it ends a process otherwise.

  Raises:
    ProcessError: if some arguments are given and others not, or the others do not answer.
  """
  import jax

  given = [x is not None for x in (coordinator_address, process_count, process_index)]
  if any(given) and not all(given):
    raise ProcessError('give all of --coordinator_address, --process_count and --process_index, or on Cloud TPU none')
  jax.config.update('jax_enable_preemption_service', stops_together)
  try:
    if all(given):
      jax.config.update('jax_cpu_collectives_implementation', 'gloo')
      jax.distributed.initialize(
        coordinator_address, process_count, process_index, heartbeat_timeout_seconds=_HEARTBEAT
      )
    else:
      jax.distributed.initialize(heartbeat_timeout_seconds=_HEARTBEAT)
  except (RuntimeError, ValueError) as e:
    raise ProcessError(
      f'the processes did not find each other ({shorten(e, 200)}); outside Cloud TPU give '
      '--coordinator_address=HOST:PORT, --process_count and --process_index to each'
    ) from e
  _tell_losses()


def _tell_losses() -> None:
  """Says in one line that another process is lost, where JAX would abort this one with a trace of its own.

  What native code says from here on goes to a file, which is shown if it aborts for another reason.
  """
  native = tempfile.TemporaryFile()
  sys.stderr.flush()
  ours = os.dup(2)
  sys.stderr = os.fdopen(ours, 'w', buffering=1)
  os.dup2(native.fileno(), 2)

  # Python's own handlers run too late: abort() ends the process when this returns.
  @ctypes.CFUNCTYPE(None, ctypes.c_int)
  def aborted(number: int) -> None:
    del number
    native.seek(0)
    said = native.read()
    if not _LOST.search(said.decode(errors='replace')):
      os.write(ours, said)
      return
    time.sleep(_OWN_ERROR)
    os.write(ours, f'error: {_LOSS}\n'.encode())
    os._exit(2)

  _handlers.append(aborted)  # ctypes does not keep it
  ctypes.CDLL(None).signal(int(signal.SIGABRT), aborted)


_handlers: list[object] = []


def several() -> bool:
  """Whether this process was joined to others."""
  if 'jax' not in sys.modules:
    return False
  import jax

  return jax.distributed.is_initialized()


def explained(error: Exception) -> Exception:
  """The error, or one that says that another process is lost, if that is what it comes of."""
  if not several():
    return error
  import jax

  return ProcessError(_LOSS) if isinstance(error, jax.errors.JaxRuntimeError) and _LOST.search(str(error)) else error


def left(verb: Callable[[], int]) -> int:
  """Runs a verb; one of several processes that fails ends at once, where JAX would let it wait for the others.

  Returns:
    its exit status.
  """
  try:
    status = verb()
  except Exception:
    if not several():
      raise
    traceback.print_exc()
    status = 1
  if status and several():
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
  return status


def is_main() -> bool:
  """Whether this is the process that writes files and talks to the user."""
  if 'jax' not in sys.modules:
    return True
  import jax

  return jax.process_index() == 0


def from_main(value: Any) -> Any:
  """An array of the main process, on every process; all must call it, with arrays of one shape and dtype."""
  import jax
  from jax.experimental import multihost_utils

  return value if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(np.asarray(value))


def check(topology: str | None) -> str:
  """Counts processes and devices, and compares them with a topology.

  Args:
    topology: a name of topologies.NAMES, or None to compare with nothing.

  Returns:
    A line that says what there is.

  Raises:
    ProcessError: if it is not what the topology has.
  """
  import jax

  with quiet.stderr_muted():  # libtpu complains where there is no TPU
    jax.devices()
  found = (
    f'{jax.process_count()} processes, {jax.device_count()} devices '
    f'({jax.local_device_count()} of this process), {jax.devices()[0].device_kind}'
  )
  if topology in topologies.TPUS:
    expected = topologies.TPUS[topology]
    if (jax.process_count(), jax.device_count()) != (expected.hosts, expected.devices):
      raise ProcessError(
        f'TOPOLOGY: {topology} has {expected.hosts} hosts with {expected.devices} devices in all, this run has {found}; '
        'start it on all workers with --multiprocess, or give the file of gin/topologies/ for this machine'
      )
  return found


def make_shared(directory: str) -> None:
  """Makes a directory that all processes are going to write to, local or in a bucket.

  Raises:
    ProcessError: if the processes do not see the same one.
  """
  from etils import epath
  import jax

  path = epath.Path(join(directory))
  if is_main():
    path.mkdir(parents=True, exist_ok=True)
  if jax.process_count() == 1:
    return
  token = int(from_main(np.int32(secrets.randbits(31))))
  mark = path / f'shared-{token}'
  if is_main():
    mark.write_text('')
  from_main(np.int32(0))  # waits for the mark to be written
  seen = mark.exists()
  from_main(np.int32(0))
  if is_main():
    mark.unlink()
  if not seen:
    raise ProcessError(
      f'MODEL_DIR: {directory} of this process is not that of process 0; give a directory that all share, such as gs://...'
    )


def join(directory: str, *names: str) -> str:
  """A path in a directory, local (made absolute) or in a bucket."""
  base = directory.rstrip('/') if '://' in directory else os.path.abspath(directory)
  return '/'.join((base, *names))
