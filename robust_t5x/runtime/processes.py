"""Several processes as one run: a pod's workers, or processes of one machine."""

import os
import secrets
import sys
from typing import Any

import numpy as np

from robust_t5x.runtime import quiet, topologies
from seqio_tasks.errors import UserError, shorten


class ProcessError(UserError):
  """Workers or devices that are not what the run expects."""


def start(coordinator_address: str | None, process_count: int | None, process_index: int | None) -> None:
  """Joins this process to the others; before anything uses a device.

  On Cloud TPU the arguments may be None: JAX finds the other workers by itself.

  Raises:
    ProcessError: if some arguments are given and others not, or the others do not answer.
  """
  import jax

  given = [x is not None for x in (coordinator_address, process_count, process_index)]
  if any(given) and not all(given):
    raise ProcessError('give all of --coordinator_address, --process_count and --process_index, or on Cloud TPU none')
  try:
    if all(given):
      jax.config.update('jax_cpu_collectives_implementation', 'gloo')
      jax.distributed.initialize(coordinator_address, process_count, process_index)
    else:
      jax.distributed.initialize()
  except (RuntimeError, ValueError) as e:
    raise ProcessError(
      f'the processes did not find each other ({shorten(e, 200)}); outside Cloud TPU give '
      '--coordinator_address=HOST:PORT, --process_count and --process_index to each'
    ) from e


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
