"""The tokenizer that a GGUF file carries, as `tokenizer.json` would have it.

The file names the kind of tokenizer, and for byte-level ones the regular expression that cuts texts into words by a name
alone (`tokenizer.ggml.pre`); what a name means is known from llama.cpp. A name that is not known here is refused: a wrong
expression gives other tokens without a word.
"""

from collections.abc import Mapping, Sequence
import json
from typing import Any, NamedTuple, TypedDict

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from robust_t5x.checkpoints import gguf_format
from robust_t5x.checkpoints.checks import CheckpointError
from robust_t5x.checkpoints.tokenizer_spec import TokenizerSpec
from robust_t5x.runtime import records
from seqio_tasks.errors import shorten

_KEYS = 'tokenizer.ggml.'
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4  # llama.cpp's types of tokens
_ROLES = {
  'bos_token': 'bos_token_id',
  'eos_token': 'eos_token_id',
  'pad_token': 'padding_token_id',
  'unk_token': 'unknown_token_id',
}
_STOPS = ('eos_token_id', 'eot_token_id', 'eom_token_id')
_SPACE = '▁'
_TEMPLATE = 'tokenizer.chat_template'


class _Fields(TypedDict, total=False):
  """What is read of the metadata, without their common beginning."""

  model: str
  pre: str
  tokens: list[str]
  token_type: list[int]
  scores: list[float]
  merges: list[str]
  bos_token_id: int
  eos_token_id: int
  eot_token_id: int
  eom_token_id: int
  padding_token_id: int
  unknown_token_id: int
  add_bos_token: bool
  add_space_prefix: bool


class _Words(NamedTuple):
  """How a byte-level tokenizer cuts texts into words.

  Attributes:
    pattern: regular expression; '' for GPT-2's.
    whole_words: whether a word that is a token is one, whatever the merges.
    begins: whether a text begins with the begin token unless the file says otherwise.
    composes: whether texts are brought into Unicode's composed form (NFC).
    single_digits: whether digits are cut off one by one before.
  """

  pattern: str = ''
  whole_words: bool = False
  begins: bool = False
  composes: bool = False
  single_digits: bool = False


_CL100K = (
  r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
  r'| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+'
)
_LLAMA3 = _Words(_CL100K % '{1,3}', whole_words=True, begins=True)
_QWEN2 = _Words(_CL100K % '', composes=True)
_TEKKEN = _Words(
  r'[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+'
  r'|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*'
  r'|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+',
  whole_words=True,
  begins=True,
)
_WORDS: Mapping[str, _Words] = {
  'llama3': _LLAMA3,
  'llama-v3': _LLAMA3,
  'llama-bpe': _LLAMA3,
  'tekken': _TEKKEN,
  'qwen2': _QWEN2,
  'deepseek-r1-qwen': _QWEN2,
  'smollm': _Words(single_digits=True),
  'gpt-2': _Words(),
  'olmo': _Words(),
}


def read(path: str) -> TokenizerSpec:
  """Reads the tokenizer of a GGUF file.

  Raises:
    CheckpointError: if it holds none, or one that is not known here.
  """
  return spec_of(
    path,
    {
      name: value.tolist() if isinstance(value, np.ndarray) else value
      for name, value in gguf_format.read_metadata(path).items()
      if name.startswith(_KEYS) or name == _TEMPLATE
    },
  )


def spec_of(path: str, fields: Mapping[str, Any]) -> TokenizerSpec:
  """The tokenizer that metadata describe; `path` is for messages."""
  metadata = {name.removeprefix(_KEYS): value for name, value in fields.items()}
  fault = records.fault(metadata, _Fields) or records.fault(fields.get(_TEMPLATE), str | None, _TEMPLATE)
  if fault:
    raise CheckpointError(f'VOCABULARY: {path}: of {_KEYS}*, {fault}; fetch it again')
  tokens, kind = metadata.get('tokens'), metadata.get('model')
  if not tokens or not isinstance(tokens, list):
    raise CheckpointError(f'VOCABULARY: {path} holds no tokenizer ({_KEYS}tokens); set it to a file tokenizer.json')
  types = metadata.get('token_type') or [_NORMAL] * len(tokens)
  if len(types) != len(tokens) or len(set(tokens)) != len(tokens):
    fault = 'a type for each token' if len(types) != len(tokens) else 'each token once'
    raise CheckpointError(f'VOCABULARY: {path} has not {fault} ({_KEYS}tokens); fetch it again')
  if kind == 'gpt2':
    made, begins = _byte_level(path, metadata, tokens)
  elif kind == 'llama':
    made, begins = _sentencepiece(path, metadata, tokens, types), True
  else:
    raise CheckpointError(
      f'VOCABULARY: {path} has a tokenizer of the kind {shorten(repr(kind), 40)} ({_KEYS}model); gpt2 and llama are read: '
      "set it to the model's tokenizer.json"
    )
  layout = json.loads(made.to_str())
  layout['added_tokens'] = [
    {'id': i, 'content': token, 'special': kind != _USER_DEFINED, 'normalized': False,
     'single_word': False, 'lstrip': False, 'rstrip': False}
    for i, (token, kind) in enumerate(zip(tokens, types, strict=True))
    if kind in (_UNKNOWN, _CONTROL, _USER_DEFINED)
  ]  # fmt: skip
  special = {role: _token(path, metadata, tokens, key) for role, key in _ROLES.items()}
  template = metadata.get(_TEMPLATE)
  return TokenizerSpec(
    place=path,
    layout=layout,
    special_tokens={role: token for role, token in special.items() if token is not None},
    stops=tuple(dict.fromkeys(metadata[key] for key in _STOPS if key in metadata)),
    adds_begin=bool(metadata.get('add_bos_token', begins)) and special['bos_token'] is not None,
    templates={'default': (f'{path}: {_TEMPLATE}', template)} if template else {},
  )


def _token(path: str, metadata: Mapping[str, Any], tokens: Sequence[str], key: str) -> str | None:
  number = metadata.get(key)
  if number is None:
    return None
  if not 0 <= number < len(tokens):
    raise CheckpointError(f'VOCABULARY: {path} has {_KEYS}{key} {number} and {len(tokens)} tokens; fetch it again')
  return tokens[number]


def _byte_level(path: str, metadata: Mapping[str, Any], tokens: Sequence[str]) -> tuple[tokenizers.Tokenizer, bool]:
  name = metadata.get('pre')
  words = _WORDS.get(name) if isinstance(name, str) else None
  if words is None:
    raise CheckpointError(
      f'VOCABULARY: {path} cuts texts into words by {shorten(repr(name), 40)} ({_KEYS}pre), which is not known here; known '
      f"are {', '.join(_WORDS)}: set it to the model's tokenizer.json"
    )
  merges = [(left, right) for left, _, right in (merge.partition(' ') for merge in metadata.get('merges', ()))]
  made = _bpe(path, tokens, merges, ignore_merges=words.whole_words)
  last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not words.pattern)
  before: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if words.single_digits else []
  if words.pattern:
    before.append(pre_tokenizers.Split(tokenizers.Regex(words.pattern), behavior='isolated'))
  made.pre_tokenizer = pre_tokenizers.Sequence([*before, last])
  made.decoder = decoders.ByteLevel()
  if words.composes:
    made.normalizer = normalizers.NFC()
  return made, words.begins


def _sentencepiece(
  path: str, metadata: Mapping[str, Any], tokens: Sequence[str], types: Sequence[int]
) -> tokenizers.Tokenizer:
  """A SentencePiece model of the kind BPE, whose merges are those pairs that make a piece, the best piece first."""
  scores = metadata.get('scores')
  if not isinstance(scores, list) or len(scores) != len(tokens):
    raise CheckpointError(f'VOCABULARY: {path} has no score for each token ({_KEYS}scores); fetch it again')
  if metadata.get('precompiled_charsmap') or metadata.get('remove_extra_whitespaces'):
    raise CheckpointError(
      f"VOCABULARY: {path} has a tokenizer that rewrites texts ({_KEYS}precompiled_charsmap); set it to the model's tokenizer.json"
    )
  made = _bpe(path, tokens, merges_of(tokens, scores, types), byte_fallback=True, fuse_unk=True, unk_token=_token(
    path, metadata, tokens, 'unknown_token_id'))  # fmt: skip
  spaces: list[Any] = [normalizers.Replace(' ', _SPACE)]
  after: list[Any] = [decoders.Replace(_SPACE, ' '), decoders.ByteFallback(), decoders.Fuse()]
  if metadata.get('add_space_prefix', True):
    spaces.insert(0, normalizers.Prepend(_SPACE))
    after.append(decoders.Strip(' ', 1, 0))
  made.normalizer = normalizers.Sequence(spaces)
  made.decoder = decoders.Sequence(after)
  return made


def merges_of(tokens: Sequence[str], scores: Sequence[float], types: Sequence[int]) -> list[tuple[str, str]]:
  """The merges of a SentencePiece model that holds pieces and scores alone.

  Args:
    tokens: the pieces.
    scores: of each; the higher, the earlier it is made.
    types: of each, llama.cpp's; only normal pieces are made.
  """
  normal = {t: (-s, i) for i, (t, s, kind) in enumerate(zip(tokens, scores, types, strict=True)) if kind == _NORMAL}
  ranked = [
    (rank, len(token[:at]), token[:at], token[at:])
    for token, rank in normal.items()
    for at in range(1, len(token))
    if token[:at] in normal and token[at:] in normal
  ]
  return [(left, right) for _, _, left, right in sorted(ranked)]


def _bpe(path: str, tokens: Sequence[str], merges: Sequence[tuple[str, str]], **settings: Any) -> tokenizers.Tokenizer:
  vocabulary = {token: i for i, token in enumerate(tokens)}
  try:
    return tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges), **settings))
  except Exception as e:  # of a library in Rust
    raise CheckpointError(f'VOCABULARY: {path}: no tokenizer ({shorten(e)}); fetch it again') from e
