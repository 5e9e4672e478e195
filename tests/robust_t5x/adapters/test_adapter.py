"""The adapter in a network: it starts without effect, can be decoded with, and makes values from the input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_adapters import CONFIG, INPUTS, KINDS, OUTPUTS, PROJECTED, build, logits_of

from robust_t5x import adapters
from robust_t5x.models import protocol, t5, trainable


@pytest.mark.parametrize(
  ('kind', 'closed'),
  [
    ('prefix', ['encoder_gate', 'decoder_gate']),
    ('cross', ['cross_gate']),
    ('generated', ['encoder_gate']),
    ('lora', [f'{stack}_lora_{name}_up' for stack in PROJECTED for name in ('query', 'value')]),
    ('lora_all', [f'{stack}_lora_{name}_up' for stack, names in PROJECTED.items() for name in names]),
  ],
)
def test_what_is_added_to_attention_starts_without_effect_and_can_have_one(kind, closed):
  module, params = build(kind)
  flat = trainable.flatten(params)
  backbone = {k: v for k, v in flat.items() if not k.startswith('adapter/')}
  plain = logits_of(t5.Transformer(CONFIG), trainable.unflatten(backbone))
  np.testing.assert_array_equal(logits_of(module, params), plain)
  gradient = trainable.flatten(jax.grad(lambda p: (logits_of(module, p) ** 2).sum())(params))
  for name in closed:
    assert np.abs(gradient[f'adapter/{name}']).max() > 0, name
    opened = trainable.unflatten({**flat, f'adapter/{name}': jnp.ones_like(flat[f'adapter/{name}'])})
    assert np.abs(logits_of(module, opened) - plain).max() > 1e-4


@pytest.mark.parametrize('kind', KINDS)
def test_cached_decoding_with_an_adapter(kind):
  module, params = build(kind)
  flat = trainable.flatten(params)
  params = trainable.unflatten({k: jnp.ones_like(v) if k.endswith(('gate', 'up')) else v for k, v in flat.items()})
  context = jax.jit(lambda p: protocol.read(module, p, INPUTS, 0))(params)
  whole = logits_of(module, params)
  step = jax.jit(lambda cache, token: protocol.step(module, params, context, cache, token, 3))
  cache = protocol.begin(module, params, context, 3, protocol.SpecialIds(pad=0, end=1))
  for i in range(3):
    logits, cache = step(cache, OUTPUTS[:, i : i + 1])
    np.testing.assert_allclose(logits, whole[:, i], atol=1e-5)


def test_a_generated_prefix_depends_on_the_input_and_not_on_its_padding():
  module, params = build('generated')
  flat = {**trainable.flatten(params), 'adapter/encoder_gate': jnp.ones((2, 2))}
  fixed = logits_of(module, trainable.unflatten(flat))
  rng = np.random.default_rng(0)
  for name in ('pool', 'up'):
    flat[f'adapter/generator_{name}'] = rng.normal(size=flat[f'adapter/generator_{name}'].shape).astype(np.float32)
  params = trainable.unflatten(flat)
  logits = logits_of(module, params)
  assert np.abs(logits - fixed).max(axis=(1, 2)).min() > 1e-4  # in every row
  np.testing.assert_allclose(logits_of(module, params, np.pad(INPUTS, [(0, 0), (0, 5)])), logits, atol=1e-5)

  def added(inputs):
    bound = module.bind({'params': params})
    embedded, mask = bound.token_embedder(inputs), (inputs > 0).astype(int)
    return bound.adapter_module.layers('encoder', embedded, mask).prefix.value - flat['adapter/encoder_value'][:, None]

  values = added(INPUTS)
  assert values.shape == (2, 2, 3, 2, 4)
  # By hand, in numpy: normalised embeddings, weighed by their match, through the two matrices.
  x = np.asarray(flat['token_embedder/embedding'])[INPUTS[1, :2]]
  x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6)
  weights = np.exp(x @ flat['adapter/generator_pool'])
  inner = jax.nn.gelu(weights @ x / weights.sum() @ np.asarray(flat['adapter/generator_down']))
  expected = np.einsum('r,lrphf->lphf', inner, flat['adapter/generator_up'])
  np.testing.assert_allclose(values[:, 1], expected, rtol=1e-4, atol=1e-5)
  with pytest.raises(adapters.AdapterError, match='without a prefix'):
    adapters.AdapterConfig(generator_dim=2)
