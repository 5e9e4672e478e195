"""The decoder-only network against Hugging Face's, and against itself where ways of computing must agree."""

import dataclasses
import functools

import hf_llama
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robust_t5x.adapters import AdapterConfig
from robust_t5x.models import decoding, protocol
from robust_t5x.models.llama import LlamaConfig
from robust_t5x.models.protocol import SpecialIds
from robust_t5x.models.rotary import Rotary
from seqio_tasks.errors import UserError

IDS = SpecialIds(pad=0, end=-1)


def _shifted(answers):
  return np.concatenate([np.zeros((len(answers), 1), np.int32), answers[:, :-1]], axis=1)


@pytest.mark.parametrize('kind', hf_llama.KINDS)
def test_logits_behind_padded_inputs_are_hugging_faces(kind):
  network, params, reference = hf_llama.read(kind)
  logits = protocol.logits(network, params, reference['inputs'], _shifted(reference['answers']), IDS.pad)
  np.testing.assert_allclose(logits, reference['logits'], atol=1e-4, rtol=0)


def test_yarns_ramp_may_run_backwards():
  """A short base with a long original length: by transformers' formula every frequency is divided, none kept."""
  rotary = Rotary('yarn', 4.0, 3.0, 100_000)
  # Dimensions 16 ln(100000 / 2 pi turns) / (2 ln 4) are 35.8 and 55.8: the ramp runs from 35 down to 15, the last of 16.
  np.testing.assert_allclose(rotary.frequencies(16), 4.0 ** -(np.arange(8) / 8) / 3)


def test_dynamic_positions_end_where_they_would_depend_on_the_length_of_a_text():
  network, params, reference = hf_llama.read('llama_dynamic')
  inputs, answers = reference['inputs'], _shifted(reference['answers'])
  places = inputs.shape[1] + answers.shape[1] - 1  # the last token of an answer is not read
  short = network.clone(
    config=dataclasses.replace(network.config, rotary=Rotary('dynamic', factor=4.0, original_length=places))
  )
  np.testing.assert_allclose(
    protocol.logits(short, params, inputs, answers, IDS.pad), reference['logits'], atol=1e-4, rtol=0
  )
  longer = np.concatenate([inputs, np.zeros_like(inputs[:, :1])], axis=1)
  with pytest.raises(
    UserError, match=f'texts of up to {places + 1} tokens, and beyond {places} .*lower TASK_FEATURE_LENGTHS'
  ):
    protocol.logits(short, params, longer, answers, IDS.pad)


@pytest.mark.parametrize('kind', ['llama', 'mistral'])
def test_cached_decoding_gives_hugging_faces_outputs_and_logits(kind):
  network, params, reference = hf_llama.read(kind)
  inputs, outputs = reference['inputs'], reference['outputs']
  steps = outputs.shape[1]
  found, _ = jax.jit(lambda p, x: decoding.decode_greedily(network, p, x, steps, IDS))(params, inputs)
  np.testing.assert_array_equal(found, outputs)
  context = protocol.read(network, params, inputs, IDS.pad)
  cache = protocol.begin(network, params, context, steps, IDS)
  step = jax.jit(lambda p, c, cache, token: protocol.step(network, p, c, cache, token, steps))
  for i, token in enumerate(_shifted(outputs).T):
    logits, cache = step(params, context, cache, token[:, None])
    np.testing.assert_allclose(logits, reference['step_logits'][:, i], atol=1e-4, rtol=0)


def _adapted(kind):
  """A network with every kind of adapter, none of them neutral."""
  plain, params, reference = hf_llama.read(kind)
  adapter = AdapterConfig(
    3, {'decoder': 2}, lora_rank=2, lora_projections=('query', 'key', 'value', 'out', 'wi', 'wo'), generator_dim=2
  )
  network = plain.clone(adapter=adapter)
  tokens = jnp.ones((1, 4), jnp.int32)
  fresh = jax.jit(network.init)(jax.random.key(0), tokens, tokens, tokens)['params']['adapter']
  moved = {k: v + 0.1 * jax.random.normal(jax.random.key(i), v.shape) for i, (k, v) in enumerate(fresh.items())}
  return network, {**params, 'adapter': moved}, reference


def test_options_side_by_side_score_as_they_do_alone_also_with_an_adapter():
  network, params, reference = _adapted('qwen3')
  inputs, length = reference['inputs'][:1], 4
  options = np.random.default_rng(1).integers(2, 96, (len(inputs), 2, length)).astype(np.int32)
  options[:, 1, 2:] = 0
  together = jax.jit(lambda p, x, o: decoding.score_options(network, p, x, o, IDS))(params, inputs, options)
  logits_of = jax.jit(lambda p, x, y: protocol.logits(network, p, x, y, IDS.pad))
  for i, (row, choices) in enumerate(zip(inputs, options, strict=True)):
    text = row[row != 0]  # no padding
    for j, option in enumerate(choices):
      kept = option[option != 0]
      logits = logits_of(params, text[None], _shifted(kept[None]))[0]
      alone = np.take_along_axis(np.asarray(jax.nn.log_softmax(logits)), kept[:, None], axis=1).sum()
      np.testing.assert_allclose(together[i, j], alone, atol=1e-4)


@pytest.mark.parametrize('kind', ['qwen3', 'llama_yarn'])
def test_a_joined_prefix_of_what_tokens_are_read_to_is_those_tokens(kind):
  plain, params, reference = hf_llama.read(kind)
  inputs, options = reference['inputs'], np.random.default_rng(1).integers(2, 96, (4, 2, 3)).astype(np.int32)
  first = np.array([[7, 8, 9]])
  pairs = protocol.read(plain, params, first, IDS.pad).kept.pairs
  prefix = {f'decoder_{part}': layers[:, 0] for part, layers in zip(('key', 'value'), pairs, strict=True)}
  network = plain.clone(adapter=AdapterConfig(prefix_lengths={'decoder': 3}, prefix_gated=False))
  params = {**params, 'adapter': prefix}
  longer = np.concatenate([np.repeat(first, len(inputs), axis=0), inputs], axis=1)

  @functools.partial(jax.jit, static_argnums=0)
  def scores(network, params, inputs):
    ranked = decoding.score_options(network, params, inputs, options, IDS)
    return ranked, decoding.decode_greedily(network, params, inputs, 4, IDS)[1]

  for found, expected in zip(scores(network, params, inputs), scores(plain, params, longer), strict=True):
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_untrained_prefix_or_lora_changes_nothing():
  plain, params, reference = hf_llama.read('llama')
  network = plain.clone(adapter=AdapterConfig(prefix_lengths={'all': 2}, lora_rank=2))
  tokens = jnp.ones((1, 4), jnp.int32)
  adapter = jax.jit(network.init)(jax.random.key(0), tokens, tokens, tokens)['params']['adapter']
  given = reference['inputs'], _shifted(reference['answers']), IDS.pad
  expected = protocol.logits(plain, params, *given)
  np.testing.assert_array_equal(protocol.logits(network, {**params, 'adapter': adapter}, *given), expected)


def test_recomputed_activations_and_bfloat16_keep_their_numbers():
  network, params, reference = hf_llama.read('smollm2')
  given = reference['inputs'], _shifted(reference['answers']), IDS.pad
  again = hf_llama.read('smollm2', remat=True)[0]

  def loss(network, params):
    return jnp.square(protocol.logits(network, params, *given)).mean()

  for one, other in zip(
    jax.tree.leaves(jax.grad(lambda p: loss(network, p))(params)),
    jax.tree.leaves(jax.grad(lambda p: loss(again, p))(params)),
    strict=True,
  ):
    np.testing.assert_allclose(one, other, atol=1e-5)
  narrow = protocol.logits(hf_llama.read('smollm2', dtype='bfloat16')[0], params, *given)
  assert narrow.dtype == jnp.float32
  np.testing.assert_allclose(narrow, reference['logits'], atol=0.2)


def test_states_behind_a_layer_are_those_of_a_network_that_ends_there():
  network, params, reference = hf_llama.read('llama')
  context, layers = protocol.read_layers(network, params, reference['inputs'], IDS.pad)
  short = dataclasses.replace(network.config, num_layers=1).network()
  ends = protocol.read(short, params, reference['inputs'], IDS.pad), context
  assert layers.shape[1] == len(ends)
  for i, end in enumerate(ends):
    x = layers[:, i]
    normed = (
      x
      / jnp.sqrt(jnp.square(x).mean(-1, keepdims=True) + network.config.norm_epsilon)
      * params['decoder']['decoder_norm']['scale']
    )
    np.testing.assert_allclose(normed, end.states, atol=1e-5)


def test_options_cost_one_reading():
  """Arithmetic of the compiled program against what is needed: one pass over the input, whatever the number of options."""
  config = LlamaConfig(vocab_size=300, emb_dim=32, num_heads=4, num_kv_heads=2, head_dim=8, num_layers=2, mlp_dim=64)
  examples, length, choices = 8, 64, 4
  params = jax.eval_shape(config.network().init, jax.random.key(0), *[jnp.ones((1, 4), jnp.int32)] * 3)['params']
  shapes = [jax.ShapeDtypeStruct(shape, jnp.int32) for shape in ((examples, length), (examples, choices, 3))]
  program = jax.jit(lambda p, x, o: decoding.score_options(config.network(), p, x, o, IDS))
  flops = program.lower(params, *shapes).compile().cost_analysis()['flops']
  fed = 2 * choices  # of three tokens of an option, the first is read off the input's last state
  attended = length * length + fed * (length + fed)
  weights = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64
  needed = 2 * examples * (2 * ((length + fed) * weights + 2 * attended * 32) + (1 + fed) * 32 * 300)
  # XLA also counts softmax, norms and the like, which weigh much at this size.
  assert needed < flops < 1.3 * needed


def test_an_unknown_kind_of_rotary_positions_is_refused_by_name():
  with pytest.raises(UserError, match="rope_type: 'longrope' is not supported"):
    Rotary('longrope')
