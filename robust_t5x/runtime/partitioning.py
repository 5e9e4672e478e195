"""Device meshes and logical axis rules."""

from collections.abc import Sequence
from typing import Any

from flax.linen import partitioning
import jax
from jax.experimental import mesh_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from seqio_tasks.errors import UserError

# Logical axis -> mesh axis; the first rule that fits is taken. T5X's names.
RULES: tuple[tuple[str, str | None], ...] = (
  ('batch', 'data'),
  ('vocab', 'model'),
  ('mlp', 'model'),
  ('heads', 'model'),
  ('joined_kv', 'model'),
  ('joined_pairs', 'model'),
  ('embed', None),
  ('kv', None),
  ('layers', None),
  ('adapter', None),
  ('relpos_buckets', None),
)


def make_mesh(model_parallel: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
  """A (data, model) mesh over all devices, laid along the links between them.

  Args:
    model_parallel: devices that share one copy of the weights; must divide the number of devices.
    devices: the devices to use, all by default.
  """
  devices = list(jax.devices() if devices is None else devices)
  if len(devices) % model_parallel:
    raise UserError(f'MODEL_PARALLEL is {model_parallel}, which does not divide the {len(devices)} devices')
  shape = (len(devices) // model_parallel, model_parallel)
  grid = mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=True)
  return Mesh(grid, ('data', 'model'))


def check_heads(num_heads: int, num_kv_heads: int, mesh: Mesh) -> None:
  """Raises UserError unless a network's attention heads can be split over the axis 'model'.

  Heads of keys and values are split with those of the queries that share them, or every device holds all of them.
  """
  parts = mesh.shape['model']
  if num_heads % parts:
    raise UserError(f'MODEL_PARALLEL is {parts}; it must divide the {num_heads} attention heads of the model')
  if num_kv_heads % parts and parts % num_kv_heads:
    raise UserError(
      f'MODEL_PARALLEL is {parts}; it must divide the {num_kv_heads} heads of keys and values of the model, or be a multiple '
      'of them'
    )


def param_shardings(params_axes: Any, params: Any, mesh: Mesh, num_kv_heads: int | None = None) -> Any:
  """Sharding of every parameter by its logical axes.

  Args:
    params_axes: the 'params_axes' collection of the model's initial variables.
    params: parameters (or their shapes) to give a sharding to, a subset of those.
    mesh: the mesh.
    num_kv_heads: heads that an axis 'joined_pairs' joins; it is split between heads only. None where there is no such axis.
  """
  names = partitioning.get_axis_names(params_axes)
  flat = jax.tree_util.tree_flatten_with_path(names, is_leaf=lambda x: isinstance(x, PartitionSpec))[0]
  by_path = {_path(path): spec for path, spec in flat}

  def sharding(path, leaf):
    spec = by_path[_path(path)]
    axes = partitioning.logical_to_mesh_axes(tuple(spec), RULES)
    # A mesh axis of size 1 shards nothing; an axis that does not divide stays whole.
    units = [num_kv_heads if name == 'joined_pairs' else size for name, size in zip(spec, leaf.shape, strict=True)]
    fitted = [
      axis if axis is not None and unit % mesh.shape[axis] == 0 else None
      for axis, unit in zip(axes, units, strict=True)
    ]
    return NamedSharding(mesh, PartitionSpec(*fitted))

  return jax.tree_util.tree_map_with_path(sharding, params)


def placed(shapes: Any, shardings: Any, dtype: Any = None) -> Any:
  """Shapes with shardings and, if given, another dtype."""
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype if dtype is None else jax.numpy.dtype(dtype), sharding=s),
    shapes,
    shardings,
  )


def cast(shapes: Any, dtype: Any) -> Any:
  """Shapes in another dtype, where they are."""
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jax.numpy.dtype(dtype), sharding=x.sharding), shapes)


def replicated(mesh: Mesh) -> NamedSharding:
  """The same value on every device."""
  return NamedSharding(mesh, PartitionSpec())


def by_rows(mesh: Mesh) -> NamedSharding:
  """The first axis split over the replicas."""
  return NamedSharding(mesh, PartitionSpec('data'))


def round_up(rows: int, mesh: Mesh) -> int:
  """The least number of rows, at least `rows`, that the replicas share evenly."""
  replicas = mesh.shape['data']
  return -(-rows // replicas) * replicas


def split_rows(rows: np.ndarray, mesh: Mesh) -> jax.Array:
  """Rows that every process holds all of -> a global array split over the data axis."""
  return jax.make_array_from_callback(rows.shape, by_rows(mesh), lambda index: rows[index])


def everywhere(rows: np.ndarray, mesh: Mesh) -> jax.Array:
  """Rows that every process holds all of -> a global array that is whole on every device."""
  return jax.make_array_from_callback(rows.shape, replicated(mesh), lambda index: rows[index])


def mesh_of(params: Any) -> Mesh | None:
  """The mesh that parameters lie on, or None."""
  sharding = getattr(next(iter(jax.tree.leaves(params)), None), 'sharding', None)
  mesh = sharding.mesh if isinstance(sharding, NamedSharding) else None
  return mesh if isinstance(mesh, Mesh) else None


def whole_on_host(params: Any) -> Any:
  """Parameters as numpy arrays on every process, wherever their parts lie."""
  mesh = mesh_of(params)
  if mesh is not None:
    params = jax.jit(lambda x: x, out_shardings=replicated(mesh))(params)
  return jax.tree.map(np.asarray, params)


def _path(path) -> tuple[str, ...]:
  return tuple(str(getattr(p, 'key', getattr(p, 'name', p))) for p in path)
