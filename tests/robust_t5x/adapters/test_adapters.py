"""Soft prompts: where they go, how they start, and how they are saved."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robust_t5x import adapters
from robust_t5x.checkpoints import adapter_files
from robust_t5x.models import protocol, t5, trainable

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


def _build(kind):
  module = t5.Transformer(CONFIG, KINDS[kind])
  params = jax.jit(module.init)(jax.random.key(0), INPUTS, protocol.mask_of(INPUTS, 0), OUTPUTS)['params']
  return module, params


@functools.partial(jax.jit, static_argnums=0)
def _logits(module, params, inputs=INPUTS):
  return protocol.logits(module, params, inputs, OUTPUTS, 0)


def test_prepending_keeps_padding_hidden():
  """The adapter is seen by every row; what stands in the padding and how much of it there is changes nothing."""
  module, params = _build('input')
  encoded, mask, _ = protocol.read(module, params, INPUTS, 0)
  assert encoded.shape == (2, 7, 8)
  np.testing.assert_array_equal(mask, [[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0]])
  longer = np.pad(INPUTS, [(0, 0), (0, 5)])
  np.testing.assert_allclose(_logits(module, params, longer), _logits(module, params), atol=1e-5)


def test_the_adapter_is_what_the_tokens_of_the_same_vectors_would_be():
  """An adapter of the embeddings of three tokens acts as these tokens, its positions included."""
  module, params = _build('input')
  tokens = np.array([20, 21, 22])
  flat = trainable.flatten(params)
  flat['adapter/embedding'] = flat['token_embedder/embedding'][tokens]
  with_adapter = _logits(module, trainable.unflatten(flat))
  plain = t5.Transformer(CONFIG)
  del flat['adapter/embedding']
  inputs = np.concatenate([np.tile(tokens, (2, 1)), INPUTS], axis=1)
  np.testing.assert_allclose(with_adapter, _logits(plain, trainable.unflatten(flat), inputs), atol=1e-6)


@pytest.mark.parametrize(
  ('kind', 'closed'),
  [
    ('prefix', ['encoder_gate', 'decoder_gate']),
    ('cross', ['cross_gate']),
    ('generated', ['encoder_gate']),
    ('lora', [f'{stack}_lora_{name}_up' for stack in PROJECTED for name in ('query', 'value')]),
    ('lora_all', [f'{stack}_lora_{name}_up' for stack, names in PROJECTED.items() for name in names]),
  ],
)
def test_what_is_added_to_attention_starts_without_effect_and_can_have_one(kind, closed):
  module, params = _build(kind)
  flat = trainable.flatten(params)
  backbone = {k: v for k, v in flat.items() if not k.startswith('adapter/')}
  plain = _logits(t5.Transformer(CONFIG), trainable.unflatten(backbone))
  np.testing.assert_array_equal(_logits(module, params), plain)
  gradient = trainable.flatten(jax.grad(lambda p: (_logits(module, p) ** 2).sum())(params))
  for name in closed:
    assert np.abs(gradient[f'adapter/{name}']).max() > 0, name
    opened = trainable.unflatten({**flat, f'adapter/{name}': jnp.ones_like(flat[f'adapter/{name}'])})
    assert np.abs(_logits(module, opened) - plain).max() > 1e-4


@pytest.mark.parametrize('kind', KINDS)
def test_cached_decoding_with_an_adapter(kind):
  module, params = _build(kind)
  flat = trainable.flatten(params)
  params = trainable.unflatten({k: jnp.ones_like(v) if k.endswith(('gate', 'up')) else v for k, v in flat.items()})
  context = jax.jit(lambda p: protocol.read(module, p, INPUTS, 0))(params)
  whole = _logits(module, params)
  step = jax.jit(lambda cache, token: protocol.step(module, params, context, cache, token, 3))
  cache = protocol.begin(module, params, context, 3, protocol.SpecialIds(pad=0, end=1))
  for i in range(3):
    logits, cache = step(cache, OUTPUTS[:, i : i + 1])
    np.testing.assert_allclose(logits, whole[:, i], atol=1e-5)


@pytest.mark.parametrize('kind', KINDS)
def test_round_trip(kind, tmp_path):
  _, params = _build(kind)
  path = str(tmp_path / 'new' / 'adapter.safetensors')
  digest = adapter_files.save(path, params['adapter'], {'seed': 3})
  arrays, metadata = adapter_files.load(path)
  assert len(digest) == 64
  assert metadata == {'seed': 3}
  assert adapters.config_of(arrays) == KINDS[kind]
  for name, value in params['adapter'].items():
    np.testing.assert_array_equal(arrays[name], value)
  adapters.check_fits(arrays, CONFIG, path)


def test_a_generated_prefix_depends_on_the_input_and_not_on_its_padding():
  module, params = _build('generated')
  flat = {**trainable.flatten(params), 'adapter/encoder_gate': jnp.ones((2, 2))}
  fixed = _logits(module, trainable.unflatten(flat))
  rng = np.random.default_rng(0)
  for name in ('pool', 'up'):
    flat[f'adapter/generator_{name}'] = rng.normal(size=flat[f'adapter/generator_{name}'].shape).astype(np.float32)
  params = trainable.unflatten(flat)
  logits = _logits(module, params)
  assert np.abs(logits - fixed).max(axis=(1, 2)).min() > 1e-4  # in every row
  np.testing.assert_allclose(_logits(module, params, np.pad(INPUTS, [(0, 0), (0, 5)])), logits, atol=1e-5)

  def added(inputs):
    bound = module.bind({'params': params})
    embedded, mask = bound.token_embedder(inputs), (inputs > 0).astype(int)
    return bound.adapter_module.layers('encoder', embedded, mask).prefix.value - flat['adapter/encoder_value'][:, None]

  values = added(INPUTS)
  assert values.shape == (2, 2, 3, 2, 4)
  # By hand, in numpy: normalised embeddings, weighed by their match, through the two matrices.
  x = np.asarray(flat['token_embedder/embedding'])[INPUTS[1, :2]]
  x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6)
  weights = np.exp(x @ flat['adapter/generator_pool'])
  inner = jax.nn.gelu(weights @ x / weights.sum() @ np.asarray(flat['adapter/generator_down']))
  expected = np.einsum('r,lrphf->lphf', inner, flat['adapter/generator_up'])
  np.testing.assert_allclose(values[:, 1], expected, rtol=1e-4, atol=1e-5)
  with pytest.raises(adapters.AdapterError, match='without a prefix'):
    adapters.AdapterConfig(generator_dim=2)


@pytest.mark.parametrize('kind', ['lora', 'lora_all'])
def test_lora_is_what_adding_it_to_the_kernels_is(kind):
  """Against the plain network with kernel + down · up in the place of each kernel that is added to."""
  module, params = _build(kind)
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
  expected = _logits(t5.Transformer(CONFIG), trainable.unflatten(merged))
  actual = _logits(module, trainable.unflatten(flat))
  np.testing.assert_allclose(actual, expected, atol=1e-4 * np.abs(expected).max())


def test_lora_projections_are_named():
  assert adapters.AdapterConfig(lora_projections=['wo']).lora_projections == ('wo',)
  for wrong in (('query', 'values'), ()):
    with pytest.raises(adapters.AdapterError, match='at least one of query, key'):
      adapters.AdapterConfig(lora_projections=wrong)


def test_an_adapter_of_another_model_is_named(tmp_path):
  _, params = _build('both')
  import dataclasses

  for change in ({'emb_dim': 16}, {'num_heads': 4}, {'num_encoder_layers': 3}):
    with pytest.raises(adapters.AdapterError, match='does not fit this model'):
      adapters.check_fits(params['adapter'], dataclasses.replace(CONFIG, **change), 'p')
  for arrays, message in (
    ({**params['adapter'], 'decoder_gate': np.zeros((2, 2))}, 'holds decoder_gate, which no adapter has'),
    ({'encoder_key': params['adapter']['encoder_key']}, 'lacks encoder_gate'),
  ):
    with pytest.raises(adapters.AdapterError, match=message):
      adapters.check_fits(arrays, CONFIG, 'p')


@pytest.mark.parametrize(('content', 'message'), [(None, 'no file'), (b'not safetensors', 'not a safetensors file')])
def test_unreadable_files(tmp_path, content, message):
  path = tmp_path / 'adapter.safetensors'
  if content:
    path.write_bytes(content)
  with pytest.raises(adapters.AdapterError, match=message):
    adapter_files.load(str(path))


def test_initialisation(tiny_vocabulary_path, tmp_path):
  import seqio

  vocabulary = seqio.SentencePieceVocabulary(tiny_vocabulary_path, extra_ids=100)
  table = np.random.default_rng(0).normal(size=(vocabulary.vocab_size, 8)).astype(np.float32)
  adapter = {'embedding': np.zeros((6, 8), np.float32), 'encoder_gate': np.zeros((2, 2), np.float32)}

  def start(method, seed=0):
    out = adapters.initialise(adapter, method, table, vocabulary, seed)
    np.testing.assert_array_equal(out['encoder_gate'], adapter['encoder_gate'])
    return out['embedding']

  np.testing.assert_array_equal(start('uniform'), adapter['embedding'])
  sampled = start('vocabulary')
  rows = [int(np.flatnonzero((table == row).all(axis=1))[0]) for row in sampled]
  assert len(set(rows)) == 6
  assert all(3 <= row < vocabulary.vocab_size - 100 for row in rows)
  np.testing.assert_array_equal(start('vocabulary'), sampled)
  assert (start('vocabulary', seed=1) != sampled).any()
  ids = vocabulary.encode('the word')
  np.testing.assert_array_equal(start('text:the word'), table[np.resize(ids, 6)])
  labels = start('labels:yes, no')
  np.testing.assert_allclose(labels[1], table[vocabulary.encode('no')].mean(axis=0), rtol=1e-6)
  np.save(tmp_path / 'start.npy', sampled * 2)
  np.testing.assert_array_equal(start(str(tmp_path / 'start.npy')), sampled * 2)
  np.save(tmp_path / 'wrong.npy', sampled[:2])
  for method, message in {
    'text:': "'text:' needs a text",
    'labels:a,b,c,d,e,f,g': '1 to 6 labels',
    str(tmp_path / 'wrong.npy'): r'array \[2, 8\], the model needs \[6, 8\]',
    str(tmp_path / 'absent.npy'): 'no file',
    'zeros': 'unknown method',
  }.items():
    with pytest.raises(adapters.AdapterError, match=message):
      start(method)
