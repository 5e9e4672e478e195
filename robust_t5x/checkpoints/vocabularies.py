"""Vocabularies that belong to checkpoints."""

from collections.abc import Iterator
import functools
import os
import re
import shutil
from typing import Any, TypedDict

from robust_t5x.checkpoints import backbones, chat_templates, framed_vocabulary, gguf_tokenizer, tokenizer_files
from robust_t5x.checkpoints.pieces import PiecesVocabulary, UnreadVocabulary
from robust_t5x.models.protocol import NetworkConfig
from robust_t5x.runtime import progress, records
from seqio_tasks.errors import shorten

_FILE = 'spiece.model'  # beside the weights, as Hugging Face has it
_SPARE_ROWS = 255  # rows that an embedding may have beyond a SentencePiece model's ids


class _Token(TypedDict):
  content: str


class _AddedToken(TypedDict):
  content: str
  id: int


class _Tokenizer(TypedDict, total=False):
  added_tokens: list[_AddedToken]


class _TokenizerConfig(TypedDict, total=False):
  added_tokens_decoder: dict[str, _Token]
  additional_special_tokens: list[str | _Token]
  extra_ids: int
  sp_model_kwargs: dict[str, Any] | None


class _SpecialTokens(TypedDict, total=False):
  additional_special_tokens: list[str | _Token]
  eos_token: str | _Token
  pad_token: str | _Token
  unk_token: str | _Token


@functools.lru_cache(maxsize=4)
def vocabulary(
  path: str | None = None,
  extra_ids: int = 100,
  checkpoint: str | None = None,
  pieces: bool = True,
  chat_template: str = chat_templates.OWN,
  system_message: str = chat_templates.OWN,
) -> Any:
  """The vocabulary of a checkpoint, or in a file, with the methods of a seqio vocabulary.

  A T5 has a SentencePiece model. Decoder-only models have `tokenizer.json` or what a GGUF file carries; their vocabulary
  also puts the chat template around texts, see seqio_tasks.framing.

  Args:
    path: the file, a SentencePiece model (also in a bucket, gs://...), `tokenizer.json` or GGUF; by default the
      checkpoint's own.
    extra_ids: sentinel ids after the pieces of a SentencePiece model.
    checkpoint: checkpoint directory, GGUF file or 'bundled'.
    pieces: whether text is going to be read. Where not, nothing is fetched: a SentencePiece model in a bucket, or of no
      model, is taken to have T5's ids, padding 0 and end 1.
    chat_template: 'own' for the checkpoint's if it has one, 'none' for a base model, or the file of a template.
    system_message: 'own' for what the template does by itself, 'none' for no system turn, or a text.

  Raises:
    CheckpointError: if there is no such file, it is damaged, or other files of the checkpoint say that its texts become
      other tokens.
  """
  if path is None and checkpoint is None:
    if pieces:
      raise backbones.CheckpointError('not set: VOCABULARY; add --VOCABULARY=FILE.model')
    return UnreadVocabulary()
  place = path or backbones.resolve(checkpoint or '')
  if place.endswith('.gguf') or place.endswith(f'/{tokenizer_files.FILE}') or (path is None and _is_decoder(place)):
    spec = gguf_tokenizer.read(place) if place.endswith('.gguf') else tokenizer_files.read(place)
    return framed_vocabulary.build(spec, chat_template, system_message)
  for name, value in (('CHAT_TEMPLATE', chat_template), ('SYSTEM_MESSAGE', system_message)):
    if value not in (chat_templates.OWN, chat_templates.NONE):
      raise backbones.CheckpointError(f"{name} is set, but a T5 reads texts as they are; leave it at 'own'")
  return _sentencepiece(path, extra_ids, place, pieces)


def _is_decoder(directory: str) -> bool:
  """Whether a checkpoint's directory holds a decoder-only model, whose texts `tokenizer.json` reads."""
  try:
    family = tokenizer_files.model_type(directory)
    return not family.endswith('t5') if family else tokenizer_files.is_there(directory) and not _has_pieces(directory)
  except backbones.CheckpointError:
    if '://' in directory:  # a place that is not within reach; what is missing there is said by who needs it
      return False
    raise


def _has_pieces(directory: str) -> bool:
  return os.path.isfile(f'{directory}/{_FILE}')


def _sentencepiece(path: str | None, extra_ids: int, place: str, pieces: bool) -> Any:
  """The vocabulary of a T5, from a file or beside the weights in the directory `place`."""
  if not pieces and path is not None and '://' in path:
    return UnreadVocabulary()
  file = path or f'{place}/{_FILE}'
  if '://' not in file and not os.path.isfile(file):
    where = (
      'put the SentencePiece model there, or set VOCABULARY to where it is' if path is None else 'correct VOCABULARY'
    )
    raise backbones.CheckpointError(f'VOCABULARY: no file {file}; {where}')
  if '://' in file:
    _check_bucket(file)
  found = PiecesVocabulary(file, extra_ids)
  try:
    model = found.tokenizer  # reads the file
  except Exception as e:  # of several libraries, one of them in C++
    raise backbones.CheckpointError(
      f'VOCABULARY: {file} is no SentencePiece model ({shorten(e)}); fetch it again'
    ) from e
  if model.pad_id() != 0 or model.eos_id() < 1:
    raise backbones.CheckpointError(
      f'VOCABULARY: {file} has padding at {model.pad_id()} and the end at {model.eos_id()}; a T5 has padding at 0 and an end'
    )
  if path is None:
    _check_tokenizer_files(file.removesuffix(f'/{_FILE}'), found)
  return found


def _check_bucket(file: str) -> None:
  """Raises CheckpointError if a file in a bucket cannot be read."""
  import tensorflow as tf

  try:
    if not tf.io.gfile.exists(file):
      raise backbones.CheckpointError(f'VOCABULARY: no file {file}')
  except tf.errors.OpError as e:
    raise backbones.CheckpointError(
      f'VOCABULARY: {file} cannot be reached ({e.message}); set it to a local copy'
    ) from e


def _check_tokenizer_files(directory: str, vocab: Any) -> None:
  """Raises CheckpointError if a file beside the pieces makes other tokens than they do."""
  for name, token, number in _added_tokens(directory):
    sentinel = re.fullmatch(r'<extra_id_(\d+)>', token)
    if sentinel:
      own = vocab.vocab_size - 1 - int(sentinel[1]) if int(sentinel[1]) < vocab.extra_ids else None
    else:
      own = vocab.tokenizer.piece_to_id(token)
      own = own if vocab.tokenizer.id_to_piece(own) == token else None
    if own is None or number not in (None, own):
      raise backbones.CheckpointError(
        f'{directory}/{name}: adds the token {shorten(repr(token), 40)}{"" if number is None else f" as {number}"}, which '
        f'{_FILE} has {"not" if own is None else f"as {own}"}; added tokens are not supported: use a checkpoint without them, '
        f'or set VOCABULARY to {directory}/{_FILE} if no text holds them'
      )


def _added_tokens(directory: str) -> Iterator[tuple[str, str, int | None]]:
  """(file, token, its id or None) of the tokens that Hugging Face's tokenizer files of a directory name."""

  def read(name: str, kind: Any) -> Any:
    if '://' in directory or not os.path.isfile(os.path.join(directory, name)):
      return {}
    try:
      return records.read(os.path.join(directory, name), kind, 'fetch it again')
    except records.RecordError as e:
      raise backbones.CheckpointError(str(e)) from e

  def text(token: str | _Token) -> str:
    return token if isinstance(token, str) else token['content']

  for token, number in read('added_tokens.json', dict[str, int]).items():
    yield 'added_tokens.json', token, number
  for entry in read('tokenizer.json', _Tokenizer).get('added_tokens', ()):
    yield 'tokenizer.json', entry['content'], entry['id']
  name = 'tokenizer_config.json'
  config = read(name, _TokenizerConfig)
  for key, entry in config.get('added_tokens_decoder', {}).items():
    if not key.isdecimal():
      raise backbones.CheckpointError(f'{directory}/{name}: added_tokens_decoder has {shorten(repr(key))}, not an id')
    yield name, entry['content'], int(key)
  for token in config.get('additional_special_tokens', ()):
    yield name, text(token), None
  if config.get('sp_model_kwargs'):
    raise backbones.CheckpointError(
      f'{directory}/{name}: sp_model_kwargs is {shorten(config["sp_model_kwargs"])}; texts are tokenised without such settings'
    )
  if config.get('extra_ids', 0) > 0:
    yield name, f'<extra_id_{config["extra_ids"] - 1}>', None
  name = 'special_tokens_map.json'
  special = read(name, _SpecialTokens)
  for token in special.get('additional_special_tokens', ()):
    yield name, text(token), None
  for role in ('eos_token', 'pad_token', 'unk_token'):
    if role in special:
      yield name, text(special[role]), None


def check_vocabulary(config: NetworkConfig, vocab: Any) -> None:
  """Raises CheckpointError unless every id of the vocabulary has a row in the embedding table."""
  spare = getattr(vocab, 'spare_rows', _SPARE_ROWS)
  if not config.vocab_size - spare - 1 <= vocab.vocab_size <= config.vocab_size:
    raise backbones.CheckpointError(
      f"the vocabulary has {vocab.vocab_size} ids, the model's embedding {config.vocab_size} rows; "
      f'use the vocabulary that belongs to the checkpoint (the embedding may have up to {spare} rows of padding)'
    )


def save(directory: str, vocab: Any) -> None:
  """Puts a vocabulary beside the weights in a directory; says where what is there does not read texts as the vocabulary does."""
  if hasattr(vocab, 'save'):
    vocab.save(directory)
    if isinstance(vocab, framed_vocabulary.FramedVocabulary):
      spec = tokenizer_files.read(os.path.join(directory, tokenizer_files.FILE))
      if framed_vocabulary.build(spec, chat_templates.OWN, chat_templates.OWN).digest != vocab.digest:
        progress.log(
          f'warning: {directory} has the chat template, but not the SYSTEM_MESSAGE that texts were read with; give it wherever the model is used'
        )
    return
  shutil.copyfile(vocab.sentencepiece_model_file, os.path.join(directory, _FILE))
