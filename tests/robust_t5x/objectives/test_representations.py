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


def _cosine(a, b):
  return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def _mean_square(a, b):
  return np.mean((a - b) ** 2)


def _relative(a, b):
  return ((a - b) ** 2).sum() / (b**2).sum()


def _read(branches, b):
  """Mean states [K, D] of an example's inputs."""
  states, mask = np.asarray(branches.encoded[b], float), np.asarray(branches.encoded_mask[b])
  return [x[m > 0].mean(0) for x, m in zip(states, mask, strict=True)]


def _contrast(branches, b):
  """InfoNCE of an example, at a temperature of 0.5."""
  own = _read(branches, b)
  others = [x for c in range(len(branches.weights)) if c != b and branches.weights[c].any() for x in _read(branches, c)]
  losses = []
  for i, anchor in enumerate(own):
    against = sum(np.exp(_cosine(anchor, x) / 0.5) for x in others)
    for j, other in enumerate(own):
      if i != j:
        positive = np.exp(_cosine(anchor, other) / 0.5)
        losses.append(-np.log(positive / (positive + against)))
  return np.mean(losses)


def _of_tail(branches, b):
  tail, reference = np.asarray(branches.tail[b], float), np.asarray(branches.reference_tail[b], float)
  return np.mean([_relative(x[place], reference[place]) for x in tail for place in np.ndindex(x.shape[:2])])


# What each is for one example.
OF_EXAMPLE = {
  'encoder_cosine': lambda made, b: np.mean([1 - _cosine(x, _read(made, b)[0]) for x in _read(made, b)[1:]]),
  'encoder_distance': lambda made, b: np.mean([_mean_square(x, _read(made, b)[0]) for x in _read(made, b)[1:]]),
  'decoder_cosine': lambda made, b: np.mean([1 - _cosine(x, made.decoded[b, 0, 0]) for x in made.decoded[b, 1:, 0]]),
  'decoder_distance': lambda made, b: np.mean([_mean_square(x, made.decoded[b, 0, 0]) for x in made.decoded[b, 1:, 0]]),
  'info_nce': _contrast,
  'distil_prompt': _of_tail,
}


@pytest.mark.parametrize('name', OF_EXAMPLE)
def test_written_out_example_by_example(name):
  branches = jax.tree.map(np.asarray, random_branches())
  real = [b for b in range(8) if branches.weights[b].any()]
  assert len(real) == 7
  expected = np.mean([OF_EXAMPLE[name](branches, b) for b in real])
  assert float(EVERY[name](random_branches())) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
  ('name', 'field'),
  [
    *((name, 'encoded') for name in ('encoder_cosine', 'encoder_distance', 'info_nce')),
    *((name, 'decoded') for name in ('decoder_cosine', 'decoder_distance', 'distil_states')),
    ('distil_prompt', 'tail'),
  ],
)
def test_states_of_half_precision_are_compared_in_full(name, field):
  branches = random_branches()
  half = getattr(branches, field).astype(jnp.bfloat16)
  found, expected = (EVERY[name](branches._replace(**{field: x})) for x in (half, half.astype(jnp.float32)))
  assert found.dtype == jnp.float32 and float(found) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize('name', ['encoder_cosine', 'encoder_distance', 'info_nce'])
def test_an_example_of_padding_may_have_no_input(name):
  """The second of the examples, whose inputs are empty, has no part in value or gradient."""
  branches = random_branches()
  empty = branches._replace(encoded_mask=branches.encoded_mask.at[1].set(0))
  evaluate = jax.value_and_grad(lambda x, made: EVERY[name](made._replace(encoded=x)))
  for found, expected in zip(evaluate(branches.encoded, empty), evaluate(branches.encoded, branches), strict=True):
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_state_of_nothing_is_as_far_as_can_be_and_no_nearer():
  """The frozen model's state is 0: the distance is the square by epsilon, which is 1e-9."""
  branches = two_phrasings(P, Q)
  branches = branches._replace(reference_decoded=jnp.zeros((1, 1, 2)))
  assert float(objectives.distil_states(branches)) == pytest.approx((4 + 1) / 2 * 1e9)
  assert objectives.distil_states(branches._replace(decoded=0 * branches.decoded)) == 0


def test_distil_states_written_out_token_by_token():
  branches = jax.tree.map(np.asarray, random_branches())
  total = sum(
    branches.weights[b, t] * np.mean([_relative(x[t], branches.reference_decoded[b, t]) for x in branches.decoded[b]])
    for b, t in np.ndindex(branches.weights.shape)
  )
  expected = total / branches.weights.sum()
  assert float(objectives.distil_states(random_branches())) == pytest.approx(expected, rel=1e-5)


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
