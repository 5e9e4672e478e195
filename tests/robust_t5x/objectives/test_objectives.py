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
  'symmetric_kl': objectives.symmetric_kl,
  'encoder_cosine': functools.partial(objectives.encoder_cosine, stop_gradient=False),
  'encoder_distance': functools.partial(objectives.encoder_distance, stop_gradient=False),
  'decoder_cosine': functools.partial(objectives.decoder_cosine, stop_gradient=False),
  'decoder_distance': functools.partial(objectives.decoder_distance, stop_gradient=False),
  'info_nce': functools.partial(objectives.info_nce, temperature=0.5),
  'group_dro': functools.partial(objectives.group_dro, step_size=0.8),
  'cvar': functools.partial(objectives.cvar, alpha=0.5),  # 1.5 of 3 phrasings
  'worst_phrasing': objectives.worst_phrasing,
  'distil_reference': objectives.distil_reference,
  'distil_states': objectives.distil_states,
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
    decoded=jnp.asarray(rng.normal(size=(batch, phrasings, length, 7)), jnp.float32),
    reference=jnp.asarray(rng.normal(size=(batch, length, classes)), jnp.float32),
    reference_decoded=jnp.asarray(rng.normal(size=(batch, length, 7)), jnp.float32),
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
    jnp.asarray([[[[0.0, 2.0]], [[0.0, -1.0]]]]),
    objectives.normalizers(weights),
    jnp.log(jnp.asarray([[REFERENCE]])),
    jnp.asarray([[[1.0, 2.0]]]),
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
    ('distil_states', (1 + 10) / 2 / 5),
    ('anchor_to_reference', KL_REFERENCE[0]),
    ('kl_anchored', 0.7 * KL_PQ + 2.0 * KL_REFERENCE[0]),
    ('cross_entropy', -(math.log(0.5) + math.log(0.25)) / 2),
    ('kl_from_canonical', KL_PQ),
    ('kl_to_canonical', KL_PQ),
    ('jensen_shannon', JS),
    ('symmetric_kl', KL_PQ),
    ('consensus', sum(m * math.log(m / x) for d in (P, Q) for x, m in zip(d, MEAN, strict=True)) / 2),
    ('encoder_cosine', 1 - 1 / math.sqrt(2)),
    ('encoder_distance', 0.5),
    ('decoder_cosine', 2.0),
    ('decoder_distance', 4.5),
    ('info_nce', 0.0),  # the one example has nothing to be told from
    ('group_dro', math.log((2**0.8 + 4**0.8) / 2) / 0.8),
    ('cvar', math.log(4)),
    ('worst_phrasing', math.log(4)),
  ],
)
def test_hand_computed(name, expected):
  objective = {**ALL, 'consensus': objectives.consensus}[name]
  assert float(objective(two_phrasings(P, Q))) == pytest.approx(expected, abs=1e-6)


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


@pytest.mark.parametrize(
  'name',
  [
    'kl_from_canonical', 'kl_to_canonical', 'symmetric_kl', 'jensen_shannon', 'consensus', 'encoder_cosine',
    'encoder_distance', 'decoder_cosine', 'decoder_distance',
  ],
)  # fmt: skip
def test_zero_when_all_phrasings_agree(name):
  branches = random_branches()
  same = branches._replace(
    logits=jnp.repeat(branches.logits[:, :1], 3, axis=1),
    encoded=jnp.repeat(branches.encoded[:, :1], 3, axis=1),
    encoded_mask=jnp.repeat(branches.encoded_mask[:, :1], 3, axis=1),
    decoded=jnp.repeat(branches.decoded[:, :1], 3, axis=1),
  )
  objective = {**ALL, 'consensus': objectives.consensus}[name]
  assert abs(float(objective(same))) < 1e-5
  assert float(objective(branches)) > 1e-2


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


def test_stop_gradient_holds_the_canonical_branch_still():
  branches = random_branches()
  for objective, field in (
    (objectives.kl_to_canonical, 'logits'),
    (objectives.encoder_cosine, 'encoded'),
    (objectives.encoder_distance, 'encoded'),
    (objectives.decoder_cosine, 'decoded'),
    (objectives.decoder_distance, 'decoded'),
  ):
    gradient = jax.grad(lambda x, o=objective, f=field: o(branches._replace(**{f: x})))(getattr(branches, field))
    assert not np.any(gradient[:, 0]) and np.any(gradient[:, 1:])


def test_unknown_direction_is_named():
  with pytest.raises(ValueError, match="'sideways'"):
    objectives.kl_to_canonical(random_branches(), direction='sideways')


MOVING = ('logits', 'encoded', 'decoded')


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


def test_consensus_pulls_towards_the_mean_and_holds_it_still():
  """The gradient by an example's logits is (p_i − m) / K, of softmax and cross-entropy with a constant target."""
  branches = two_phrasings(P, Q)
  gradient = jax.grad(lambda x: objectives.consensus(branches._replace(logits=x)))(branches.logits)
  expected = (np.array([P, Q]) - np.array(MEAN)) / 2
  np.testing.assert_allclose(gradient[0, :, 0], expected, atol=1e-6)


def test_the_weights_of_group_dro():
  """The gradient by each phrasing's loss is q_i ∝ exp(η L_i); losses are moved through the logit of the target."""
  branches = two_phrasings(P, Q)
  gradient = jax.grad(lambda x: objectives.group_dro(branches._replace(logits=x), 0.8))(branches.logits)
  q = np.array([2**0.8, 4**0.8]) / (2**0.8 + 4**0.8)
  np.testing.assert_allclose(gradient[0, :, 0, 0], q * (np.array([P[0], Q[0]]) - 1), atol=1e-6)


def test_cvar_by_hand():
  """Losses 3, 2, 1 nats: the worst 2/3, and half of 3 phrasings, which takes the second in part."""
  logits = -jnp.array([2.0, 3.0, 1.0])[None, :, None, None] * jnp.array([1.0, 0.0])
  logits = logits.at[..., 1].set(jnp.log1p(-jnp.exp(logits[..., 0])))
  branches = random_branches(batch=2, length=1, classes=2)
  weights = jnp.ones((1, 1))
  branches = branches._replace(
    logits=logits, targets=jnp.zeros((1, 1), int), weights=weights, normalizers=objectives.normalizers(weights)
  )
  for alpha, expected in ((1.0, 2.0), (2 / 3, 2.5), (0.5, (3 + 0.5 * 2) / 1.5), (1 / 3, 3.0), (0.1, 3.0)):
    assert float(objectives.cvar(branches, alpha)) == pytest.approx(expected, abs=1e-5)
  assert float(objectives.worst_phrasing(branches)) == pytest.approx(3.0, abs=1e-5)
  assert float(objectives.group_dro(branches, 1e-3)) == pytest.approx(2.0, abs=1e-2)
  assert float(objectives.group_dro(branches, 100.0)) == pytest.approx(3.0, abs=2e-2)


def test_info_nce_by_hand():
  """Two examples and one of padding: each phrasing against the other example's two, never against its own example."""
  states = np.array([[[1, 0], [0.6, 0.8]], [[0, 1], [-1, 0]], [[1, 0], [1, 0]]], np.float32)
  weights = jnp.asarray([[1.0], [1.0], [0.0]])
  branches = random_branches(batch=3, phrasings=2, length=1)._replace(
    encoded=jnp.asarray(states[:, :, None] * 5),  # cosine does not see lengths
    encoded_mask=jnp.ones((3, 2, 1), int),
    weights=weights,
    normalizers=objectives.normalizers(weights),
  )
  total = 0.0
  for b in (0, 1):
    for i in (0, 1):
      positive = math.exp(float(states[b, i] @ states[b, 1 - i]) / 0.5)
      negatives = sum(math.exp(float(states[b, i] @ other) / 0.5) for other in states[1 - b])
      total -= math.log(positive / (positive + negatives)) / 4
  assert float(objectives.info_nce(branches, 0.5)) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(
  ('objective', 'setting'),
  [(objectives.info_nce, 'temperature'), (objectives.group_dro, 'step_size'), (objectives.cvar, 'alpha')],
)
def test_settings_out_of_range_are_named(objective, setting):
  with pytest.raises(ValueError, match=f'{objective.__name__}.{setting} is 0'):
    objective(random_branches(), **{setting: 0})
