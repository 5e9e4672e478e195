"""Decoders in GGUF files: the network that the metadata tell, and its parameters by our names.

Every key of the architecture's own is used, must have the value that we compute with, changes no number, or is an error.
llama.cpp rotates neighbouring dimensions for the architecture `llama`, so its converter reorders queries and keys; they are put
back here.
"""

from collections.abc import Mapping
import re
from typing import Any

import numpy as np

from robust_t5x.checkpoints.checks import check_finite, check_parameters
from robust_t5x.checkpoints.gguf_format import GGUFError, GGUFFile
from robust_t5x.checkpoints.layouts import layout
from robust_t5x.models.llama import LlamaConfig
from robust_t5x.models.protocol import EMBEDDING
from robust_t5x.models.rotary import Rotary
from seqio_tasks.errors import shorten

# Mistral and SmolLM2 are `llama` there.
ARCHITECTURES = ('llama', 'qwen2', 'qwen3')
_REORDERED = ('llama',)
_ROPE = 'rope_freqs.weight'
# Part of our name -> of theirs.
_WHOLE = {EMBEDDING: 'token_embd', 'decoder/decoder_norm/scale': 'output_norm', 'logits_dense/kernel': 'output'}
_PARTS = {
  'pre_attention_layer_norm': 'attn_norm', 'pre_mlp_layer_norm': 'ffn_norm', 'attention/query': 'attn_q',
  'attention/key': 'attn_k', 'attention/value': 'attn_v', 'attention/out': 'attn_output',
  'attention/query_norm': 'attn_q_norm', 'attention/key_norm': 'attn_k_norm', 'mlp/wi_0': 'ffn_gate', 'mlp/wi_1': 'ffn_up',
  'mlp/wo': 'ffn_down',
}  # fmt: skip
_BIASES = {'query': 'attn_q', 'key': 'attn_k', 'value': 'attn_v', 'out': 'attn_output'}
# Keys with one value that we compute with -> the values that mean it.
_FIXED: dict[str, tuple[object, ...]] = {
  'expert_count': (0,), 'expert_used_count': (0,), 'attention.causal': (True,), 'attention.sliding_window': (0,),
  'rope.scaling.attn_factor': (1.0,), 'rope.scaling.yarn_attn_factor': (1.0,), 'rope.scaling.yarn_ext_factor': (1.0, -1.0),
  'rope.scaling.yarn_log_multiplier': (0.0,), 'use_parallel_residual': (False,),
}  # fmt: skip
_HARMLESS = frozenset(('tensor_data_layout', 'rope.scaling.finetuned'))
_MOST_LAYERS = 10_000
# Llama 3.1 to 3.3, whose files hold divisors of the frequencies instead of the settings that they were made from.
_LLAMA3_LENGTH, _LLAMA3_FACTORS = 8192, (1.0, 4.0)
_IDS = {'bos_token_id': 'bos_token_id', 'eos_token_id': 'eos_token_id', 'pad_token_id': 'padding_token_id'}


class GGUFBackbone:
  """An open GGUF file; its tensors go by our names and in our orientation.

  Attributes:
    path: the file.
    format: 'gguf'.
    config: the network.
    notes: see hf_config.notes_of.
    shapes: our name -> (shape, dtype).
  """

  format = 'gguf'

  def __init__(self, path: str):
    """Reads metadata and the list of tensors.

    Raises:
      CheckpointError: if the file is damaged, or holds another network than ours.
    """
    self.path = path
    self._file = GGUFFile(path)
    parts = self._file.metadata.get('split.count', 0)
    if parts not in (0, 1):
      raise GGUFError(f'{path}: is one of {parts} parts of a model; join them with `llama-gguf-split --merge`')
    self._architecture = str(self._file.metadata.get('general.architecture'))
    if self._architecture not in ARCHITECTURES:
      raise GGUFError(
        f'{path}: its architecture is {shorten(self._architecture, 40)}, which is not supported; supported are '
        f'{", ".join(ARCHITECTURES)}'
      )
    self.config = _config(self._file, self._architecture)
    self.notes = _notes(self._file.metadata, self._architecture)
    network = layout(self.config)
    names = {name.ours: name for name in network.names()}
    self._places = {ours: (_theirs(ours), name.transpose) for ours, name in names.items()}
    known = {theirs for theirs, _ in self._places.values()} | {_ROPE}
    unknown = sorted(name for name in self._file.shapes if name not in known)
    if unknown:
      raise GGUFError(
        f'{path}: holds {shorten(", ".join(unknown), 120)}, which a network by its metadata has not; take a file of a model '
        'that is supported'
      )
    self.shapes = {}
    for ours, (theirs, transpose) in self._places.items():
      if theirs in self._file.shapes:
        shape, dtype = self._file.shapes[theirs]
        self.shapes[ours] = (shape[::-1] if transpose else shape, dtype)
    check_parameters(path, self.shapes, network.shapes(), network.noun)

  def read(self, name: str) -> np.ndarray:
    """One tensor, by our name.

    Raises:
      CheckpointError: if a value is not finite.
    """
    theirs, transpose = self._places[name]
    array = self._file.read(theirs)
    check_finite(array, self.path, theirs)
    part = re.fullmatch(r'decoder/layers_\d+/attention/(query|key)/(kernel|bias)', name)
    if part and self._architecture in _REORDERED:
      array = _put_back(array, self.config.num_heads if part[1] == 'query' else self.config.num_kv_heads)
    return array.T if transpose else array


def _put_back(array: np.ndarray, heads: int) -> np.ndarray:
  """Rows [H * F, ...] whose pairs of dimensions stand side by side, with the halves of each head one behind the other."""
  split = array.reshape(heads, array.shape[0] // heads // 2, 2, *array.shape[1:])
  return split.swapaxes(1, 2).reshape(array.shape)


def _theirs(ours: str) -> str:
  """GGUF's name of a parameter."""
  if ours in _WHOLE:
    return f'{_WHOLE[ours]}.weight'
  _, layer, *part, leaf = ours.split('/')
  return f'blk.{layer.removeprefix("layers_")}.{_PARTS["/".join(part)]}.{"bias" if leaf == "bias" else "weight"}'


class _Keys:
  """The architecture's own metadata; remembers which were asked for."""

  def __init__(self, file: GGUFFile, architecture: str):
    self._file, self._prefix = file, f'{architecture}.'
    self.unused = {key.removeprefix(self._prefix) for key in file.metadata if key.startswith(self._prefix)}

  def get(self, name: str, kind: type, default: Any = None) -> Any:
    """A value of a type, a float as the shortest that means the same in the file's float32; an error if it is not there and
    has no default, or is of another type."""
    self.unused.discard(name)
    value = self._file.metadata.get(self._prefix + name, default)
    right = isinstance(value, int | float if kind is float else kind) and (kind is bool or not isinstance(value, bool))
    if not right:
      what = 'has no' if value is None else f'has {shorten(repr(value), 40)} as'
      raise GGUFError(
        f'{self._file.path}: {what} {self._prefix}{name}, where there should be {kind.__name__}; fetch it again'
      )
    return float(str(np.float32(value))) if kind is float else value


def _config(file: GGUFFile, architecture: str) -> LlamaConfig:
  """The network that metadata and names of tensors tell."""
  keys = _Keys(file, architecture)
  for name, values in _FIXED.items():
    if name in keys.unused and file.metadata[f'{architecture}.{name}'] not in values:
      raise GGUFError(
        f'{file.path}: {architecture}.{name} is {shorten(repr(file.metadata[f"{architecture}.{name}"]), 40)}; only '
        f'{values[0]} is supported'
      )
  heads, width = keys.get('attention.head_count', int), keys.get('embedding_length', int)
  pairs = keys.get('attention.head_count_kv', int, heads)
  head_dim = keys.get('attention.key_length', int, width // max(heads, 1))
  layers, inner = keys.get('block_count', int), keys.get('feed_forward_length', int)
  embedding = file.shapes.get('token_embd.weight', ((0,), None))[0]
  rows = keys.get('vocab_size', int, embedding[0])
  for name, value, most in (
    ('attention.head_count', heads, 2**20), ('embedding_length', width, 2**31), ('attention.head_count_kv', pairs, heads),
    ('attention.key_length', head_dim, 2**20), ('block_count', layers, _MOST_LAYERS), ('feed_forward_length', inner, 2**31),
    ('vocab_size', rows, 2**31),
  ):  # fmt: skip
    if not 0 < value <= most:
      raise GGUFError(f'{file.path}: {architecture}.{name} is {value}, no size; fetch it again')
  same = {keys.get('attention.value_length', int, head_dim), keys.get('rope.dimension_count', int, head_dim)}
  if heads % pairs or head_dim % 2 or same != {head_dim}:
    raise GGUFError(
      f'{file.path}: {heads} heads of width {head_dim}, of values and rotary positions {sorted(same)}, with {pairs} of keys and '
      'values; all widths must be one even number, and heads a multiple of those of keys and values'
    )
  rotary = _rotary(file, keys, architecture, head_dim)
  epsilon = keys.get('attention.layer_norm_rms_epsilon', float)
  if not 0 < epsilon < 1:
    raise GGUFError(f'{file.path}: {architecture}.attention.layer_norm_rms_epsilon is {epsilon}; fetch it again')
  unknown = sorted(keys.unused - set(_FIXED) - _HARMLESS)
  if unknown:
    raise GGUFError(
      f'{file.path}: {architecture}.{shorten(", ".join(unknown), 120)} is not known and might change its numbers; take a file of '
      'a model that is supported'
    )
  return LlamaConfig(
    vocab_size=rows,
    emb_dim=width,
    num_heads=heads,
    num_kv_heads=pairs,
    head_dim=head_dim,
    num_layers=layers,
    mlp_dim=inner,
    rotary=rotary,
    norm_epsilon=epsilon,
    logits_via_embedding='output.weight' not in file.shapes,
    attention_bias=tuple(ours for ours, theirs in _BIASES.items() if f'blk.0.{theirs}.bias' in file.shapes),
    mlp_bias='blk.0.ffn_up.bias' in file.shapes,
    qk_norm=architecture == 'qwen3',
  )


def _rotary(file: GGUFFile, keys: _Keys, architecture: str, head_dim: int) -> Rotary:
  """The rotary positions, from the metadata and, for Llama 3.1 and later, from the divisors of their frequencies."""
  theta = keys.get('rope.freq_base', float, 10000.0)
  factor = keys.get('rope.scaling.factor', float, keys.get('rope.scale_linear', float, 1.0))
  kind = keys.get('rope.scaling.type', str, 'linear' if factor != 1 else 'none')
  kind = 'none' if kind == 'linear' and factor == 1 else kind
  original = keys.get('rope.scaling.original_context_length', int, keys.get('context_length', int))
  fast, slow = (
    keys.get(f'rope.scaling.yarn_beta_{name}', float, usual) for name, usual in (('fast', 32.0), ('slow', 1.0))
  )
  if not all(0 < x < 1e12 for x in (theta - 1, factor, original, fast, slow)):
    raise GGUFError(
      f'{file.path}: {architecture}.rope.freq_base, or a number of its scaling, is out of range; fetch it again'
    )
  if kind not in ('none', 'linear', 'yarn'):
    raise GGUFError(
      f'{file.path}: {architecture}.rope.scaling.type is {shorten(kind, 40)}; supported are none, linear, yarn, and the divisors '
      'of Llama 3.1'
    )
  if _ROPE in file.shapes:
    if kind != 'none' or architecture != 'llama':
      raise GGUFError(
        f'{file.path}: holds {_ROPE} and scales positions otherwise too; take a file of a model that is supported'
      )
    return _of_divisors(file, theta, head_dim)
  if kind == 'linear':
    return Rotary('linear', theta, factor)
  if kind == 'yarn':
    return Rotary('yarn', theta, factor, original, beta_fast=fast, beta_slow=slow)
  return Rotary(theta=theta)


def _of_divisors(file: GGUFFile, theta: float, head_dim: int) -> Rotary:
  """Rotary positions whose frequencies are the plain ones over these divisors."""
  divisors = file.read(_ROPE).astype(np.float64)
  plain = Rotary(theta=theta)
  if divisors.shape == (head_dim // 2,) and np.isfinite(divisors).all() and divisors.min() > 0:
    if (divisors == 1).all():
      return plain
    made = Rotary('llama3', theta, float(divisors.max()), _LLAMA3_LENGTH, *_LLAMA3_FACTORS)
    if np.allclose(plain.frequencies(head_dim) / made.frequencies(head_dim), divisors, rtol=1e-5, atol=0):
      return made
  raise GGUFError(
    f"{file.path}: {_ROPE} is not what Llama 3.1's scaling makes of {head_dim // 2} frequencies; take the model in Hugging Face's "
    'layout'
  )


def _notes(metadata: Mapping[str, Any], architecture: str) -> dict[str, Any]:
  found = {'max_position_embeddings': metadata.get(f'{architecture}.context_length')}
  found |= {ours: metadata.get(f'tokenizer.ggml.{theirs}') for ours, theirs in _IDS.items()}
  return {name: value for name, value in found.items() if isinstance(value, int) and not isinstance(value, bool)}
