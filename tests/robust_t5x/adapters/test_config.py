"""Where an adapter sits: settings that make no sense, and adapters of another model."""

import numpy as np
import pytest
from tiny_adapters import CONFIG, build

from robust_t5x import adapters


def test_lora_projections_are_named():
  assert adapters.AdapterConfig(lora_projections=['wo']).lora_projections == ('wo',)
  for wrong in (('query', 'values'), ()):
    with pytest.raises(adapters.AdapterError, match='at least one of query, key'):
      adapters.AdapterConfig(lora_projections=wrong)


def test_an_adapter_of_another_model_is_named(tmp_path):
  _, params = build('both')
  import dataclasses

  for change in ({'emb_dim': 16}, {'num_heads': 4}, {'num_encoder_layers': 3}):
    with pytest.raises(adapters.AdapterError, match='does not fit this model'):
      adapters.check_fits(params['adapter'], dataclasses.replace(CONFIG, **change), 'p')
  for arrays, message in (
    ({**params['adapter'], 'decoder_gate': np.zeros((2, 2))}, 'holds decoder_gate, which no adapter has'),
    ({'encoder_key': params['adapter']['encoder_key']}, 'lacks encoder_value'),
  ):
    with pytest.raises(adapters.AdapterError, match=message):
      adapters.check_fits(arrays, CONFIG, 'p')
