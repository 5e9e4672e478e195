"""The training step: what moves, and that devices and microbatches change nothing."""

import re
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_training

from robust_t5x import adapters, objectives
from robust_t5x.models import protocol, robust, trainable
from robust_t5x.runtime import partitioning
from robust_t5x.training import step as step_lib

families = pytest.mark.parametrize('config', small_training.CONFIGS.values(), ids=small_training.CONFIGS)
OBJECTIVES = ['kl_to_canonical', 'encoder_cosine', 'decoder_distance', 'distil_reference', 'distil_states', 'group_dro']


def _values(metrics):
  return {name: float(metric.compute()) for name, metric in metrics.items()}


def _assert_same(step_a, step_b):
  (state_a, metrics_a), (state_b, metrics_b) = step_a, step_b
  flat_b = trainable.flatten(state_b.params)
  for name, value in trainable.flatten(state_a.params).items():
    np.testing.assert_allclose(value, flat_b[name], atol=2e-5, err_msg=name)
  values_a, values_b = _values(metrics_a), _values(metrics_b)
  assert values_a == pytest.approx(values_b, rel=1e-4)


@families
def test_only_the_adapter_is_differentiated(config):
  model, state, frozen = small_training.start(config=config)
  assert set(trainable.flatten(state.params)) == {'adapter/embedding'}
  slots = [x.shape for x in jax.tree.leaves(state.opt_state) if x.ndim]
  assert set(slots) == {(3, 8)}
  new, metrics = jax.jit(step_lib.make_train_step(model))(state, frozen, small_training.batch())
  assert np.abs(new.params['adapter']['embedding'] - state.params['adapter']['embedding']).max() > 0.01
  assert set(metrics) == {'loss', 'cross_entropy', 'token_accuracy', 'alignment', 'agreement', 'gradient_norm'}
  values = _values(metrics)
  assert values['loss'] == pytest.approx(0.5 * values['cross_entropy'] + 0.5 * values['alignment'], rel=1e-5)


@pytest.mark.parametrize(
  ('family', 'objective'), [*(('t5', name) for name in OBJECTIVES), ('llama', 'encoder_distance')]
)
def test_microbatches_change_nothing(family, objective):
  model, state, frozen = small_training.start(objective, small_training.CONFIGS[family])
  whole = jax.jit(step_lib.make_train_step(model))(state, frozen, small_training.batch())
  parts = jax.jit(step_lib.make_train_step(model, microbatches=4))(state, frozen, small_training.batch())
  _assert_same(whole, parts)


@pytest.mark.parametrize(
  ('family', 'objective'),
  [*(('t5', name) for name in (*OBJECTIVES, 'info_nce')), ('llama', 'distil_states'), ('llama', 'info_nce')],
)
def test_pmap_over_eight_devices_equals_one(family, objective):
  model, state, frozen = small_training.start(objective, small_training.CONFIGS[family])
  one = jax.jit(step_lib.make_train_step(model))(state, frozen, small_training.batch())
  step = jax.pmap(step_lib.make_train_step(model, axis_name='devices'), axis_name='devices', in_axes=(None, None, 0))
  states, metrics = step(state, frozen, jax.tree.map(lambda x: x.reshape(8, 2, *x.shape[1:]), small_training.batch()))
  for leaf in jax.tree.leaves(states.params):
    assert (np.asarray(leaf) == np.asarray(leaf)[0]).all()
  first = jax.tree.map(lambda x: x[0], (states, metrics))
  values = _values(first[1])
  # The norm is averaged over its eight equal copies, whose numerator and count psum has not touched.
  assert values['gradient_norm'] == pytest.approx(_values(one[1])['gradient_norm'], rel=1e-4)
  _assert_same(one, first)


def test_a_step_that_is_not_finite_keeps_the_last_good_state():
  model, state, frozen = small_training.start()
  broken = jax.tree.map(lambda x: x * jnp.nan, frozen)
  step = jax.jit(step_lib.make_train_step(model))
  good, _ = step(state, frozen, small_training.batch())
  bad, _ = step(good, broken, small_training.batch())
  assert not bad.finite
  assert int(bad.step) == int(good.step) == 1
  np.testing.assert_array_equal(bad.params['adapter']['embedding'], good.params['adapter']['embedding'])
  after, _ = step(bad, frozen, small_training.batch())
  assert not after.finite  # stays off until somebody looks


def test_a_gradient_that_is_not_finite_counts_though_the_loss_is():
  model, state, frozen = _stub(lambda params, key: jnp.sqrt(0 * params['x'] ** 2))
  after, _ = step_lib.make_train_step(model)(state, frozen, {'part': jnp.zeros(1)})
  assert not after.finite and int(after.step) == 0 and float(after.params['x']) == 1


def _stub(loss, dropout_rate=0.0):
  """(model, state, frozen parameters) of a loss of (parameters, key) alone, whose metrics are the loss and its square."""

  def loss_fn(params, batch, key, normalizers):
    value = loss(params, key)
    return value, {'loss': value, 'square': value**2}

  config = types.SimpleNamespace(dropout_rate=dropout_rate)
  model = types.SimpleNamespace(
    optimizer_def=optax.sgd(0.0), module=types.SimpleNamespace(config=config), loss_fn=loss_fn,
    normalizers=lambda batch, axis_name: None,
  )  # fmt: skip
  return model, step_lib.initial_state({'x': jnp.ones(())}, model.optimizer_def), {}


def test_every_part_of_every_step_has_dropout_of_its_own():
  model, state, frozen = _stub(lambda params, key: params['x'] * jax.random.uniform(key), dropout_rate=0.1)
  batch = {'part': jnp.zeros(4)}
  step = step_lib.make_train_step(model, microbatches=2)
  next_state, metrics = step(state, frozen, batch)
  # Of two equal parts the sum of squares is half of the sum's square.
  assert abs(metrics['square'] - metrics['loss'] ** 2 / 2) > 1e-4
  assert step(state, frozen, batch)[1]['loss'] == metrics['loss']
  assert step(next_state, frozen, batch)[1]['loss'] != metrics['loss']
  assert step_lib.make_train_step(model, 2, seed=1)(state, frozen, batch)[1]['loss'] != metrics['loss']
  shared = jax.vmap(step_lib.make_train_step(model, axis_name='d'), in_axes=(None, None, 0), axis_name='d')
  _, metrics = shared(state, frozen, {'part': jnp.zeros((2, 1))})
  assert abs(metrics['square'][0] - metrics['loss'][0] ** 2 / 2) > 1e-4


@pytest.mark.parametrize(('replicas', 'shares'), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_a_compiled_step_sums_over_replicas_and_takes_the_state_alone(replicas, shares):
  """The loss of each replica is twice x, which is 1, whatever it is split over; the state's memory is the next one's."""
  model, state, _ = _stub(lambda params, key: 2 * params['x'])
  mesh = partitioning.make_mesh(shares, jax.devices()[: replicas * shares])
  frozen, batch = {'y': jnp.ones(3)}, {'part': jnp.zeros(4)}
  state, frozen = jax.device_put((state, frozen), partitioning.replicated(mesh))
  new, metrics = step_lib.compiled_step(model, mesh)(state, frozen, batch)
  assert int(new.step) == 1 and metrics['loss'] == 2 * replicas
  assert _values({'norm': metrics['gradient_norm']}) == {'norm': 2 * replicas}
  assert state.params['x'].is_deleted() and not frozen['y'].is_deleted() and not batch['part'].is_deleted()


def test_without_dropout_there_is_no_key():
  model, state, frozen = _stub(lambda params, key: params['x'] * (1.0 if key is None else 2.0))
  assert step_lib.make_train_step(model)(state, frozen, {'part': jnp.zeros(1)})[1]['loss'] == 1


def test_every_replica_gets_as_many_examples_in_every_microbatch():
  mesh = types.SimpleNamespace(shape={'data': 4, 'model': 3})
  step_lib.check_batch(16, 2, mesh)
  step_lib.check_batch(16, 4, mesh)
  for size, microbatches in ((12, 2), (4, 2), (16, 3)):
    with pytest.raises(ValueError, match=rf'BATCH_SIZE is {size}; .* \({microbatches}\) times the 4 replicas'):
      step_lib.check_batch(size, microbatches, mesh)


def test_the_compiler_may_sum_in_any_order_on_a_cpu_alone():
  cpu, tpu = (types.SimpleNamespace(devices=np.array([[types.SimpleNamespace(platform=p)]])) for p in ('cpu', 'tpu'))
  assert step_lib.compiler_options(cpu)['xla_cpu_enable_fast_math']
  assert step_lib.compiler_options(tpu) == {}


@families
def test_t5x_protocol(config):
  """What T5X's trainer, evaluator and inferer call, on features as its own models take them."""
  model, state, frozen = small_training.start(config=config)
  params = trainable.merge(state.params, frozen)
  batch = small_training.batch(phrasings=1)
  flat = {**batch, 'encoder_input_tokens': batch['encoder_input_tokens'][:, 0]}
  loss, metrics = model.loss_fn(params, flat, jax.random.key(0))
  assert float(loss) == pytest.approx(_values(metrics)['cross_entropy'], rel=1e-6)
  assert float(model.eval_fn(params, flat)[0]) == pytest.approx(float(loss))
  scores, extra = model.score_batch(params, flat, return_intermediates=True)
  np.testing.assert_allclose(-scores.sum() / flat['decoder_loss_weights'].sum(), loss, rtol=1e-5)
  np.testing.assert_allclose(extra['decoder']['token_scores'][0].sum(-1), scores, rtol=1e-5)
  tokens, aux = model.predict_batch_with_aux(params, flat)
  np.testing.assert_array_equal(tokens, model.predict_batch(params, flat))
  assert aux['scores'].shape == (16,)
  variables = model.get_initial_variables(
    jax.random.key(0), {'encoder_input_tokens': (8, 6), 'decoder_input_tokens': (8, 4)}
  )
  axes = trainable.flatten(variables['params_axes'])
  assert {name.removesuffix('_axes') for name in axes} == set(trainable.flatten(variables['params']))


@families
def test_options_are_scored_as_targets(config):
  """Scores of options behind one shared reading are those of each option as a target."""
  model, state, frozen = small_training.start(config=config)
  params = trainable.merge(state.params, frozen)
  batch = small_training.batch(examples=4, phrasings=1)
  options = np.random.default_rng(1).integers(3, 40, (4, 3, 4)).astype(np.int32)
  options[:, 1, 2:] = 0
  inputs = batch['encoder_input_tokens'][:, 0]
  together = model.score_options(params, inputs, options)
  for c in range(3):
    targets = options[:, c]
    one = {
      'encoder_input_tokens': inputs,
      'decoder_target_tokens': targets,
      'decoder_input_tokens': np.pad(targets, [(0, 0), (1, 0)])[:, :-1],
    }
    np.testing.assert_allclose(together[:, c], model.score_batch(params, one), rtol=1e-5)


@families
def test_the_tail_is_the_last_tokens_behind_every_layer(config):
  model, state, frozen = small_training.start('distil_prompt', config, adapters.AdapterConfig(lora_rank=2))
  batch = small_training.batch()
  made = model.branches(trainable.merge(state.params, frozen), batch)
  tokens = batch['encoder_input_tokens'][:, 1]
  _, layers = protocol.read_layers(config.network(), frozen, tokens, model.ids.pad)
  ends = (tokens != model.ids.pad).sum(axis=1) - 1
  # LoRA starts without effect.
  expected = np.asarray(layers)[np.arange(len(tokens)), :, ends]
  np.testing.assert_allclose(made.tail[:, 1, :, 0], expected, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(made.reference_tail, made.tail[:, 0], rtol=1e-5, atol=1e-5)


@families
def test_the_reference_is_the_model_without_adapter_under_the_canonical_phrasing(config):
  model, state, frozen = small_training.start('distil_reference', config)
  params = trainable.merge(state.params, frozen)
  batch = small_training.batch()
  made = model.branches(params, batch)
  plain = robust.RobustModel(config.network(), small_training.Vocabulary, small_training.Vocabulary)
  canonical = batch['encoder_input_tokens'][:, 0]
  alone = plain.branches(frozen, {**batch, 'encoder_input_tokens': canonical})
  np.testing.assert_allclose(made.reference, alone.logits[:, 0], rtol=1e-6, atol=1e-6)
  np.testing.assert_allclose(made.reference_decoded, alone.decoded[:, 0], rtol=1e-6, atol=1e-6)
  assert made.references is None and small_training.start(config=config)[0].branches(params, batch).reference is None
  every = small_training.start('distil_ensemble', config)[0].branches(params, batch).references
  paraphrase = plain.branches(frozen, {**batch, 'encoder_input_tokens': batch['encoder_input_tokens'][:, 1]})
  np.testing.assert_allclose(every[:, 0], alone.logits[:, 0], rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(every[:, 1], paraphrase.logits[:, 0], rtol=1e-5, atol=1e-5)
  # A prefix starts without effect, so the anchor starts at nothing.
  prefixed = robust.RobustModel(
    config.network(adapters.AdapterConfig(prefix_lengths={'all': 2})), small_training.Vocabulary, small_training.Vocabulary,
    alignment_objective=objectives.anchor_to_reference, alignment_weight=1.0,
  )  # fmt: skip
  params = jax.jit(prefixed.initial_variables)(jax.random.key(0))['params']
  assert float(prefixed.loss_fn(params, batch, None)[0]) == pytest.approx(0.0, abs=1e-6)


def test_a_fixed_canonical_phrasing_is_only_what_the_others_are_drawn_to():
  """Value and gradient are those of the likelihood of the others plus the divergence from a constant."""
  config = small_training.CONFIG
  model, state, frozen = small_training.start(config=config, canonical_trains=False)
  batch = small_training.batch()
  others = {**batch, 'encoder_input_tokens': batch['encoder_input_tokens'][:, 1:]}
  likelihood, divergence = (small_training.start(config=config, alignment_weight=w)[0] for w in (0.0, 1.0))

  def loss(which, data):
    return jax.value_and_grad(lambda p: which.loss_fn(trainable.merge(p, frozen), data, None)[0])(state.params)

  value, gradient = loss(model, batch)
  parts = loss(likelihood, others), loss(divergence, batch)
  assert float(value) == pytest.approx(0.5 * sum(float(v) for v, _ in parts), rel=1e-5)
  expected = 0.5 * sum(np.asarray(g['adapter']['embedding']) for _, g in parts)
  assert np.abs(expected).max() > 1e-3
  np.testing.assert_allclose(gradient['adapter']['embedding'], expected, atol=1e-6)
  _, metrics = model.loss_fn(trainable.merge(state.params, frozen), batch, None)
  assert _values(metrics)['alignment'] == pytest.approx(float(parts[1][0]), rel=1e-5)


@pytest.mark.parametrize('family', small_training.CONFIGS)
def test_a_step_holds_no_gradient_or_slot_of_the_backbone(family):
  compiled, _, frozen = small_training.compile_step(2, family=family)
  kernels = {x.shape for path, x in trainable.flatten(frozen).items() if path.endswith('kernel')}
  kernels |= {shape[::-1] for shape in kernels}
  products = re.findall(r' = \w+\[([\d,]+)\]\S* (?:dot|convolution|custom-call)\(', compiled.as_text())
  products = {tuple(map(int, p.split(','))) for p in products}
  assert (2 * 2 * 53, 320) in products  # the pattern finds what there is: tokens by the MLP's width
  assert not products & kernels
  adapter = 3 * 128 * 4
  assert compiled.memory_analysis().output_size_in_bytes < 4 * adapter  # the adapter, two slots, scalars
