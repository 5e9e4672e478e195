"""The vocabulary of a model whose tokens are its server's own: bytes, so that texts come back as they went in."""

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  import seqio


@functools.cache
def vocabulary() -> 'seqio.Vocabulary':
  """SeqIO's bytes, also for several texts at a time, as evaluation tasks tokenise them."""
  import seqio
  import tensorflow as tf

  class Bytes(seqio.ByteVocabulary):
    def _encode_tf(self, s: tf.Tensor) -> Any:
      if s.shape.rank == 0:
        return super()._encode_tf(s)
      pieces = tf.strings.bytes_split(s)
      numbers = tf.reshape(tf.io.decode_raw(pieces.flat_values, tf.uint8), [-1])
      return pieces.with_flat_values(tf.cast(numbers, tf.int32) + self._num_special_tokens)

  return Bytes()
