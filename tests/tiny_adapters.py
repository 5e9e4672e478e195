"""A tiny network with each kind of adapter."""

import functools

import jax
import numpy as np

from robust_t5x import adapters
from robust_t5x.models import protocol, t5

CONFIG = t5.T5Config(
  vocab_size=40, emb_dim=8, num_heads=2, head_dim=4, num_encoder_layers=2, num_decoder_layers=2, mlp_dim=16,
  mlp_activations=('gelu', 'linear'), logits_via_embedding=True, dropout_rate=0.0, dtype='float32',
)  # fmt: skip
INPUTS = np.array([[5, 6, 7, 1], [8, 1, 0, 0]])
OUTPUTS = np.array([[0, 9, 10], [0, 11, 0]])
KINDS = {
  'input': adapters.AdapterConfig(length=3),
  'prefix': adapters.AdapterConfig(prefix_lengths={'encoder': 3, 'decoder': 2}),
  'both': adapters.AdapterConfig(length=3, prefix_lengths={'encoder': 2}),
  'cross': adapters.AdapterConfig(prefix_lengths={'cross': 2}),
  'joined': adapters.AdapterConfig(prefix_lengths={'encoder': 3, 'decoder': 2, 'cross': 1}, prefix_gated=False),
  'lora': adapters.AdapterConfig(lora_rank=2),
  'lora_all': adapters.AdapterConfig(lora_rank=2, lora_projections=adapters.PROJECTIONS),
  'generated': adapters.AdapterConfig(prefix_lengths={'encoder': 3}, generator_dim=2),
}
ATTENTION = ('query', 'key', 'value', 'out')
# Stack -> the projections that all of LoRA adds to.
PROJECTED = {
  'encoder': (*ATTENTION, 'wi_0', 'wi_1', 'wo'),
  'decoder': (*ATTENTION, 'wi_0', 'wi_1', 'wo'),
  'cross': ATTENTION,
}


@functools.cache
def build(kind):
  """The network with an adapter of a kind, and fresh parameters."""
  module = t5.Transformer(CONFIG, KINDS[kind])
  params = jax.jit(module.init)(jax.random.key(0), INPUTS, protocol.mask_of(INPUTS, 0), OUTPUTS)['params']
  return module, params


@functools.partial(jax.jit, static_argnums=0)
def logits_of(module, params, inputs=INPUTS):
  """The logits of OUTPUTS, given what was read."""
  return protocol.logits(module, params, inputs, OUTPUTS, 0)
