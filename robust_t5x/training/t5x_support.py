"""What T5X's launcher needs beyond the model; gin/t5x/ binds it.

Only `frozen_optimizer` imports T5X, and only when it is called.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax

from robust_t5x.models.protocol import Vocabulary
from robust_t5x.models.trainable import Trainable
from robust_t5x.runtime import errors
from robust_t5x.training import start


def frozen_optimizer(optimizer: optax.GradientTransformation, trainable: Trainable) -> Any:
  """An optax optimiser as T5X's optimizer definition; it holds slots for what trains and leaves all else as it is.

  Args:
    optimizer: for what trains.
    trainable: what trains.
  """
  from t5x import optimizers

  def mask(trained: bool) -> Callable[[Any], Any]:
    def is_of_this_kind(path, _):
      return trainable.is_trained('/'.join(key.key for key in path)) == trained

    return lambda params: jax.tree_util.tree_map_with_path(is_of_this_kind, params)

  transformation = optax.chain(optax.masked(optimizer, mask(True)), optax.masked(optax.set_to_zero(), mask(False)))
  return optimizers.OptaxWrapper(transformation)


def register(name: str, register_tasks: Sequence[Callable[..., Any]], vocabulary: Vocabulary) -> str:
  """Registers tasks and returns `name`, for T5X's dataset configurations, which take no more than a name.

  Args:
    name: a mixture or task that the calls register.
    register_tasks: calls that register the tasks, each given `vocabulary`.
    vocabulary: the model's.

  Raises:
    ValueError: if none of them registers `name`; says which name is nearest.
  """
  import seqio

  for call in register_tasks:
    call(vocabulary=vocabulary)
  known = {*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()}
  if name not in known:
    raise errors.UsageError(
      f'MIXTURE_OR_TASK_NAME: no task or mixture {name!r} is registered{errors.nearest(name, known)}'
    )
  return name


def initial_adapter(checkpoint: str | None, method: str, seed: int) -> Callable[[Any], Mapping[str, np.ndarray]]:
  """The adapter that our own runtime would start from with the same settings; see start.initial_adapter."""
  return lambda model: start.initial_adapter(model, checkpoint, method, seed)
