"""The vocabularies of a T5 as SeqIO has them, without the import of TensorFlow, which takes seconds and only a graph needs.

They have the methods of `seqio.Vocabulary` and give the same ids, texts and bytes as SeqIO's own.
"""

from collections.abc import Iterable
import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from etils import epath
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

if TYPE_CHECKING:
  import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class PiecesVocabulary:
  """A SentencePiece model with sentinels behind its pieces, the first of them last; as `seqio.SentencePieceVocabulary`.

  Attributes:
    sentencepiece_model_file: the file, also in a bucket.
    extra_ids: number of sentinels.
  """

  sentencepiece_model_file: str
  extra_ids: int = 0

  @property
  def tokenizer(self) -> sentencepiece.SentencePieceProcessor:
    """What reads texts."""
    return _read(self.sentencepiece_model_file, self.extra_ids)[0]

  @property
  def sp_model(self) -> bytes:
    """The model with the sentinels among its pieces."""
    return _read(self.sentencepiece_model_file, self.extra_ids)[1]

  @property
  def pad_id(self) -> int:
    """What pads, which is always 0."""
    return 0

  @property
  def bos_id(self) -> int:
    """What begins a text; -1 for nothing."""
    return self.tokenizer.bos_id()

  @property
  def eos_id(self) -> int:
    """What ends a text."""
    return self.tokenizer.eos_id()

  @property
  def unk_id(self) -> int:
    """What stands for a text without pieces."""
    return self.tokenizer.unk_id()

  @property
  def vocab_size(self) -> int:
    """Number of ids, sentinels included."""
    return self.tokenizer.get_piece_size()

  def encode(self, s: str) -> list[int]:
    """The ids of a text, without the one that ends it."""
    return self.tokenizer.EncodeAsIds(s)

  def decode(self, ids: Iterable[int]) -> str:
    """The text of ids up to the first that ends it; those beyond the vocabulary are unknown."""
    size, unknown, end = self.vocab_size, self.unk_id, self.eos_id
    known = [unknown if i >= size else int(i) for i in (ids.numpy() if hasattr(ids, 'numpy') else ids)]
    return self.tokenizer.DecodeIds(known[: known.index(end) + 1] if end in known else known)

  def encode_tf(self, s: 'tf.Tensor') -> 'tf.Tensor':
    """As `encode`, in a graph."""
    return self._of_seqio.encode_tf(s)

  def decode_tf(self, ids: 'tf.Tensor') -> 'tf.Tensor':
    """As `decode`, in a graph."""
    return self._of_seqio.decode_tf(ids)

  @property
  def _of_seqio(self) -> Any:
    import seqio

    return seqio.SentencePieceVocabulary(self.sentencepiece_model_file, extra_ids=self.extra_ids)


@dataclasses.dataclass(frozen=True)
class UnreadVocabulary:
  """T5's ids that pad and end, where no text is read."""

  pad_id: int = 0
  eos_id: int = 1
  extra_ids: int = 0
  vocab_size: int = 0


@functools.lru_cache(maxsize=8)
def _read(file: str, extra_ids: int) -> tuple[sentencepiece.SentencePieceProcessor, bytes]:
  """(the reader of texts, its model in bytes)."""
  kinds = sentencepiece_model_pb2.ModelProto.SentencePiece  # type: ignore[attr-defined]  # made when it is imported
  model = sentencepiece_model_pb2.ModelProto.FromString(epath.Path(file).read_bytes())  # type: ignore[attr-defined]
  for number in reversed(range(extra_ids)):  # as span corruption counts them
    model.pieces.add(piece=f'\u2581<extra_id_{number}>', score=0.0, type=kinds.USER_DEFINED)
  made = model.SerializeToString()
  tokenizer = sentencepiece.SentencePieceProcessor()
  tokenizer.LoadFromSerializedProto(made)
  return tokenizer, made
