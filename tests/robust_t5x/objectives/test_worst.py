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
  """Losses of 3, 2, 1 nats, and 4, 4, 1: of each the worst 2/3, and half of 3 phrasings, which takes the second in part."""
  logits = -jnp.array([[2.0, 3.0, 1.0], [4.0, 1.0, 4.0]])[..., None, None] * jnp.array([1.0, 0.0])
  logits = logits.at[..., 1].set(jnp.log1p(-jnp.exp(logits[..., 0])))
  branches = random_branches(batch=2, length=1, classes=2)
  weights = jnp.ones((2, 1))
  branches = branches._replace(
    logits=logits, targets=jnp.zeros((2, 1), int), weights=weights, normalizers=objectives.normalizers(weights)
  )
  half = ((3 + 0.5 * 2) / 1.5 + 4) / 2
  for alpha, expected in ((1.0, 2.5), (2 / 3, 3.25), (0.5, half), (1 / 3, 3.5), (0.1, 3.5)):
    assert float(objectives.cvar(branches, alpha)) == pytest.approx(expected, abs=1e-5)
  assert float(objectives.cvar(branches)) == pytest.approx(half, abs=1e-5)
  assert float(objectives.worst_phrasing(branches)) == pytest.approx(3.5, abs=1e-5)
  assert float(objectives.group_dro(branches, 1e-3)) == pytest.approx(2.5, abs=1e-2)
  assert float(objectives.group_dro(branches, 100.0)) == pytest.approx(3.5, abs=2e-2)


def test_a_phrasing_is_as_bad_as_its_mean_token():
  """Losses of log 2 and log 8 and one of padding under the first phrasing, log 4 and log 4 under the second: both log 4."""
  p = jnp.array([[[0.5, 0.5], [0.125, 0.875], [0.01, 0.99]], [[0.25, 0.75], [0.25, 0.75], [0.5, 0.5]]])
  weights = jnp.array([[1.0, 1.0, 0.0]])
  branches = random_branches(batch=2, length=3)._replace(
    logits=jnp.log(p)[None],
    targets=jnp.zeros((1, 3), int),
    weights=weights,
    normalizers=objectives.normalizers(weights),
  )
  for objective in (objectives.worst_phrasing, objectives.cvar, objectives.group_dro):
    assert float(objective(branches)) == pytest.approx(math.log(4), abs=1e-6)
  assert float(objectives.group_dro(two_phrasings(P, Q))) == pytest.approx(math.log((2 + 4) / 2), abs=1e-6)


@pytest.mark.parametrize(
  ('objective', 'setting', 'value'),
  [(objectives.group_dro, 'step_size', 0), (objectives.cvar, 'alpha', 0), (objectives.cvar, 'alpha', 1.01)],
)
def test_settings_out_of_range_are_named(objective, setting, value):
  with pytest.raises(ValueError, match=f'{objective.__name__}.{setting} is {value}'):
    objective(random_branches(), **{setting: value})
