"""Tests of the corpus, on a few lines laid out as WordNet's files."""

import json
import random

import pytest

from seqio_tasks.mini import corpus

LINE = '00001740 03 n 02 entity 0 Thing(a) 0 002 ~ 00001930 n 0000 ! 00002137 n 0000 | that which exists (somehow); "it is a thing"; "an entity"'


def test_a_line_of_wordnet():
  assert corpus.parse_line(LINE, 'n') == corpus.Synset(
    'n00001740', ('entity',), 'that which exists', ('it is a thing', 'an entity'), (), ('n00002137',)
  )
  with pytest.raises(corpus.CorpusError, match='not a line of a WordNet data file'):
    corpus.parse_line('  1 This is the licence', 'n')


def test_passages_say_what_is_so():
  rng = random.Random(0)
  words = [f'{a}{b}' for a in ('cat', 'dog', 'bird', 'mouse') for b in ('', 's', 'like', 'ish', 'ness', 'y')]
  passages = list(corpus.word_book(words, 300, rng))
  assert len(passages) == 300
  for passage in passages:
    if ' is longer than ' in passage:
      longer, shorter = passage.split(' is longer than ')
      assert len(longer) > len(shorter)
    if ' is smaller than ' in passage:
      smaller, larger = passage.split(' is smaller than ')
      assert int(smaller) < int(larger)


def test_a_corpus_is_the_same_for_the_same_seed(tmp_path):
  wordnet = tmp_path / 'wordnet'
  wordnet.mkdir()
  for name in ('noun', 'verb', 'adj', 'adv'):
    (wordnet / f'data.{name}').write_text('  1 licence\n' + LINE + '\n')
  (wordnet / 'cntlist.rev').write_text('entity%1:03:00:: 1 11\n')
  made = [corpus.build(wordnet, tmp_path / out, seed) for out, seed in (('a', 0), ('b', 0), ('c', 1))]
  assert made[0] == made[1] and made[0]['outputs'] != made[2]['outputs']
  assert json.loads((tmp_path / 'a/manifest.json').read_text()) == made[0]
  assert len((tmp_path / 'a/train.txt').read_text().splitlines()) == made[0]['passages']
  (wordnet / 'data.adv').unlink()
  with pytest.raises(corpus.CorpusError, match='data.adv: no such file; install WordNet'):
    corpus.build(wordnet, tmp_path / 'd')
