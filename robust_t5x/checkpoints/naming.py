"""What a family says of the tensors in Hugging Face's layout."""

from collections.abc import Callable, Iterator
from typing import NamedTuple


class Name(NamedTuple):
  """A parameter.

  Attributes:
    theirs: Hugging Face's name.
    ours: our path, T5X's for a T5.
    transpose: whether Hugging Face stores it transposed.
    shape: ours.
  """

  theirs: str
  ours: str
  transpose: bool
  shape: tuple[int, ...]


class Layout(NamedTuple):
  """The tensors of a network.

  Attributes:
    noun: what it is, for people: 'a T5'.
    layers: of its longest stack.
    names: makes the name of every parameter; as many as there are layers, so check `layers` first.
    embedding: their name of the embedding table.
    output: their name of the output layer.
    copies: their names of tensors that may be there besides, and must equal the embedding.
    unused: regular expression of tensors that may be there and that no number depends on.
    layer: regular expression of tensors that belong to a layer: one that the network has not is an error.
    output_may_be_embedding: whether a separate output layer that is missing has the embedding's weights.
    settings: makes what the parameters' shapes do not tell, where it is not the family's usual value: name -> value.
  """

  noun: str
  layers: int
  names: Callable[[], Iterator[Name]]
  embedding: str
  output: str
  copies: tuple[str, ...]
  unused: str
  layer: str
  output_may_be_embedding: bool
  settings: Callable[[], dict[str, object]]

  def shapes(self) -> dict[str, tuple[int, ...]]:
    """Our path -> shape of every parameter."""
    return {name.ours: name.shape for name in self.names()}
