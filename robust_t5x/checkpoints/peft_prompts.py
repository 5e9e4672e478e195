"""Soft prompts and prefixes in PEFT's layout: one tensor, `prompt_embeddings`.

A prompt tuning is [P, D], before the first token. A prefix tuning is [P, 2 · layers · heads · width]: the keys and values that
stand before those of a decoder's attention to itself, taken as they are, while the tokens' positions move up by P.

Of an encoder-decoder PEFT (0.21) doubles the 2 · layers parts of a prefix and hands them out by fours, of which two are for the
attention to the encoding and dropped. So layer i gets the pair 2 i modulo the number of layers: with an even number two layers
share a pair and every second pair is not used. It hands them to the decoder, and takes the number of layers of the encoder for it.
"""

from collections.abc import Mapping
from typing import Any, Required, TypedDict

import numpy as np

from robust_t5x.adapters import AdapterError, Site
from robust_t5x.models.llama import SITE
from robust_t5x.models.protocol import NetworkConfig
from robust_t5x.models.t5 import T5Config
from robust_t5x.runtime import records
from seqio_tasks.errors import shorten

TENSOR = 'prompt_embeddings'


class _Prompt(TypedDict, total=False):
  num_virtual_tokens: Required[int]
  num_transformer_submodules: int | None


class _Prefix(TypedDict, total=False):
  num_virtual_tokens: Required[int]
  num_layers: Required[int]
  num_attention_heads: Required[int]


# How a prompt was started and its model looks; a prefix's projection is within its values.
HARMLESS = frozenset(
  (
    *_Prompt.__annotations__, *_Prefix.__annotations__, 'token_dim', 'encoder_hidden_size', 'prefix_projection', 'init_weights',
    'prompt_tuning_init', 'prompt_tuning_init_text', 'tokenizer_name_or_path', 'tokenizer_kwargs',
  )
)  # fmt: skip


def read_prompt(path: str, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The soft prompt.

  Raises:
    AdapterError: if it is not there, or has another shape than adapter_config.json says.
  """
  array = _tensor(path, config, tensors, _Prompt)
  length = config['num_virtual_tokens']
  if array.ndim != 2 or 0 in array.shape or config.get('token_dim', array.shape[1]) != array.shape[1]:
    raise AdapterError(
      f'{path}: {TENSOR} has the shape {list(array.shape)}, by adapter_config.json it should be '
      f'{shorten([length, config.get("token_dim", "D")])}; save the adapter anew'
    )
  # Of an encoder-decoder PEFT makes vectors for the decoder too, and uses them nowhere.
  if len(array) != length * (config.get('num_transformer_submodules') or 1):
    raise AdapterError(
      f'{path}: holds {len(array)} vectors for {shorten(length)} virtual tokens; save the adapter with save_pretrained'
    )
  return {'embedding': array[:length]}


def read_prefix(
  path: str, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], network: NetworkConfig
) -> dict[str, np.ndarray]:
  """The joined prefix.

  Raises:
    AdapterError: if it is not there, or is one for another network.
  """
  array = _tensor(path, config, tensors, _Prefix)
  site = _site(network)
  heads = site.kv_heads or site.heads
  layers, length = config['num_layers'], config['num_virtual_tokens']
  expected = (length, 2 * site.layers * heads * site.head_dim)
  if (layers, config['num_attention_heads']) != (site.layers, heads) or array.shape != expected or not length:
    raise AdapterError(
      f'{path}: {TENSOR} {list(array.shape)} is for {shorten(length)} virtual tokens, {shorten(layers)} layers and '
      f'{shorten(config["num_attention_heads"])} heads; the decoder of this model takes {list(expected)}, for {site.layers} layers '
      f'and {heads} heads of width {site.head_dim}'
    )
  pairs = array.reshape(length, site.layers, 2, heads, site.head_dim).transpose(1, 2, 0, 3, 4)[_pairs(network)]
  return {f'{SITE}_key': pairs[:, 0], f'{SITE}_value': pairs[:, 1]}


def write_prompt(arrays: Mapping[str, np.ndarray], position: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """PEFT's fields and tensors of a soft prompt.

  Raises:
    AdapterError: if it stands behind tokens of the input.
  """
  if position:
    raise AdapterError(
      f'the soft prompt stands behind the first {position} tokens of the input, PEFT has it before all; train one there, with '
      'gin/ablations/prompt_first.gin'
    )
  length, width = arrays['embedding'].shape
  fields = {
    'peft_type': 'PROMPT_TUNING', 'num_virtual_tokens': length, 'token_dim': width, 'num_transformer_submodules': 1,
    'prompt_tuning_init': 'RANDOM',
  }  # fmt: skip
  return fields, {TENSOR: arrays['embedding']}


def write_prefix(
  arrays: Mapping[str, np.ndarray], network: NetworkConfig
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """PEFT's fields and tensors of a prefix that is joined to the decoder's attention to itself.

  Raises:
    AdapterError: if PEFT cannot give every layer its pairs.
  """
  site, chosen = _site(network), _pairs(network)
  both = np.stack([arrays[f'{SITE}_key'], arrays[f'{SITE}_value']], axis=1)  # [layers, 2, P, H, F]
  pairs = np.zeros_like(both)
  pairs[chosen] = both
  if not np.array_equal(pairs[chosen], both):
    other = chosen.index(0, 1)
    raise AdapterError(
      f'PEFT gives layers 0 and {other} of an encoder-decoder with {site.layers} layers the same pairs, and here they differ; '
      'LoRA and soft prompts of a T5 have a place there'
    )
  _, _, length, heads, width = both.shape
  fields = {
    'peft_type': 'PREFIX_TUNING', 'num_virtual_tokens': length, 'token_dim': heads * width, 'num_attention_heads': heads,
    'num_layers': site.layers, 'num_transformer_submodules': 2 if isinstance(network, T5Config) else 1,
    'encoder_hidden_size': heads * width, 'prefix_projection': False,
  }  # fmt: skip
  return fields, {TENSOR: pairs.transpose(2, 0, 1, 3, 4).reshape(length, -1)}


def _site(network: NetworkConfig) -> Site:
  return next(site for site in network.sites if site.name == SITE)


def _pairs(network: NetworkConfig) -> list[int]:
  """Of each layer, which pair of PEFT's it gets; see the module."""
  layers = _site(network).layers
  return [2 * i % layers if isinstance(network, T5Config) else i for i in range(layers)]


def _tensor(path: str, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], kind: Any) -> np.ndarray:
  fault = records.fault(dict(config), kind)
  if fault:
    raise AdapterError(f'{path}/adapter_config.json: {fault}; save the adapter with save_pretrained')
  if set(tensors) != {TENSOR}:
    raise AdapterError(
      f'{path}: holds {shorten(", ".join(sorted(tensors)) or "nothing")}, where there should be {TENSOR} alone; save the adapter '
      'with save_pretrained of PEFT, which gives it that name'
    )
  return tensors[TENSOR]
