"""Low-rank additions: they are what adding them to the kernels is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_adapters import ATTENTION, CONFIG, PROJECTED, build, logits_of

from robust_t5x.adapters import LowRank, add_low_rank
from robust_t5x.models import t5, trainable


@pytest.mark.parametrize('kind', ['lora', 'lora_all'])
def test_lora_is_what_adding_it_to_the_kernels_is(kind):
  """Against the plain network with kernel + down · up in the place of each kernel that is added to."""
  module, params = build(kind)
  rng = np.random.default_rng(0)
  flat = {
    k: rng.normal(size=v.shape).astype(np.float32) if '_up' in k else v for k, v in trainable.flatten(params).items()
  }
  merged = {k: v for k, v in flat.items() if not k.startswith('adapter/')}
  attention = {'encoder': 'attention', 'decoder': 'self_attention', 'cross': 'encoder_decoder_attention'}
  for stack, names in PROJECTED.items():
    for name in names if kind == 'lora_all' else ('query', 'value'):
      block = attention[stack] if name in ATTENTION else 'mlp'
      for i in range(2):
        down, up = (np.asarray(flat[f'adapter/{stack}_lora_{name}_{part}'][i]) for part in ('down', 'up'))
        kernel = f'{"encoder" if stack == "encoder" else "decoder"}/layers_{i}/{block}/{name}/kernel'
        merged[kernel] = merged[kernel] + down.reshape(-1, 2) @ up.reshape(2, -1)
  assert len(flat) - len(merged) == sum(merged[k] is not flat[k] for k in merged)  # down and up, each of two layers
  expected = logits_of(t5.Transformer(CONFIG), trainable.unflatten(merged))
  actual = logits_of(module, trainable.unflatten(flat))
  np.testing.assert_allclose(actual, expected, atol=1e-4 * np.abs(expected).max())


def _activated(inputs, addition):
  return jnp.tanh(add_low_rank(jnp.zeros((5, 9, 3, 7)), inputs, addition)).sum()


def test_derivatives_are_those_of_the_products():
  """Heads as outputs, against the derivatives that JAX takes of a sum over every index."""
  rng = np.random.default_rng(0)
  inputs, down, up = (rng.normal(size=s).astype(np.float32) for s in ((5, 9, 4), (4, 2), (2, 3, 7)))

  def plain(inputs, addition):
    return jnp.tanh(jnp.einsum('nqi,ir,rhf->nqhf', inputs, addition.down, addition.up)).sum()

  actual, expected = (jax.grad(f, argnums=(0, 1))(inputs, LowRank(down, up)) for f in (_activated, plain))
  jax.tree.map(lambda a, e: np.testing.assert_allclose(a, e, atol=1e-4), actual, expected)


def test_nothing_as_large_as_the_outputs_is_transposed():
  """A CPU computes what it transposes in a loop of strides; that was half of a step's time."""
  shapes = jnp.zeros((5, 9, 4)), LowRank(jnp.zeros((4, 2)), jnp.zeros((2, 3, 7)))
  program = jax.jit(jax.grad(_activated, argnums=1)).lower(*shapes).compile().as_text()
  assert 'f32[21,45]' not in program
