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
