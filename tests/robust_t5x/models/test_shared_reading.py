"""What rows begin with is read once: the same numbers as row by row, for every kind of network and adapter, and less arithmetic."""

import dataclasses
import functools

import hf_llama
import jax
import jax.numpy as jnp
from letters import Letters
import numpy as np
import pytest

from robust_t5x.adapters import AdapterConfig
from robust_t5x.models import batching, decoding, protocol, sharing
from robust_t5x.models.llama import LlamaConfig
from robust_t5x.models.protocol import SpecialIds
from robust_t5x.models.robust import RobustModel
from robust_t5x.models.runner import Runner
from robust_t5x.runtime import partitioning

IDS = SpecialIds(pad=0, end=1)
BEGINNING = np.random.default_rng(0).integers(2, 90, 11).astype(np.int32)
RESTS = ((5, 6, 7, 8, 9), (12,), (31, 32, 33))
CASES = {  # kinds of network, all with one layer, and adapters
  'llama_yarn': AdapterConfig(3, prompt_position=len(BEGINNING)),  # a prompt right behind what is shared
  'mistral': AdapterConfig(2, prefix_lengths={'decoder': 2}, prefix_gated=False),  # windows, a joined prefix, a prompt
  'qwen3': AdapterConfig(
    3, {'decoder': 2}, lora_rank=2, lora_projections=('query', 'key', 'value', 'out', 'wi', 'wo'), prompt_position=4
  ),
}


def _padded(rows, length):
  return np.stack([np.pad(np.asarray(row, np.int32), (0, length - len(row))) for row in rows])


def _adapted(kind):
  """A network with an adapter that is not neutral, and all parameters."""
  network, params, _ = hf_llama.read(kind)
  network = dataclasses.replace(network.config, num_layers=1, windows=network.config.windows[:1]).network()
  network = network.clone(adapter=CASES[kind])
  tokens = jnp.ones((1, 12), jnp.int32)
  fresh = jax.eval_shape(network.init, jax.random.key(0), tokens, tokens, tokens)['params']['adapter']
  rng = np.random.default_rng(0)
  return network, {**params, 'adapter': {k: rng.normal(0, 0.3, v.shape).astype('f') for k, v in fresh.items()}}


@functools.partial(jax.jit, static_argnums=0)
def _answers(network, params, beginning, inputs, options):
  begun = None if beginning is None else protocol.read(network, params, beginning, IDS.pad)
  return decoding.score_continuations(network, params, inputs, options, IDS, begun), *decoding.decode_greedily(
    network, params, inputs, 4, IDS, begun
  )


@pytest.mark.parametrize('kind', CASES)
def test_rows_behind_a_shared_beginning_answer_as_whole_ones(kind):
  network, params = _adapted(kind)
  options = np.random.default_rng(1).integers(2, 90, (len(RESTS), 3, 3)).astype(np.int32)
  options[:, 1, 1:] = 0
  whole = _answers(network, params, None, _padded([[*BEGINNING, *rest] for rest in RESTS], 17), options)
  # Padding stands behind the shared tokens, and behind the rests.
  parts = _answers(network, params, _padded([BEGINNING], 14), _padded(RESTS, 6), options)
  for found, expected in zip(parts, whole, strict=True):
    np.testing.assert_allclose(found, expected, atol=1e-4)
  assert np.ptp(whole[0][..., 0]) > 0.1


def test_in_bfloat16_numbers_stay_as_near_as_they_are():
  network, params, _ = hf_llama.read('smollm2', dtype='bfloat16')
  network = dataclasses.replace(network.config, num_layers=1).network()
  fed = jnp.zeros((len(RESTS), 1), jnp.int32)

  @jax.jit
  def logits(params):
    begun = protocol.read(network, params, _padded([BEGINNING], 14), IDS.pad)
    parts = protocol.read_behind(network, params, begun, _padded(RESTS, 6), IDS.pad)
    whole = protocol.read(network, params, _padded([[*BEGINNING, *rest] for rest in RESTS], 17), IDS.pad)
    return [protocol.answer(network, params, context, fed).logits for context in (parts, whole)]

  parts, whole = logits(params)
  np.testing.assert_allclose(parts, whole, atol=0.05)
  assert np.abs(whole).max() > 1


def test_what_cannot_share_says_so():
  network, _, _ = hf_llama.read('llama')
  assert network.least_shared == 1
  assert network.clone(adapter=AdapterConfig(3, prompt_position=9)).least_shared == 9
  # Its additions are made of all of an input's tokens.
  assert network.clone(adapter=AdapterConfig(prefix_lengths={'decoder': 2}, generator_dim=2)).least_shared is None


CONFIG = LlamaConfig(vocab_size=300, emb_dim=64, num_heads=8, num_kv_heads=4, head_dim=8, num_layers=1, mlp_dim=128)


def _few_shot():
  """Rows of two phrasings, each with examples of its own; options of two shapes."""
  rng = np.random.default_rng(0)
  examples = rng.integers(3, 300, (2, 90))
  rows = [np.append(examples[i % 2], rng.integers(3, 300, 9 + i % 3)).astype(np.int32) for i in range(16)]
  return rows, [['AB', 'C'] if i < 8 else ['A', 'B'] for i in range(len(rows))]


def _runner():
  model = RobustModel(CONFIG.network(), Letters(), Letters())
  return Runner(model, jax.jit(model.initial_variables)(jax.random.key(0))['params'], 4, 3)


def test_a_runner_shares_what_pays_and_gives_the_same_numbers(monkeypatch):
  inputs, options = _few_shot()
  continuations = [[[5, 6], [7, 8]]] * len(inputs)
  runner = _runner()

  def answers(done):
    made = runner.score(inputs, options, done), runner.score_continuations(inputs, continuations)
    return *made, runner.score_free_running(inputs, [['A', 'B']] * len(inputs)), runner.generate(inputs)

  assert runner.cost(inputs, options).shared_tokens == 0  # it would not pay
  whole = answers(lambda n: None)
  monkeypatch.setattr(sharing, 'GROUP_COST', 500)
  cost, done = runner.cost(inputs, options), []
  assert (cost.shared_tokens, cost.input_tokens) == (2 * 7 * 90, sum(map(len, inputs)) - 2 * 7 * 90)
  parts = answers(done.append)
  assert sum(done) == len(inputs) and runner.shared_tokens == 4 * cost.shared_tokens
  for found, expected in zip(parts[:3], whole[:3], strict=True):
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(expected), atol=1e-4)
  assert parts[3] == whole[3]


def test_shared_tokens_are_read_at_few_lengths():
  lengths = {n: batching.shared_bucket(n) for n in range(1, 2049)}
  assert all(n <= padded for n, padded in lengths.items())
  assert sorted(set(lengths.values())) == [32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048]


def test_five_examples_cost_a_fourth_of_reading_them_in_every_row():
  """Arithmetic of the compiled programs for questions of 100 tokens behind examples of 500."""
  rows, shared, own, choices = 16, 512, 100, 4
  model = RobustModel(CONFIG.network(), Letters(), Letters())
  params, _ = model.variable_shapes()

  def ints(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.int32)

  def flops(program, *arguments):
    return program.lower(params, *arguments).compile().cost_analysis()['flops']

  options = ints(rows, choices, 2)
  whole = flops(model.compiled_score(), ints(rows, shared + own), options)
  begun = jax.eval_shape(model.begin, params, ints(1, shared))
  parts = flops(model.compiled_score(), ints(rows, own), options, begun)
  assert 4 * (flops(model.compiled_begin(), ints(1, shared)) + parts) < whole


def test_a_beginning_is_shared_on_every_device_too(monkeypatch):
  """Rows are split over four replicas, heads over two devices each."""
  monkeypatch.setattr(sharing, 'GROUP_COST', 500)
  inputs, _ = _few_shot()
  options = [['A', 'B']] * len(inputs)
  alone = _runner()
  expected = alone.score(inputs, options)
  model = RobustModel(CONFIG.network(), Letters(), Letters())
  mesh = partitioning.make_mesh(2)
  shardings = partitioning.param_shardings(model.variable_shapes()[1], alone._params, mesh, CONFIG.num_kv_heads)
  runner = Runner(model, jax.device_put(alone._params, shardings), 4, 3)
  assert runner.cost(inputs, options).shared_tokens
  np.testing.assert_allclose(np.concatenate(runner.score(inputs, options)), np.concatenate(expected), atol=1e-4)
