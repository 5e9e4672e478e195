"""Tests of the vocabulary's rules, its words, and its command."""

import subprocess
import sys

from seqio_tasks.mini import vocabulary as vocabulary_lib


def test_folding_rules():
  rules = vocabulary_lib.folding_rules()
  assert rules['A'] == 'a'
  assert rules['?'] == ' ? '
  assert rules['\u2019'] == " ' "
  assert 'a' not in rules


def test_everyday_words():
  words = vocabulary_lib.everyday_words()
  assert len(words) == len(set(words)) > 1500
  assert all(word == word.lower() and word.isalpha() for word in words)


def test_commands_name_what_is_missing(tmp_path):
  done = subprocess.run(
    [
      sys.executable,
      '-m',
      'seqio_tasks.mini.vocabulary',
      '--corpus',
      str(tmp_path),
      '--out',
      str(tmp_path / 'x.model'),
    ],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1
  assert 'make it with `python -m seqio_tasks.mini.corpus' in done.stderr


def test_whole_words(vocabulary):
  words = vocabulary_lib.whole_words(vocabulary)
  assert 'word' in words and len(set(words)) == len(words)
  assert all(w.isascii() and w.isalpha() and len(w) > 1 for w in words)
