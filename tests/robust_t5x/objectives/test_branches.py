"""What holds of every objective: padding, finite differences, equality over devices; and sums of objectives."""

import functools

from branches import ALL, EVERY, KL_PQ, KL_REFERENCE, MOVING, P, Q, random_branches, two_phrasings
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robust_t5x import objectives


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('kl_anchored', 0.7 * KL_PQ + 2.0 * KL_REFERENCE[0]),
  ],
)
def test_hand_computed(name, expected):
  assert float(EVERY[name](two_phrasings(P, Q))) == pytest.approx(expected, abs=1e-6)


def test_every_token_and_every_example_counts_alike():
  weights = jnp.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
  branches = random_branches()._replace(weights=weights, normalizers=objectives.normalizers(weights))
  assert objectives.token_mean(jnp.array([[1.0, 2.0], [6.0, 9.0], [9.0, 9.0]]), branches) == pytest.approx(
    (1 + 2 + 6) / 3
  )
  assert objectives.example_mean(jnp.array([1.0, 2.0, 9.0]), branches) == pytest.approx((1 + 2) / 2)


def test_means_over_padding_alone_are_nothing():
  weights = jnp.zeros((2, 3))
  branches = random_branches(batch=2)._replace(weights=weights, normalizers=objectives.normalizers(weights))
  assert objectives.token_mean(jnp.ones((2, 3)), branches) == 0
  assert objectives.example_mean(jnp.ones(2), branches) == 0


def test_padding_counts_for_nothing():
  branches = random_branches()
  noise = jnp.where(branches.weights[:, None, :, None] > 0, 0.0, 7.0)
  noisy = branches._replace(
    logits=branches.logits + noise * jnp.arange(5.0),
    # The first state is read for any example that is not all padding.
    decoded=branches.decoded.at[:, :, 1:].add(noise[:, :, 1:] * jnp.arange(7.0)),
  )
  for name in ALL:
    assert float(ALL[name](noisy)) == pytest.approx(float(ALL[name](branches)), rel=1e-5)


def test_gradient_against_finite_differences():
  with jax.enable_x64(True):
    branches = jax.tree.map(
      lambda x: jnp.asarray(x, jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x,
      random_branches(),
    )
    fields = {name: getattr(branches, name) for name in MOVING}

    def losses(values):
      return {name: objective(branches._replace(**values)) for name, objective in ALL.items()}

    rng = np.random.default_rng(1)
    evaluate, gradients = jax.jit(losses), jax.jit(jax.jacrev(losses))(fields)
    for _ in range(3):
      direction = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), fields)
      plus, minus = (evaluate(jax.tree.map(lambda x, d, e=e: x + e * d, fields, direction)) for e in (1e-5, -1e-5))
      for name, gradient in gradients.items():
        actual = sum(np.vdot(gradient[field], direction[field]) for field in MOVING)
        expected = (plus[name] - minus[name]) / 2e-5
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-8, err_msg=name)
        assert abs(expected) > 1e-4, name


def test_pmap_over_eight_devices_equals_one():
  assert jax.local_device_count() >= 8, 'tests/conftest.py asks for 8 host devices'
  branches = random_branches(batch=16)
  fields = {name: getattr(branches, name) for name in MOVING}

  def both(values, rest, normalizers):
    """Value and gradient of every objective."""

    def losses(values):
      return {n: objective(rest._replace(normalizers=normalizers, **values)) for n, objective in ALL.items()}

    made, pull = jax.vjp(losses, values)
    zeros = {name: jnp.zeros(()) for name in ALL}
    return made, {name: pull({**zeros, name: jnp.ones(())})[0] for name in ALL}

  expected, gradients = jax.jit(both)(fields, branches, branches.normalizers)

  def on_device(values, rest):
    made, grads = both(values, rest, objectives.normalizers(rest.weights, 'batch'))
    return jax.lax.psum(made, 'batch'), grads

  def split(x):
    return x.reshape(8, -1, *x.shape[1:])

  rest = branches._replace(normalizers=None)
  made, grads = jax.pmap(on_device, axis_name='batch', devices=jax.devices()[:8])(
    jax.tree.map(split, fields), jax.tree.map(split, rest)
  )
  for name in ALL:
    np.testing.assert_allclose(made[name], float(expected[name]), rtol=1e-5, err_msg=name)
    for field, value in gradients[name].items():
      np.testing.assert_allclose(grads[name][field].reshape(value.shape), value, rtol=1e-4, atol=1e-7, err_msg=name)


def test_weighted_sum_asks_for_what_its_terms_need():
  terms = [functools.partial(objectives.distil_reference), objectives.consensus]
  assert objectives.needed(objectives.weighted_sum(terms, [1.0, 1.0])) == {'reference'}
  assert not objectives.needed(objectives.weighted_sum([objectives.jensen_shannon], [1.0]))
  assert not objectives.needed(None)
  with pytest.raises(ValueError, match='1 terms and 2 weights'):
    objectives.weighted_sum([objectives.jensen_shannon], [1.0, 1.0])
