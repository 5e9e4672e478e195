"""What trains beside a frozen model: soft prompts, key-value prefixes, low-rank additions, in one adapter.

`AdapterConfig` says what an adapter has; `parameters` names its arrays, which the network makes, a file holds and a model
must fit; `initialise` gives a soft prompt its first values. The parts: `soft_prompt`, `prefix`, `low_rank`, and `network`
for the module that holds them.
"""

from robust_t5x.adapters.config import (
  PROJECTIONS,
  STACKS,
  AdapterConfig,
  AdapterError,
  check_fits,
  config_of,
  parameters,
)  # fmt: skip
from robust_t5x.adapters.initial import initialise

__all__ = [
  'PROJECTIONS',
  'STACKS',
  'AdapterConfig',
  'AdapterError',
  'check_fits',
  'config_of',
  'initialise',
  'parameters',
]
