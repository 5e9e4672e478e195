"""Published T5 families: the sizes of their networks and where their T5X checkpoints are.

Sizes and places are those of T5X's own configurations (`t5x/examples/t5`) and of its list of models (`docs/models.md`).
"""

from robust_t5x.models import t5
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
FAMILIES = ('t5_1_0', 't5_1_1', 'flan_t5', 't0')

# Rows of the embedding table: 32,000 pieces, 100 sentinels, padding.
_VOCABULARY_SIZE = 32128


class FamilyError(UserError):
  """A family or size that was not published."""


def config(
  family: str, size: str, dtype: str = 'float32', dropout_rate: float = 0.0, remat: bool = False
) -> t5.T5Config:
  """The network of a published model.

  Args:
    family: one of FAMILIES.
    size: one of SIZES.
    dtype: dtype of activations.
    dropout_rate: dropout.
    remat: recompute activations in the backward pass.

  Raises:
    FamilyError: naming the sizes there are.
  """
  if family not in FAMILIES:
    raise FamilyError(f'unknown family {family!r}; use one of {", ".join(FAMILIES)}')
  sizes = _T5_1_0 if family == 't5_1_0' else _T5_1_1
  if size not in sizes:
    raise FamilyError(f'SIZE: {family} has no size {size!r}; use one of {", ".join(sizes)}')
  emb_dim, num_heads, head_dim, layers, mlp_dim = sizes[size]
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
    dropout_rate=dropout_rate,
    dtype=dtype,
    remat=remat,
  )


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
