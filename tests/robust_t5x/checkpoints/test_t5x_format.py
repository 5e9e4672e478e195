"""T5X's layouts: where its arrays are, and what orbax writes for it."""

import numpy as np
import pytest
from tiny_backbones import CONFIG, assert_holds, params_of, write

from robust_t5x.checkpoints import adapter_files, backbones, t5x_format


@pytest.mark.parametrize(
  ('path', 'expected'),
  [
    ('gs://bucket/a/checkpoint_1', {'driver': 'gcs', 'bucket': 'bucket', 'path': 'a/checkpoint_1/'}),
    ('/disk/checkpoint_1', {'driver': 'file', 'path': '/disk/checkpoint_1/'}),
  ],
)
def test_tensorstore_finds_buckets_and_disks(path, expected):
  assert t5x_format.kvstore(path) == expected


def test_orbax_as_t5x_writes_it(tmp_path):
  import jax
  import orbax.checkpoint as ocp

  from robust_t5x.models import trainable

  flat = params_of(CONFIG) | {'adapter/embedding': np.ones((3, 16), np.float32)}
  state = {'target': trainable.unflatten(flat), 'state': {'step': np.asarray(7), 'param_states': {'mu': np.ones(3)}}}
  path = tmp_path / 'checkpoint_7'
  ocp.PyTreeCheckpointer().save(path / 'state', jax.tree.map(jax.numpy.asarray, state))
  source = assert_holds(path, flat, 'orbax')
  assert source.config == CONFIG
  arrays, metadata = adapter_files.read_any(str(path))
  np.testing.assert_array_equal(arrays['embedding'], np.ones((3, 16)))
  assert metadata['backbone']['sha256'] == backbones.backbone_hash(str(path))
  # The adapter is no part of the backbone's identity.
  without = write(tmp_path / 'without', {n: x for n, x in flat.items() if not n.startswith('adapter/')})
  assert backbones.backbone_hash(without) == metadata['backbone']['sha256']
