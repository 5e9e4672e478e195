"""Weights and batch over eight devices against one: values, gradients, and what the compiled program sends."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
import numpy as np
import optax
import pytest

from robust_t5x import adapters, objectives, plan
from robust_t5x.models import llama, robust, runner, t5, trainable
from robust_t5x.models.placement import Placement, place
from robust_t5x.runtime import hlo, partitioning
from robust_t5x.training import step as step_lib
from seqio_tasks.errors import UserError

CONFIG = t5.T5Config(
  vocab_size=64, emb_dim=16, num_heads=4, head_dim=4, num_encoder_layers=2, num_decoder_layers=2, mlp_dim=32
)
# Fewer heads of keys and values than devices; how the tests split either family's weights.
CONFIGS = {
  't5': CONFIG,
  'llama': llama.LlamaConfig(
    vocab_size=64, emb_dim=16, num_heads=8, num_kv_heads=2, head_dim=4, num_layers=2, mlp_dim=32
  ),
}
SPLITS = {
  't5': [(1, 1), (1, 2), (2, 1), (2, 4), (4, 1), (4, 8)],
  'llama': [(1, 1), (2, 4), (4, 1), (4, 2), (8, 1), (8, 4)],
}
INPUTS, TARGETS, PHRASINGS = 12, 4, 3


families = pytest.mark.parametrize('config', CONFIGS.values(), ids=CONFIGS)


class Vocabulary:
  pad_id, eos_id = 0, 1


def _reading_site(config):
  return next(site.name for site in config.sites if site.reads)


def _model(config=CONFIG, optimizer=None):
  adapter = adapters.AdapterConfig(length=3, prefix_lengths={'reading': 3})
  # Plain descent, so that parameters tell gradients apart, which Adam's first steps do not.
  return robust.RobustModel(
    config.network(adapter), Vocabulary, Vocabulary, optimizer or optax.sgd(0.5), objectives.kl_to_canonical
  )


def _batch(examples=16):
  rng = np.random.default_rng(0)
  inputs = rng.integers(3, 60, (examples, PHRASINGS, INPUTS)) * (
    np.arange(INPUTS) < rng.integers(4, INPUTS + 1, (examples, PHRASINGS, 1))
  )
  targets = rng.integers(3, 60, (examples, TARGETS)) * (
    np.arange(TARGETS) < rng.integers(1, TARGETS + 1, (examples, 1))
  )
  return {
    'encoder_input_tokens': inputs.astype(np.int32),
    'decoder_target_tokens': targets.astype(np.int32),
    'decoder_input_tokens': np.pad(targets, [(0, 0), (1, 0)])[:, :-1].astype(np.int32),
    'decoder_loss_weights': (targets > 0).astype(np.int32),
  }


def _place(model, mesh):
  params = jax.jit(model.initial_variables)(jax.random.key(0))['params']
  params['adapter'][f'{_reading_site(model.module.config)}_gate'] += 0.3  # a closed gate has no gradient behind it
  placement = Placement(mesh, *model.variable_shapes(), model.module.config.num_kv_heads)
  shardings = placement.shardings(placement.shapes)
  moving, frozen = trainable.Trainable().split(jax.tree.map(jax.device_put, params, shardings))
  state = step_lib.initial_state(moving, model.optimizer_def)
  state = jax.device_put(state, step_lib.state_shardings(state, model.optimizer_def, placement))
  return state, frozen


def _step(config, devices, model_parallel, microbatches=1):
  model = _model(config)
  mesh = partitioning.make_mesh(model_parallel, jax.devices()[:devices])
  state, frozen = _place(model, mesh)
  step = step_lib.compiled_step(model, mesh, microbatches)
  batch = {name: partitioning.split_rows(rows, mesh) for name, rows in _batch().items()}
  state, metrics = step(state, frozen, batch)
  return partitioning.whole_on_host(state.params), {k: float(v.compute()) for k, v in metrics.items()}


@functools.cache
def _on_one_device(config):
  """(what trains before the step, after it, metrics)."""
  before = partitioning.whole_on_host(_place(_model(config), partitioning.make_mesh(1, jax.devices()[:1]))[0].params)
  return (before, *_step(config, 1, 1))


@pytest.mark.parametrize(
  ('family', 'split'), [(family, split) for family, splits in SPLITS.items() for split in splits]
)
def test_a_step_is_the_same_however_it_is_split(family, split):
  params, metrics = _step(CONFIGS[family], 8, *split)
  before, after, expected = _on_one_device(CONFIGS[family])
  for name, value in trainable.flatten(after).items():
    moved = np.abs(value - trainable.flatten(before)[name]).max()
    difference = np.abs(trainable.flatten(params)[name] - value).max()
    assert moved > 0 and difference <= 1e-4 * moved + 1e-7, name
  assert metrics == pytest.approx(expected, rel=3e-5)  # sums in another order


@pytest.mark.parametrize(
  ('family', 'model_parallel'), [('t5', 1), ('t5', 2), ('t5', 4), ('llama', 2), ('llama', 4), ('llama', 8)]
)
def test_scores_and_outputs_are_the_same(family, model_parallel):
  model = _model(CONFIGS[family])
  rng = np.random.default_rng(1)
  inputs = [rng.integers(3, 60, n) for n in (3, 9, 5, 12, 7)]
  expected = None
  for devices, parallel in ((1, 1), (8, model_parallel)):
    state, frozen = _place(model, partitioning.make_mesh(parallel, jax.devices()[:devices]))
    params = trainable.merge(state.params, frozen)
    mesh = partitioning.mesh_of(params)
    tokens = np.zeros((8, 12), np.int32)
    for i, row in enumerate(inputs):
      tokens[i, : len(row)] = row
    options = rng.integers(3, 60, (8, 3, 4)) if expected is None else options  # noqa: F821
    scores = model.compiled_score(mesh)(params, partitioning.split_rows(tokens, mesh), options.astype(np.int32))
    decoded, _ = model.compiled_decode(mesh)(params, partitioning.split_rows(tokens, mesh), max_length=5)
    if expected is None:
      expected = np.asarray(scores), np.asarray(decoded)
  np.testing.assert_allclose(scores, expected[0], rtol=1e-5, atol=1e-5)
  np.testing.assert_array_equal(decoded, expected[1])
  assert runner.Runner(model, params, batch_size=5, max_output=4)._batch_size % (8 // model_parallel) == 0


@pytest.mark.parametrize(('heads', 'kv_heads'), [(8, 8), (8, 1), (8, 2), (8, 4), (32, 8), (16, 16)])
def test_heads_are_split_whole_or_not_at_all(heads, kv_heads):
  partitioning.check_heads(heads, kv_heads, partitioning.make_mesh(8))


def test_heads_are_not_split():
  with pytest.raises(UserError, match='MODEL_PARALLEL is 8; it must divide the 4 attention heads'):
    partitioning.check_heads(4, 4, partitioning.make_mesh(8))
  message = 'MODEL_PARALLEL is 8; it must divide the 3 heads of keys and values of the model, or be a multiple of them'
  with pytest.raises(UserError, match=message):
    partitioning.check_heads(24, 3, partitioning.make_mesh(8))


@pytest.mark.parametrize(('model_parallel', 'split'), [(2, True), (4, False), (8, False)])
def test_keys_and_values_are_split_between_their_heads_alone(model_parallel, split):
  placement = place(_model(CONFIGS['llama']), model_parallel)
  attention = placement.shardings(placement.shapes)['decoder']['layers_0']['attention']
  assert attention['query']['kernel'].spec == PartitionSpec(None, 'model')
  for name in ('key', 'value'):
    assert attention[name]['kernel'].spec == PartitionSpec(None, 'model' if split else None)


def _settings(config=CONFIG, model_parallel=1, microbatches=1):
  return plan.Settings(
    _model(config, optimizer=optax.adamw(0.1)), trainable.Trainable(), 16, PHRASINGS, INPUTS, TARGETS, microbatches,
    model_parallel, 'float32', 16,
  )  # fmt: skip


def _sent(config=CONFIG, model_parallel=1, microbatches=1):
  """(collectives of the compiled training step, sizes of the backbone's parameters)."""
  settings = _settings(config, model_parallel, microbatches)
  placement = place(settings.model, model_parallel)
  mesh = placement.mesh
  moving, frozen = settings.trainable.split(placement.shapes)
  state = jax.eval_shape(lambda p: step_lib.initial_state(p, settings.model.optimizer_def), moving)
  state = partitioning.placed(state, step_lib.state_shardings(state, settings.model.optimizer_def, placement))
  frozen = placement.placed(frozen)
  batch = {
    name: jax.ShapeDtypeStruct(x.shape, jnp.int32, sharding=partitioning.split_rows(x, mesh).sharding)
    for name, x in _batch().items()
  }
  compiled = step_lib.compiled_step(settings.model, mesh, microbatches).lower(state, frozen, batch).compile()
  adapter = sum(x.size for x in jax.tree.leaves(moving))
  return hlo.collectives(compiled.as_text(), mesh.size), frozen, adapter


@pytest.mark.parametrize('microbatches', [1, 2])
@families
def test_replicas_exchange_the_adapters_gradient_and_scalars_only(config, microbatches):
  found, _, adapter = _sent(config, microbatches=microbatches)
  assert {c.kind for c in found} == {'all-reduce'}
  moved = sum(c.result_bytes * c.times for c in found) / 4
  assert adapter <= moved <= adapter + 32


@families
def test_the_exchange_does_not_grow_with_the_backbone(config):
  larger = dataclasses.replace(config, mlp_dim=256, vocab_size=640)
  small, large = (sum(c.result_bytes * c.times for c in _sent(one)[0]) for one in (config, larger))
  assert small == large


@pytest.mark.parametrize(('family', 'model_parallel'), [('t5', 2), ('t5', 4), ('llama', 2), ('llama', 4), ('llama', 8)])
def test_no_weight_is_gathered_whole(family, model_parallel):
  found, frozen, _ = _sent(CONFIGS[family], model_parallel)
  split = {x.shape for x in jax.tree.leaves(frozen) if x.sharding.shard_shape(x.shape) != x.shape}
  assert len(split) >= 4  # embedding, attention, and both ways of the MLP
  gathered = {shape for c in found if c.kind in ('all-gather', 'all-to-all') for _, shape in c.shapes}
  whole = split | {s[::-1] for s in split}
  assert not gathered & whole
