"""What a task's features allow: their lengths and vocabularies, and a preprocessor that cuts tokens to them.

TensorFlow is imported when the preprocessor runs, not with this module.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import TYPE_CHECKING, Any

from seqio_tasks import framing
from seqio_tasks.errors import UserError

if TYPE_CHECKING:
  import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class CutToLength:
  """Preprocessor that cuts inputs and targets to their lengths, so that what ends them, and the frame of inputs, always stand.

  It comes behind SeqIO's cache, which holds uncut tokens and their texts, and adds what it cuts off to truncated_tokens (of inputs) and
  cut_answer_tokens (of targets).

  Attributes:
    whole_targets: whether targets must not be cut: options that begin alike would become one.
    sequence_length: set by SeqIO.
    output_features: set by SeqIO.
  """

  whole_targets: bool = False
  sequence_length: Mapping[str, int] | None = None
  output_features: Mapping[str, Any] | None = None

  def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Maps examples with [<= T] inputs and [<= L] targets, as `framing` makes them, to such of the lengths that are set."""
    import tensorflow as tf

    lengths = {name: feature_length(self.sequence_length, name) for name in ('inputs', 'targets')}
    own = dict(zip(lengths, vocabularies(self.output_features), strict=True))
    framed = isinstance(own['inputs'], framing.Framing)
    framing.check_room(own['inputs'], lengths['inputs'])
    if self.whole_targets and lengths['targets'] is not None:
      _check_whole(dataset, lengths['targets'])

    def shorten(text):
      ids, more = framing.inputs_tf(own['inputs'], text[None], lengths['inputs'])
      return ids[0], more[0]

    def cut(example):
      made = dict(example)
      for name, length in lengths.items():
        if length is None or (name == 'targets' and self.whole_targets):
          continue
        over = tf.maximum(tf.size(example[name]) - length, 0)
        if name == 'inputs' and framed:  # its end is not the text's, so the text is encoded again
          made[name], more = tf.cond(
            over > 0, lambda: shorten(example['inputs_pretokenized']), lambda: (example['inputs'], tf.constant(0))
          )
          made['truncated_tokens'] = example['truncated_tokens'] + more
          continue
        shortened = tf.concat([example[name][: length - 1], [own[name].eos_id]], axis=0)
        made[name] = tf.cond(over > 0, lambda s=shortened: s, lambda n=name: example[n])
        if name == 'inputs':
          made['truncated_tokens'] = example['truncated_tokens'] + over
        elif 'cut_answer_tokens' in example:
          made['cut_answer_tokens'] = example['cut_answer_tokens'] + tf.maximum(over - 1, 0)
      return made

    return dataset.map(cut, num_parallel_calls=tf.data.AUTOTUNE)


def _check_whole(dataset: tf.data.Dataset, length: int) -> None:
  """Reads all targets, so that what is too long is told before anything is scored, and how long all have to be."""
  import tensorflow as tf

  def longer(most, example):
    size = tf.size(example['targets'])
    return tf.cond(size > most[0], lambda: (size, example['example_id']), lambda: most)

  size, example_id = dataset.reduce((tf.constant(0), tf.constant('')), longer)
  if size > length:
    raise UserError(
      f"TASK_FEATURE_LENGTHS has {length} tokens of 'targets', and an option of the example {example_id.numpy().decode()!r} has "
      f'{int(size)}, the most of its task: options are scored whole; set it to {int(size)} or more'
    )


def vocabularies(features: Mapping[str, Any] | None) -> tuple[Any, Any]:
  """Those of inputs and targets."""
  assert features is not None, 'SeqIO sets the features before it calls a preprocessor'
  return features['inputs'].vocabulary, features['targets'].vocabulary


def feature_length(sequence_length: Mapping[str, int] | None, feature: str) -> int | None:
  """A feature's maximal length in tokens, None for no limit."""
  length = (sequence_length or {}).get(feature)
  if length is not None and length < 1:
    raise UserError(f'sequence_length[{feature!r}] is {length}; it must be at least 1, for EOS')
  return length
