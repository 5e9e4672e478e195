"""SeqIO feature converter for examples with one or several phrasings. Imports TensorFlow; import it on use."""

from collections.abc import Mapping

import seqio
import tensorflow as tf

from seqio_tasks.errors import UserError


class PhrasingFeatureConverter(seqio.EncDecFeatureConverter):
  """Turns `inputs` [T] or [K, T] and `targets` [L] into the model's features.

  A task whose `inputs` feature has rank 2 holds K phrasings of each example; the encoder then gets [K, T] a row and the
  decoder's features are shared. Tasks with rank 1 are converted as seqio's own encoder-decoder converter does.
  Packing is not supported: phrasings of one example must stay together.

  Attributes:
    keep_truncated: also give `truncated_tokens` [K], how many tokens of each phrasing were cut off.
  """

  keep_truncated = False

  def __call__(self, ds: tf.data.Dataset, task_feature_lengths: Mapping[str, int]):
    """Converts a dataset; `task_feature_lengths` gives T for 'inputs' and L for 'targets'."""
    if self.pack:
      raise UserError('PhrasingFeatureConverter does not pack; set pack = False')
    rank = len(ds.element_spec['inputs'].shape)
    if rank == 1:
      return super().__call__(ds, task_feature_lengths)
    lengths = {name: task_feature_lengths[name] for name in ('inputs', 'targets')}

    def convert(example):
      inputs, targets = example['inputs'], example['targets']
      phrasings = inputs.shape[0]
      inputs = _fit(inputs[:, : lengths['inputs']], [phrasings, lengths['inputs']])
      targets = _fit(targets[: lengths['targets']], [lengths['targets']])
      kept = {'truncated_tokens': example['truncated_tokens']} if self.keep_truncated else {}
      return {
        **kept,
        'encoder_input_tokens': inputs,
        'decoder_target_tokens': targets,
        'decoder_input_tokens': seqio.utils.make_autoregressive_inputs(targets, bos_id=self.bos_id),
        'decoder_loss_weights': tf.cast(targets > 0, tf.int32),
      }

    return ds.map(convert, num_parallel_calls=tf.data.AUTOTUNE)


def _fit(x: tf.Tensor, shape: list[int]) -> tf.Tensor:
  """Zero-pads at the end of each axis to `shape`."""
  x = tf.cast(x, tf.int32)
  padding = [[0, size - tf.shape(x)[axis]] for axis, size in enumerate(shape)]
  return tf.ensure_shape(tf.pad(x, padding), shape)
