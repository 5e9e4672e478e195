"""The parameters of a T5: their names and shapes in T5X, and their names in Hugging Face's layout."""

from collections.abc import Iterator
from typing import NamedTuple

from robust_t5x.models import t5

EMBEDDING, OUTPUT = 'token_embedder/embedding', 'decoder/logits_dense/kernel'
# Copies of the shared embedding that some files hold besides; the output layer is one more where the network ties it.
COPIES = ('encoder.embed_tokens.weight', 'decoder.embed_tokens.weight')
OUTPUT_THEIRS, EMBEDDING_THEIRS = 'lm_head.weight', 'shared.weight'


class Name(NamedTuple):
  """A parameter.

  Attributes:
    theirs: Hugging Face's name.
    ours: T5X's path.
    transpose: whether Hugging Face stores it transposed.
    shape: T5X's.
  """

  theirs: str
  ours: str
  transpose: bool
  shape: tuple[int, ...]


def shapes(config: t5.T5Config) -> dict[str, tuple[int, ...]]:
  """T5X's path -> shape of every parameter of a network."""
  return {name.ours: name.shape for name in names(config)}


def names(config: t5.T5Config) -> Iterator[Name]:
  """Every parameter of a network."""
  width, inner, heads = config.emb_dim, config.mlp_dim, config.num_heads * config.head_dim
  yield Name(EMBEDDING_THEIRS, EMBEDDING, False, (config.vocab_size, width))
  for stack, layers in (('encoder', config.num_encoder_layers), ('decoder', config.num_decoder_layers)):
    decoder = stack == 'decoder'
    yield Name(
      f'{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight',
      f'{stack}/relpos_bias/rel_embedding',
      True,
      (config.num_heads, config.relpos_buckets),
    )
    yield Name(f'{stack}.final_layer_norm.weight', f'{stack}/{stack}_norm/scale', False, (width,))
    for i in range(layers):
      theirs, ours = f'{stack}.block.{i}.layer', f'{stack}/layers_{i}'
      attention = 'self_attention' if decoder else 'attention'
      yield from _attention(f'{theirs}.0.SelfAttention', f'{ours}/{attention}', width, heads)
      yield Name(f'{theirs}.0.layer_norm.weight', f'{ours}/pre_{attention}_layer_norm/scale', False, (width,))
      if decoder:
        yield from _attention(f'{theirs}.1.EncDecAttention', f'{ours}/encoder_decoder_attention', width, heads)
        yield Name(f'{theirs}.1.layer_norm.weight', f'{ours}/pre_cross_attention_layer_norm/scale', False, (width,))
      last = f'{theirs}.{2 if decoder else 1}'
      for name in config.mlp_inputs:
        yield Name(f'{last}.DenseReluDense.{name}.weight', f'{ours}/mlp/{name}/kernel', True, (width, inner))
      yield Name(f'{last}.DenseReluDense.wo.weight', f'{ours}/mlp/wo/kernel', True, (inner, width))
      yield Name(f'{last}.layer_norm.weight', f'{ours}/pre_mlp_layer_norm/scale', False, (width,))
  if not config.logits_via_embedding:
    yield Name(OUTPUT_THEIRS, OUTPUT, True, (width, config.vocab_size))


def _attention(theirs: str, ours: str, width: int, heads: int) -> Iterator[Name]:
  for short, long in (('q', 'query'), ('k', 'key'), ('v', 'value')):
    yield Name(f'{theirs}.{short}.weight', f'{ours}/{long}/kernel', True, (width, heads))
  yield Name(f'{theirs}.o.weight', f'{ours}/out/kernel', True, (heads, width))
