"""How soft prompts start."""

import numpy as np
import pytest

from robust_t5x import adapters


def test_initialisation(tiny_vocabulary_path, tmp_path):
  import seqio

  vocabulary = seqio.SentencePieceVocabulary(tiny_vocabulary_path, extra_ids=100)
  table = np.random.default_rng(0).normal(size=(vocabulary.vocab_size, 8)).astype(np.float32)
  adapter = {'embedding': np.zeros((6, 8), np.float32), 'encoder_gate': np.zeros((2, 2), np.float32)}

  def start(method, seed=0):
    out = adapters.initialise(adapter, method, table, vocabulary, seed)
    np.testing.assert_array_equal(out['encoder_gate'], adapter['encoder_gate'])
    return out['embedding']

  np.testing.assert_array_equal(start('uniform'), adapter['embedding'])
  sampled = start('vocabulary')
  rows = [int(np.flatnonzero((table == row).all(axis=1))[0]) for row in sampled]
  assert len(set(rows)) == 6
  assert all(3 <= row < vocabulary.vocab_size - 100 for row in rows)
  np.testing.assert_array_equal(start('vocabulary'), sampled)
  assert (start('vocabulary', seed=1) != sampled).any()
  ids = vocabulary.encode('the word')
  np.testing.assert_array_equal(start('text:the word'), table[np.resize(ids, 6)])
  labels = start('labels:yes, no')
  np.testing.assert_allclose(labels[1], table[vocabulary.encode('no')].mean(axis=0), rtol=1e-6)
  np.save(tmp_path / 'start.npy', sampled * 2)
  np.testing.assert_array_equal(start(str(tmp_path / 'start.npy')), sampled * 2)
  np.save(tmp_path / 'wrong.npy', sampled[:2])
  for method, message in {
    'text:': "'text:' needs a text",
    'labels:a,b,c,d,e,f,g': '1 to 6 labels',
    str(tmp_path / 'wrong.npy'): r'array \[2, 8\], the model needs \[6, 8\]',
    str(tmp_path / 'absent.npy'): 'no file',
    'zeros': 'unknown method',
  }.items():
    with pytest.raises(adapters.AdapterError, match=message):
      start(method)


def test_words_are_drawn_of_those_that_the_vocabulary_names():
  class Vocabulary:
    words = [1, 5]

  table = np.arange(8, dtype=np.float32)[:, None]
  for length in (2, 6):  # more than there are words, too
    made = adapters.initialise({'embedding': np.zeros((length, 1))}, 'vocabulary', table, Vocabulary(), 0)
    assert set(made['embedding'].ravel()) <= {1, 5}


@pytest.mark.parametrize(
  ('array', 'message'),
  [
    (np.array([[1, None]], object), 'is no .npy file'),
    (np.ones((2, 3), np.int32), 'an array of int32'),
    (np.ones(3), r'an array \[3\]; a soft prompt is \[P, D\]'),
    (np.array([[1.0, np.nan]]), 'not finite in float32'),
    (np.array([[1.0, 1e300]]), 'not finite in float32'),
  ],
)
def test_an_array_that_is_no_soft_prompt_is_named(tmp_path, array, message):
  np.save(tmp_path / 'x.npy', array, allow_pickle=True)
  with pytest.raises(adapters.AdapterError, match=f'x.npy: .*{message}'):
    adapters.read_vectors(str(tmp_path / 'x.npy'))


def test_a_damaged_array_is_named(tmp_path):
  path = tmp_path / 'x.npy'
  np.save(path, np.ones((2, 3)))
  whole = path.read_bytes()
  for content in (b'', whole[:50], whole[:-1], whole + b'x', whole.replace(b'(2, 3)', b'(9**9,3'), b'PK' + whole):
    path.write_bytes(content)
    with pytest.raises(adapters.AdapterError, match='x.npy: '):
      adapters.read_vectors(str(path))
