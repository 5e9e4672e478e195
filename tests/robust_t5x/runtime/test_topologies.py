"""The machines that a run may be planned for: their figures agree with their names and with the gin files."""

import math
import pathlib

import pytest

from robust_t5x.runtime import topologies

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.mark.parametrize('name', topologies.TPUS)
def test_devices_add_up(name):
  topology = topologies.TPUS[name]
  generation, count = name.split('-')
  shape_of, shape = topology.shape.split(':')
  assert shape_of == generation
  chips = math.prod(map(int, shape.split('x')))
  # Cloud TPU counts cores up to v4 and for v5p, two to a chip, and chips otherwise.
  assert int(count) == chips * (1 if generation in ('v5e', 'v6e') else 2)
  assert topology.devices == chips * (2 if generation in ('v2', 'v3') else 1)
  assert topology.devices % topology.hosts == 0
  assert (topology.hosts == 1) == (chips <= (8 if generation == 'v6e' else 4))


def test_every_topology_has_a_gin_file():
  assert {path.stem for path in (ROOT / 'gin/topologies').glob('*.gin')} == set(topologies.NAMES)


def test_the_devices_of_this_machine():
  import jax

  assert list(topologies.devices('cpu')) == jax.devices('cpu')


def test_an_unknown_topology_is_refused_with_those_there_are():
  with pytest.raises(topologies.TopologyError, match="unknown topology 'v4-9'; use one of cpu, gpu-1, .*v4-8, v4-32"):
    topologies.devices('v4-9')
