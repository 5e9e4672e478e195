"""Published families: as many parameters as published, and a cure where there is no such model."""

import math

from letters import Letters
import pytest

from robust_t5x.models import families, robust, trainable


@pytest.mark.parametrize(
  ('family', 'size', 'parameters'),
  [('t5_1_0', 'small', 60_506_624), ('t5_1_1', 'small', 76_961_152)],
)
def test_parameters_are_as_many_as_published(family, size, parameters):
  """Hugging Face's counts of t5-small and google/t5-v1_1-small."""
  network = families.config(family, size).network(None)
  shapes, _ = robust.RobustModel(network, Letters(), Letters()).variable_shapes()
  assert sum(math.prod(x.shape) for x in trainable.flatten(shapes).values()) == parameters


def test_families_differ_in_their_mlp_and_output_layer():
  old, new = (families.config(family, 'base', dtype='bfloat16', remat=True) for family in ('t5_1_0', 't0'))
  assert (old.mlp_activations, old.logits_via_embedding) == (('relu',), True)
  assert (new.mlp_activations, new.logits_via_embedding) == (('gelu', 'linear'), False)
  assert new.dtype == 'bfloat16' and new.remat


@pytest.mark.parametrize('size', families.SIZES)
@pytest.mark.parametrize('family', ['t5_1_0', 't5_1_1', 'flan_t5'])
def test_a_published_checkpoint_names_its_step(family, size):
  place = families.checkpoint(family, size)
  assert place.startswith('gs://t5-data/pretrained_models/t5x/')
  assert place.rpartition('/checkpoint_')[2].isdigit()


@pytest.mark.parametrize(
  ('family', 'size', 'message'),
  [
    ('t6', 'base', "unknown family 't6'; use one of t5_1_0"),
    ('t5_1_1', '3B', "SIZE: t5_1_1 has no size '3B'; use one of small"),
    ('t0', 'xl', 'no published T5X checkpoint of t0 xl'),
  ],
)
def test_what_was_not_published_is_named(family, size, message):
  with pytest.raises(families.FamilyError, match=message):
    families.checkpoint(family, size)
