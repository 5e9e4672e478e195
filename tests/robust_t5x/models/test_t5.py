"""The network against Hugging Face's T5, and the network with and without its options."""

import dataclasses

import hf_t5
from hf_t5 import KINDS
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robust_t5x.models import protocol, t5, trainable


@pytest.fixture(params=KINDS)
def reference(request):
  return hf_t5.reference(request.param)


def test_every_weight_has_a_place(reference):
  module, params, _ = reference
  shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *[jnp.ones((1, 4), int)] * 3)['params'])
  ours = {k: v.shape for k, v in trainable.flatten(shapes).items()}
  assert ours == {k: v.shape for k, v in trainable.flatten(params).items()}


def test_encoder_agrees(reference):
  module, params, expected = reference
  encoded, mask, *_ = protocol.read(module, params, expected['inputs'], 0)
  real = expected['inputs'] > 0
  np.testing.assert_array_equal(mask, real)
  scale = np.abs(expected['encoded'][real]).max()
  np.testing.assert_allclose(np.asarray(encoded)[real], expected['encoded'][real], atol=1e-5 * max(scale, 1), rtol=1e-5)


def test_teacher_forced_logits_agree(reference):
  module, params, expected = reference
  logits = protocol.logits(module, params, expected['inputs'], expected['decoder_inputs'], 0)
  scale = np.abs(expected['logits']).max()
  np.testing.assert_allclose(logits, expected['logits'], atol=1e-5 * max(scale, 1), rtol=1e-5)


def test_cached_decoding_agrees_step_by_step(reference):
  module, params, expected = reference
  context = protocol.read(module, params, expected['inputs'], 0)
  steps = expected['greedy'].shape[1]
  token = np.zeros((4, 1), np.int32)
  cache = protocol.begin(module, params, context, steps, protocol.SpecialIds(pad=0, end=1))
  scale = np.abs(expected['step_logits']).max()
  for i in range(steps):
    logits, cache = protocol.step(module, params, context, cache, token, steps)
    np.testing.assert_allclose(logits, expected['step_logits'][:, i], atol=1e-5 * max(scale, 1), rtol=1e-5)
    token = expected['greedy'][:, i : i + 1]


@pytest.mark.parametrize('length', [1, 2, 7, 40, 200])
def test_position_buckets_are_within_range_and_exact_when_near(length):
  both = t5.relative_position_buckets(length, length, True, 32, 128)
  past = t5.relative_position_buckets(length, length, False, 32, 128)
  assert both.min() >= 0 and both.max() < 32 and past.max() < 32
  for distance in range(min(length, 8)):
    assert both[length - 1, length - 1 - distance] == distance
  for distance in range(1, min(length, 8)):
    assert both[0, distance] == 16 + distance
    assert past[0, distance] == 0  # a key after the query has the bucket of distance 0


def test_rematerialisation_changes_nothing(reference):
  module, params, expected = reference
  remat = t5.Transformer(dataclasses.replace(module.config, remat=True))

  def loss(m, p):
    return protocol.logits(m, p, expected['inputs'], expected['decoder_inputs'], 0).var()

  a, b = (jax.jit(jax.value_and_grad(lambda p, m=m: loss(m, p)))(params) for m in (module, remat))
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), a, b)


def test_bfloat16_stays_close(reference):
  module, params, expected = reference
  low = t5.Transformer(dataclasses.replace(module.config, dtype='bfloat16'))
  logits = protocol.logits(low, params, expected['inputs'], expected['decoder_inputs'], 0)
  assert logits.dtype == jnp.float32
  correlation = np.corrcoef(np.ravel(logits), np.ravel(expected['logits']))[0, 1]
  assert correlation > 0.99


def test_dropout_is_random_only_when_asked_for(reference):
  module, params, expected = reference
  noisy = t5.Transformer(dataclasses.replace(module.config, dropout_rate=0.5))

  def run(key=None):
    keys = (None, None) if key is None else jax.random.split(key)
    context = protocol.read(noisy, params, expected['inputs'], 0, keys[0])
    return protocol.answer(noisy, params, context, expected['decoder_inputs'], dropout_rng=keys[1]).logits

  a, b = (run(jax.random.key(i)) for i in range(2))
  assert not np.allclose(a, b)
  np.testing.assert_allclose(run(), expected['logits'], atol=1e-3)
