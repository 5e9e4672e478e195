"""What a training step must compute at least: the floor that a compiled program's count is held against.

With P parameters that take part for a token and T tokens, a forward pass is 2PT operations, and a backward pass through
activations alone another 2PT: a frozen weight needs no gradient. Attention comes on top: two products of the length
squared forwards, four backwards. Norms, softmax and look-ups are not counted.

Source of 2PT: Kaplan et al. 2020 (arXiv 2001.08361), section 2.1.
"""

from collections.abc import Mapping
import dataclasses
import math
from typing import Any

from robust_t5x.adapters import config as config_lib
from robust_t5x.models import t5, trainable


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


def floor(
  config: t5.T5Config, adapter: config_lib.AdapterConfig, shapes: Mapping[str, Any], inputs: int, targets: int
) -> Floor:
  """The floor of a network and its lengths.

  Args:
    config: the network.
    adapter: what is prepended to it.
    shapes: the backbone's and the adapter's parameters, or their shapes, nested.
    inputs: input tokens T of a phrasing; the P vectors of a soft prompt are added.
    targets: target tokens L.
  """
  positions = adapter.length + inputs
  per_input = per_target = 0
  for path, x in trainable.flatten(shapes).items():
    if path.endswith('/kernel'):
      # The decoder computes the keys and values of the encoding once for every encoder position.
      of_encoding = path.startswith('encoder/') or path.endswith(
        ('encoder_decoder_attention/key/kernel', 'encoder_decoder_attention/value/kernel')
      )
      per_input += math.prod(x.shape) * of_encoding
      per_target += math.prod(x.shape) * (not of_encoding)
  if config.logits_via_embedding:
    per_target += config.vocab_size * config.emb_dim
  weights = 2 * (per_input * positions + per_target * targets)
  width = config.num_heads * config.head_dim
  pairs = config.num_encoder_layers * positions * (positions + adapter.encoder_prefix_length)
  pairs += config.num_decoder_layers * targets * (targets + positions + adapter.decoder_prefix_length)
  attention = 4 * pairs * width
  return Floor(weights + attention, weights + 2 * attention, (per_input, per_target))
