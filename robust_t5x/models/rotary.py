"""Rotary positions (Su et al. 2021, arXiv 2104.09864) and the ways to stretch them to longer texts."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int
import numpy as np

from seqio_tasks.errors import UserError

KINDS = ('default', 'linear', 'dynamic', 'llama3', 'yarn')


@dataclasses.dataclass(frozen=True)
class Rotary:
  """Angles by position; names and meanings are those of Hugging Face's `rope_parameters`.

  Attributes:
    kind: one of KINDS.
    theta: the base of the frequencies.
    factor: by how much positions are stretched; of every kind but the default.
    original_length: positions that the model was first trained on; of dynamic, llama3 and yarn.
    low_freq_factor: of llama3: wavelengths above original_length over this are stretched.
    high_freq_factor: of llama3: wavelengths below original_length over this are kept.
    beta_fast: of yarn: dimensions that turn more often than this over original_length are kept.
    beta_slow: of yarn: dimensions that turn less often than this are stretched.
    attention_factor: of yarn: multiplies queries and keys; None for 0.1 ln(factor) + 1.
  """

  kind: str = 'default'
  theta: float = 10000.0
  factor: float = 1.0
  original_length: int = 0
  low_freq_factor: float = 1.0
  high_freq_factor: float = 4.0
  beta_fast: float = 32.0
  beta_slow: float = 1.0
  attention_factor: float | None = None

  def __post_init__(self):
    if self.kind not in KINDS:
      raise UserError(f'rope_type: {self.kind!r} is not supported; supported are {", ".join(KINDS)}')

  def check_length(self, places: int) -> None:
    """Raises UserError where texts may have so many places that the frequencies would depend on how long each text is."""
    if self.kind == 'dynamic' and places > self.original_length:
      raise UserError(
        f'rope_type dynamic: texts of up to {places} tokens, and beyond {self.original_length} the positions of this model are stretched '
        'by the length of each text, which is not supported; lower TASK_FEATURE_LENGTHS'
      )

  def frequencies(self, head_dim: int) -> np.ndarray:
    """Radians a position of every pair of dimensions, [F / 2]."""
    plain = self.theta ** -(np.arange(0, head_dim, 2) / head_dim)
    if self.kind == 'linear':
      return plain / self.factor
    if self.kind == 'llama3':
      turns = self.original_length * plain / (2 * np.pi)
      kept = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)
    elif self.kind == 'yarn':
      # Peng et al. 2023, arXiv 2309.00071, section 3.2: a ramp over dimensions between two numbers of turns.
      def dimension(turns: float) -> float:
        return head_dim * math.log(self.original_length / (turns * 2 * math.pi)) / (2 * math.log(self.theta))

      low = max(math.floor(dimension(self.beta_fast)), 0)
      high = min(math.ceil(dimension(self.beta_slow)), head_dim - 1)
      kept = 1 - (np.arange(head_dim // 2) - low) / ((high - low) or 0.001)
    else:
      return plain
    kept = np.clip(kept, 0.0, 1.0)
    return kept * plain + (1 - kept) * plain / self.factor

  def angles(self, positions: Int[jax.Array, 'N Q'], head_dim: int) -> tuple[jax.Array, jax.Array]:
    """(cosines, sines), float32 [N, Q, 1, F / 2]."""
    angles = positions[..., None, None].astype(jnp.float32) * jnp.asarray(self.frequencies(head_dim), jnp.float32)
    scale = 1.0
    if self.kind == 'yarn':
      plain = 0.1 * math.log(self.factor) + 1.0 if self.factor > 1 else 1.0
      scale = plain if self.attention_factor is None else self.attention_factor
    return jnp.cos(angles) * scale, jnp.sin(angles) * scale


def rotate(x: Float[jax.Array, 'N Q H F'], cos: jax.Array, sin: jax.Array) -> Float[jax.Array, 'N Q H F']:
  """Rotates pairs of dimensions; the first half of the width is paired with the second."""
  first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1).astype(x.dtype)
