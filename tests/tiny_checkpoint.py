"""A vocabulary of a few hundred pieces, and a T5.1.1 with random weights for it, laid out as a user's own."""

import pathlib
import shutil

import numpy as np

_TEXT = """
the first word of the sentence is the answer to the question
write down the last word of this sentence and nothing else
which of the two words is longer and which of them is shorter
name the word that comes right before or after the given word
are all the words in the list kinds of animals furniture fruit or vehicles
answer yes or no with a single word please
chair bed table desk sofa dog cat mouse bird apple peach pear truck bus train
the cat sat on the mat while the dog chased a ball in the garden
what is the bigger number of one two three four five six seven eight nine ten
""".strip()


def write_vocabulary(path: pathlib.Path) -> None:
  """Writes a sentencepiece model laid out as T5's: 0 pad, 1 EOS, 2 unk.

  It is trained on some lines of English, has no braces, and falls back on single letters.
  """
  import sentencepiece

  with path.open('wb') as f:
    sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=iter(_TEXT.splitlines() * 4),
      model_writer=f,
      vocab_size=200,
      hard_vocab_limit=False,
      required_chars='abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;?!\'"()-',
      pad_id=0,
      eos_id=1,
      unk_id=2,
      bos_id=-1,
      minloglevel=2,
    )


def write(path: pathlib.Path, vocabulary_path: str) -> None:
  """Writes a checkpoint of two layers each, with its vocabulary."""
  import jax

  from robust_t5x.checkpoints import huggingface, vocabularies
  from robust_t5x.models import t5

  vocabulary = vocabularies.vocabulary(vocabulary_path)
  config = t5.T5Config(
    vocab_size=vocabulary.vocab_size, emb_dim=16, num_heads=2, head_dim=8, num_encoder_layers=2, num_decoder_layers=2,
    mlp_dim=32, mlp_activations=('gelu', 'linear'), logits_via_embedding=True, dropout_rate=0.0, dtype='float32',
  )  # fmt: skip
  tokens = np.ones((1, 4), np.int32)
  params = jax.jit(t5.Transformer(config, None).init)(jax.random.key(0), *[tokens] * 3)['params']
  huggingface.save(str(path), config, params)
  shutil.copyfile(vocabulary_path, path / 'spiece.model')
