"""Where parameters lie: over which devices, and in which dtype."""

import jax
from letters import CONFIG, model_of_letters
import pytest
import small_training

from robust_t5x import adapters
from robust_t5x.models import placement, robust, trainable
from seqio_tasks.errors import UserError


def test_a_copy_of_the_weights_is_shared_by_the_devices_asked_for():
  placed = placement.place(model_of_letters(), model_parallel=2, devices=jax.devices()[:8])
  assert dict(placed.mesh.shape) == {'data': 4, 'model': 2}
  shapes = trainable.flatten(placed.placed(placed.shapes, 'bfloat16'))
  assert {x.dtype.name for x in shapes.values()} == {'bfloat16'}
  query, scale = shapes['encoder/layers_0/attention/query/kernel'], shapes['encoder/encoder_norm/scale']
  assert query.shape == (32, 32) and query.sharding.shard_shape(query.shape) == (32, 16)  # a head to each
  assert scale.sharding.is_fully_replicated


def test_some_of_the_parameters_keep_their_dtype():
  placed = placement.place(model_of_letters(), devices=jax.devices()[:1])
  some = {'token_embedder': placed.shapes['token_embedder']}
  table = placed.placed(some)['token_embedder']['embedding']
  assert table.dtype == 'float32' and table.shape == (CONFIG.vocab_size, CONFIG.emb_dim)
  assert table.sharding == placed.shardings(some)['token_embedder']['embedding']


def test_heads_that_cannot_be_split_are_refused():
  with pytest.raises(UserError, match='MODEL_PARALLEL is 4; it must divide the 2 attention heads'):
    placement.place(model_of_letters(), model_parallel=4, devices=jax.devices()[:8])


def test_additions_to_every_projection_of_a_decoder_have_a_place():
  names = ('query', 'key', 'value', 'out', 'wi', 'wo')
  network = small_training.CONFIGS['llama'].network(adapters.AdapterConfig(lora_rank=2, lora_projections=names))
  model = robust.RobustModel(network, small_training.Vocabulary, small_training.Vocabulary)
  placed = placement.place(model, model_parallel=2, devices=jax.devices()[:8])
  shapes = trainable.flatten(placed.placed(placed.shapes))
  added = {name: x for name, x in shapes.items() if name.startswith('adapter/')}
  assert len(added) == 2 * 7
  # One head of keys and values for two devices: not split; the inner width of the MLP is.
  key, inner = (added[f'adapter/decoder_lora_{name}_up'] for name in ('key', 'wi_0'))
  assert key.sharding.is_fully_replicated and not inner.sharding.is_fully_replicated
