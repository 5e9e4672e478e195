"""The vocabulary of a model whose tokens are its server's own: bytes, so that texts come back as they went in."""

from collections.abc import Iterable
import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  import tensorflow as tf

_SPECIAL = 3  # ids in front of the bytes: padding, end, unknown
_BYTES = 256


@dataclasses.dataclass(frozen=True)
class Bytes:
  """The ids and methods of `seqio.ByteVocabulary`, without the import of TensorFlow; in a graph also for several texts at a time."""

  pad_id: int = 0
  eos_id: int = 1
  unk_id: int = 2
  extra_ids: int = 0
  vocab_size: int = _SPECIAL + _BYTES

  def encode(self, s: str) -> list[int]:
    """The ids of a text, without the one that ends it."""
    return [byte + _SPECIAL for byte in s.encode()]

  def decode(self, ids: Iterable[int]) -> str:
    """The text of ids up to the first that ends it; what is no character is left out."""
    known = [int(i) for i in (ids.numpy() if hasattr(ids, 'numpy') else ids)]
    known = known[: known.index(self.eos_id)] if self.eos_id in known else known
    return bytes(i - _SPECIAL for i in known if _SPECIAL <= i < self.vocab_size).decode(errors='ignore')

  def encode_tf(self, s: 'tf.Tensor') -> 'tf.Tensor | tf.RaggedTensor':
    """As `encode`, in a graph."""
    import tensorflow as tf

    if s.shape.rank == 0:
      return self._of_seqio.encode_tf(s)
    pieces = tf.strings.bytes_split(s)
    numbers = tf.reshape(tf.io.decode_raw(pieces.flat_values, tf.uint8), [-1])
    return pieces.with_flat_values(tf.cast(numbers, tf.int32) + _SPECIAL)

  def decode_tf(self, ids: 'tf.Tensor') -> 'tf.Tensor':
    """As `decode`, in a graph."""
    return self._of_seqio.decode_tf(ids)

  @property
  def _of_seqio(self) -> Any:
    import seqio

    return seqio.ByteVocabulary()
