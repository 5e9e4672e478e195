"""Texts as inputs and answers, by a vocabulary that frames them and by one that does not, in Python and in tf.data."""

import pytest
import seqio
import tensorflow as tf

from seqio_tasks import framing
from seqio_tasks.errors import UserError
from seqio_tasks.framing import Encoded
from seqio_tasks.pipeline.cutting import CutToLength

PAD, OPEN, CLOSE, END = 9, 1, 2, 3


class Framed(seqio.ByteVocabulary):
  """Letters between two tokens; padding is not 0."""

  prompt_position = 1

  @property
  def pad_id(self):
    return PAD

  @property
  def eos_id(self):
    return END

  def encode_inputs(self, texts, most):
    if most is not None and most < 2:
      raise UserError('no room')
    made = []
    for text in texts:
      kept = text if most is None else text[: most - 2]
      made.append(Encoded([OPEN, *map(ord, kept), CLOSE], len(text) - len(kept)))
    return made

  def encode_answers(self, texts, most):
    return [Encoded([*map(ord, text), END], 0) for text in texts]

  def decode_answer(self, ids):
    return ''.join(map(chr, ids))

  def show(self, ids):
    return f'<{self.decode_answer(ids[1:-1])}>'


def test_a_vocabulary_without_a_frame_ends_inputs_and_answers(vocabulary):
  ids = list(vocabulary.encode('one two three'))
  for encode in (framing.inputs, framing.answers):
    assert encode(vocabulary, ['one two three', '']) == [([*ids, 1], 0), ([1], 0)]
    assert encode(vocabulary, ['one two three'], 3) == [([*ids[:2], 1], len(ids) - 2)]
  assert framing.answer_text(vocabulary, ids) == vocabulary.decode(ids)
  assert framing.prompt_position(vocabulary) == 0
  assert framing.visible(vocabulary, ids) == vocabulary.decode(ids)


def test_a_vocabulary_with_a_frame_is_asked():
  made = Framed()
  assert framing.inputs(made, ['abc'], 4) == [([OPEN, 97, 98, CLOSE], 1)]
  assert framing.answers(made, ['a']) == [([97, END], 0)]
  assert framing.answer_text(made, iter([97, 98])) == 'ab'
  assert framing.prompt_position(made) == 1
  assert framing.visible(made, [OPEN, 97, CLOSE]) == '<a>'


@pytest.mark.parametrize('framed', [False, True])
def test_in_the_graph_it_is_the_same(framed, vocabulary):
  made = Framed() if framed else vocabulary
  texts = ['one two three', '', 'x']
  for most in (None, 3):
    for encode, in_graph in ((framing.inputs, framing.inputs_tf), (framing.answers, framing.answers_tf)):
      ids, cut = tf.function(lambda t, f=in_graph, n=most: f(made, t, n))(tf.constant(texts))
      found = [(row.tolist(), int(n)) for row, n in zip(ids.numpy(), cut.numpy(), strict=True)]
      assert found == [tuple(e) for e in encode(made, texts, most)]


def test_a_frame_without_room_is_refused_before_any_row(vocabulary):
  features = {name: seqio.Feature(Framed()) for name in ('inputs', 'targets')}
  dataset = tf.data.Dataset.from_tensors({'inputs': [1], 'targets': [1]})
  with pytest.raises(UserError, match='no room'):
    CutToLength(False, {'inputs': 1, 'targets': 3}, features)(dataset)
  framing.check_room(Framed(), 2)
  framing.check_room(vocabulary, 1)


def test_cutting_behind_the_cache_keeps_the_frame():
  features = {name: seqio.Feature(Framed()) for name in ('inputs', 'targets')}
  row = {
    'inputs': [OPEN, *map(ord, 'abcdef'), CLOSE], 'targets': [*map(ord, 'abc'), END], 'inputs_pretokenized': 'abcdef',
    'truncated_tokens': 0, 'cut_answer_tokens': 0,
  }  # fmt: skip
  dataset = tf.data.Dataset.from_tensors({k: tf.constant(v) for k, v in row.items()})

  def cut(length):
    made = CutToLength(False, {'inputs': length, 'targets': 3}, features)(dataset)
    return next(made.as_numpy_iterator())

  assert cut(5)['inputs'].tolist() == [OPEN, 97, 98, 99, CLOSE] and cut(5)['truncated_tokens'] == 3
  assert cut(8)['inputs'].tolist() == row['inputs'] and cut(8)['truncated_tokens'] == 0
  assert cut(8)['targets'].tolist() == [97, 98, END] and cut(8)['cut_answer_tokens'] == 0
