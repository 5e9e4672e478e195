"""What T5X's launcher needs beyond the model; gin/t5x/ binds it.

Only `frozen_optimizer` imports T5X, and only when it is called.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import optax

from robust_t5x.models.trainable import Trainable
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


def initial_adapter(checkpoint: str | None, method: str, seed: int) -> Callable[[Any], Mapping[str, np.ndarray]]:
  """The adapter that our own runtime would start from with the same settings; see start.initial_adapter."""
  return lambda model: start.initial_adapter(model, checkpoint, method, seed)
