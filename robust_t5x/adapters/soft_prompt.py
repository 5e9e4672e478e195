"""Soft prompts: trainable vectors before the embedded input (Lester et al. 2021)."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int


def prepend(
  vectors: Float[jax.Array, 'P D'], embedded: Float[jax.Array, 'N T D'], mask: Int[jax.Array, 'N T']
) -> tuple[Float[jax.Array, 'N S D'], Int[jax.Array, 'N S']]:
  """Puts the same vectors before every row, to be attended to whatever the row's padding.

  Args:
    vectors: the prompt.
    embedded: embedded tokens.
    mask: 1 for the tokens that may be attended to.

  Returns:
    (embedded prompt and tokens, their mask), S = P + T.
  """
  rows = embedded.shape[0]
  prompt = jnp.broadcast_to(vectors.astype(embedded.dtype), (rows, *vectors.shape))
  ones = jnp.ones((rows, len(vectors)), mask.dtype)
  return jnp.concatenate([prompt, embedded], axis=1), jnp.concatenate([ones, mask], axis=1)
