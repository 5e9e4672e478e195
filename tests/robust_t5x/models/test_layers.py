"""What families share: how branches lie in one row, masks, and layers as one loop."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robust_t5x.adapters import AdapterConfig, LowRank
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
  np.testing.assert_array_equal(jax.nn.softmax(bias[0, 0, 0] + jnp.array([0.0, 0.0, 9.0])), [0.5, 0.5, 0])
  assert np.isfinite(bias).all()


def test_a_linear_map_and_its_bias_by_hand():
  kernel, x = jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([[1.0, 10.0]])
  plain, biased = (layers.Dense(2, ('embed', 'mlp'), jnp.float32, bias=bias) for bias in (False, True))
  assert plain.apply({'params': {'kernel': kernel}}, x).tolist() == [[31, 42]]
  assert biased.apply({'params': {'kernel': kernel, 'bias': jnp.array([0.5, -2.0])}}, x).tolist() == [[31.5, 40]]
  params = biased.init(jax.random.key(0), jnp.ones((1, 400)))['params']
  assert params['kernel'].std() == pytest.approx(1 / 20, rel=0.1) and not params['bias'].any()
  assert set(plain.init(jax.random.key(0), x)['params']) == {'kernel'}


def test_normalisation_by_hand():
  """The root of the mean square of 3 and 4 is √12.5; of states as small as the root of epsilon, √2 times their own."""
  norm = layers.LayerNorm(jnp.float32)
  made = norm.apply({'params': {'scale': jnp.array([1.0, 2.0])}}, jnp.array([[3.0, 4.0], [1e-3, 1e-3]]))
  np.testing.assert_allclose(made, [[3 / 12.5**0.5, 8 / 12.5**0.5], [0.5**0.5, 2**0.5]], rtol=1e-5)
  assert norm.init(jax.random.key(0), jnp.ones((1, 3)))['params']['scale'].tolist() == [1, 1, 1]


def _gated(**settings):
  return layers.MLP(2, {'wi_0': 'linear', 'wi_1': 'relu'}, jnp.float32, **settings)


GATED = {'wi_0': [[1.0, 0.0], [0.0, 1.0]], 'wi_1': [[1.0, 0.0], [-1.0, 1.0]], 'wo': [[1.0, 1.0], [1.0, -1.0]]}


def test_a_gated_mlp_by_hand():
  """1 and 2 go to (1, 2) · relu(-1, 2) = (0, 4), and out as 4 and -4."""
  kernels = {name: {'kernel': jnp.array(kernel)} for name, kernel in GATED.items()}
  x = jnp.array([[[1.0, 2.0]]])
  mlp = partial(_gated().apply, {'params': kernels}, x, deterministic=True)
  assert mlp({}).tolist() == [[[4, -4]]]
  # Three times the first input to the first gate, which is 2 then; ten and twenty times the sum of the inner states to the outputs.
  assert mlp({'wi_1': LowRank(jnp.array([[1.0], [0.0]]), jnp.array([[3.0, 0.0]]))}).tolist() == [[[6, -2]]]
  assert mlp({'wo': LowRank(jnp.ones((2, 1)), jnp.array([[10.0, 20.0]]))}).tolist() == [[[44, 76]]]
  biases = {name: kernel | {'bias': jnp.ones(2)} for name, kernel in kernels.items()}  # (2, 3) · relu(0, 3) = (0, 9)
  assert _gated(bias=True).apply({'params': biases}, x, {}, True).tolist() == [[[10, -8]]]


def test_an_mlp_drops_the_same_inner_states_at_every_position():
  kernels = {name: {'kernel': jnp.array(kernel)} for name, kernel in GATED.items()}
  x = jnp.tile(jnp.array([3.0, 1.0]), (20, 5, 1))  # (3, 1) · relu(2, 1) = (6, 1), out as 7 and 5; twice as much is kept
  rngs = {'dropout': jax.random.key(0)}
  dropped = _gated(dropout_rate=0.5).apply({'params': kernels}, x, {}, False, rngs=rngs)
  assert (dropped == dropped[:, :1]).all()
  assert {tuple(row) for row in dropped[:, 0].tolist()} == {(0, 0), (12, 12), (2, -2), (14, 10)}
  assert _gated().apply({'params': kernels}, x, {}, False)[0, 0].tolist() == [7, 5]


def test_embeddings_by_hand():
  embedder = layers.Embedder(3, 4, jnp.bfloat16)
  table = {'params': {'embedding': jnp.arange(12.0).reshape(3, 4)}}
  found = embedder.apply(table, jnp.array([[2, 0]]))
  assert found.dtype == jnp.bfloat16 and found.tolist() == [[[8, 9, 10, 11], [0, 1, 2, 3]]]
  logits = embedder.apply(
    table, jnp.array([[[2.0, 0, 0, 4]]]), method='attend'
  )  # half of twice the first and four times the last
  assert logits.dtype == jnp.float32 and logits.tolist() == [[[6, 18, 30]]]


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


def test_layers_that_are_computed_again_drop_out_when_others_do():
  config, tokens = LlamaConfig(97, 32, 4, 2, 8, 2, 48, dropout_rate=0.5), jnp.ones((1, 5), jnp.int32)
  plain, again = (dataclasses.replace(config, remat=remat).network() for remat in (False, True))
  params = jax.jit(plain.init)(jax.random.key(0), tokens, tokens, tokens)['params']
  expected, found, dropped = (
    protocol.read_layers(network, params, tokens, IDS.pad, *key)[1]
    for network, key in ((plain, ()), (again, ()), (again, (jax.random.key(1),)))
  )
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
  assert (dropped != found).any()
  programs = [str(jax.make_jaxpr(partial(protocol.read_layers, x, params, tokens, IDS.pad))()) for x in (plain, again)]
  assert ['remat' in program for program in programs] == [False, True]


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
