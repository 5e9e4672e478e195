"""`config.json` of Hugging Face's layout, to and from the configuration of a network, whatever its family."""

from collections.abc import Callable, Mapping
from typing import Any

from robust_t5x.checkpoints import llama_config, t5_config
from robust_t5x.checkpoints.checks import CheckpointError
from robust_t5x.checkpoints.config_checks import HuggingFaceError, read_json
from robust_t5x.models.llama import LlamaConfig
from robust_t5x.models.protocol import NetworkConfig
from robust_t5x.models.t5 import T5Config
from seqio_tasks.errors import shorten

# Hugging Face's model_type -> the content of config.json and its path, to the network.
_READERS: dict[str, Callable[[Any, str], NetworkConfig]] = {
  't5': t5_config.config_of,
  **dict.fromkeys(llama_config.KINDS, llama_config.config_of),
}
# What is passed on between files of a model, since others need it, and changes no number here.
_NOTES = ('max_position_embeddings', 'bos_token_id', 'eos_token_id', 'pad_token_id')


def load_config(directory: str) -> NetworkConfig:
  """Reads the `config.json` of a directory; see `config_of`."""
  path = f'{directory}/config.json'
  return config_of(read_json(path), path)


def config_of(content: Any, path: str) -> NetworkConfig:
  """The network that the content of a `config.json` describes.

  Args:
    content: of the file.
    path: of the file, for errors.

  Raises:
    HuggingFaceError: if it lacks a field, or describes a network that is not here.
  """
  if isinstance(content, dict) and not content.keys() & {'model_type', 'd_ff'}:  # the oldest T5s have no type
    raise HuggingFaceError(f'{path}: it has no model_type; fetch it again, with access to the model')
  kind = content.get('model_type', 't5') if isinstance(content, dict) else 't5'
  if not isinstance(kind, str) or kind not in _READERS:
    raise HuggingFaceError(
      f'{path}: model_type is {shorten(repr(kind), 60)}, which is not supported; supported are {", ".join(_READERS)}'
    )
  return _READERS[kind](content, path)


def notes_of(content: Mapping[str, Any]) -> dict[str, Any]:
  """The fields of a decoder's `config.json` that other programs need and no number here depends on."""
  kind = content.get('model_type')
  return {name: content[name] for name in _NOTES if name in content} if kind in llama_config.KINDS else {}


def fields(config: NetworkConfig, dtype: str, notes: Mapping[str, Any] | None = None) -> dict[str, Any]:
  """`config.json` of a network, its weights in a dtype.

  Args:
    config: the network.
    dtype: of the weights.
    notes: see `notes_of`.

  Raises:
    CheckpointError: for a network that this layout has no place for.
  """
  if isinstance(config, T5Config):
    return t5_config.fields(config, dtype)
  if isinstance(config, LlamaConfig):
    return {**llama_config.fields(config, dtype), **(notes or {})}
  raise CheckpointError(f"networks of {type(config).__name__} have no place in Hugging Face's layout")
