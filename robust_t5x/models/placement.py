"""Where a model's parameters lie: mesh, shapes and shardings, put together once for training, loading and planning."""

from collections.abc import Sequence
import dataclasses

import jax
from jax.sharding import Mesh

from robust_t5x.models.protocol import Params
from robust_t5x.models.robust import RobustModel
from robust_t5x.runtime import partitioning


@dataclasses.dataclass(frozen=True)
class Placement:
  """A model on a mesh, without its weights.

  Attributes:
    mesh: the (data, model) mesh.
    shapes: shapes of all parameters, nested.
    axes: their logical axes, flax's collection 'params_axes'.
    num_kv_heads: heads of keys and values, which are split between heads or not at all.
  """

  mesh: Mesh
  shapes: Params
  axes: Params
  num_kv_heads: int

  def shardings(self, params: Params) -> Params:
    """The sharding of each of some of the parameters."""
    return partitioning.param_shardings(self.axes, params, self.mesh, self.num_kv_heads)

  def placed(self, params: Params, dtype: str | None = None) -> Params:
    """Shapes of some of the parameters with their shardings and, if given, another dtype."""
    return partitioning.placed(params, self.shardings(params), dtype)


def place(model: RobustModel, model_parallel: int = 1, devices: Sequence[jax.Device] | None = None) -> Placement:
  """Lays a model out over devices.

  Args:
    model: the model.
    model_parallel: devices that share one copy of the weights.
    devices: the devices, all by default; those of another machine in a plan.

  Raises:
    UserError: if the devices or the model's heads cannot be split so.
  """
  mesh = partitioning.make_mesh(model_parallel, devices)
  config = model.module.config
  partitioning.check_heads(config.num_heads, config.num_kv_heads, mesh)
  return Placement(mesh, *model.variable_shapes(), config.num_kv_heads)
