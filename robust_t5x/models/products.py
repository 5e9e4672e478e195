"""Matrix products that a CPU does in bfloat16 in hardware.

XLA's CPU backend (jaxlib 0.10.2) hands a product to its library of kernels, and so to the processor's matrix units, only where
both factors are bfloat16, the result is float32, and each lies in memory as its axes say. A transposed factor, which every
backward pass has, is multiplied by a loop several times slower. So on a CPU with such units, products are put in that
form; on other devices, with other processors and in float32 they are XLA's own.
"""

import functools
import pathlib

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float


@functools.cache
def cpu_has_bfloat16() -> bool:
  """Whether this machine's processor multiplies matrices of bfloat16 in hardware (Intel's AMX); False where it does not tell."""
  try:
    return ' amx_bf16 ' in pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8')
  except OSError:
    return False


def product(x: Float[jax.Array, '... K'], kernel: Float[jax.Array, 'K M']) -> Float[jax.Array, '... M']:
  """x · kernel, both of one dtype, which is the result's."""
  if not _in_hardware(x):
    return jnp.dot(x, kernel)
  rows = x.reshape(-1, x.shape[-1])
  return _products(rows, kernel).astype(x.dtype).reshape(*x.shape[:-1], kernel.shape[1])


def wide_product(x: Float[jax.Array, '... K'], kernel: Float[jax.Array, 'K M']) -> Float[jax.Array, '... M']:
  """x · kernel, float32 whatever their dtypes: products of bfloat16 are exact in float32."""
  if x.dtype != kernel.dtype or not _in_hardware(x):
    return jnp.dot(x.astype(jnp.float32), kernel.astype(jnp.float32))
  return _products(x.reshape(-1, x.shape[-1]), kernel).reshape(*x.shape[:-1], kernel.shape[1])


def batch_product(a: Float[jax.Array, '*B M K'], b: Float[jax.Array, '*B K N']) -> Float[jax.Array, '*B M N']:
  """Products of the last two axes, float32."""
  if not _in_hardware(a):
    return _plain(a, b)
  flat = _products(a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:]))
  return flat.reshape(*a.shape[:-1], b.shape[-1])


def _in_hardware(x: jax.Array) -> bool:
  # A factor that is split over devices cannot be laid out anew without gathering it.
  return x.dtype == jnp.bfloat16 and cpu_has_bfloat16() and jax.device_count() == 1


@jax.custom_vjp
def _products(a: jax.Array, b: jax.Array) -> jax.Array:
  """[M, K] · [K, N] or [B, M, K] · [B, K, N] in bfloat16 -> float32."""
  return lax.platform_dependent(a, b, cpu=_laid_out, default=_plain)


def _forward(a, b):
  return _products(a, b), (a, b)


def _backward(factors, gradient):
  a, b = factors
  gradient = gradient.astype(a.dtype)
  to_a = _products(gradient, b.swapaxes(-1, -2))
  to_b = _products(a.swapaxes(-1, -2), gradient)
  return to_a.astype(a.dtype), to_b.astype(b.dtype)


_products.defvjp(_forward, _backward)


def _plain(a, b):
  return jnp.matmul(a, b, preferred_element_type=jnp.float32)


def _laid_out(a, b):
  return lax.optimization_barrier(_plain(_as_axes_say(a), _as_axes_say(b)))


def _as_axes_say(x):
  """The same array, in memory in the order of its axes: a line of numbers cannot lie otherwise."""
  return lax.optimization_barrier(x.reshape(-1)).reshape(x.shape)
