"""Trains the mini model's vocabulary: a SentencePiece unigram model over lower-case text.

`python -m seqio_tasks.mini.vocabulary --corpus DIR --out FILE.model`

Text is folded before it is cut, by rules that the model file carries: capitals become small letters, and every
punctuation mark stands alone, so that a word has the same pieces in quotes, in a list and at the end of a sentence.
The everyday words are repeated so that each becomes one piece; digits are cut one by one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import importlib.resources
import os
import pathlib
import string
import sys
import tempfile
from typing import TYPE_CHECKING

from seqio_tasks.errors import UserError

if TYPE_CHECKING:
  import seqio


PIECES = 5120
WORD_REPEATS = 300
_LOOKALIKES = {
  '\u2018': "'", '\u2019': "'", '\u201c': '"', '\u201d': '"', '\u2013': '-', '\u2014': '-', '\u00a0': ' ',
}  # fmt: skip


def folding_rules() -> dict[str, str]:
  """What each character becomes before text is cut into pieces."""
  rules = {upper: upper.lower() for upper in string.ascii_uppercase}
  rules.update({mark: f' {mark} ' for mark in string.punctuation})
  rules.update({space: ' ' for space in '\t\n\r'})
  rules.update({character: rules.get(plain, plain) for character, plain in _LOOKALIKES.items()})
  return rules


def everyday_words() -> list[str]:
  """The project's own list of common words, one piece each."""
  text = importlib.resources.files('seqio_tasks').joinpath('data/everyday_words.txt')
  return text.read_text('utf-8').split()


def train(corpus: str, out: str, pieces: int = PIECES) -> None:
  """Trains a vocabulary and writes it.

  Args:
    corpus: directory with `train.txt`, a passage a line.
    out: model file to write, ending in .model.
    pieces: ids of the vocabulary: padding 0, end 1, unknown 2, then the pieces.

  Raises:
    UserError: if the corpus has no train.txt.
  """
  import sentencepiece

  text = os.path.join(corpus, 'train.txt')
  if not os.path.isfile(text):
    raise UserError(f'no {text}; make it with `python -m seqio_tasks.mini.corpus --out {corpus}`')
  words = everyday_words()
  os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)

  def sentences() -> Iterator[str]:
    with open(text, encoding='utf-8') as f:
      yield from (line.rstrip('\n') for line in f)
    for _ in range(WORD_REPEATS):
      yield from (' '.join(words[i : i + 50]) for i in range(0, len(words), 50))
      yield ' '.join(string.ascii_lowercase)
      yield ' '.join(string.digits + string.punctuation)

  with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(out))) as directory:
    rules = os.path.join(directory, 'rules.tsv')
    with open(rules, 'w', encoding='utf-8') as f:
      for source, target in sorted(folding_rules().items()):
        f.write(f'{ord(source):X}\t{" ".join(f"{ord(c):X}" for c in target)}\n')
    prefix = os.path.join(directory, 'spiece')
    sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=sentences(),
      model_prefix=prefix,
      model_type='unigram',
      vocab_size=pieces,
      normalization_rule_tsv=rules,
      split_digits=True,
      character_coverage=0.9999,
      pad_id=0,
      eos_id=1,
      unk_id=2,
      bos_id=-1,
      num_threads=1,  # the result must not depend on the machine
      minloglevel=2,
    )
    _forget_paths(prefix + '.model')
    os.replace(prefix + '.model', out)


def _forget_paths(path: str) -> None:
  """Takes the names of temporary files out of a model, which would tell of the machine and of nothing else."""
  from sentencepiece import sentencepiece_model_pb2

  model = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made when it is imported
  model.ParseFromString(pathlib.Path(path).read_bytes())
  model.trainer_spec.ClearField('model_prefix')
  model.normalizer_spec.ClearField('normalization_rule_tsv')
  pathlib.Path(path).write_bytes(model.SerializeToString())


def has_pieces(vocabulary: seqio.Vocabulary) -> bool:
  """Whether `whole_words` can look for words in a vocabulary."""
  return hasattr(vocabulary, 'pieces') or hasattr(vocabulary, 'tokenizer')


def whole_words(vocabulary: seqio.Vocabulary) -> tuple[str, ...]:
  """The words of two letters or more that are one piece of a vocabulary, in the order of the pieces.

  Args:
    vocabulary: one of SentencePiece, or one with its `pieces`, a blank written as SentencePiece does.
  """
  if hasattr(vocabulary, 'pieces'):
    pieces = vocabulary.pieces
  else:
    pieces = [vocabulary.tokenizer.id_to_piece(i) for i in range(vocabulary.tokenizer.get_piece_size())]
  words = (piece[1:] for piece in pieces if piece.startswith('\u2581'))
  return tuple(word for word in words if len(word) > 1 and word.isascii() and word.isalpha())


def main(argv: list[str] | None = None) -> None:
  """Command line; see the module."""
  parser = argparse.ArgumentParser(prog='python -m seqio_tasks.mini.vocabulary', description=main.__doc__)
  parser.add_argument('--corpus', required=True, help='directory made by seqio_tasks.mini.corpus')
  parser.add_argument('--out', required=True, help='file to write, ending in .model')
  args = parser.parse_args(argv)
  if not args.out.endswith('.model'):
    parser.error(f'--out {args.out}: the file name must end in .model')
  try:
    train(args.corpus, args.out)
  except UserError as e:
    sys.exit(f'error: {e}')
  print(f'wrote {PIECES} pieces to {args.out}')


if __name__ == '__main__':
  main()
