"""The parameters of a decoder-only network: their names and shapes here, and their names in Hugging Face's layout."""

from collections.abc import Iterator
import dataclasses
import functools

from robust_t5x.checkpoints.naming import Layout, Name
from robust_t5x.models.llama import LlamaConfig
from robust_t5x.models.protocol import EMBEDDING

_ATTENTION = {'query': 'q', 'key': 'k', 'value': 'v', 'out': 'o'}
_MLP = {'wi_0': 'gate', 'wi_1': 'up', 'wo': 'down'}


# What shapes tell, and what a checkpoint does not decide.
_TOLD = frozenset(
  ('vocab_size', 'emb_dim', 'num_layers', 'mlp_dim', 'logits_via_embedding', 'attention_bias', 'mlp_bias', 'qk_norm')
)
_FREE = frozenset(('dropout_rate', 'dtype', 'remat', 'scan_layers'))
_EMBEDDING, _OUTPUT = 'model.embed_tokens.weight', 'lm_head.weight'


def layout(config: LlamaConfig) -> Layout:
  """The tensors of a decoder-only network."""
  return Layout(
    noun='a decoder-only network',
    layers=config.num_layers,
    names=functools.partial(names, config),
    embedding=_EMBEDDING,
    output=_OUTPUT,
    copies=(),
    # Frequencies of rotary positions, of the first releases; config.json tells them.
    unused=r'model\.(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq',
    layer=r'model\.layers\.',
    output_may_be_embedding=False,
    settings=functools.partial(_settings, config),
  )


def _settings(config: LlamaConfig) -> dict[str, object]:
  """Fields by name, those of the rotary positions as rotary.NAME; without those at their defaults."""
  found: dict[str, object] = {}
  for prefix, value in (('', config), ('rotary.', config.rotary)):
    for field in dataclasses.fields(value):
      if field.name not in _TOLD | _FREE | {'rotary'} and getattr(value, field.name) != field.default:
        found[prefix + field.name] = getattr(value, field.name)
  return found


def names(config: LlamaConfig) -> Iterator[Name]:
  """Every parameter of a network."""
  width, inner = config.emb_dim, config.mlp_dim
  yield Name(_EMBEDDING, EMBEDDING, False, (config.vocab_size, width))
  yield Name('model.norm.weight', 'decoder/decoder_norm/scale', False, (width,))
  for i in range(config.num_layers):
    theirs, ours = f'model.layers.{i}', f'decoder/layers_{i}'
    yield Name(f'{theirs}.input_layernorm.weight', f'{ours}/pre_attention_layer_norm/scale', False, (width,))
    yield Name(f'{theirs}.post_attention_layernorm.weight', f'{ours}/pre_mlp_layer_norm/scale', False, (width,))
    queries, pairs = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    for long, short in _ATTENTION.items():
      given = pairs if long in ('key', 'value') else queries
      yield from _linear(
        f'{theirs}.self_attn.{short}_proj',
        f'{ours}/attention/{long}',
        (queries, width) if long == 'out' else (width, given),
        long in config.attention_bias,
      )
      if config.qk_norm and long in ('query', 'key'):
        norm = f'{theirs}.self_attn.{short}_norm.weight'
        yield Name(norm, f'{ours}/attention/{long}_norm/scale', False, (config.head_dim,))
    for long, short in _MLP.items():
      shape = (inner, width) if long == 'wo' else (width, inner)
      yield from _linear(f'{theirs}.mlp.{short}_proj', f'{ours}/mlp/{long}', shape, config.mlp_bias)
  if not config.logits_via_embedding:
    yield Name(_OUTPUT, 'logits_dense/kernel', True, (width, config.vocab_size))


def _linear(theirs: str, ours: str, shape: tuple[int, int], bias: bool) -> Iterator[Name]:
  yield Name(f'{theirs}.weight', f'{ours}/kernel', True, shape)
  if bias:
    yield Name(f'{theirs}.bias', f'{ours}/bias', False, shape[1:])
