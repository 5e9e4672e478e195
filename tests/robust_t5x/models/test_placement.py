"""Where parameters lie: over which devices, and in which dtype."""

import hf_llama
import jax
from letters import CONFIG, Letters, model_of_letters
import pytest
import tiny_adapters

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


@pytest.mark.parametrize('kind', ['lora_all', 'joined'])
def test_adapters_of_shared_heads_have_a_place(kind):
  config = tiny_adapters.KINDS[kind]
  if not config.lora_rank:
    config = adapters.AdapterConfig(prefix_lengths={'all': 2}, prefix_gated=False)
  network = hf_llama.read('llama')[0].config.network(config)
  placed = placement.place(robust.RobustModel(network, Letters(), Letters()), model_parallel=2)
  shapes = placed.placed(placed.shapes)['adapter']
  pair = shapes['decoder_lora_key_up' if config.lora_rank else 'decoder_key']
  assert pair.sharding.is_fully_replicated
  if config.lora_rank:
    assert not shapes['decoder_lora_query_up'].sharding.is_fully_replicated


def test_heads_that_cannot_be_split_are_refused():
  with pytest.raises(UserError, match='MODEL_PARALLEL is 4; it must divide the 2 attention heads'):
    placement.place(model_of_letters(), model_parallel=4, devices=jax.devices()[:8])
