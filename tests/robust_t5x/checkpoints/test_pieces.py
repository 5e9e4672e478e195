"""The vocabularies of a T5, beside SeqIO's own: the same ids, texts and bytes, in Python and in graphs."""

import copy

import numpy as np
import pytest

from robust_t5x.checkpoints.loading import vocabulary_hash
from robust_t5x.checkpoints.pieces import PiecesVocabulary
from robust_t5x.served.texts import Bytes

TEXTS = ('', 'the cat sat', '  two  blanks ', 'x <extra_id_0> y <extra_id_3>', '\u00fc\u2603 \U0001f40d', 'a' * 40)


@pytest.fixture(params=['0 sentinels', '5 sentinels', 'bytes'])
def both(request, tiny_vocabulary_path):
  """(ours, SeqIO's)."""
  import seqio

  if request.param == 'bytes':
    return Bytes(), seqio.ByteVocabulary()
  number = int(request.param[0])
  return (
    PiecesVocabulary(tiny_vocabulary_path, number),
    seqio.SentencePieceVocabulary(tiny_vocabulary_path, extra_ids=number),
  )


def test_ids_and_texts_are_those_of_seqio(both):
  import tensorflow as tf

  ours, theirs = both
  for name in ('pad_id', 'eos_id', 'unk_id', 'vocab_size', 'extra_ids'):
    assert getattr(ours, name) == getattr(theirs, name), name
  for text in TEXTS:
    ids = theirs.encode(text)
    assert ours.encode(text) == ids
    assert ours.encode_tf(tf.constant(text)).numpy().tolist() == ids
    for more in ([], [1], [0, 1, 5], [10**6], [-1 % theirs.vocab_size, 2]):
      wanted = theirs.decode([*ids, *more])
      assert ours.decode([*ids, *more]) == ours.decode(np.asarray([*ids, *more])) == wanted
      assert ours.decode(tf.constant([*ids, *more], tf.int32)) == wanted
    if ids:
      assert (
        ours.decode_tf(tf.constant([ids])).numpy().tolist() == theirs.decode_tf(tf.constant([ids])).numpy().tolist()
      )
  assert [list(row) for row in ours.encode_tf(tf.constant(TEXTS[1:4])).to_list()] == [
    ours.encode(t) for t in TEXTS[1:4]
  ]


def test_pieces_are_the_same_model_and_equal_where_file_and_sentinels_are(tiny_vocabulary_path):
  import seqio

  ours, theirs = (make(tiny_vocabulary_path, extra_ids=5) for make in (PiecesVocabulary, seqio.SentencePieceVocabulary))
  assert ours.sp_model == theirs.sp_model and vocabulary_hash(ours) == vocabulary_hash(theirs)
  assert ours.bos_id == theirs.bos_id and ours.tokenizer.id_to_piece(7) == theirs.tokenizer.id_to_piece(7)
  assert ours == copy.deepcopy(ours) == PiecesVocabulary(tiny_vocabulary_path, ours.extra_ids)
  assert ours != PiecesVocabulary(tiny_vocabulary_path, ours.extra_ids + 1)
