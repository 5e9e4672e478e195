"""Soft prompts: trainable vectors among the embedded input (Lester et al. 2021)."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int


def insert(
  vectors: Float[jax.Array, 'P D'],
  embedded: Float[jax.Array, 'N T D'],
  mask: Int[jax.Array, 'N T'],
  position: int = 0,
) -> tuple[Float[jax.Array, 'N S D'], Int[jax.Array, 'N S']]:
  """Puts the same vectors into every row, to be attended to whatever the row's padding.

  Args:
    vectors: the prompt.
    embedded: embedded tokens.
    mask: 1 for the tokens that may be attended to.
    position: tokens of each row that stand before the prompt.

  Returns:
    (embedded prompt and tokens, their mask), S = P + T.
  """
  rows = embedded.shape[0]
  prompt = jnp.broadcast_to(vectors.astype(embedded.dtype), (rows, *vectors.shape))
  ones = jnp.ones((rows, len(vectors)), mask.dtype)

  def within(prompt, row):
    return jnp.concatenate([row[:, :position], prompt, row[:, position:]], axis=1)

  return within(prompt, embedded), within(ones, mask)
