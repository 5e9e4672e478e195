"""What T5X calls on a model, pinned down without T5X: signatures, types and shapes, as t5x/{trainer,utils,eval}.py use them."""

import functools

from clu import metrics as clu_metrics
import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from robust_t5x import adapters, objectives
from robust_t5x.models import robust, t5, trainable
from robust_t5x.training import t5x_support

CONFIG = t5.T5Config(
  vocab_size=40, emb_dim=8, num_heads=2, head_dim=4, num_encoder_layers=1, num_decoder_layers=1, mlp_dim=16
)
SHAPES = {'encoder_input_tokens': (4, 6), 'decoder_input_tokens': (4, 5)}


class Vocabulary:
  pad_id, eos_id = 0, 1


@pytest.fixture
def model():
  start = {'embedding': np.full((3, 8), 0.25, np.float32)}
  return robust.RobustModel(
    t5.Transformer(CONFIG, adapters.AdapterConfig(length=3)),
    Vocabulary,
    Vocabulary,
    optax.sgd(1.0),
    objectives.kl_to_canonical,
    trainable=trainable.Trainable(),
    initial_adapter=lambda _: start,
  )


@pytest.fixture
def params(model):
  # T5X's TrainStateInitializer calls it by these names, under eval_shape and under a jit, and freezes what comes back.
  init = functools.partial(
    model.get_initial_variables, input_shapes=SHAPES, input_types=dict.fromkeys(SHAPES, np.int32)
  )
  shapes = jax.eval_shape(init, rng=jax.random.PRNGKey(0))
  variables = jax.jit(init)(rng=jax.random.PRNGKey(0))
  assert set(variables) == {'params', 'params_axes'}
  assert jax.tree.map(lambda x: x.shape, shapes['params']) == jax.tree.map(lambda x: x.shape, variables['params'])
  return flax.core.freeze(variables['params'])


def _batch(rank=3):
  rng = np.random.default_rng(0)
  shape = (4, 2, 6) if rank == 3 else (4, 6)
  targets = rng.integers(3, 40, (4, 5)).astype(np.int32)
  return {
    'encoder_input_tokens': rng.integers(3, 40, shape).astype(np.int32),
    'decoder_target_tokens': targets,
    'decoder_input_tokens': np.pad(targets, [(0, 0), (1, 0)])[:, :-1],
    'decoder_loss_weights': np.ones_like(targets),
  }


def test_every_parameter_has_logical_axes(model, params):
  axes = model.get_initial_variables(jax.random.PRNGKey(0), SHAPES)['params_axes']
  named = {name.removesuffix('_axes') for name in trainable.flatten(axes)}
  assert named == set(trainable.flatten(params))


def test_the_initialisation_is_traced_once():
  traced = []

  class Counting(robust.RobustModel):
    def initial_variables(self, rng):
      traced.append(rng)
      return super().initial_variables(rng)

  model = Counting(t5.Transformer(CONFIG, adapters.AdapterConfig(length=3)), Vocabulary, Vocabulary)
  shapes, _ = model.variable_shapes()
  adapter = jax.jit(lambda key: model.initialise(key)['params']['adapter'])(jax.random.key(0))
  assert jax.tree.map(jnp.shape, adapter) == jax.tree.map(jnp.shape, shapes['adapter'])
  assert len(traced) == 1


def test_the_adapter_starts_as_given(params):
  np.testing.assert_array_equal(params['adapter']['embedding'], np.full((3, 8), 0.25))


def test_training_moves_only_what_trains(model, params):
  (loss, metrics), gradient = jax.jit(jax.value_and_grad(model.loss_fn, has_aux=True))(
    params, _batch(), jax.random.PRNGKey(1)
  )
  assert loss.shape == () and np.isfinite(loss)
  assert metrics and all(isinstance(m, clu_metrics.Metric) for m in metrics.values())
  flat = trainable.flatten(gradient)
  assert np.abs(flat.pop('adapter/embedding')).max() > 0
  assert all((np.asarray(g) == 0).all() for g in flat.values())


def test_summed_parts_add_up_to_the_whole(model, params):
  batch, key = _batch(), jax.random.PRNGKey(1)
  whole, _ = model.loss_fn(params, batch, key)
  model.summed_parts = 2
  parts = [model.loss_fn(params, {k: v[rows] for k, v in batch.items()}, key)[0] for rows in (slice(2), slice(2, 4))]
  np.testing.assert_allclose(sum(parts), whole, rtol=1e-5)


def test_evaluation_and_inference(model, params):
  batch = _batch(rank=2)
  loss, metrics = model.eval_fn(params, batch)
  assert loss.shape == () and 'loss' in metrics
  assert model.score_batch(params, batch).shape == (4,)
  scores, inner = model.score_batch(params, batch, return_intermediates=True)
  np.testing.assert_allclose(inner['decoder']['token_scores'][0].sum(-1), scores, rtol=1e-5)
  predictions = model.predict_batch(params, batch, rng=jax.random.PRNGKey(0))
  again, aux = model.predict_batch_with_aux(params, batch, rng=jax.random.PRNGKey(0))
  assert predictions.shape == (4, 5) and aux['scores'].shape == (4,)
  np.testing.assert_array_equal(predictions, again)
  assert model.input_vocabulary is Vocabulary and model.output_vocabulary is Vocabulary


def test_the_converter_takes_t5x_arguments(model):
  converter = model.FEATURE_CONVERTER_CLS(pack=False, use_custom_packing_ops=False)
  assert not converter.pack


def test_masks_follow_the_trainable_set(params):
  optimizers = pytest.importorskip('t5x.optimizers', reason='T5X is not installed')
  definition = t5x_support.frozen_optimizer(optax.adam(0.1), trainable.Trainable())
  assert isinstance(definition, optimizers.OptaxWrapper)
  state = definition.init_state(params)
  held = [x for x in jax.tree.leaves(state.param_states) if x.ndim]
  assert sum(x.size for x in held) == 2 * params['adapter']['embedding'].size
  ones = jax.tree.map(jnp.ones_like, params)
  moved, _ = definition.apply_gradient(None, params, state, ones)
  for name, value in trainable.flatten(moved).items():
    same = np.array_equal(value, trainable.flatten(params)[name])
    assert same == (name != 'adapter/embedding'), name
