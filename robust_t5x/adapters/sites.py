"""Sites: the places in a network that an adapter attaches to. A family of models lists its own."""

import dataclasses
from typing import NamedTuple

# What low-rank additions can be made to: an attention's projections, and an MLP's to its inner width and back.
PROJECTIONS = ('query', 'key', 'value', 'out', 'wi', 'wo')


class Side(NamedTuple):
  """What a projection reads or gives: its shape, and the logical axes of that shape, None for one that is never split."""

  shape: tuple[int, ...]
  axes: tuple[str | None, ...]


class Projection(NamedTuple):
  """A linear map of a site; its kind is one of PROJECTIONS, its name that or, of several alike, kind_0, kind_1, ..."""

  name: str
  source: Side
  target: Side

  @property
  def kind(self) -> str:
    """Which of PROJECTIONS it is."""
    return self.name.partition('_')[0]


@dataclasses.dataclass(frozen=True)
class Site:
  """The attentions of one kind in all layers, with the MLPs that follow them.

  Attributes:
    name: such as 'encoder'; files of adapters name their arrays by it.
    layers: number of layers.
    heads: attention heads H.
    head_dim: width F of a head.
    projections: what low-rank additions can be made to.
    kv_heads: heads of keys and values where they are fewer, or None.
    reads: whether it is where the network reads its input, so that what is generated from the input belongs here.
  """

  name: str
  layers: int
  heads: int
  head_dim: int
  projections: tuple[Projection, ...]
  kv_heads: int | None = None
  reads: bool = False
