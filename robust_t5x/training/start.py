"""What a run starts from: the backbone's weights, the adapter's first values, and the state that holds what trains."""

import jax
import numpy as np

from robust_t5x import adapters
from robust_t5x.checkpoints import backbones
from robust_t5x.models import trainable as trainable_lib
from robust_t5x.models.placement import Placement
from robust_t5x.models.protocol import ADAPTER, EMBEDDING, Params
from robust_t5x.models.robust import RobustModel
from robust_t5x.models.trainable import Trainable
from robust_t5x.runtime import errors, partitioning, progress
from robust_t5x.training import step


def initial_state(
  model: RobustModel,
  placement: Placement,
  initial_checkpoint_path: str | None,
  prompt_init: str,
  seed: int,
  trainable: Trainable,
  backbone_dtype: str = 'float32',
) -> tuple[step.TrainState, Params]:
  """The state before the first step and the frozen parameters, on the devices; what trains is float32.

  Args:
    model: the model.
    placement: where its parameters lie.
    initial_checkpoint_path: backbone directory, 'bundled', or None for random weights.
    prompt_init: see adapters.initialise.
    seed: of the random initialisation.
    trainable: what trains.
    backbone_dtype: storage dtype of what does not.
  """
  placed = placement.placed(placement.shapes)
  params = initial_params(model, initial_checkpoint_path, prompt_init, seed, placed, trainable, backbone_dtype)
  moving, frozen = trainable.split(params)
  state = jax.jit(lambda p: step.initial_state(p, model.optimizer_def))(moving)
  return jax.device_put(state, step.state_shardings(state, model.optimizer_def, placement)), frozen


def initial_params(
  model: RobustModel,
  initial_checkpoint_path: str | None,
  prompt_init: str,
  seed: int,
  placed: Params,
  trainable: Trainable,
  backbone_dtype: str = 'float32',
) -> Params:
  """Parameters that a run starts from, on the devices; what trains in float32.

  Args:
    model: the model.
    initial_checkpoint_path: backbone directory, 'bundled', or None for random weights.
    prompt_init: see adapters.initialise.
    seed: of the random initialisation.
    placed: the parameters' shapes, with the sharding that each is to have.
    trainable: what trains.
    backbone_dtype: storage dtype of what does not.
  """
  moving, frozen = trainable.split(placed)
  like = trainable_lib.merge(moving, partitioning.cast(frozen, backbone_dtype))
  if initial_checkpoint_path is None:
    variables = model.initialise(jax.random.key(seed))
    params = jax.tree.map(lambda x, to: jax.device_put(x.astype(to.dtype), to.sharding), variables['params'], like)
  else:
    params, report = backbones.load_backbone(initial_checkpoint_path, like)
    progress.log(f'backbone {backbones.resolve(initial_checkpoint_path)}: {report}')
  if ADAPTER in placed:
    adapter = initial_adapter(model, initial_checkpoint_path, prompt_init, seed)
    params[ADAPTER] = {name: jax.device_put(value, placed[ADAPTER][name].sharding) for name, value in adapter.items()}
  return params


def initial_adapter(model: RobustModel, checkpoint: str | None, method: str, seed: int) -> dict[str, np.ndarray]:
  """The adapter's parameters that a run starts from, as numpy arrays; the same under both launchers.

  Args:
    model: the model.
    checkpoint: backbone that words are embedded by; None is enough for 'uniform'.
    method: see adapters.initialise.
    seed: of the random initialisation.
  """
  # XLA drops the backbone's initialisation, which nothing depends on.
  fresh = jax.jit(lambda key: model.initialise(key)['params'][ADAPTER])(jax.random.key(seed))
  fresh = {name: np.asarray(value) for name, value in fresh.items()}
  if 'embedding' not in fresh or method == 'uniform':
    return fresh
  if checkpoint is None:
    raise errors.UsageError(
      f"PROMPT_INIT: {method!r} needs a model whose words mean something; set INITIAL_CHECKPOINT_PATH, or 'uniform'"
    )
  embedding = backbones.open_backbone(checkpoint).read(EMBEDDING).astype(np.float32)
  return adapters.initialise(fresh, method, embedding, model.input_vocabulary, seed)
