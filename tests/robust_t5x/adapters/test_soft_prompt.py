"""Soft prompts: where they go, and that they are as tokens are."""

import numpy as np
from tiny_adapters import CONFIG, INPUTS, build, logits_of

from robust_t5x.models import protocol, t5, trainable


def test_prepending_keeps_padding_hidden():
  """The adapter is seen by every row; what stands in the padding and how much of it there is changes nothing."""
  module, params = build('input')
  encoded, mask, _ = protocol.read(module, params, INPUTS, 0)
  assert encoded.shape == (2, 7, 8)
  np.testing.assert_array_equal(mask, [[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0]])
  longer = np.pad(INPUTS, [(0, 0), (0, 5)])
  np.testing.assert_allclose(logits_of(module, params, longer), logits_of(module, params), atol=1e-5)


def test_the_adapter_is_what_the_tokens_of_the_same_vectors_would_be():
  """An adapter of the embeddings of three tokens acts as these tokens, its positions included."""
  module, params = build('input')
  tokens = np.array([20, 21, 22])
  flat = trainable.flatten(params)
  flat['adapter/embedding'] = flat['token_embedder/embedding'][tokens]
  with_adapter = logits_of(module, trainable.unflatten(flat))
  plain = t5.Transformer(CONFIG)
  del flat['adapter/embedding']
  inputs = np.concatenate([np.tile(tokens, (2, 1)), INPUTS], axis=1)
  np.testing.assert_allclose(with_adapter, logits_of(plain, trainable.unflatten(flat), inputs), atol=1e-6)
