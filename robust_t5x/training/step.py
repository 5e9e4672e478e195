"""The training step: a pure function of state, frozen parameters and batch.

Only what trains is differentiated; the frozen backbone has no gradient, no optimiser slot and no place in the state.
"""

from collections.abc import Callable, Mapping
import functools
from typing import Any, NamedTuple

from clu import metrics as clu_metrics
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
import optax

from robust_t5x.models import robust, trainable
from robust_t5x.models.placement import Placement
from robust_t5x.runtime import partitioning
from seqio_tasks.errors import UserError


class TrainState(NamedTuple):
  """What a run moves and saves."""

  step: jax.Array  # int32 scalar, steps taken
  params: Any  # nested, what trains
  opt_state: Any  # the optimiser's, for `params`
  finite: jax.Array  # bool scalar, false from the first step whose loss or gradient was not finite


def initial_state(params: Any, optimizer: optax.GradientTransformation) -> TrainState:
  """State before the first step."""
  return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params), jnp.array(True))


def state_shardings(state: TrainState, optimizer: optax.GradientTransformation, placement: Placement) -> TrainState:
  """Shardings of a state, in its place: the optimiser's slots lie where their parameters do, all else is on every device.

  Args:
    state: the state, or its shapes.
    optimizer: whose state it holds.
    placement: where the model's parameters lie.
  """
  params = placement.shardings(state.params)
  whole = partitioning.replicated(placement.mesh)
  slots = optax.tree_map_params(
    optimizer, lambda _, x: x, state.opt_state, params, transform_non_params=lambda _: whole
  )
  shardings: Any = (whole, params, slots, whole)
  return TrainState(*shardings)


def make_train_step(
  model: robust.RobustModel, microbatches: int = 1, seed: int = 0, axis_name: str | None = None
) -> Callable[[TrainState, Any, Mapping[str, jax.Array]], tuple[TrainState, dict[str, Any]]]:
  """Builds the step.

  A step whose loss or gradient is not finite leaves parameters and optimiser as they were and clears `finite`, so the
  state is the last good one for as long as nobody looks.

  Args:
    model: the model; its `optimizer_def` is the optimiser.
    microbatches: parts that a batch is processed in, one after another; must divide the (device's) batch.
    seed: of dropout; the key of a step depends on this and the step alone.
    axis_name: mapped axis of `pmap` or `shard_map` to sum over; None under `jit`, where the batch is the global one.

  Returns:
    (state, frozen parameters, batch) -> (new state, metrics: name -> clu Average).
  """
  optimizer = model.optimizer_def

  def step(state: TrainState, frozen: Any, batch: Mapping[str, jax.Array]):
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    if axis_name is not None:
      key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
    use_dropout = model.module.config.dropout_rate > 0
    normalizers = model.normalizers(batch, axis_name)

    @functools.partial(jax.value_and_grad, has_aux=True)
    def loss_fn(params, part, part_key):
      merged = trainable.merge(params, frozen)
      return model.loss_fn(merged, part, part_key if use_dropout else None, normalizers)

    if microbatches == 1:
      (loss, metrics), gradient = loss_fn(state.params, batch, key)
    else:
      loss, metrics, gradient = _accumulate(loss_fn, state.params, batch, key, microbatches)
    if axis_name is not None:
      loss, metrics, gradient = jax.lax.psum((loss, metrics, gradient), axis_name)

    norm = optax.tree.norm(gradient)
    finite = state.finite & jnp.isfinite(loss) & jnp.isfinite(norm)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    params, opt_state = jax.tree.map(
      lambda new, old: jnp.where(finite, new, old),
      (params, opt_state),
      (state.params, state.opt_state),
    )
    metrics['gradient_norm'] = clu_metrics.Average.from_model_output(norm)
    return TrainState(state.step + finite, params, opt_state, finite), metrics

  return step


def check_batch(batch_size: int, microbatches: int, mesh: Any) -> None:
  """Raises ValueError unless every replica gets as many examples in every microbatch."""
  replicas = mesh.shape['data']
  if batch_size % (microbatches * replicas):
    raise UserError(
      f'BATCH_SIZE is {batch_size}; it must be a multiple of MICROBATCHES ({microbatches}) times the {replicas} '
      'replicas (devices over MODEL_PARALLEL)'
    )


def compiled_step(model: robust.RobustModel, mesh: Any, microbatches: int = 1, seed: int = 0) -> Any:
  """The step for a mesh, to call or to lower: state and frozen parameters by their logical axes, the batch split.

  Each replica computes its part of the batch and adds up its own microbatches; then one sum over the replicas moves the
  adapter's gradient and some scalars, in float32, whatever the number of microbatches. Within a replica the compiler
  splits the weights over the axis 'model'.

  Args:
    model: the model.
    mesh: a (data, model) mesh.
    microbatches: parts that each replica's share of a batch is processed in.
    seed: of dropout.
  """
  options = compiler_options(mesh)
  if mesh.shape['data'] == 1 < mesh.shape['model']:
    # XLA does not compile a sum over one replica whose devices share the weights, and there is nothing to add up.
    return jax.jit(make_train_step(model, microbatches, seed), donate_argnums=0, compiler_options=options)
  step = jax.shard_map(
    make_train_step(model, microbatches, seed, axis_name='data'),
    mesh=mesh,
    in_specs=(PartitionSpec(), PartitionSpec(), PartitionSpec('data')),
    out_specs=PartitionSpec(),
    axis_names={'data'},
    check_vma=False,
  )
  return jax.jit(step, donate_argnums=0, compiler_options=options)


def compiler_options(mesh: Any) -> dict[str, bool]:
  """What the compiler may do besides its defaults on the devices of a mesh.

  On a CPU, XLA sums in the order as written unless told otherwise, so that softmax and norms use one lane of the vector
  unit; and it calls functions that are exact in cases that do not occur here. Infinities and NaNs stay what they are,
  since the step looks for them.
  """
  if mesh.devices.flat[0].platform != 'cpu':
    return {}
  return {
    'xla_cpu_enable_fast_math': True,
    'xla_cpu_fast_math_honor_division': False,
    'xla_cpu_fast_math_honor_functions': False,
  }


def _accumulate(loss_fn, params, batch, key, microbatches):
  """Sums loss, metrics and gradient over the parts of a batch, holding one part's activations at a time."""
  parts = jax.tree.map(lambda x: x.reshape(microbatches, -1, *x.shape[1:]), dict(batch))
  keys = jax.random.split(key, microbatches)

  def body(total, inputs):
    (loss, metrics), gradient = loss_fn(params, *inputs)
    return jax.tree.map(jnp.add, total, (loss, metrics, gradient)), None

  first = jax.tree.map(lambda x: x[0], (parts, keys))
  shapes = jax.eval_shape(loss_fn, params, *first)
  (loss_shape, metrics_shape), gradient_shape = shapes
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (loss_shape, metrics_shape, gradient_shape))
  total, _ = jax.lax.scan(body, zeros, (parts, keys))
  return total
