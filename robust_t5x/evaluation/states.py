"""States of a model under many inputs, with its adapter and without."""

from collections.abc import Sequence
from typing import Any

import numpy as np

_BUCKET = 16  # input lengths are padded to a multiple of this


class Runner:
  """A model with its program for states, compiled once for each length of inputs."""

  def __init__(self, model: Any, params: Any, batch_size: int):
    """Args: a models.RobustModel, its parameters, inputs processed together."""
    import jax
    import jax.numpy as jnp

    from robust_t5x.runtime import partitioning

    self._params, self._mesh = params, partitioning.mesh_of(params)
    self._batch_size = partitioning.round_up(batch_size, self._mesh) if self._mesh else batch_size
    module = model.module

    def run(params, tokens):
      variables = {'params': params}
      encoded, mask = module.apply(variables, tokens, method=module.encode)
      weights = mask[..., None].astype(jnp.float32)
      mean = (encoded.astype(jnp.float32) * weights).sum(1) / jnp.maximum(weights.sum(1), 1.0)
      logits, kept = module.apply(
        variables, encoded, mask, jnp.zeros((len(tokens), 1), jnp.int32), method=module.decode,
        capture_intermediates=lambda part, _: part.name == 'decoder_norm', mutable=['intermediates'],
      )  # fmt: skip
      state = kept['intermediates']['decoder']['decoder_norm']['__call__'][0]
      return mean, state[:, 0].astype(jnp.float32), jax.nn.log_softmax(logits[:, 0], axis=-1)

    self._run = jax.jit(run, out_shardings=None if self._mesh is None else partitioning.replicated(self._mesh))

  def __call__(self, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Mean encoder states [n, D], first decoder states [n, D] and log-probabilities [n, V] of inputs.

    Args:
      inputs: token ids of each input, end token included, unpadded.
    """
    from robust_t5x.runtime import partitioning

    out: list[Any] = [None] * len(inputs)
    order = np.argsort([len(x) for x in inputs], kind='stable')
    for start in range(0, len(order), self._batch_size):
      rows = order[start : start + self._batch_size]
      tokens = np.zeros((self._batch_size, -(-max(len(inputs[i]) for i in rows) // _BUCKET) * _BUCKET), np.int32)
      for j, i in enumerate(rows):
        tokens[j, : len(inputs[i])] = inputs[i]
      placed = tokens if self._mesh is None else partitioning.split_rows(tokens, self._mesh)
      found = [np.asarray(x) for x in self._run(self._params, placed)]
      for j, i in enumerate(rows):
        out[i] = tuple(x[j] for x in found)
    return tuple(np.stack(x) for x in zip(*out, strict=True))


def without_adapter(model: Any, params: Any) -> tuple[Any, Any]:
  """The same backbone with no adapter."""
  from robust_t5x.models import robust, t5

  plain = robust.RobustModel(t5.Transformer(model.module.config), model.input_vocabulary, model.output_vocabulary)
  return plain, {name: value for name, value in params.items() if name != 'adapter'}
