"""Fixtures for all tests: a tiny vocabulary, and the shared data where they are present."""

import os
import pathlib

# Eight devices on the host, before anything imports JAX, so that parallel programs can be tested.
os.environ['XLA_FLAGS'] = os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=8'
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import pytest  # noqa: E402

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


@pytest.fixture(scope='session')
def tiny_vocabulary_path(tmp_path_factory: pytest.TempPathFactory) -> str:
  """Path of a sentencepiece model of a few hundred pieces, laid out as T5's: 0 pad, 1 EOS, 2 unk.

  It was trained on some lines of English, has no braces, and falls back on single letters.
  """
  import sentencepiece

  path = tmp_path_factory.mktemp('vocabulary') / 'tiny.model'
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
  return str(path)


@pytest.fixture(scope='session')
def shared_data() -> pathlib.Path:
  """The directory of shared data; skips where it is absent."""
  default = pathlib.Path(__file__).resolve().parents[2] / 'shared' / 'data'
  path = pathlib.Path(os.environ.get('ROBUST_T5X_SHARED_DATA', default))
  if not path.is_dir():
    pytest.skip(f'no shared data at {path}; set ROBUST_T5X_SHARED_DATA')
  return path
