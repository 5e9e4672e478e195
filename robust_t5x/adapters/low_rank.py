"""Low-rank additions to projections (LoRA, Hu et al. 2021)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class LowRank(NamedTuple):
  """A low-rank addition to a projection; of one layer, or stacked for all layers with a leading axis. Inputs and outputs are D, M or [H, F]."""

  down: jax.Array  # [inputs..., R]
  up: jax.Array  # [R, outputs...]


def add_low_rank(projected: jax.Array, inputs: jax.Array, addition: LowRank | None) -> jax.Array:
  """Adds inputs · down · up to a projection [N, Q, outputs...] of inputs [N, Q, inputs...]."""
  if addition is None:
    return projected
  narrow = jnp.tensordot(inputs, addition.down.astype(inputs.dtype), addition.down.ndim - 1)
  return projected + jnp.tensordot(narrow, addition.up.astype(inputs.dtype), 1)
