"""Distances between states: hand-computed values, and what is held still."""

import math

from branches import EVERY, P, Q, agreeing, random_branches, two_phrasings
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robust_t5x import objectives


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('distil_states', (1 + 10) / 2 / 5),
    ('encoder_cosine', 1 - 1 / math.sqrt(2)),
    ('encoder_distance', 0.5),
    ('decoder_cosine', 2.0),
    ('decoder_distance', 4.5),
    ('info_nce', 0.0),  # the one example has nothing to be told from
  ],
)
def test_hand_computed(name, expected):
  assert float(EVERY[name](two_phrasings(P, Q))) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize('name', ['encoder_cosine', 'encoder_distance', 'decoder_cosine', 'decoder_distance'])
def test_zero_when_all_phrasings_agree(name):
  branches = random_branches()
  assert abs(float(EVERY[name](agreeing(branches)))) < 1e-5
  assert float(EVERY[name](branches)) > 1e-2


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
  [(objectives.info_nce, 'temperature')],
)
def test_settings_out_of_range_are_named(objective, setting):
  with pytest.raises(ValueError, match=f'{objective.__name__}.{setting} is 0'):
    objective(random_branches(), **{setting: 0})
