"""What trains beside a frozen model: soft prompts, key-value prefixes, low-rank additions, in one adapter.

`AdapterConfig` says what an adapter has and `Site` where a network takes it; `parameters` names its arrays, which the
network makes, a file holds and a model must fit; `initialise` gives a soft prompt its first values; `Adapter` is the module
that a network holds. A family of models needs no more of this room than these.
"""

from robust_t5x.adapters.adapter import NO_ADDITION, Adapter, LayerAdapter, joined_length
from robust_t5x.adapters.config import AdapterConfig, AdapterError, check_fits, config_of, parameters
from robust_t5x.adapters.initial import initialise, read_vectors
from robust_t5x.adapters.low_rank import LowRank, add_low_rank
from robust_t5x.adapters.prefix import attend_to_prefix, join_prefix
from robust_t5x.adapters.sites import PROJECTIONS, Projection, Side, Site

__all__ = [
  'NO_ADDITION',
  'PROJECTIONS',
  'Adapter',
  'AdapterConfig',
  'AdapterError',
  'LayerAdapter',
  'LowRank',
  'Projection',
  'Side',
  'Site',
  'add_low_rank',
  'attend_to_prefix',
  'check_fits',
  'config_of',
  'initialise',
  'join_prefix',
  'joined_length',
  'parameters',
  'read_vectors',
]
