"""What families share: how branches lie in one row, masks, and layers as one loop."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robust_t5x.adapters import AdapterConfig
from robust_t5x.models import layers, protocol
from robust_t5x.models.llama import LlamaConfig
from robust_t5x.models.protocol import SpecialIds
from robust_t5x.models.t5 import T5Config

IDS = SpecialIds(0, 1)


def test_two_branches_in_one_row_by_hand():
  """The start, then two places of each branch: a place sees the start, what is before it in its branch, and itself."""
  positions, visible = layers.branch_layout(2, 3)
  np.testing.assert_array_equal(positions, [0, 1, 2, 1, 2])
  np.testing.assert_array_equal(
    visible,
    [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 0, 0, 1, 0], [1, 0, 0, 1, 1]],
  )


@pytest.mark.parametrize('length', [1, 2, 5])
def test_one_branch_is_an_ordinary_row(length):
  positions, visible = layers.branch_layout(1, length)
  np.testing.assert_array_equal(positions, np.arange(length))
  np.testing.assert_array_equal(visible, np.tri(length))


def test_a_mask_takes_all_weight_off_what_is_hidden_and_stays_finite():
  bias = layers.mask_bias(jnp.array([[1, 1, 0], [0, 0, 0]]), jnp.float32)
  assert bias.shape == (2, 1, 1, 3)
  np.testing.assert_array_equal(bias[0, 0, 0], [0, 0, layers.MASKED])
  assert np.isfinite(bias).all()


def _llama(remat):
  config = LlamaConfig(97, 32, 4, 2, 8, 3, 48, windows=(0, 4, 0), remat=remat)
  adapter = AdapterConfig(3, {'decoder': 2}, lora_rank=2, lora_projections=('query', 'wi'), generator_dim=2)
  return config, adapter


def _t5(remat):
  adapter = AdapterConfig(
    3, {'encoder': 2, 'decoder': 2}, lora_rank=2, lora_projections=('query', 'wi'), generator_dim=2
  )
  return T5Config(97, 32, 2, 16, 3, 2, 48, remat=remat), adapter


@pytest.mark.parametrize(('family', 'remat'), [(_llama, False), (_llama, True), (_t5, False)])
def test_layers_as_one_loop_give_what_they_give_one_by_one(family, remat):
  config, adapter = family(remat)
  tokens = jax.random.randint(jax.random.key(0), (4, 11), 3, 97).at[1, 8:].set(IDS.pad)
  answers = jax.random.randint(jax.random.key(1), (4, 5), 3, 97)
  one_by_one, loop = (dataclasses.replace(config, scan_layers=s).network(adapter) for s in (False, True))
  params = jax.jit(one_by_one.init)(jax.random.key(2), tokens, tokens, answers)['params']
  params = jax.tree.map(lambda x: x + 0.1 * jax.random.normal(jax.random.key(3), x.shape), params)
  again = jax.eval_shape(loop.init, jax.random.key(2), tokens, tokens, answers)['params']
  assert jax.tree.map(jnp.shape, again) == jax.tree.map(jnp.shape, params)

  @partial(jax.jit, static_argnums=0)
  def look(network, params):
    def spread(params):
      logits = protocol.logits(network, params, tokens, answers, IDS.pad)
      return logits.std(), logits

    (_, logits), gradients = jax.value_and_grad(spread, has_aux=True)(params)
    return logits, gradients, protocol.read_layers(network, params, tokens, IDS.pad)[1]

  for one, other in zip(jax.tree.leaves(look(one_by_one, params)), jax.tree.leaves(look(loop, params)), strict=True):
    np.testing.assert_allclose(one, other, atol=2e-4, rtol=1e-4)


def test_a_loop_compiles_one_layer_and_drops_out_in_each_on_its_own():
  config = LlamaConfig(97, 32, 4, 2, 8, 6, 48, dropout_rate=0.5, scan_layers=True)
  network, tokens = config.network(), jnp.ones((1, 5), jnp.int32)
  params = jax.jit(network.init)(jax.random.key(0), tokens, tokens, tokens)['params']
  read = partial(protocol.read_layers, network, params, tokens, IDS.pad)
  text = jax.jit(read).lower().as_text()
  # The products of one layer: seven projections, and queries with keys and weights with values.
  assert text.count('stablehlo.dot_general') == 9
  plain, dropped = read()[1], read(jax.random.key(1))[1]
  steps = dropped[:, 1:] - dropped[:, :-1]
  where = [tuple(np.flatnonzero(step == 0)) for step in np.moveaxis(np.asarray(steps), 1, 0)]
  assert not (plain[:, 1:] == plain[:, :-1]).any() and len(set(where)) == len(where) == 5 and all(where)
