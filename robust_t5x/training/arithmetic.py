"""What a training step must compute at least: the floor that a compiled program's count is held against.

With P parameters that take part for a token and T tokens, a forward pass is 2PT operations, and a backward pass through
activations alone another 2PT: a frozen weight needs no gradient. Attention comes on top: two products of the length
squared forwards, four backwards. Norms, softmax and look-ups are not counted.

Source of 2PT: Kaplan et al. 2020 (arXiv 2001.08361), section 2.1.
"""

import dataclasses

from robust_t5x.adapters import AdapterConfig
from robust_t5x.models.protocol import NetworkConfig, Params


@dataclasses.dataclass(frozen=True)
class Floor:
  """Floating-point operations of a step of one example under one phrasing.

  Attributes:
    forward: without gradient.
    backward: besides, where the adapter trains and the backbone does not.
    participating: parameters that take part for an input token, for a target token.
  """

  forward: float
  backward: float
  participating: tuple[int, int]

  def step(self, examples: int, phrasings: int, canonical_trains: bool = True) -> float:
    """Operations of a step over B examples of K phrasings."""
    trained = phrasings if canonical_trains or phrasings == 1 else phrasings - 1
    return examples * (phrasings * self.forward + trained * self.backward)


def floor(config: NetworkConfig, adapter: AdapterConfig, shapes: Params, inputs: int, targets: int) -> Floor:
  """The floor of a network and its lengths.

  Args:
    config: the network.
    adapter: what trains beside it.
    shapes: the backbone's and the adapter's parameters, or their shapes, nested.
    inputs: input tokens T of a phrasing; the P vectors of a soft prompt are added.
    targets: target tokens L.
  """
  positions = adapter.length + inputs
  work = config.work(shapes, positions, targets, adapter)
  weights = 2 * (work.per_input * positions + work.per_target * targets)
  attention = work.attention
  return Floor(weights + attention, weights + 2 * attention, (work.per_input, work.per_target))
