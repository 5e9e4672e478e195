"""What the readers of `config.json` share: the file, and checks of its fields, which name each one that does not fit."""

from collections.abc import Collection, Mapping
from typing import Any

import fsspec

from robust_t5x.checkpoints.checks import CheckpointError
from seqio_tasks.errors import shorten
from seqio_tasks.tables import parse_json


class HuggingFaceError(CheckpointError):
  """A checkpoint directory that cannot be read as a model."""


def read_json(path: str) -> Any:
  """What a JSON file holds, on disk or anywhere that fsspec knows.

  Raises:
    HuggingFaceError: if it cannot be read.
  """
  try:
    with fsspec.open(path, 'rb') as f:
      return parse_json(f.read().decode())
  except (OSError, ValueError) as e:
    raise HuggingFaceError(f'{path}: cannot be read as JSON ({shorten(e)}); fetch it again') from e


def check_fixed(path: str, config: Mapping[str, Any], fixed: Mapping[str, tuple[Any, ...]]) -> None:
  """Raises HuggingFaceError if a field is there and has none of the values that we compute with."""
  for name, values in fixed.items():
    if name in config and not any(_same(config[name], value) for value in values):
      supported = repr(values[0]) if values[0] is not None else 'a checkpoint without it'
      raise HuggingFaceError(f'{path}: {name} is {shorten(repr(config[name]), 60)}; only {supported} is supported')


def check_architectures(path: str, config: Mapping[str, Any], endings: tuple[str, ...], example: str) -> None:
  """Raises HuggingFaceError if the file says that it describes another class than one with such an ending."""
  heads = config.get('architectures')
  if isinstance(heads, list) and heads and not any(str(h).endswith(endings) for h in heads):
    raise HuggingFaceError(f'{path}: architectures is {shorten(repr(heads), 60)}; only {example} is supported')


def check_known(path: str, config: Mapping[str, Any], known: Collection[str], kind: str) -> None:
  """Raises HuggingFaceError if a field is there that nobody has looked at, unless it says nothing."""
  unknown = sorted(name for name, value in config.items() if name not in known and value is not None)
  if unknown:
    raise HuggingFaceError(
      f'{path}: {shorten(", ".join(unknown), 200)} is not known of {kind} and might change its numbers; if it does not, take '
      'it out of the file'
    )


def check_sizes(path: str, config: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
  """Raises HuggingFaceError if one of the sizes is none."""
  for name, size in sizes.items():
    if not 0 < size < 2**31:
      raise HuggingFaceError(f'{path}: {name} is {shorten(repr(config.get(name, size)), 60)}, no size; fetch it again')


def _same(given: Any, value: Any) -> bool:
  if isinstance(value, bool) or isinstance(given, bool):
    return given is value
  return given == value
