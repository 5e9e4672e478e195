"""Objectives: hand-computed values, finite differences, and equality over devices and microbatches."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robust_t5x import objectives

ALL = {
  'cross_entropy': objectives.cross_entropy,
  'cross_entropy_smoothed': functools.partial(objectives.cross_entropy, label_smoothing=0.1, z_loss=1e-2),
  'kl_from_canonical': functools.partial(objectives.kl_to_canonical, stop_gradient=False),
  'kl_to_canonical': functools.partial(objectives.kl_to_canonical, direction='to_canonical', stop_gradient=False),
  'jensen_shannon': objectives.jensen_shannon,
  'encoder_cosine': functools.partial(objectives.encoder_cosine, stop_gradient=False),
  'distil_reference': objectives.distil_reference,
  'anchor_to_reference': objectives.anchor_to_reference,
  'kl_anchored': objectives.weighted_sum(
    [functools.partial(objectives.kl_to_canonical, stop_gradient=False), objectives.anchor_to_reference], [0.7, 2.0]
  ),
}


def random_branches(seed=0, batch=8, phrasings=3, length=4, classes=5):
  rng = np.random.default_rng(seed)
  weights = (rng.random((batch, length)) < 0.7).astype(np.float32)
  weights[1] = 0  # an example that is all padding
  mask = (rng.random((batch, phrasings, 6)) < 0.8).astype(np.int32)
  return objectives.Branches(
    logits=jnp.asarray(rng.normal(size=(batch, phrasings, length, classes)), jnp.float32),
    targets=jnp.asarray(rng.integers(0, classes, (batch, length))),
    weights=jnp.asarray(weights),
    encoded=jnp.asarray(rng.normal(size=(batch, phrasings, 6, 7)), jnp.float32),
    encoded_mask=jnp.asarray(mask),
    normalizers=objectives.normalizers(jnp.asarray(weights)),
    reference=jnp.asarray(rng.normal(size=(batch, length, classes)), jnp.float32),
  )


def two_phrasings(p, q, target=0):
  """One example with one target token, distributions p (canonical) and q."""
  logits = jnp.log(jnp.asarray([[[p], [q]]], jnp.float32))
  weights = jnp.ones((1, 1))
  encoded = jnp.asarray([[[[1.0, 0.0]], [[1.0, 1.0]]]])
  return objectives.Branches(
    logits,
    jnp.asarray([[target]]),
    weights,
    encoded,
    jnp.ones((1, 2, 1), jnp.int32),
    objectives.normalizers(weights),
    jnp.log(jnp.asarray([[REFERENCE]])),
  )


REFERENCE = (0.5, 0.375, 0.125)
P, Q = (0.5, 0.25, 0.25), (0.25, 0.25, 0.5)
KL_PQ = 0.5 * math.log(2) + 0.25 * math.log(0.5)  # also KL(q, p), by symmetry
MEAN = (0.375, 0.25, 0.375)
JS = sum(0.5 * x * math.log(x / m) for d in (P, Q) for x, m in zip(d, MEAN, strict=True))
KL_REFERENCE = [sum(r * math.log(r / x) for r, x in zip(REFERENCE, d, strict=True)) for d in (P, Q)]


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('distil_reference', sum(KL_REFERENCE) / 2),
    ('anchor_to_reference', KL_REFERENCE[0]),
    ('kl_anchored', 0.7 * KL_PQ + 2.0 * KL_REFERENCE[0]),
    ('cross_entropy', -(math.log(0.5) + math.log(0.25)) / 2),
    ('kl_from_canonical', KL_PQ),
    ('kl_to_canonical', KL_PQ),
    ('jensen_shannon', JS),
    ('encoder_cosine', 1 - 1 / math.sqrt(2)),
  ],
)
def test_hand_computed(name, expected):
  assert float(ALL[name](two_phrasings(P, Q))) == pytest.approx(expected, abs=1e-6)


def test_directions_differ_where_the_divergence_is_not_symmetric():
  branches = two_phrasings((0.9, 0.05, 0.05), (0.4, 0.3, 0.3))
  forward = 0.9 * math.log(0.9 / 0.4) + 0.1 * math.log(0.05 / 0.3)
  backward = 0.4 * math.log(0.4 / 0.9) + 0.6 * math.log(0.3 / 0.05)
  assert float(objectives.kl_to_canonical(branches)) == pytest.approx(forward, abs=1e-6)
  other = objectives.kl_to_canonical(branches, direction='to_canonical')
  assert float(other) == pytest.approx(backward, abs=1e-6)


def test_label_smoothing_and_z_loss_by_hand():
  branches = two_phrasings(P, P)
  branches = branches._replace(logits=branches.logits + 1.0)  # so that log Z = 1
  low, high = 0.05, 0.9
  expected = -high * math.log(0.5) - low * 2 * math.log(0.25)
  expected += high * math.log(high) + 2 * low * math.log(low) + 0.5
  value = objectives.cross_entropy(branches, label_smoothing=0.1, z_loss=0.5)
  assert float(value) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize('name', ['kl_from_canonical', 'kl_to_canonical', 'jensen_shannon', 'encoder_cosine'])
def test_zero_when_all_phrasings_agree(name):
  branches = random_branches()
  same = branches._replace(
    logits=jnp.repeat(branches.logits[:, :1], 3, axis=1),
    encoded=jnp.repeat(branches.encoded[:, :1], 3, axis=1),
    encoded_mask=jnp.repeat(branches.encoded_mask[:, :1], 3, axis=1),
  )
  assert abs(float(ALL[name](same))) < 1e-5
  assert float(ALL[name](branches)) > 1e-2


def test_padding_counts_for_nothing():
  branches = random_branches()
  noise = jnp.where(branches.weights[:, None, :, None] > 0, 0.0, 7.0)
  noisy = branches._replace(logits=branches.logits + noise * jnp.arange(5.0))
  for name in ('cross_entropy', 'kl_from_canonical', 'jensen_shannon'):
    assert float(ALL[name](noisy)) == pytest.approx(float(ALL[name](branches)), rel=1e-5)


def test_stop_gradient_holds_the_canonical_branch_still():
  branches = random_branches()
  for objective, field in (
    (objectives.kl_to_canonical, 'logits'),
    (objectives.encoder_cosine, 'encoded'),
  ):
    gradient = jax.grad(lambda x, o=objective, f=field: o(branches._replace(**{f: x})))(getattr(branches, field))
    assert not np.any(gradient[:, 0]) and np.any(gradient[:, 1:])


def test_unknown_direction_is_named():
  with pytest.raises(ValueError, match="'sideways'"):
    objectives.kl_to_canonical(random_branches(), direction='sideways')


@pytest.mark.parametrize('name', ALL)
def test_gradient_against_finite_differences(name):
  with jax.enable_x64(True):
    branches = jax.tree.map(
      lambda x: jnp.asarray(x, jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x,
      random_branches(),
    )
    fields = {'logits': branches.logits, 'encoded': branches.encoded}

    def loss(values):
      return ALL[name](branches._replace(**values))

    gradient = jax.grad(loss)(fields)
    rng = np.random.default_rng(1)
    for _ in range(3):
      direction = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), fields)
      plus, minus = (loss(jax.tree.map(lambda x, d, e=e: x + e * d, fields, direction)) for e in (1e-5, -1e-5))
      expected = (plus - minus) / 2e-5
      actual = sum(jnp.vdot(g, direction[k]) for k, g in gradient.items())
      np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize('name', ALL)
def test_pmap_over_eight_devices_equals_one(name):
  assert jax.local_device_count() >= 8, 'tests/conftest.py asks for 8 host devices'
  branches = random_branches(batch=16)
  fields = {'logits': branches.logits, 'encoded': branches.encoded}

  def loss(values, rest, normalizers):
    return ALL[name](rest._replace(normalizers=normalizers, **values))

  expected, gradient = jax.value_and_grad(loss)(fields, branches, branches.normalizers)

  def on_device(values, rest):
    normalizers = objectives.normalizers(rest.weights, 'batch')
    value, grad = jax.value_and_grad(loss)(values, rest, normalizers)
    return jax.lax.psum(value, 'batch'), grad

  def split(x):
    return x.reshape(8, -1, *x.shape[1:])

  rest = branches._replace(normalizers=None)
  values, grads = jax.pmap(on_device, axis_name='batch', devices=jax.devices()[:8])(
    jax.tree.map(split, fields), jax.tree.map(split, rest)
  )
  np.testing.assert_allclose(values, float(expected), rtol=1e-5)
  for key, value in gradient.items():
    np.testing.assert_allclose(grads[key].reshape(value.shape), value, rtol=1e-4, atol=1e-7)


def test_weighted_sum_asks_for_what_its_terms_need():
  assert objectives.needs_reference(objectives.weighted_sum([objectives.distil_reference], [1.0]))
  assert not objectives.needs_reference(objectives.weighted_sum([objectives.jensen_shannon], [1.0]))
  assert not objectives.needs_reference(None)
  with pytest.raises(ValueError, match='1 terms and 2 weights'):
    objectives.weighted_sum([objectives.jensen_shannon], [1.0, 1.0])
  with pytest.raises(ValueError, match='no reference distribution'):
    objectives.distil_reference(random_branches()._replace(reference=None))
