"""Tiny backbones with random weights, written and compared."""

import functools

import numpy as np

from robust_t5x.checkpoints import backbones, huggingface
from robust_t5x.models import t5

CONFIG = t5.T5Config(
  vocab_size=50, emb_dim=16, num_heads=2, head_dim=8, num_encoder_layers=2, num_decoder_layers=3, mlp_dim=24
)
FAMILIES = {
  'v1_1': CONFIG,
  'v1_0': t5.T5Config(
    vocab_size=50, emb_dim=16, num_heads=4, head_dim=8, num_encoder_layers=2, num_decoder_layers=2, mlp_dim=24,
    mlp_activations=('relu',), logits_via_embedding=True,
  ),
}  # fmt: skip


def params_of(config, seed=0):
  """Name -> float32 array of a network."""
  return dict(_params(config, seed))


@functools.lru_cache(maxsize=8)
def _params(config, seed):
  import jax

  from robust_t5x.models import trainable

  tokens = np.ones((1, 4), np.int32)
  params = jax.jit(t5.Transformer(config).init)(jax.random.key(seed), *[tokens] * 3)['params']
  return {name: np.asarray(x) for name, x in trainable.flatten(params).items()}


def write(path, flat, config=CONFIG, **options):
  """Writes a backbone in Hugging Face's layout; the path, as text."""
  shapes = {name: x.shape for name, x in flat.items()}
  huggingface.write(str(path), config, flat.__getitem__, shapes, options.pop('dtype', 'float32'), **options)
  return str(path)


def assert_holds(path, flat, form):
  """A checkpoint has a format and these parameters, and no other; the open checkpoint."""
  source = backbones.open_backbone(str(path))
  assert source.format == form
  assert {name: shape for name, (shape, _) in source.shapes.items()} == {n: x.shape for n, x in flat.items()}
  for name, value in flat.items():
    np.testing.assert_array_equal(source.read(name), value, err_msg=name)
  return source
