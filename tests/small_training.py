"""What tests of training steps start from: a tiny network of each family, batches of it, and a compiled step with its floor."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from robust_t5x import adapters, objectives
from robust_t5x.models import llama, robust, t5, trainable
from robust_t5x.runtime import partitioning
from robust_t5x.training import arithmetic
from robust_t5x.training import step as step_lib

CONFIG = t5.T5Config(
  vocab_size=40, emb_dim=8, num_heads=2, head_dim=4, num_encoder_layers=1, num_decoder_layers=1, mlp_dim=16,
  mlp_activations=('gelu', 'linear'), logits_via_embedding=True, dropout_rate=0.0, dtype='float32',
)  # fmt: skip

CONFIGS = {
  't5': CONFIG,
  'llama': llama.LlamaConfig(
    vocab_size=40, emb_dim=8, num_heads=2, num_kv_heads=1, head_dim=4, num_layers=2, mlp_dim=16, qk_norm=True
  ),
}
# Wide enough for the products to outweigh all that the floor leaves out, and no two sizes the same.
_SIZES = {'vocab_size': 384, 'emb_dim': 128, 'num_heads': 4, 'head_dim': 48, 'mlp_dim': 320}
WIDE = {
  't5': dataclasses.replace(CONFIG, **_SIZES),
  'llama': dataclasses.replace(CONFIGS['llama'], **_SIZES, num_kv_heads=2),
}


class Vocabulary:
  pad_id, eos_id = 0, 1


def batch(examples=16, phrasings=3, seed=0):
  rng = np.random.default_rng(seed)
  inputs = rng.integers(3, 40, (examples, phrasings, 6))
  targets = rng.integers(3, 40, (examples, 4))
  # Rows of different lengths, so that a mean of means would not be the mean.
  inputs *= np.arange(6) < rng.integers(2, 7, (examples, phrasings, 1))
  targets *= np.arange(4) < rng.integers(1, 5, (examples, 1))
  return {
    'encoder_input_tokens': inputs.astype(np.int32),
    'decoder_target_tokens': targets.astype(np.int32),
    'decoder_input_tokens': np.pad(targets, [(0, 0), (1, 0)])[:, :-1].astype(np.int32),
    'decoder_loss_weights': (targets > 0).astype(np.int32),
  }


def start(objective='kl_to_canonical', config=CONFIG, adapter=None, **options):
  """(model, state before the first step, frozen parameters) of the tiny network; the objective by its name, or itself."""
  model = robust.RobustModel(
    config.network(adapter or adapters.AdapterConfig(length=3)),
    Vocabulary,
    Vocabulary,
    optimizer_def=optax.adamw(0.1),
    alignment_objective=getattr(objectives, objective) if isinstance(objective, str) else objective,
    **options,
  )
  shapes = {'encoder_input_tokens': (1, 6), 'decoder_input_tokens': (1, 4)}
  params = jax.jit(lambda k: model.get_initial_variables(k, shapes))(jax.random.key(0))['params']
  moving, frozen = trainable.Trainable().split(params)
  return model, step_lib.initial_state(moving, model.optimizer_def), frozen


@functools.cache
def compile_step(phrasings, canonical_trains=True, family='t5'):
  """(compiled step, its floor, the backbone's shapes) of two examples of 50 input and 10 target tokens."""
  model, state, frozen = start(config=WIDE[family], canonical_trains=canonical_trains)
  tokens = jax.ShapeDtypeStruct((2, phrasings, 50), jnp.int32)
  targets = jax.ShapeDtypeStruct((2, 10), jnp.int32)
  features = dict.fromkeys(('decoder_input_tokens', 'decoder_target_tokens', 'decoder_loss_weights'), targets)
  step = step_lib.compiled_step(model, partitioning.make_mesh(1, jax.devices()[:1]))
  program = step.lower(state, frozen, {**features, 'encoder_input_tokens': tokens}).compile()
  least = arithmetic.floor(WIDE[family], model.module.adapter, trainable.merge(state.params, frozen), 50, 10)
  return program, least.step(2, phrasings, canonical_trains), frozen
