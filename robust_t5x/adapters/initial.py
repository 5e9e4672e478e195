"""How soft prompts start."""

import os
from typing import Any

import numpy as np

from robust_t5x.adapters.config import AdapterError
from seqio_tasks.errors import shorten


def initialise(
  adapter: dict[str, np.ndarray], method: str, embedding: np.ndarray, vocabulary: Any, seed: int
) -> dict[str, np.ndarray]:
  """Sets the soft prompt as asked; all else keeps the network's initialisation.

  Args:
    adapter: the adapter's parameters as the network initialised them; `embedding` is [P, D].
    method: 'uniform' (as the network initialised it), 'vocabulary' (rows of the embedding table of sampled pieces or, of a decoder-only model's, words),
      'text:SOME TEXT' (the text's pieces, repeated or cut to P), 'labels:a,b,c' (the mean embedding of each label's
      pieces, then sampled pieces), or a path ending in .npy (array [P, D]).
    embedding: the backbone's embedding table [V, D].
    vocabulary: a seqio vocabulary, used by 'vocabulary', 'text' and 'labels'.
    seed: for the sampled pieces.

  Returns:
    The parameters with `embedding` replaced.

  Raises:
    AdapterError: for an unknown method, a text without pieces, or an array of the wrong shape.
  """
  if method == 'uniform' or 'embedding' not in adapter:
    return dict(adapter)
  length, width = adapter['embedding'].shape
  rng = np.random.default_rng(seed)
  kind, _, argument = method.partition(':')
  words = _words(vocabulary)
  pieces = rng.choice(words, size=length, replace=len(words) < length)
  if method == 'vocabulary':
    vectors = embedding[pieces]
  elif kind == 'text':
    ids = vocabulary.encode(argument)
    if not ids:
      raise AdapterError("PROMPT_INIT: 'text:' needs a text after the colon, such as 'text:Answer the question'")
    vectors = embedding[np.resize(np.asarray(ids), length)]
  elif kind == 'labels':
    labels = [label.strip() for label in argument.split(',') if label.strip()]
    if not labels or len(labels) > length:
      raise AdapterError(
        f"PROMPT_INIT: 'labels:' needs 1 to {length} labels separated by commas (the adapter's length), got {len(labels)}"
      )
    means = [embedding[np.asarray(vocabulary.encode(label))].mean(axis=0) for label in labels]
    vectors = np.concatenate([np.stack(means), embedding[pieces[len(labels) :]]])
  elif method.endswith('.npy'):
    if not os.path.exists(method):
      raise AdapterError(f'PROMPT_INIT: no file {method}; give the path of a .npy array [{length}, {width}]')
    vectors = read_vectors(method)
    if vectors.shape != (length, width):
      raise AdapterError(
        f'PROMPT_INIT: {method} holds an array {list(vectors.shape)}, the model needs [{length}, {width}]; '
        'set ADAPTER_LENGTH to its first axis and check that it belongs to this model'
      )
  else:
    raise AdapterError(
      f'PROMPT_INIT: unknown method {method!r}; use uniform, vocabulary, text:..., labels:a,b,c or a path ending in .npy'
    )
  return {**adapter, 'embedding': np.asarray(vectors, np.float32)}


def _words(vocabulary: Any) -> np.ndarray:
  """Ids to draw from: those that a vocabulary calls words, else all pieces of a SentencePiece model."""
  if hasattr(vocabulary, 'words'):
    return np.asarray(vocabulary.words)
  # The first ids are control pieces (padding, end, unknown); sentinels come after the base vocabulary.
  return np.arange(3, vocabulary.vocab_size - vocabulary.extra_ids)


def read_vectors(path: str) -> np.ndarray:
  """The vectors [P, D] in a .npy file, as float32.

  Raises:
    AdapterError: if it holds something else, or a number that is not finite.
  """
  try:
    # A map of the file is no longer than the file, whatever its header says, and holds no pickle.
    array = np.lib.format.open_memmap(path, mode='r')
    data = os.path.getsize(path) - array.offset
  except Exception as e:  # numpy's, of many kinds, since it evaluates the header
    raise AdapterError(f'{path}: is no .npy file of an array ({shorten(e)}); write it with numpy.save') from e
  if array.ndim != 2:
    raise AdapterError(f'{path}: holds an array {list(array.shape)}; a soft prompt is [P, D]')
  if array.dtype.kind != 'f':
    raise AdapterError(f'{path}: holds an array of {array.dtype}; a soft prompt is of floating-point numbers')
  if data != array.nbytes:
    raise AdapterError(f'{path}: is {data - array.nbytes} bytes longer than its array; write it with numpy.save')
  with np.errstate(over='ignore'):
    vectors = np.array(array, np.float32)
  if not np.isfinite(vectors).all():
    raise AdapterError(f'{path}: holds numbers that are not finite in float32; make it anew')
  return vectors
