"""Tests of models.products. Where the processor has no units for bfloat16, they run XLA's own products."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robust_t5x.models import products

ROUNDING = 2.0**-8  # of bfloat16


@pytest.fixture(params=[True, False], ids=['hardware', 'plain'])
def hardware(request, monkeypatch):
  """Both ways, where the processor has both."""
  if request.param and not products.cpu_has_bfloat16():
    pytest.skip('the processor does not multiply bfloat16 in hardware')
  monkeypatch.setattr(products, '_in_hardware', lambda x: request.param and x.dtype == jnp.bfloat16)
  return request.param


def _normal(seed, *shape):
  return jax.random.normal(jax.random.key(seed), shape).astype(jnp.bfloat16)


@pytest.mark.parametrize(
  ('rows', 'inner', 'outputs'), [((3, 5), 7, 4), ((1,), 1, 1), ((2, 33), 64, 130), ((4, 0), 3, 2)]
)
def test_products_of_rows(hardware, rows, inner, outputs):
  del hardware
  x, kernel = _normal(0, *rows, inner), _normal(1, inner, outputs)
  found = jax.jit(products.product)(x, kernel)
  expected = np.asarray(x, np.float64) @ np.asarray(kernel, np.float64)
  assert found.dtype == jnp.bfloat16 and found.shape == (*rows, outputs)
  np.testing.assert_allclose(np.asarray(found, np.float64), expected, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_batches_of_products_keep_float32(hardware, dtype):
  del hardware
  a, b = _normal(0, 2, 3, 5, 8).astype(dtype), _normal(1, 2, 3, 8, 6).astype(dtype)
  found = jax.jit(products.batch_product)(a, b)
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found, np.asarray(a, np.float64) @ np.asarray(b, np.float64), rtol=1e-5, atol=1e-5)


def test_derivatives_are_those_of_float32(hardware):
  del hardware
  x, kernel, weights = _normal(0, 6, 16), _normal(1, 16, 9), _normal(2, 6, 9)
  a, b = _normal(3, 2, 6, 16), _normal(4, 2, 16, 9)

  def value(x, kernel, a, b):
    return (products.product(x, kernel) * weights).sum() + (products.batch_product(a, b) * weights).sum()

  found = jax.jit(jax.grad(value, (0, 1, 2, 3)))(x, kernel, a, b)
  wide = [np.asarray(v, np.float64) for v in (x, kernel, a, b, weights)]
  w = wide.pop()
  expected = (w @ wide[1].T, wide[0].T @ w, w @ wide[3].swapaxes(1, 2), wide[2].swapaxes(1, 2) @ w)
  for gradient, value in zip(found, expected, strict=True):
    assert gradient.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(gradient, np.float64), value, rtol=ROUNDING, atol=2 * ROUNDING)


def test_float32_and_several_devices_are_left_to_xla():
  program = jax.jit(products.product).lower(jnp.ones((2, 3)), jnp.ones((3, 4))).as_text()
  assert 'optimization_barrier' not in program
  if jax.device_count() > 1:
    assert not products._in_hardware(jnp.ones(1, jnp.bfloat16))
