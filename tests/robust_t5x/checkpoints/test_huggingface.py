"""Hugging Face's layout: configuration, weights, shards, and other places than a disk."""

import json
import os

import fsspec
import hf_t5
from hf_t5 import HF, KINDS
import jax
import numpy as np
import pytest
from safetensors import numpy as safetensors
from tiny_backbones import CONFIG, assert_holds, params_of, write

from robust_t5x.checkpoints import backbones, huggingface


@pytest.fixture(params=KINDS)
def reference(request):
  return hf_t5.reference(request.param)


def test_configuration_is_read():
  new, old = (huggingface.load_config(HF / kind) for kind in KINDS)
  assert new.mlp_activations == ('gelu', 'linear') and not new.logits_via_embedding
  assert old.mlp_activations == ('relu',) and old.logits_via_embedding
  assert (new.emb_dim, new.num_heads, new.head_dim, new.mlp_dim) == (24, 3, 8, 40)
  assert (new.num_encoder_layers, new.num_decoder_layers, new.relpos_buckets) == (2, 3, 8)


def test_weights_survive_a_round_trip(reference, tmp_path):
  module, params, _ = reference
  huggingface.save(tmp_path, module.config, params)
  again = hf_t5.read(tmp_path)
  assert huggingface.load_config(tmp_path) == module.config
  jax.tree.map(np.testing.assert_array_equal, params, again)


def test_the_safetensors_package_reads_what_we_write(family, tmp_path):
  config, flat = family
  path = write(tmp_path / 'a', flat, config)
  theirs = safetensors.load_file(f'{path}/model.safetensors')
  np.testing.assert_array_equal(theirs['shared.weight'], flat['token_embedder/embedding'])
  kernel = theirs['encoder.block.1.layer.0.SelfAttention.q.weight']
  np.testing.assert_array_equal(kernel.T, flat['encoder/layers_1/attention/query/kernel'])


def test_shards_with_an_index(tmp_path):
  flat = params_of(CONFIG)
  path = write(tmp_path / 'a', flat, shard_bytes=8000)
  files = sorted(f for f in os.listdir(path) if f.endswith('.safetensors'))
  assert len(files) > 2 and files[0] == f'model-00001-of-{len(files):05d}.safetensors'
  index = json.loads((tmp_path / 'a' / 'model.safetensors.index.json').read_text())
  assert index['metadata']['total_size'] == sum(x.size for x in flat.values()) * 4
  assert set(index['weight_map'].values()) == set(files)
  assert_holds(path, flat, 'huggingface')
  os.remove(f'{path}/{files[1]}')
  backbones.open_backbone.cache_clear()
  with pytest.raises(ValueError, match=f'no {files[1]}; fetch the whole checkpoint'):
    backbones.open_backbone(path)


def test_from_a_place_that_is_no_disk(tmp_path):
  flat = params_of(CONFIG)
  source = write(tmp_path / 'a', flat, shard_bytes=8000)
  remote = fsspec.filesystem('memory')
  remote.put(source + '/', '/bucket/model/', recursive=True)
  assert_holds('memory://bucket/model', flat, 'huggingface')
