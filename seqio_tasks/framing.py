"""A text as a model's input, and an answer to it, by the model's vocabulary.

A T5 reads a text and its end token. A decoder-only model reads a frame around the text: a begin token, the turns of a chat.
A vocabulary that frames texts says so by `encode_inputs` and `encode_answers` (`Framing`); any other is taken to be T5's.
What is too long loses the end of its text, never a part of the frame.

TensorFlow is imported by the functions for tf.data, not with this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
  import tensorflow as tf


class Encoded(NamedTuple):
  """A text as tokens.

  Attributes:
    ids: of the text with what stands around it, unpadded.
    cut: tokens that were cut off.
  """

  ids: list[int]
  cut: int


@runtime_checkable
class Framing(Protocol):
  """What a vocabulary has that frames texts, beside what seqio asks for."""

  def encode_inputs(self, texts: Sequence[str], most: int | None) -> list[Encoded]:
    """Inputs of at most so many tokens."""
    ...

  def encode_answers(self, texts: Sequence[str], most: int | None) -> list[Encoded]:
    """Answers of at most so many tokens, the last of which ends them."""
    ...

  def decode_answer(self, ids: Sequence[int]) -> str:
    """The text of an answer without the token that ends it."""
    ...

  def show(self, ids: Sequence[int]) -> str:
    """The text of ids with the special tokens among them."""
    ...


def inputs(vocabulary: Any, texts: Sequence[str], most: int | None = None) -> list[Encoded]:
  """Texts as inputs.

  Args:
    vocabulary: a seqio vocabulary.
    texts: what the model is to read.
    most: tokens that an input may have; longer ones are cut.
  """
  if isinstance(vocabulary, Framing):
    return vocabulary.encode_inputs(texts, most)
  return [_ended(vocabulary, text, most) for text in texts]


def check_room(vocabulary: Any, most: int | None) -> None:
  """Raises UserError if inputs of so many tokens have no room for the frame, before any text is read."""
  inputs(vocabulary, [''], most)


def answers(vocabulary: Any, texts: Sequence[str], most: int | None = None) -> list[Encoded]:
  """Texts as answers, each with the token that ends it; see `inputs`."""
  if isinstance(vocabulary, Framing):
    return vocabulary.encode_answers(texts, most)
  return [_ended(vocabulary, text, most) for text in texts]


def answer_text(vocabulary: Any, ids: Iterable[int]) -> str:
  """The text of an answer's ids, which hold no special one."""
  if isinstance(vocabulary, Framing):
    return vocabulary.decode_answer(list(ids))
  return vocabulary.decode(list(ids))


def prompt_position(vocabulary: Any) -> int:
  """Ids of every input in front of where a soft prompt goes: behind the begin token and the system turn, 0 for a T5."""
  return getattr(vocabulary, 'prompt_position', 0)


def tail_length(vocabulary: Any) -> int:
  """Ids that stand behind the text of every input: what a chat template ends in, the end token of a T5."""
  return getattr(vocabulary, 'tail_length', 1)


def visible(vocabulary: Any, ids: Sequence[int]) -> str:
  """The text of an input's ids; special tokens are visible where the vocabulary frames texts."""
  return vocabulary.show(ids) if isinstance(vocabulary, Framing) else vocabulary.decode(list(ids))


def inputs_tf(vocabulary: Any, texts: tf.Tensor, most: int | None) -> tuple[tf.RaggedTensor, tf.Tensor]:
  """As `inputs`, inside a tf.data pipeline.

  Args:
    vocabulary: a seqio vocabulary.
    texts: strings [K].
    most: see `inputs`.

  Returns:
    ids, ragged int32 [K, <= most], and how many were cut off, int32 [K].
  """
  return (
    _in_graph(vocabulary, texts, most, inputs)
    if isinstance(vocabulary, Framing)
    else _ended_tf(vocabulary, texts, most)
  )


def answers_tf(vocabulary: Any, texts: tf.Tensor, most: int | None) -> tuple[tf.RaggedTensor, tf.Tensor]:
  """As `answers`, inside a tf.data pipeline; see `inputs_tf`."""
  return (
    _in_graph(vocabulary, texts, most, answers)
    if isinstance(vocabulary, Framing)
    else _ended_tf(vocabulary, texts, most)
  )


def _ended(vocabulary: Any, text: str, most: int | None) -> Encoded:
  """T5's way: the text's tokens, cut to one less than the most, and the end token, which so always stands."""
  ids = list(vocabulary.encode(text))
  cut = 0 if most is None else max(len(ids) - (most - 1), 0)
  return Encoded([*ids[: len(ids) - cut], vocabulary.eos_id], cut)


def _ended_tf(vocabulary: Any, texts: tf.Tensor, most: int | None) -> tuple[tf.RaggedTensor, tf.Tensor]:
  import tensorflow as tf

  ids = tf.cast(vocabulary.encode_tf(texts), tf.int32)
  truncated = tf.zeros_like(texts, dtype=tf.int32)
  if most is not None:
    truncated = tf.cast(tf.maximum(ids.row_lengths() - (most - 1), 0), tf.int32)
    ids = ids[:, : most - 1]
  eos = tf.fill([tf.shape(texts)[0], 1], tf.constant(vocabulary.eos_id, tf.int32))
  return tf.concat([ids, eos], axis=1), truncated


def _in_graph(vocabulary: Any, texts: tf.Tensor, most: int | None, encode: Any) -> tuple[tf.RaggedTensor, tf.Tensor]:
  """Calls Python from the graph. The same text always gives the same ids, so the pipeline can be saved and restored."""
  import numpy as np
  import tensorflow as tf

  def run(values):
    made = encode(vocabulary, [value.decode('utf-8') for value in values.tolist()], most)
    flat = [i for encoded in made for i in encoded.ids]
    return (
      np.asarray(flat, np.int32),
      np.asarray([len(encoded.ids) for encoded in made], np.int64),
      np.asarray([encoded.cut for encoded in made], np.int32),
    )

  flat, lengths, cut = tf.numpy_function(run, [texts], (tf.int32, tf.int64, tf.int32), stateful=False)
  flat = tf.ensure_shape(flat, [None])
  lengths, cut = (tf.ensure_shape(x, [texts.shape[0]]) for x in (lengths, cut))
  return tf.RaggedTensor.from_row_lengths(flat, lengths), cut
