"""Optimisers: schedules and first steps, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from robust_t5x.training import optimizers


def test_warmup_cosine_by_hand():
  schedule = optimizers.warmup_cosine(2.0, 1000)
  # Half-way down the cosine is the mean of the peak and of the end, 0.02 of it.
  for step, expected in ((0, 0.0), (50, 1.0), (100, 2.0), (550, 1.02), (1000, 0.04), (2000, 0.04)):
    assert float(schedule(step)) == pytest.approx(expected, abs=1e-6), step


def test_a_short_run_warms_up_for_half_of_it():
  schedule = optimizers.warmup_cosine(1.0, 6, end=0.5)
  assert [float(schedule(step)) for step in (0, 3, 6)] == pytest.approx([0.0, 1.0, 0.5])


def _first_step(optimizer, params, gradient):
  updates, _ = optimizer.update(gradient, optimizer.init(params), params)
  return np.asarray(updates)


def test_the_first_step_of_adamw():
  """Adam's first step is the gradient's sign; decay is apart from it."""
  params, gradient = jnp.asarray([10.0, -10.0, 0.0]), jnp.asarray([3.0, 3.0, -4.0])
  step = _first_step(optimizers.adamw(0.1, weight_decay=0.01), params, gradient)
  np.testing.assert_allclose(step, [-0.1 - 0.01, -0.1 + 0.01, 0.1], rtol=1e-5)


def test_the_first_step_of_relative_adam():
  """It is relative to the parameter's root mean square, so a parameter ten times larger moves ten times as far."""
  params, gradient = jnp.asarray([3.0, -3.0]), jnp.asarray([5.0, -1.0])
  for scale in (1.0, 10.0):
    step = _first_step(optimizers.relative_adam(0.1), scale * params, gradient)
    np.testing.assert_allclose(step, scale * np.asarray([-0.3, 0.3]), rtol=1e-5)


@pytest.mark.parametrize('make', [optimizers.adamw, optimizers.relative_adam])
def test_the_gradient_is_clipped(make):
  """A huge first gradient is remembered as one of norm 1, beside a second that is not clipped."""
  params = jnp.ones(2)

  def two_steps(first):
    optimizer = make(0.1)
    _, state = optimizer.update(jnp.asarray([first, 0.0]), optimizer.init(params), params)
    return np.asarray(optimizer.update(jnp.asarray([0.5, 0.0]), state, params)[0])

  np.testing.assert_allclose(two_steps(1e6), two_steps(1.0), rtol=1e-6)
  assert np.abs(two_steps(0.5) - two_steps(1.0)).max() > 1e-3
