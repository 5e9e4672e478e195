"""What trains: rules that cover every parameter once."""

import pytest

from robust_t5x.models import trainable


def test_rules_cover_every_parameter_once():
  params = {'adapter': {'embedding': 1}, 'encoder': {'kernel': 2}}
  moving, frozen = trainable.Trainable().split(params)
  assert trainable.merge(moving, frozen) == params
  for rules, message in {
    (('adapter/.*',), ('.*',)): 'parameter adapter/embedding both trains',
    (('adapter/.*',), ()): 'parameter encoder/kernel is in neither list',
    ((), ('.*',)): 'no parameter trains',
  }.items():
    with pytest.raises(trainable.TrainableError, match=message):
      trainable.Trainable(*rules).split(params)
