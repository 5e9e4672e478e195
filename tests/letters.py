"""A tiny model that reads letters."""

from robust_t5x.models import robust, t5

CONFIG = t5.T5Config(
  vocab_size=300, emb_dim=32, num_heads=2, head_dim=16, num_encoder_layers=2, num_decoder_layers=2, mlp_dim=64
)


class Letters:
  """A vocabulary of letters."""

  pad_id = 0

  def __init__(self, eos_id=1):
    self.eos_id = eos_id

  def encode(self, text):
    return [3 + ord(c) % 256 for c in text]

  def decode(self, ids):
    return ' '.join(map(str, ids))


def model_of_letters():
  """The model, without an adapter."""
  return robust.RobustModel(t5.Transformer(CONFIG), Letters(), Letters())
