"""The machines that a run may be planned for: what a device can do, and how to compile for it without having it."""

from collections.abc import Sequence
import dataclasses
import os
from typing import Any

from robust_t5x.runtime import quiet
from seqio_tasks.errors import UserError, shorten

_GIB = 1 << 30


class TopologyError(UserError):
  """A topology that is unknown, or that this machine cannot compile for."""


@dataclasses.dataclass(frozen=True)
class Device:
  """What one device of JAX can do at best, as its maker states it.

  Attributes:
    flops: floating-point operations per second, bfloat16.
    memory: bytes.
    memory_bandwidth: bytes per second.
    link_bandwidth: bytes per second that it can send to other devices, all links together.
  """

  flops: float
  memory: int
  memory_bandwidth: float
  link_bandwidth: float


@dataclasses.dataclass(frozen=True)
class Topology:
  """A slice of Cloud TPU.

  Attributes:
    name: as Cloud TPU calls the accelerator type.
    shape: as libtpu calls the topology.
    devices: devices that JAX sees; two for each chip of v2 and v3, one for each chip of the others.
    hosts: machines, each with a process of its own.
    device: what one of them can do.
    chip_config: libtpu's name of how a chip's cores are joined; its default where empty.
  """

  name: str
  shape: str
  devices: int
  hosts: int
  device: Device
  chip_config: str = ''

  @property
  def chips(self) -> int:
    """What Cloud TPU counts and bills; a chip of v2 and v3 is two devices."""
    return self.devices // 2 if self.name.startswith(('v2', 'v3')) else self.devices


# Source: the pages on system architecture of Cloud TPU's documentation; links of v2 to v4: Jouppi et al. 2020, 2023. A
# device is a core of v2 and v3, and gets half of its chip's figures.
_V2 = Device(22.5e12, 8 * _GIB, 350e9, 124e9)
_V3 = Device(61.5e12, 16 * _GIB, 450e9, 140e9)
_V4 = Device(275e12, 32 * _GIB, 1228e9, 300e9)
_V5E = Device(197e12, 16 * _GIB, 819e9, 200e9)
_V5P = Device(459e12, 95 * _GIB, 2765e9, 600e9)
_V6E = Device(918e12, 32 * _GIB, 1640e9, 448e9)

TPUS = {
  t.name: t
  for t in (
    Topology('v2-8', 'v2:2x2', 8, 1, _V2),
    Topology('v3-8', 'v3:2x2', 8, 1, _V3),
    Topology('v3-32', 'v3:4x4', 32, 4, _V3),
    Topology('v4-8', 'v4:2x2x1', 4, 1, _V4, 'megacore'),
    Topology('v4-32', 'v4:2x2x4', 16, 4, _V4, 'megacore'),
    Topology('v5e-4', 'v5e:2x2', 4, 1, _V5E),
    Topology('v5e-16', 'v5e:4x4', 16, 4, _V5E),
    Topology('v5p-8', 'v5p:2x2x1', 4, 1, _V5P),
    Topology('v6e-8', 'v6e:2x4', 8, 1, _V6E),
  )
}
LOCAL = {'cpu': 'cpu', 'gpu-1': 'gpu', 'gpu-8': 'gpu'}
_GPU_COUNT = {'gpu-1': 1, 'gpu-8': 8}
NAMES = (*LOCAL, *TPUS)


def devices(name: str) -> Sequence[Any]:
  """The devices of a topology, attached or not, to compile for.

  Raises:
    TopologyError: if there is no such topology, libtpu is absent, or this machine lacks the GPUs.
  """
  import jax

  if name in LOCAL:
    try:
      found = jax.devices(LOCAL[name])
    except RuntimeError as e:
      raise TopologyError(
        f'TOPOLOGY: {name} is compiled for on such a machine only, and this one has no GPU ({shorten(e, 200)})'
      ) from e
    count = _GPU_COUNT.get(name, len(found))
    if len(found) < count:
      raise TopologyError(f'TOPOLOGY: {name} needs {count} GPUs, this machine has {len(found)}')
    return found[:count]
  if name not in TPUS:
    raise TopologyError(f'TOPOLOGY: unknown topology {shorten(name)!r}; use one of {", ".join(NAMES)}')
  topology = TPUS[name]
  # Otherwise libtpu asks the metadata server of a Cloud TPU what it is attached to.
  os.environ['TPU_SKIP_MDS_QUERY'] = '1'
  # Several may compile at once, since nothing is run.
  os.environ['ALLOW_MULTIPLE_LIBTPU_LOAD'] = '1'
  from jax.experimental import topologies

  options = {'chip_config_name': topology.chip_config} if topology.chip_config else {}
  try:
    with quiet.stderr_muted():
      description = topologies.get_topology_desc(topology.shape, 'tpu', **options)
  except Exception as e:
    raise TopologyError(
      f"TOPOLOGY: the compiler for {name} does not load ({shorten(e, 200)}); pip install -e '.[plan]'"
    ) from e
  return description.devices
