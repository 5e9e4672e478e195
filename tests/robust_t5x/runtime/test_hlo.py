"""Collectives counted in programs whose collectives are known."""

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np
import pytest

from robust_t5x.runtime import hlo, partitioning


@pytest.fixture
def mesh():
  return partitioning.make_mesh(2)


def _compiled(function, mesh, *specs_and_shapes):
  args = [
    jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, PartitionSpec(*spec)))
    for spec, shape in specs_and_shapes
  ]
  return hlo.collectives(jax.jit(function).lower(*args).compile().as_text(), mesh.size)


def test_a_sum_over_the_data_axis(mesh):
  (found,) = _compiled(lambda x: x.sum(axis=0), mesh, (('data',), (8, 256)))
  assert (found.kind, found.group, found.times) == ('all-reduce', 4, 1)
  assert found.result_bytes == 256 * 4
  assert found.sent_bytes == pytest.approx(2 * 3 / 4 * 256 * 4)


def test_a_sum_in_a_loop_counts_as_often_as_it_runs(mesh):
  def function(x):
    def body(total, _):
      part = jax.shard_map(
        lambda y: jax.lax.psum(y.sum(axis=0) * total[0], 'data'), mesh=mesh, in_specs=PartitionSpec('data'),
        out_specs=PartitionSpec(),
      )(x)  # fmt: skip
      return part, None

    return jax.lax.scan(body, jnp.ones(256), None, length=5)[0]

  found = [c for c in _compiled(function, mesh, (('data',), (8, 256))) if c.kind == 'all-reduce']
  assert sum(c.times for c in found) == 5


def test_a_gather(mesh):
  whole = NamedSharding(mesh, PartitionSpec())
  found = _compiled(lambda x: jax.lax.with_sharding_constraint(x, whole), mesh, ((None, 'model'), (8, 256)))
  assert [(c.kind, c.group, c.result_bytes) for c in found] == [('all-gather', 2, 8 * 256 * 4)]


def test_nothing_is_sent_on_one_device():
  mesh = partitioning.make_mesh(1, jax.devices()[:1])
  assert _compiled(lambda x: x.sum(), mesh, (('data',), (8,))) == []


@pytest.mark.parametrize(
  ('attributes', 'group'),
  [
    ('replica_groups={{0,1,2,3},{4,5,6,7}}', 4),
    ('replica_groups=[2,8]<=[16]', 8),
    ("replica_groups=mesh['axis_0'=4,'axis_1'=2] {'axis_1'}", 2),
    ('replica_groups={}', 16),
  ],
)
def test_groups_in_every_notation(attributes, group):
  text = f'ENTRY %main (p: f32[8]) -> f32[8] {{\n  %p = f32[8] parameter(0)\n  %r = f32[8] all-reduce(%p), {attributes}\n}}\n'
  assert [c.group for c in hlo.collectives(text, 16)] == [group]
  assert np.prod([8]) * 4 == hlo.collectives(text, 16)[0].result_bytes
