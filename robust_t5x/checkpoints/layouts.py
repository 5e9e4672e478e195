"""Which family's names a configuration's parameters have: the one place that knows all families."""

from robust_t5x.checkpoints import llama_names, t5_names
from robust_t5x.checkpoints.checks import CheckpointError
from robust_t5x.checkpoints.naming import Layout
from robust_t5x.models.llama import LlamaConfig
from robust_t5x.models.protocol import NetworkConfig
from robust_t5x.models.t5 import T5Config


def layout(config: NetworkConfig) -> Layout:
  """The tensors of a network.

  Raises:
    CheckpointError: for a family whose names are not known.
  """
  if isinstance(config, T5Config):
    return t5_names.layout(config)
  if isinstance(config, LlamaConfig):
    return llama_names.layout(config)
  raise CheckpointError(f'networks of {type(config).__name__} have no names for their weights here')
