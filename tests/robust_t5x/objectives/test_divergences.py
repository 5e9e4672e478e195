"""Divergences between distributions: hand-computed values and directions."""

import math

from branches import EVERY, KL_PQ, KL_REFERENCE, P, Q, agreeing, random_branches, two_phrasings
import jax
import numpy as np
import pytest

from robust_t5x import objectives

MEAN = (0.375, 0.25, 0.375)
JS = sum(0.5 * x * math.log(x / m) for d in (P, Q) for x, m in zip(d, MEAN, strict=True))


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('distil_reference', sum(KL_REFERENCE) / 2),
    # The frozen model's mean of REFERENCE and Q.
    (
      'distil_ensemble',
      sum(m * math.log(m / x) for d in (P, Q) for x, m in zip(d, (0.375, 0.3125, 0.3125), strict=True)) / 2,
    ),
    ('anchor_to_reference', KL_REFERENCE[0]),
    ('cross_entropy', -(math.log(0.5) + math.log(0.25)) / 2),
    ('kl_from_canonical', KL_PQ),
    ('kl_to_canonical', KL_PQ),
    ('jensen_shannon', JS),
    ('symmetric_kl', KL_PQ),
    ('consensus', sum(m * math.log(m / x) for d in (P, Q) for x, m in zip(d, MEAN, strict=True)) / 2),
  ],
)
def test_hand_computed(name, expected):
  assert float(EVERY[name](two_phrasings(P, Q))) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
  'name', ['kl_from_canonical', 'kl_to_canonical', 'symmetric_kl', 'jensen_shannon', 'consensus']
)
def test_zero_when_all_phrasings_agree(name):
  branches = random_branches()
  assert abs(float(EVERY[name](agreeing(branches)))) < 1e-5
  assert float(EVERY[name](branches)) > 1e-2


def _kl(p, q):
  return (p * np.log(p / q)).sum()


# What each is for one token: of its distributions [K, V], target, and the frozen model's distributions, canonical and all.
OF_TOKEN = {
  'cross_entropy': lambda p, target, first, every: np.mean([-np.log(x[target]) for x in p]),
  'kl_from_canonical': lambda p, target, first, every: np.mean([_kl(p[0], x) for x in p[1:]]),
  'kl_to_canonical': lambda p, target, first, every: np.mean([_kl(x, p[0]) for x in p[1:]]),
  'symmetric_kl': lambda p, target, first, every: np.mean([(_kl(x, p[0]) + _kl(p[0], x)) / 2 for x in p[1:]]),
  'jensen_shannon': lambda p, target, first, every: np.mean([_kl(x, p.mean(0)) for x in p]),
  'consensus': lambda p, target, first, every: np.mean([_kl(p.mean(0), x) for x in p]),
  'distil_reference': lambda p, target, first, every: np.mean([_kl(first, x) for x in p]),
  'distil_ensemble': lambda p, target, first, every: np.mean([_kl(every.mean(0), x) for x in p]),
  'anchor_to_reference': lambda p, target, first, every: _kl(first, p[0]),
}


@pytest.mark.parametrize('name', OF_TOKEN)
def test_written_out_token_by_token(name):
  branches = random_branches()
  p, first, every = (
    np.asarray(jax.nn.softmax(x), float) for x in (branches.logits, branches.reference, branches.references)
  )
  weights = np.asarray(branches.weights)
  total = sum(
    weights[b, t] * OF_TOKEN[name](p[b, :, t], branches.targets[b, t], first[b, t], every[b, :, t])
    for b, t in np.ndindex(weights.shape)
  )
  assert float(EVERY[name](branches)) == pytest.approx(total / weights.sum(), rel=1e-5)


def test_directions_differ_where_the_divergence_is_not_symmetric():
  branches = two_phrasings((0.9, 0.05, 0.05), (0.4, 0.3, 0.3))
  forward = 0.9 * math.log(0.9 / 0.4) + 0.1 * math.log(0.05 / 0.3)
  backward = 0.4 * math.log(0.4 / 0.9) + 0.6 * math.log(0.3 / 0.05)
  assert float(objectives.kl_to_canonical(branches)) == pytest.approx(forward, abs=1e-6)
  other = objectives.kl_to_canonical(branches, direction='to_canonical')
  assert float(other) == pytest.approx(backward, abs=1e-6)


def test_label_smoothing_and_z_loss_by_hand():
  branches = two_phrasings(P, P)
  branches = branches._replace(logits=branches.logits + 1.5)  # so that log Z = 1.5
  low, high = 0.05, 0.9
  expected = -high * math.log(0.5) - low * 2 * math.log(0.25)
  expected += high * math.log(high) + 2 * low * math.log(low) + 0.5 * 1.5**2
  value = objectives.cross_entropy(branches, label_smoothing=0.1, z_loss=0.5)
  assert float(value) == pytest.approx(expected, abs=1e-5)


def test_unknown_direction_is_named():
  with pytest.raises(ValueError, match="'sideways'"):
    objectives.kl_to_canonical(random_branches(), direction='sideways')


def test_consensus_pulls_towards_the_mean_and_holds_it_still():
  """The gradient by an example's logits is (p_i − m) / K, of softmax and cross-entropy with a constant target."""
  branches = two_phrasings(P, Q)
  gradient = jax.grad(lambda x: objectives.consensus(branches._replace(logits=x)))(branches.logits)
  expected = (np.array([P, Q]) - np.array(MEAN)) / 2
  np.testing.assert_allclose(gradient[0, :, 0], expected, atol=1e-6)
