"""Vocabularies that belong to checkpoints."""

import functools
import os
import shutil
from typing import Any

from robust_t5x.checkpoints import backbones
from robust_t5x.models.protocol import NetworkConfig
from robust_t5x.runtime import quiet

_FILE = 'spiece.model'  # beside the weights, as Hugging Face has it


@functools.lru_cache(maxsize=4)
def vocabulary(
  path: str | None = None, extra_ids: int = 100, checkpoint: str | None = None, pieces: bool = True
) -> Any:
  """The seqio vocabulary in a SentencePiece model file; imports TensorFlow.

  Args:
    path: the file, also in a bucket (gs://...); by default the checkpoint's own `spiece.model`.
    extra_ids: sentinel ids after the pieces.
    checkpoint: checkpoint directory or 'bundled'.
    pieces: whether text is going to be read. Where not, nothing is fetched: a vocabulary in a bucket is taken to
      have T5's ids, padding 0 and end 1.
  """
  if path is None and checkpoint is None:
    raise backbones.CheckpointError('not set: VOCABULARY; add --VOCABULARY=FILE.model')
  if not pieces and path is not None and '://' in path:
    quiet.import_tensorflow()
    import seqio

    return seqio.PassThroughVocabulary(0, eos_id=1)
  file = path or f'{backbones.resolve(checkpoint or "")}/{_FILE}'
  if '://' not in file and not os.path.isfile(file):
    where = (
      'put the SentencePiece model there, or set VOCABULARY to where it is' if path is None else 'correct VOCABULARY'
    )
    raise backbones.CheckpointError(f'VOCABULARY: no file {file}; {where}')
  quiet.import_tensorflow()
  import seqio
  import tensorflow as tf

  try:
    if '://' in file and not tf.io.gfile.exists(file):
      raise backbones.CheckpointError(f'VOCABULARY: no file {file}')
  except tf.errors.OpError as e:
    raise backbones.CheckpointError(
      f'VOCABULARY: {file} cannot be reached ({e.message}); set it to a local copy'
    ) from e
  return seqio.SentencePieceVocabulary(file, extra_ids=extra_ids)


def check_vocabulary(config: NetworkConfig, vocab: Any) -> None:
  """Raises CheckpointError unless every id of the vocabulary has a row in the embedding table."""
  if vocab.vocab_size > config.vocab_size or vocab.vocab_size < config.vocab_size - 256:
    raise backbones.CheckpointError(
      f"the vocabulary has {vocab.vocab_size} ids, the model's embedding {config.vocab_size} rows; "
      'use the vocabulary that belongs to the checkpoint (the embedding may have up to 255 rows of padding)'
    )


def save(directory: str, vocab: Any) -> None:
  """Puts a SentencePiece vocabulary beside the weights in a directory."""
  shutil.copyfile(vocab.sentencepiece_model_file, os.path.join(directory, _FILE))
