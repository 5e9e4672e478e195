"""Runs a model over many inputs of different lengths: greedy outputs, and likelihoods of given options.

Inputs are sorted by length and padded to the next bucket, so little is computed on padding and a program is compiled
once per bucket.
"""

from collections.abc import Callable, Iterator, Sequence
import re
from typing import Any

import numpy as np

from robust_t5x import partitioning

_BUCKET = 8  # input lengths are padded to a multiple of this


def normalise(text: str) -> str:
  """The form in which outputs and answers are compared by `exact_match`: lower case, punctuation as space."""
  return ' '.join(re.sub(r'[^\w]+', ' ', text.casefold()).split())


def exact_match(prediction: str, gold: str) -> float:
  """1.0 if prediction and gold are the same after `normalise`, otherwise 0.0.

  Where `normalise` leaves nothing of the gold answer, such as of brackets, both are compared without their spaces.
  """
  if not normalise(gold):
    return float(''.join(prediction.split()) == ''.join(gold.split()))
  return float(normalise(prediction) == normalise(gold))


def matches_any(prediction: str, golds: Sequence[str]) -> float:
  """The best `exact_match` of a prediction with one of several right answers."""
  return max(exact_match(prediction, gold) for gold in golds)


def is_an_option(prediction: str, options: Sequence[str]) -> bool:
  """Whether a prediction is one of the options after `normalise`; true where there are none."""
  return not options or normalise(prediction) in {normalise(option) for option in options}


class Runner:
  """A model with its compiled programs."""

  def __init__(self, model: Any, params: Any, batch_size: int = 128, max_output: int = 16):
    """Prepares.

    Args:
      model: a models.RobustT5.
      params: its parameters. Where they lie on a mesh, the rows are split over its replicas; every process passes all
        inputs and gets all results.
      batch_size: inputs processed together; rounded up to a multiple of the replicas.
      max_output: most tokens of a generated output, the end token included.
    """
    self._model, self._params, self._max_output = model, params, max_output
    self._mesh = partitioning.mesh_of(params)
    self._batch_size = partitioning.round_up(batch_size, self._mesh) if self._mesh else batch_size
    self._decode = model.compiled_decode(self._mesh)
    self._score = model.compiled_score(self._mesh)

  def generate(self, inputs: Sequence[np.ndarray], on_batch: Callable[[int], None] = lambda n: None) -> list[str]:
    """Greedy outputs as text.

    Args:
      inputs: token ids of each input, end token included, unpadded.
      on_batch: called with the number of inputs done after each batch.
    """
    out: list[str] = [''] * len(inputs)
    for rows, batch in self._batches(inputs):
      tokens, _ = self._decode(self._params, self._place(batch), max_length=self._max_output)
      for row, ids in zip(rows, np.asarray(tokens), strict=False):
        out[row] = self._text(ids)
      on_batch(len(rows))
    return out

  def score(
    self,
    inputs: Sequence[np.ndarray],
    options: Sequence[Sequence[str]],
    on_batch: Callable[[int], None] = lambda n: None,
  ) -> list[np.ndarray]:
    """Log-likelihood of every option of every input, summed over the option's tokens, in nats.

    Args:
      inputs: token ids of each input, end token included, unpadded.
      options: the options of each input, at least one.
      on_batch: called with the number of inputs done after each batch.

    Returns:
      For each input a float32 array with a score per option.
    """
    vocabulary = self._model.output_vocabulary
    cache: dict[str, list[int]] = {}

    def encode(text):
      if text not in cache:
        cache[text] = [*vocabulary.encode(text), vocabulary.eos_id]
      return cache[text]

    encoded = [[encode(o) for o in row] for row in options]
    shapes = [(_power(len(row)), _power(max(map(len, row)))) for row in encoded]
    out: list[Any] = [None] * len(inputs)
    for shape in sorted(set(shapes)):
      members = [i for i, s in enumerate(shapes) if s == shape]
      for rows, batch in self._batches([inputs[i] for i in members]):
        tokens = np.zeros((self._batch_size, *shape), np.int32)
        for j, row in enumerate(rows):
          for c, ids in enumerate(encoded[members[row]]):
            tokens[j, c, : len(ids)] = ids
        scores = np.asarray(self._score(self._params, self._place(batch), self._place(tokens)))
        for j, row in enumerate(rows):
          out[members[row]] = scores[j, : len(encoded[members[row]])]
        on_batch(len(rows))
    return out

  def _batches(self, inputs: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(indices of the inputs, padded tokens [batch_size, bucket]) in order of length."""
    order = np.argsort([len(x) for x in inputs], kind='stable')
    for start in range(0, len(order), self._batch_size):
      rows = order[start : start + self._batch_size]
      longest = max(len(inputs[i]) for i in rows)
      tokens = np.zeros((self._batch_size, -(-longest // _BUCKET) * _BUCKET), np.int32)
      for j, i in enumerate(rows):
        tokens[j, : len(inputs[i])] = inputs[i]
      yield rows, tokens

  def _place(self, rows: np.ndarray) -> Any:
    return rows if self._mesh is None else partitioning.split_rows(rows, self._mesh)

  def _text(self, ids: np.ndarray) -> str:
    vocabulary = self._model.output_vocabulary
    kept = []
    for token in ids.tolist():
      if token in (0, vocabulary.eos_id):
        break
      kept.append(token)
    return vocabulary.decode(kept)


def _power(n: int) -> int:
  """The least power of two that is at least n, so that few shapes are compiled."""
  return 1 << max(n - 1, 0).bit_length()
