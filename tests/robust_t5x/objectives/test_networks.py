"""Every objective on a network of each family, behind prompts of different lengths: however a batch is split, and against
finite differences."""

import functools

from branches import EVERY
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
import numpy as np
import pytest
import small_training

from robust_t5x import adapters, objectives
from robust_t5x.models import trainable
from robust_t5x.runtime import partitioning

families = pytest.mark.parametrize('family', small_training.CONFIGS)
ADAPTER = adapters.AdapterConfig(length=3, prefix_lengths={'all': 2}, lora_rank=2)
NAMES = list(EVERY)
# Those that read no other example of the batch: negatives are those of the microbatch.
LOCAL = [name for name in NAMES if name != 'info_nce']


@functools.cache
def _start(family):
  """(model, what trains, moved off its start, frozen parameters, a batch of 16 examples under 3 phrasings)."""
  config = small_training.CONFIGS[family]
  # Only so that the model computes all that any objective asks for.
  model, state, frozen = small_training.start('distil_states', config, ADAPTER)
  model.alignment_objective = objectives.weighted_sum(
    [objectives.distil_ensemble, objectives.distil_prompt], [1.0, 1.0]
  )
  noise = np.random.default_rng(0)
  moving = jax.tree.map(lambda x: x + 0.3 * noise.normal(size=x.shape).astype(np.float32), state.params)
  return model, moving, frozen, small_training.batch()


def _losses(family, names, moving, frozen, batch, normalizers):
  """Objectives by their names [O]."""
  branches = _start(family)[0].branches(trainable.merge(moving, frozen), batch, None, normalizers)
  return jnp.stack([EVERY[name](branches) for name in names])


def _both(family, names, axis_name, moving, frozen, batch, normalizers=None):
  """Objectives, and their gradients by what trains; summed over the mapped axis, if there is one."""
  if normalizers is None:
    normalizers = _start(family)[0].normalizers(batch, axis_name)
  losses, pull = jax.vjp(lambda m: _losses(family, names, m, frozen, batch, normalizers), moving)
  found = losses, jax.lax.map(lambda one: pull(one)[0], jnp.eye(len(names)))
  return found if axis_name is None else jax.lax.psum(found, axis_name)


@functools.cache
def _on_one_device(family):
  return jax.jit(functools.partial(_both, family, NAMES, None))(*_start(family)[1:])


def _assert_same(family, found, names=NAMES):
  values, gradients = _on_one_device(family)
  assert (np.abs(values) > 1e-4).all()
  again = trainable.flatten(found[1])
  for i, objective in enumerate(names):
    j = NAMES.index(objective)
    assert float(found[0][i]) == pytest.approx(float(values[j]), rel=1e-4), objective
    for name, one in trainable.flatten(gradients).items():
      atol = 2e-4 * np.abs(one[j]).max() + 1e-6
      np.testing.assert_allclose(again[name][i], one[j], rtol=0, atol=atol, err_msg=f'{objective} {name}')


@families
def test_shard_map_over_eight_devices_equals_one(family):
  _, moving, frozen, batch = _start(family)
  mapped = jax.shard_map(
    functools.partial(_both, family, NAMES, 'data'), mesh=partitioning.make_mesh(), check_vma=False,
    in_specs=(PartitionSpec(), PartitionSpec(), PartitionSpec('data')), out_specs=PartitionSpec(),
  )  # fmt: skip
  _assert_same(family, jax.jit(mapped)(moving, frozen, batch))


@families
def test_microbatches_add_up_to_the_whole(family):
  model, moving, frozen, batch = _start(family)
  part = jax.jit(functools.partial(_both, family, LOCAL, None))
  whole = model.normalizers(batch)
  parts = [
    part(moving, frozen, {name: x[rows : rows + 4] for name, x in batch.items()}, whole) for rows in (0, 4, 8, 12)
  ]
  _assert_same(family, jax.tree.map(lambda *x: sum(map(np.asarray, x)), *parts), LOCAL)


@families
def test_gradients_are_finite_differences(family):
  model, moving, frozen, batch = _start(family)
  rng = np.random.default_rng(2)  # along which each objective below changes, of either family
  direction = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), moving)
  losses = jax.jit(functools.partial(_losses, family, NAMES))
  ends = []
  for e in (2e-3, -2e-3):
    there = jax.tree.map(lambda x, d, e=e: x + e * d, moving, direction)
    ends.append(np.asarray(losses(there, frozen, batch, model.normalizers(batch)), np.float64))
  expected = (ends[0] - ends[1]) / 4e-3
  gradients = _on_one_device(family)[1]
  found = sum(
    np.tensordot(g, d, d.ndim) for g, d in zip(jax.tree.leaves(gradients), jax.tree.leaves(direction), strict=True)
  )
  # Objectives that hold the canonical phrasing or the mean still have another gradient than their value's.
  for name in ('cross_entropy', 'jensen_shannon', 'encoder_cosine', 'decoder_distance', 'distil_states', 'group_dro'):
    i = NAMES.index(name)
    assert found[i] == pytest.approx(expected[i], rel=0.02, abs=2e-3), name
    assert abs(expected[i]) > 1e-2, name


@families
def test_padding_of_inputs_counts_for_nothing(family):
  model, moving, frozen, batch = _start(family)
  wider = {**batch, 'encoder_input_tokens': np.pad(batch['encoder_input_tokens'], [(0, 0), (0, 0), (0, 5)])}
  found = jax.jit(functools.partial(_losses, family, NAMES))(moving, frozen, wider, model.normalizers(batch))
  np.testing.assert_allclose(found, _on_one_device(family)[0], rtol=1e-4, atol=1e-6)


def test_a_decoders_representation_is_the_mean_over_the_prompts_own_tokens():
  model, moving, frozen, batch = _start('llama')
  branches = model.branches(trainable.merge(moving, frozen), batch)
  tokens = batch['encoder_input_tokens']
  assert branches.encoded.shape[2] == tokens.shape[2] + ADAPTER.length
  np.testing.assert_array_equal(branches.encoded_mask.sum(-1), (tokens > 0).sum(-1))
  # The soft prompt stands before the tokens and has the same states under every phrasing: its mean would be theirs, too.
  prompt = branches.encoded[:, :, : ADAPTER.length]
  np.testing.assert_allclose(prompt[:, 1:], np.broadcast_to(prompt[:, :1], prompt[:, 1:].shape), atol=1e-5)
  changed = branches._replace(encoded=branches.encoded.at[:, :, : ADAPTER.length].add(7.0))
  for objective in (objectives.encoder_cosine, objectives.encoder_distance, objectives.info_nce):
    assert float(objective(changed)) == float(objective(branches)) > 0
