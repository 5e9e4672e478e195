"""Tests of span corruption."""

import numpy as np
import pytest

from seqio_tasks.errors import UserError
from seqio_tasks.pipeline import span_corruption


def _undo(inputs, targets, sentinels):
  """Puts the hidden spans back."""
  spans, current = {}, None
  for token in targets:
    if token in sentinels:
      current = spans.setdefault(int(token), [])
    else:
      current.append(int(token))
  return [t for token in inputs for t in (spans[int(token)] if token in sentinels else [int(token)])], spans


@pytest.mark.parametrize(
  ('length', 'density', 'mean', 'hidden', 'count'), [(32, 0.25, 3.0, 8, 3), (10, 0.1, 3.0, 1, 1)]
)
def test_corruption_hides_and_loses_nothing(length, density, mean, hidden, count):
  import tensorflow as tf

  tokens = tf.range(5, 5 + length)
  sentinels = set(range(990, 1000))
  layouts = set()
  for seed in range(20):
    inputs, targets = span_corruption.corrupt(tokens, tf.constant([seed, 1]), 1000, density, mean)
    restored, spans = _undo(inputs.numpy(), targets.numpy(), sentinels)
    assert restored == list(range(5, 5 + length))
    assert list(spans) == [999 - i for i in range(count)]
    assert sum(map(len, spans.values())) == hidden
    assert inputs[0].numpy() == 5  # begins with what is kept
    layouts.add(tuple(inputs.numpy()))
  assert len(layouts) > 5 or count == 1  # the one span is always the chunk's end


def test_random_parts_are_uniform():
  """5 into 3 parts has 6 compositions, each equally likely."""
  import tensorflow as tf

  drawn = [tuple(span_corruption._random_parts(5, 3, tf.constant([s, 0])).numpy()) for s in range(600)]
  counts = np.unique(drawn, axis=0, return_counts=True)[1]
  assert len(counts) == 6
  assert counts.min() > 60


def test_the_task(tiny_vocabulary_path, tmp_path):
  import seqio

  words = seqio.SentencePieceVocabulary(tiny_vocabulary_path, extra_ids=100)
  (tmp_path / 'train.txt').write_text('the cat sat on the mat\nname the word that comes after\n' * 40)
  (name,) = span_corruption.register_span_corruption(words, str(tmp_path), name='corruption_for_test', passes=2)
  task = seqio.get_mixture_or_task(name)
  rows = list(task.get_dataset({'inputs': 40, 'targets': 20}, 'train', shuffle=False, seed=1).as_numpy_iterator())
  assert len(rows) > 10
  assert all(row['inputs'][-1] == row['targets'][-1] == words.eos_id for row in rows)
  assert all(row['targets'][0] == words.vocab_size - 1 for row in rows)
  again = list(task.get_dataset({'inputs': 40, 'targets': 20}, 'train', shuffle=False, seed=1).as_numpy_iterator())
  assert all((a['inputs'] == b['inputs']).all() for a, b in zip(rows, again, strict=True))


def test_missing_corpus(tiny_vocabulary_path, tmp_path):
  with pytest.raises(UserError, match='make it with `python -m seqio_tasks.mini.corpus'):
    span_corruption.register_span_corruption(None, str(tmp_path))
