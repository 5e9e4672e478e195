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
  return projected + _widen(narrow, addition.up.astype(inputs.dtype))


@jax.custom_vjp
def _widen(narrow: jax.Array, up: jax.Array) -> jax.Array:
  """[N, Q, R] · [R, outputs...], with a derivative by `up` that leaves the large operand as it lies.

  The derivative that JAX takes has the outputs' derivative as its left operand, which XLA transposes on a CPU, inside a loop
  that also computes it.
  """
  return jnp.tensordot(narrow, up, 1)


def _widen_forwards(narrow: jax.Array, up: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return _widen(narrow, up), (narrow, up)


def _widen_backwards(kept: tuple[jax.Array, jax.Array], derivative: jax.Array) -> tuple[jax.Array, jax.Array]:
  narrow, up = kept
  rows = tuple(range(narrow.ndim - 1))
  outputs = tuple(range(narrow.ndim - 1, derivative.ndim))
  by_narrow = jnp.tensordot(derivative, up, (outputs, tuple(range(1, up.ndim))))
  return by_narrow, jnp.tensordot(narrow, derivative, (rows, rows))


_widen.defvjp(_widen_forwards, _widen_backwards)
