"""The worst phrasings: hand-computed values and weights."""

import math

from branches import EVERY, P, Q, random_branches, two_phrasings
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robust_t5x import objectives


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('group_dro', math.log((2**0.8 + 4**0.8) / 2) / 0.8),
    ('cvar', math.log(4)),
    ('worst_phrasing', math.log(4)),
  ],
)
def test_hand_computed(name, expected):
  assert float(EVERY[name](two_phrasings(P, Q))) == pytest.approx(expected, abs=1e-6)


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


@pytest.mark.parametrize(
  ('objective', 'setting'),
  [(objectives.group_dro, 'step_size'), (objectives.cvar, 'alpha')],
)
def test_settings_out_of_range_are_named(objective, setting):
  with pytest.raises(ValueError, match=f'{objective.__name__}.{setting} is 0'):
    objective(random_branches(), **{setting: 0})
