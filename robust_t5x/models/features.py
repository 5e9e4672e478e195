"""SeqIO feature converter for examples with one or several phrasings. Imports TensorFlow; import it on use."""

from collections.abc import Mapping
import functools

import seqio
import tensorflow as tf

from robust_t5x.models.protocol import SpecialIds
from seqio_tasks.errors import UserError


class PhrasingFeatureConverter(seqio.EncDecFeatureConverter):
  """Turns `inputs` [T] or [K, T] and `targets` [L] into the model's features.

  A task whose `inputs` feature has rank 2 holds K phrasings of each example; `encoder_input_tokens` is then [K, T] a row and
  the answer's features are shared. Packing is not supported: phrasings of one example must stay together.

  Attributes:
    ids: the special ids; see `converter`.
    keep_truncated: also give `truncated_tokens` [K], how many tokens of each phrasing were cut off.
  """

  ids = SpecialIds(pad=0, end=1)
  keep_truncated = False

  def __call__(self, ds: tf.data.Dataset, task_feature_lengths: Mapping[str, int]):
    """Converts a dataset; `task_feature_lengths` gives T for 'inputs' and L for 'targets'."""
    if self.pack:
      raise UserError('PhrasingFeatureConverter does not pack; set pack = False')
    phrased = len(ds.element_spec['inputs'].shape) == 2
    most_inputs, most_targets = (task_feature_lengths[name] for name in ('inputs', 'targets'))

    def convert(example):
      inputs, targets = example['inputs'], example['targets']
      shape = [inputs.shape[0], most_inputs] if phrased else [most_inputs]
      inputs = self._fit(inputs[..., :most_inputs], shape)
      targets = self._fit(targets[:most_targets], [most_targets])
      kept = {'truncated_tokens': example['truncated_tokens']} if phrased and self.keep_truncated else {}
      return {
        **kept,
        'encoder_input_tokens': inputs,
        'decoder_target_tokens': targets,
        'decoder_input_tokens': tf.concat([[self.ids.begin], targets[:-1]], axis=0),
        'decoder_loss_weights': tf.cast(targets != self.ids.pad, tf.int32),
      }

    return ds.map(convert, num_parallel_calls=tf.data.AUTOTUNE)

  def _fit(self, x: tf.Tensor, shape: list[int]) -> tf.Tensor:
    """Pads at the end of each axis to `shape`."""
    x = tf.cast(x, tf.int32)
    padding = [[0, size - tf.shape(x)[axis]] for axis, size in enumerate(shape)]
    return tf.ensure_shape(tf.pad(x, padding, constant_values=self.ids.pad), shape)


@functools.cache
def converter(ids: SpecialIds) -> type[PhrasingFeatureConverter]:
  """The converter for a vocabulary's special ids; a class, since that is what T5X asks a model for."""
  return type('PhrasingFeatureConverter', (PhrasingFeatureConverter,), {'ids': ids})
