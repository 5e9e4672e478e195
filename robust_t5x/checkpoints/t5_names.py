"""The parameters of a T5: their names and shapes in T5X, and their names in Hugging Face's layout."""

from collections.abc import Iterator, Mapping
import dataclasses
import functools
import re

from robust_t5x.checkpoints.checks import CheckpointError
from robust_t5x.checkpoints.naming import Layout, Name
from robust_t5x.models import t5
from robust_t5x.models.protocol import EMBEDDING

# Copies of the shared embedding that some files hold besides; the output layer is one more where the network ties it.
_COPIES = ('encoder.embed_tokens.weight', 'decoder.embed_tokens.weight')
_OUTPUT, _EMBEDDING = 'lm_head.weight', 'shared.weight'
# Of T5's first release; transformers does not use it either.
_UNUSED = r'decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight'


def layout(config: t5.T5Config) -> Layout:
  """The tensors of a T5; settings that its shapes do not tell are those in which it differs from `config_of` these."""
  return Layout(
    noun='a T5',
    layers=max(config.num_encoder_layers, config.num_decoder_layers),
    names=functools.partial(names, config),
    embedding=_EMBEDDING,
    output=_OUTPUT,
    copies=_COPIES,
    unused=_UNUSED,
    layer=r'(encoder|decoder)\.block\.',
    output_may_be_embedding=True,
    settings=functools.partial(_settings, config),
  )


def _settings(config: t5.T5Config) -> dict[str, object]:
  usual = config_of({name.ours: name.shape for name in names(config)}, 'a network')
  found = {field.name: getattr(config, field.name) for field in dataclasses.fields(usual)}
  return {name: value for name, value in found.items() if value != getattr(usual, name)}


def names(config: t5.T5Config) -> Iterator[Name]:
  """Every parameter of a network."""
  width, inner, heads = config.emb_dim, config.mlp_dim, config.num_heads * config.head_dim
  yield Name(_EMBEDDING, EMBEDDING, False, (config.vocab_size, width))
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
    yield Name(_OUTPUT, 'decoder/logits_dense/kernel', True, (width, config.vocab_size))


def _attention(theirs: str, ours: str, width: int, heads: int) -> Iterator[Name]:
  for short, long in (('q', 'query'), ('k', 'key'), ('v', 'value')):
    yield Name(f'{theirs}.{short}.weight', f'{ours}/{long}/kernel', True, (width, heads))
  yield Name(f'{theirs}.o.weight', f'{ours}/out/kernel', True, (heads, width))


def config_of(shapes: Mapping[str, tuple[int, ...]], path: str) -> t5.T5Config:
  """The network that has parameters of these shapes.

  Raises:
    CheckpointError: naming the parameter that a T5 has and this checkpoint lacks.
  """
  stacked = next((name for name in shapes if re.match(r'(encoder|decoder)/(encoder|decoder|layers)/', name)), None)
  if stacked is not None:
    raise CheckpointError(
      f"{path}: {stacked} stacks the layers of a network, as T5X's scalable_t5 does, which is not read; save it unstacked"
    )

  def shape(name, rank=2):
    if name not in shapes:
      raise CheckpointError(f'{path}: has no parameter {name}; it is no whole T5')
    if len(shapes[name]) != rank or 0 in shapes[name]:
      raise CheckpointError(f'{path}: {name} has the shape {list(shapes[name])}, which is not that of a T5')
    return shapes[name]

  def layers(stack):
    numbers = {int(m[1]) for name in shapes if (m := re.match(rf'{stack}/layers_(\d{{1,4}})/', name))}
    for i in range(max(numbers, default=0) + 1):
      if i not in numbers:
        raise CheckpointError(f'{path}: has no parameter {stack}/layers_{i}; fetch the whole checkpoint')
    return len(numbers)

  gated = 'encoder/layers_0/mlp/wi_0/kernel' in shapes
  heads, buckets = shape('encoder/relpos_bias/rel_embedding')
  vocab_size, emb_dim = shape('token_embedder/embedding')
  return t5.T5Config(
    vocab_size=vocab_size,
    emb_dim=emb_dim,
    num_heads=heads,
    head_dim=shape('encoder/layers_0/attention/query/kernel')[1] // heads,
    num_encoder_layers=layers('encoder'),
    num_decoder_layers=layers('decoder'),
    mlp_dim=shape(f'encoder/layers_0/mlp/{"wi_0" if gated else "wi"}/kernel')[1],
    mlp_activations=('gelu', 'linear') if gated else ('relu',),
    logits_via_embedding='decoder/logits_dense/kernel' not in shapes,
    relpos_buckets=buckets,
  )
