"""Published families: the sizes of their networks and, of T5s, where their T5X checkpoints are.

T5's sizes and places are those of T5X's own configurations (`t5x/examples/t5`) and of its list of models (`docs/models.md`),
decoders' those of the `config.json` that each was published with.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, NamedTuple

from robust_t5x.models import t5
from robust_t5x.models.llama import LlamaConfig
from robust_t5x.models.protocol import NetworkConfig
from robust_t5x.models.rotary import Rotary
from seqio_tasks.errors import UserError

SIZES = ('small', 'base', 'large', 'xl', 'xxl')

# (D, heads, head width, layers in each stack, MLP width)
_T5_1_0 = {
  'small': (512, 8, 64, 6, 2048),
  'base': (768, 12, 64, 12, 3072),
  'large': (1024, 16, 64, 24, 4096),
  'xl': (1024, 32, 128, 24, 16384),  # published as 3B
  'xxl': (1024, 128, 128, 24, 65536),  # published as 11B
}
_T5_1_1 = {
  'small': (512, 6, 64, 8, 1024),
  'base': (768, 12, 64, 12, 2048),
  'large': (1024, 16, 64, 24, 2816),
  'xl': (2048, 32, 64, 24, 5120),
  'xxl': (4096, 64, 64, 24, 10240),
}
_BUCKET = 'gs://t5-data/pretrained_models/t5x'

# Family -> size -> checkpoint, relative to _BUCKET. Families that are not here were published in other formats only.
_CHECKPOINTS = {
  't5_1_0': {
    'small': 't5_small/checkpoint_1000000', 'base': 't5_base/checkpoint_999900', 'large': 't5_large/checkpoint_1000700',
    'xl': 't5_3B/checkpoint_1000000', 'xxl': 't5_11B/checkpoint_1000000',
  },
  't5_1_1': {size: f't5_1_1_{size}/checkpoint_1000000' for size in SIZES},
  'flan_t5': {
    'small': 'flan_t5_small/checkpoint_1198000', 'base': 'flan_t5_base/checkpoint_1184000',
    'large': 'flan_t5_large/checkpoint_1164000', 'xl': 'flan_t5_xl/checkpoint_1138000',
    'xxl': 'flan_t5_xxl/checkpoint_1114000',
  },
}  # fmt: skip
# T0 was tuned from the LM-adapted T5.1.1, whose sizes it has.
T5_FAMILIES = ('t5_1_0', 't5_1_1', 'flan_t5', 't0')


class _Size(NamedTuple):
  """Of a decoder: rows of its embedding V, D, heads, heads of keys and values, head width, layers, MLP width, and what it
  has otherwise than its family."""

  vocab_size: int
  emb_dim: int
  num_heads: int
  num_kv_heads: int
  head_dim: int
  num_layers: int
  mlp_dim: int
  more: Mapping[str, Any] = {}


_QWEN2 = {'attention_bias': ('query', 'key', 'value'), 'rotary': Rotary(theta=1e6)}
_QWEN3 = {'qk_norm': True, 'rotary': Rotary(theta=1e6)}
_TIED = {'logits_via_embedding': True}
# Family of decoders -> (what all its sizes have, size -> network). Instruction-tuned models have the sizes of their base;
# Alpaca's are llama_1's, with one row more where its padding token was added.
_DECODERS: dict[str, tuple[dict[str, Any], dict[str, _Size]]] = {
  'llama_1': ({}, {
    '7b': _Size(32000, 4096, 32, 32, 128, 32, 11008), '13b': _Size(32000, 5120, 40, 40, 128, 40, 13824),
  }),
  'llama_2': ({'norm_epsilon': 1e-5}, {
    '7b': _Size(32000, 4096, 32, 32, 128, 32, 11008), '13b': _Size(32000, 5120, 40, 40, 128, 40, 13824),
  }),
  'llama_3_1': ({'norm_epsilon': 1e-5, 'rotary': Rotary('llama3', 5e5, 8.0, 8192, 1.0, 4.0)}, {
    '8b': _Size(128256, 4096, 32, 8, 128, 32, 14336),
  }),
  'mistral_v0_3': ({'norm_epsilon': 1e-5, 'rotary': Rotary(theta=1e6)}, {
    '7b': _Size(32768, 4096, 32, 8, 128, 32, 14336),
  }),
  'qwen2_5': (_QWEN2, {
    '0.5b': _Size(151936, 896, 14, 2, 64, 24, 4864, _TIED), '1.5b': _Size(151936, 1536, 12, 2, 128, 28, 8960, _TIED),
    '3b': _Size(151936, 2048, 16, 2, 128, 36, 11008, _TIED), '7b': _Size(152064, 3584, 28, 4, 128, 28, 18944),
  }),
  'qwen3': (_QWEN3, {
    '0.6b': _Size(151936, 1024, 16, 8, 128, 28, 3072, _TIED), '1.7b': _Size(151936, 2048, 16, 8, 128, 28, 6144, _TIED),
    '4b': _Size(151936, 2560, 32, 8, 128, 36, 9728, _TIED), '8b': _Size(151936, 4096, 32, 8, 128, 36, 12288),
    '14b': _Size(151936, 5120, 40, 8, 128, 40, 17408),
  }),
  'smollm2': ({'norm_epsilon': 1e-5, 'rotary': Rotary(theta=1e5), **_TIED}, {
    '135m': _Size(49152, 576, 9, 3, 64, 30, 1536), '360m': _Size(49152, 960, 15, 5, 64, 32, 2560),
    '1.7b': _Size(49152, 2048, 32, 32, 64, 24, 8192, {'rotary': Rotary(theta=1.3e5)}),
  }),
  'tinyllama': ({'norm_epsilon': 1e-5}, {'1.1b': _Size(32000, 2048, 32, 4, 64, 22, 5632)}),
}  # fmt: skip
FAMILIES = (*T5_FAMILIES, *_DECODERS)

# Rows of the embedding table: 32,000 pieces, 100 sentinels, padding.
_VOCABULARY_SIZE = 32128


class FamilyError(UserError):
  """A family or size that was not published."""


def sizes(family: str) -> tuple[str, ...]:
  """The sizes of a family.

  Raises:
    FamilyError: naming the families there are.
  """
  if family not in FAMILIES:
    raise FamilyError(f'FAMILY: unknown family {family!r}; use one of {", ".join(FAMILIES)}')
  return tuple(_DECODERS[family][1]) if family in _DECODERS else SIZES


def config(
  family: str,
  size: str,
  dtype: str = 'float32',
  dropout_rate: float = 0.0,
  remat: bool = False,
  scan_layers: bool = False,
) -> NetworkConfig:
  """The network of a published model.

  Args:
    family: one of FAMILIES.
    size: one of `sizes(family)`.
    dtype: dtype of activations.
    dropout_rate: dropout.
    remat: recompute activations in the backward pass.
    scan_layers: run the layers as one loop.

  Raises:
    FamilyError: naming the families or sizes there are.
  """
  if size not in sizes(family):
    raise FamilyError(f'SIZE: {family} has no size {size!r}; use one of {", ".join(sizes(family))}')
  made = _decoder(family, size) if family in _DECODERS else t5_config(family, size)
  return dataclasses.replace(made, dtype=dtype, dropout_rate=dropout_rate, remat=remat, scan_layers=scan_layers)


def t5_config(family: str, size: str) -> t5.T5Config:
  """The network of a published T5; arguments as those of `config`."""
  emb_dim, num_heads, head_dim, layers, mlp_dim = (_T5_1_0 if family == 't5_1_0' else _T5_1_1)[size]
  return t5.T5Config(
    vocab_size=_VOCABULARY_SIZE,
    emb_dim=emb_dim,
    num_heads=num_heads,
    head_dim=head_dim,
    num_encoder_layers=layers,
    num_decoder_layers=layers,
    mlp_dim=mlp_dim,
    mlp_activations=('relu',) if family == 't5_1_0' else ('gelu', 'linear'),
    logits_via_embedding=family == 't5_1_0',
  )


def _decoder(family: str, size: str) -> LlamaConfig:
  shared, found = _DECODERS[family]
  fields = found[size]._asdict()
  more = fields.pop('more')
  return LlamaConfig(**{**fields, **shared, **more})


def checkpoint(family: str, size: str) -> str:
  """Place of a published T5X checkpoint.

  Raises:
    FamilyError: if there is none.
  """
  config(family, size)  # names a wrong family or size
  if size not in _CHECKPOINTS.get(family, {}):
    raise FamilyError(
      f'INITIAL_CHECKPOINT_PATH: there is no published T5X checkpoint of {family} {size}; give the path of one, '
      "or of a directory in Hugging Face's layout"
    )
  return f'{_BUCKET}/{_CHECKPOINTS[family][size]}'
