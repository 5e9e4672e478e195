"""Low-rank additions: they are what adding them to the kernels is."""

import numpy as np
import pytest
from tiny_adapters import ATTENTION, CONFIG, PROJECTED, build, logits_of

from robust_t5x.models import t5, trainable


@pytest.mark.parametrize('kind', ['lora', 'lora_all'])
def test_lora_is_what_adding_it_to_the_kernels_is(kind):
  """Against the plain network with kernel + down · up in the place of each kernel that is added to."""
  module, params = build(kind)
  rng = np.random.default_rng(0)
  flat = {
    k: rng.normal(size=v.shape).astype(np.float32) if '_up' in k else v for k, v in trainable.flatten(params).items()
  }
  merged = {k: v for k, v in flat.items() if not k.startswith('adapter/')}
  attention = {'encoder': 'attention', 'decoder': 'self_attention', 'cross': 'encoder_decoder_attention'}
  for stack, names in PROJECTED.items():
    for name in names if kind == 'lora_all' else ('query', 'value'):
      block = attention[stack] if name in ATTENTION else 'mlp'
      for i in range(2):
        down, up = (np.asarray(flat[f'adapter/{stack}_lora_{name}_{part}'][i]) for part in ('down', 'up'))
        kernel = f'{"encoder" if stack == "encoder" else "decoder"}/layers_{i}/{block}/{name}/kernel'
        merged[kernel] = merged[kernel] + down.reshape(-1, 2) @ up.reshape(2, -1)
  assert len(flat) - len(merged) == sum(merged[k] is not flat[k] for k in merged)  # down and up, each of two layers
  expected = logits_of(t5.Transformer(CONFIG), trainable.unflatten(merged))
  actual = logits_of(module, trainable.unflatten(flat))
  np.testing.assert_allclose(actual, expected, atol=1e-4 * np.abs(expected).max())
