"""LoRA and the weights that it adds to: which array belongs to which weight, and both in one."""

from collections.abc import Callable, Iterator, Mapping
import re
from typing import NamedTuple

import numpy as np

from robust_t5x.adapters import AdapterError
from robust_t5x.checkpoints.layouts import layout
from robust_t5x.models.protocol import NetworkConfig

_KERNEL = re.compile(
  r'(encoder|decoder)/layers_(\d+)/(attention|self_attention|encoder_decoder_attention|mlp)/(\w+)/kernel'
)
_LORA = re.compile(r'\w+_lora_\w+_(down|up)')


class Weight(NamedTuple):
  """A weight that LoRA can add to.

  Attributes:
    theirs: Hugging Face's name of the linear map.
    name: of the adapter's arrays, without `_down` and `_up`.
    layer: their place on axis 0.
    shape: [inputs, outputs].
  """

  theirs: str
  name: str
  layer: int
  shape: tuple[int, ...]


def weights(config: NetworkConfig) -> Iterator[Weight]:
  """All weights of a network that LoRA can add to.

  Raises:
    CheckpointError: for a family whose names are not known.
  """
  for name in layout(config).names():
    place = _place(name.ours)
    if place is not None:
      yield Weight(name.theirs.removesuffix('.weight'), *place, name.shape)


def _place(path: str) -> tuple[str, int] | None:
  """(name of the adapter's arrays, layer) of a parameter; None where LoRA has no place."""
  found = _KERNEL.fullmatch(path)
  if found is None:
    return None
  stack, layer, module, projection = found.groups()
  site = 'cross' if module == 'encoder_decoder_attention' else stack
  return f'{site}_lora_{projection}', int(layer)


def check_mergeable(adapter: Mapping[str, np.ndarray], path: str) -> None:
  """Raises AdapterError unless an adapter is LoRA alone, which is all that weights have a place for."""
  other = [name for name in adapter if not _LORA.fullmatch(name)]
  if other:
    raise AdapterError(
      f'--adapter: {path} holds {other[0]}; weights have a place for LoRA alone. Soft prompts and joined prefixes go to PEFT '
      'beside the model: robust-t5x convert ADAPTER DIR --to peft'
    )


def merged(read: Callable[[str], np.ndarray], adapter: Mapping[str, np.ndarray]) -> Callable[[str], np.ndarray]:
  """Reads weights with LoRA added to them, W + down · up, in float32.

  Args:
    read: gives a parameter by its path; kernels are [inputs, outputs].
    adapter: the arrays of an adapter that fits; see check_mergeable.

  Returns:
    A function like `read`.
  """

  def read_merged(path: str) -> np.ndarray:
    array, place = read(path), _place(path)
    if place is None or f'{place[0]}_down' not in adapter:
      return array
    down, up = (adapter[f'{place[0]}_{part}'][place[1]].astype(np.float32) for part in ('down', 'up'))
    rank = len(up)
    return array.astype(np.float32) + down.reshape(-1, rank) @ up.reshape(rank, -1)

  return read_merged
