"""The feature converter: phrasings side by side, padding by the vocabulary's own id, and no packing."""

import numpy as np
import pytest

from robust_t5x.models import features
from robust_t5x.models.protocol import SpecialIds
from seqio_tasks.errors import UserError

LENGTHS = {'inputs': 4, 'targets': 3}


def _convert(converter, **example):
  import tensorflow as tf

  ds = tf.data.Dataset.from_tensors({name: tf.constant(x, tf.int32) for name, x in example.items()})
  (found,) = converter(ds, LENGTHS).as_numpy_iterator()
  return found


def test_phrasings_share_their_target():
  converter = features.converter(SpecialIds(pad=7, end=3))(pack=False)
  inputs = [[11, 12, 13, 14, 3], [15, 3, 7, 7, 7]]
  found = _convert(converter, inputs=inputs, targets=[21, 3], truncated_tokens=[1, 0])
  assert set(found) == {
    'encoder_input_tokens', 'decoder_target_tokens', 'decoder_input_tokens', 'decoder_loss_weights',
  }  # fmt: skip
  np.testing.assert_array_equal(found['encoder_input_tokens'], [[11, 12, 13, 14], [15, 3, 7, 7]])
  np.testing.assert_array_equal(found['decoder_target_tokens'], [21, 3, 7])
  np.testing.assert_array_equal(found['decoder_input_tokens'], [7, 21, 3])
  np.testing.assert_array_equal(found['decoder_loss_weights'], [1, 1, 0])
  converter.keep_truncated = True
  found = _convert(converter, inputs=inputs, targets=[21, 3], truncated_tokens=[1, 0])
  np.testing.assert_array_equal(found['truncated_tokens'], [1, 0])


def test_one_phrasing_is_a_row():
  found = _convert(features.converter(SpecialIds(pad=0, end=1))(pack=False), inputs=[5, 1], targets=[6, 7, 8, 1])
  np.testing.assert_array_equal(found['encoder_input_tokens'], [5, 1, 0, 0])
  np.testing.assert_array_equal(found['decoder_target_tokens'], [6, 7, 8])
  np.testing.assert_array_equal(found['decoder_input_tokens'], [0, 6, 7])


def test_packing_is_refused():
  with pytest.raises(UserError, match='does not pack; set pack = False'):
    _convert(features.PhrasingFeatureConverter(pack=True), inputs=[5, 1], targets=[6, 1])
