"""The network against Hugging Face's T5, and the network with and without its options."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robust_t5x.checkpoints import huggingface
from robust_t5x.models import protocol, robust, t5, trainable

HF = pathlib.Path(__file__).parents[2] / 'data' / 'hf_t5'
KINDS = ('v1_1', 'v1_0')


class Vocabulary:
  pad_id, eos_id = 0, 1


def _read(directory):
  source = huggingface.HuggingFaceBackbone(str(directory))
  return trainable.unflatten({name: source.read(name) for name in source.shapes})


@pytest.fixture(params=KINDS)
def reference(request):
  directory = HF / request.param
  config = huggingface.load_config(directory)
  params = _read(directory)
  return t5.Transformer(config), params, np.load(directory / 'reference.npz')


def test_configuration_is_read():
  new, old = (huggingface.load_config(HF / kind) for kind in KINDS)
  assert new.mlp_activations == ('gelu', 'linear') and not new.logits_via_embedding
  assert old.mlp_activations == ('relu',) and old.logits_via_embedding
  assert (new.emb_dim, new.num_heads, new.head_dim, new.mlp_dim) == (24, 3, 8, 40)
  assert (new.num_encoder_layers, new.num_decoder_layers, new.relpos_buckets) == (2, 3, 8)


def test_every_weight_has_a_place(reference):
  module, params, _ = reference
  shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *[jnp.ones((1, 4), int)] * 3)['params'])
  ours = {k: v.shape for k, v in trainable.flatten(shapes).items()}
  assert ours == {k: v.shape for k, v in trainable.flatten(params).items()}


def test_encoder_agrees(reference):
  module, params, expected = reference
  encoded, mask, _ = protocol.read(module, params, expected['inputs'], 0)
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


def test_greedy_decoding_agrees_up_to_the_end_token(reference):
  module, params, expected = reference
  model = robust.RobustModel(module, Vocabulary, Vocabulary)
  steps = expected['greedy'].shape[1]
  tokens, scores = jax.jit(model.decode_greedily, static_argnames='max_length')(
    params, expected['inputs'], max_length=steps
  )
  for ours, theirs, score, logits in zip(
    np.asarray(tokens), expected['greedy'], np.asarray(scores), expected['step_logits'], strict=True
  ):
    end = np.flatnonzero(theirs == Vocabulary.eos_id)
    length = end[0] + 1 if len(end) else steps
    np.testing.assert_array_equal(ours[:length], theirs[:length])
    assert not ours[length:].any()
    log_p = jax.nn.log_softmax(jnp.asarray(logits[:length]), axis=-1).max(-1).sum()
    assert score == pytest.approx(float(log_p), abs=1e-4)


def test_weights_survive_a_round_trip(reference, tmp_path):
  module, params, _ = reference
  huggingface.save(tmp_path, module.config, params)
  again = _read(tmp_path)
  assert huggingface.load_config(tmp_path) == module.config
  jax.tree.map(np.testing.assert_array_equal, params, again)


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

  def run(seed):
    context = protocol.read(noisy, params, expected['inputs'], 0, jax.random.key(seed))
    return protocol.answer(noisy, params, context, expected['decoder_inputs']).logits

  a, b = run(0), run(1)
  assert not np.allclose(a, b)
  np.testing.assert_allclose(run(), expected['logits'], atol=1e-3)
