"""Cutting tokens to the lengths that a run sets, behind SeqIO's cache."""

import numpy as np
import pytest
import seqio
import tensorflow as tf

from seqio_tasks.errors import UserError
from seqio_tasks.pipeline import cutting
from seqio_tasks.pipeline.cutting import CutToLength


def _cut(vocabulary, lengths, targets, whole=False):
  features = {name: seqio.Feature(vocabulary) for name in ('inputs', 'targets')}
  row = {
    'inputs': [5, 6, 7, 8, 1],
    'targets': [*targets, 1],
    'example_id': 'e',
    'truncated_tokens': 2,
    'cut_answer_tokens': 0,
  }
  dataset = tf.data.Dataset.from_tensors({k: tf.constant(v) for k, v in row.items()})
  return next(CutToLength(whole, lengths, features)(dataset).as_numpy_iterator())


def test_what_is_longer_is_cut_and_counted(vocabulary):
  row = _cut(vocabulary, {'inputs': 3, 'targets': 3}, [9, 10, 11, 12])
  assert row['inputs'].tolist() == [5, 6, 1] and row['truncated_tokens'] == 4
  # An output of three tokens may do without the end token, so one of the four cannot be given.
  assert row['targets'].tolist() == [9, 10, 1] and row['cut_answer_tokens'] == 1
  assert _cut(vocabulary, {'targets': 4}, [9, 10, 11, 12])['cut_answer_tokens'] == 0


def test_what_fits_stays(vocabulary):
  for lengths in (None, {'inputs': 5, 'targets': 5}):
    row = _cut(vocabulary, lengths, [9, 10, 11, 12], whole=True)
    assert row['inputs'].tolist() == [5, 6, 7, 8, 1] and row['targets'].tolist() == [9, 10, 11, 12, 1]
    assert row['truncated_tokens'] == 2


def test_options_are_not_cut(vocabulary):
  with pytest.raises(
    UserError, match="4 tokens of 'targets', and an option of the example 'e' has 5, .* set it to 5 or more"
  ):
    _cut(vocabulary, {'targets': 4}, [9, 10, 11, 12], whole=True)


def test_lengths_leave_room_for_the_end():
  assert (
    cutting.feature_length(None, 'inputs') is None and cutting.feature_length({'inputs': np.int64(3)}, 'inputs') == 3
  )
  with pytest.raises(ValueError, match='is 0; it must be at least 1'):
    cutting.feature_length({'inputs': 0}, 'inputs')
