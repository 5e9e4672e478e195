"""Span corruption as a SeqIO task: the mini model's pre-training.

Passages are joined and cut into chunks of equal length. In each chunk random spans are replaced by sentinels; the
targets are the sentinels with what they hide (Raffel et al., 2020, section 3.1.4).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from seqio_tasks.errors import UserError

if TYPE_CHECKING:
  import seqio
  import tensorflow as tf


_PASSAGES_PER_CUT = 256


def register_span_corruption(
  vocabulary: seqio.Vocabulary,
  directory: str,
  name: str = 'span_corruption',
  chunk_length: int = 32,
  noise_density: float = 0.25,
  mean_span_length: float = 3.0,
  passes: int = 64,
) -> list[str]:
  """Registers a span corruption task over `directory/train.txt`, a passage a line.

  Args:
    vocabulary: of inputs and targets; its last ids are the sentinels.
    directory: made by `python -m seqio_tasks.mini.corpus`.
    name: of the task.
    chunk_length: tokens that are corrupted together.
    noise_density: share of a chunk's tokens that is hidden.
    mean_span_length: mean length of a hidden span, in tokens.
    passes: how often the text is read, with new spans each time, before an epoch of the task ends.

  Returns:
    the name, in a list.

  Raises:
    UserError: if there is no train.txt.
  """
  import seqio

  path = os.path.join(os.path.expanduser(directory), 'train.txt')
  if not os.path.isfile(path):
    raise UserError(f'CORPUS: no {path}; make it with `python -m seqio_tasks.mini.corpus --out {directory}`')
  if name in seqio.TaskRegistry.names():
    return [name]

  def chunks(ds: tf.data.Dataset) -> tf.data.Dataset:
    return cut(ds.repeat(passes), vocabulary, chunk_length)

  @seqio.map_over_dataset(num_seeds=1)
  def corrupt_chunk(example, seed):
    inputs, targets = corrupt(example['tokens'], seed, vocabulary.vocab_size, noise_density, mean_span_length)
    return {'inputs': inputs, 'targets': targets}

  seqio.TaskRegistry.add(
    name,
    source=seqio.TextLineDataSource({'train': path}, caching_permitted=False),
    preprocessors=[chunks, corrupt_chunk, seqio.preprocessors.append_eos],
    output_features={
      'inputs': seqio.Feature(vocabulary, add_eos=True),
      'targets': seqio.Feature(vocabulary, add_eos=True),
    },
  )
  return [name]


def cut(ds: tf.data.Dataset, vocabulary: seqio.Vocabulary, chunk_length: int) -> tf.data.Dataset:
  """Tokenises lines of text, joins them, and cuts them into `tokens` of one length; what is left over is dropped."""
  import tensorflow as tf

  def join(tokens):
    flat = tokens.flat_values
    whole = tf.size(flat) // chunk_length * chunk_length
    return {'tokens': tf.reshape(flat[:whole], [-1, chunk_length])}

  ds = ds.map(vocabulary.encode_tf, num_parallel_calls=tf.data.AUTOTUNE)
  return ds.ragged_batch(_PASSAGES_PER_CUT).map(join).unbatch()


def corrupt(
  tokens: tf.Tensor, seed: tf.Tensor, vocab_size: int, noise_density: float, mean_span_length: float
) -> tuple[tf.Tensor, tf.Tensor]:
  """Hides random spans of one chunk.

  Args:
    tokens: ids [chunk_length]; the length must be known when the graph is built.
    seed: two integers, for stateless random numbers.
    vocab_size: sentinels are `vocab_size - 1`, `vocab_size - 2`, ..., in the order of the spans.
    noise_density: share of tokens that is hidden.
    mean_span_length: mean length of a span.

  Returns:
    (inputs, targets), both without an end token.
  """
  import tensorflow as tf

  length = tokens.shape[0]
  hidden = min(max(round(length * noise_density), 1), length - 1)
  spans = min(max(round(hidden / mean_span_length), 1), length - hidden, hidden)
  seeds = tf.random.split(seed, 2)
  # Kept and hidden runs alternate, beginning with a kept one; each has at least one token.
  kept_lengths = _random_parts(length - hidden, spans, seeds[0])
  hidden_lengths = _random_parts(hidden, spans, seeds[1])
  lengths = tf.reshape(tf.stack([kept_lengths, hidden_lengths], axis=1), [-1])
  pieces = tf.RaggedTensor.from_row_lengths(tf.cast(tokens, tf.int32), lengths)
  sentinels = (vocab_size - 1 - tf.range(spans, dtype=tf.int32))[:, None]
  inputs = tf.concat([pieces[0::2], sentinels], axis=1)
  targets = tf.concat([sentinels, pieces[1::2]], axis=1)
  return inputs.flat_values, targets.flat_values


def _random_parts(total: int, parts: int, seed: tf.Tensor) -> tf.Tensor:
  """Cuts `total` into `parts` positive integers [parts], every composition equally likely."""
  import tensorflow as tf

  order = tf.random.experimental.stateless_shuffle(tf.range(1, total), seed)
  ends = tf.concat([tf.sort(order[: parts - 1]), [total]], axis=0)
  return ends - tf.concat([[0], ends[:-1]], axis=0)
