"""The examples of the mini suite: elementary tasks that the instruction alone tells apart.

Made by a seeded generator from the project's own word lists. Several tasks share their fields, so that an input
without its instruction does not say what is asked. The splits of a task have no example in common, but for
first_letter and last_letter, whose examples are the words of one closed list.

A model that has only seen these lists and sentences learns them and not the task. So training may draw on more words,
such as all of a vocabulary: `generate` then mixes in sentences that make no sense.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
import hashlib
import importlib.resources
from typing import Any

import numpy as np
import yaml

from seqio_tasks.errors import UserError
from seqio_tasks.mini.vocabulary import everyday_words

Example = dict[str, Any]

# Task -> the fields of its examples.
FIELDS: dict[str, tuple[str, ...]] = {
  'first_word': ('sentence',),
  'last_word': ('sentence',),
  'word_after': ('sentence', 'query'),
  'word_before': ('sentence', 'query'),
  'first_letter': ('word',),
  'last_letter': ('word',),
  'more_letters': ('word1', 'word2'),
  'less_letters': ('word1', 'word2'),
  'first_alphabetically': ('word1', 'word2'),
  'bigger_number': ('n1', 'n2'),
  'smaller_number': ('n1', 'n2'),
  'count_words': ('sentence',),
  'odd_one_out': ('words',),
}
TASKS = tuple(FIELDS)
SPLITS = ('train', 'validation', 'test')
_MIXED_SHARE = 0.7  # of the examples that may hold any word, where more words are given
_ENDINGS = ('s', 'ed', 'ing', 'er', 'ly', 'ness', 'y', 'able')
_FUNCTION_WORDS = 'the a to of and in is was that it for he she they i we not you has had been will by with on'.split()
_HELD_OUT = 10  # percent of all possible examples that belong to each of validation and test
_TRIES_PER_EXAMPLE = 200

# Each pattern is a sequence of parts of speech, and of literal words.
_PATTERNS = (
  'name past determiner thing',
  'name past determiner adjective thing',
  'determiner person intransitive',
  'determiner adjective person intransitive adverb',
  'determiner person past determiner thing',
  'name and name intransitive adverb',
  'pronoun past determiner thing adverb',
  'pronoun intransitive preposition determiner place',
  'name intransitive preposition determiner adjective place',
  'determiner thing was preposition determiner place',
  'determiner adjective thing was adjective',
  'name past determiner thing for name',
  'determiner person past determiner thing preposition determiner place',
  'pronoun past determiner adjective thing preposition determiner adjective place',
  'when name intransitive pronoun past determiner thing',
  'name adverb past determiner thing of determiner person',
)


def generate(task: str, split: str, num_examples: int, seed: int = 0, more_words: Sequence[str] = ()) -> list[Example]:
  """Makes examples of a task; the same arguments always give the same.

  Args:
    task: one of `TASKS`.
    split: 'train', 'validation' or 'test'.
    num_examples: how many; in first_letter and last_letter, words repeat when there are more than the list has.
    seed: of the choice of examples.
    more_words: words that most examples are made of, beside the suite's own lists.

  Returns:
    examples with example_id, fields (name -> text), gold and options (empty where answers are open).

  Raises:
    UserError: for an unknown task or split, or if the split has fewer different examples than asked for.
  """
  if task not in TASKS:
    raise UserError(f'unknown task {task!r} of the mini suite; choose among {", ".join(TASKS)}')
  if split not in SPLITS:
    raise UserError(f'unknown split {split!r} of the mini suite; choose among {", ".join(SPLITS)}')
  rng = np.random.default_rng(_hash(task, split, str(seed)))
  if task in _LETTER_OF_WORD:
    return _of_words(task, split, num_examples, rng, more_words)
  everyday, mixed = Source(), MixedSource(more_words)
  examples: list[Example] = []
  seen = set()
  for _ in range(num_examples * _TRIES_PER_EXAMPLE):
    if len(examples) == num_examples:
      break
    source = mixed if more_words and rng.random() < _MIXED_SHARE else everyday
    fields, gold, options = _DRAW[task](rng, source)
    key = '\t'.join(fields.values())
    if key in seen or _split_of(task, key) != split:
      continue
    seen.add(key)
    examples.append(_example(task, split, len(examples), fields, gold, options))
  if len(examples) < num_examples:
    raise UserError(f'{task}:{split} has {len(examples)} different examples, not {num_examples}; ask for fewer')
  return examples


@functools.cache
def categories() -> dict[str, tuple[str, ...]]:
  """Category -> its words."""
  return {name: tuple(words.split()) for name, words in _lists()['categories'].items()}


@functools.cache
def _parts_of_speech() -> dict[str, tuple[str, ...]]:
  return {name: tuple(words.split()) for name, words in _lists()['sentences'].items()}


@functools.cache
def _lists() -> dict[str, dict[str, str]]:
  text = importlib.resources.files('seqio_tasks').joinpath('data/words.yaml').read_text('utf-8')
  return yaml.safe_load(text)


@functools.cache
def _words() -> tuple[str, ...]:
  return tuple(word for word in everyday_words() if len(word) > 1)


def _hash(*parts: str) -> int:
  return int.from_bytes(hashlib.sha256('\0'.join(parts).encode()).digest()[:8], 'little')


def _split_of(task: str, key: str) -> str:
  """The one split that an example belongs to."""
  place = _hash('split', task, key) % 100
  return 'test' if place < _HELD_OUT else 'validation' if place < 2 * _HELD_OUT else 'train'


def _example(task: str, split: str, number: int, fields: dict[str, str], gold: str, options) -> Example:
  return {'example_id': f'{task}/{split}/{number}', 'fields': fields, 'gold': gold, 'options': list(options)}


def _of_words(task, split: str, num_examples: int, rng: np.random.Generator, more_words) -> list[Example]:
  words = [*_words(), *sorted(set(more_words) - set(_words()))]
  order = np.concatenate([rng.permutation(len(words)) for _ in range(-(-num_examples // len(words)))])
  return [
    _example(task, split, n, {'word': words[i]}, words[i][_LETTER_OF_WORD[task]], [])
    for n, i in enumerate(order[:num_examples])
  ]


class Source:
  """The words and sentences of the suite itself."""

  def pair(self, rng: np.random.Generator) -> tuple[str, str]:
    """Two different words."""
    words = _words()
    a, b = rng.choice(len(words), 2, replace=False)
    return words[a], words[b]

  def sentence(self, rng: np.random.Generator) -> list[str]:
    """The words of a sentence, the first one capitalised."""
    parts = _parts_of_speech()
    words = [
      parts[slot][rng.integers(len(parts[slot]))] if slot in parts else slot
      for slot in _PATTERNS[rng.integers(len(_PATTERNS))].split()
    ]
    for i in range(len(words) - 1):
      if words[i] == 'a' and words[i + 1][0] in 'aeiou':
        words[i] = 'an'
    return _capitalised(words)


class MixedSource(Source):
  """Any words: of a list, with endings, run together; sentences that hold some of them, or that are made of them."""

  def __init__(self, words: Sequence[str]):
    self._words = words

  def word(self, rng: np.random.Generator) -> str:
    """A word; one in six is not of the list but made from it, and so has several pieces in most vocabularies."""
    word = _choose(self._words, rng)
    kind = rng.random()
    if kind < 0.1:
      return word + _choose(_ENDINGS, rng)
    return word + _choose(self._words, rng) if kind < 0.17 else word

  def pair(self, rng: np.random.Generator) -> tuple[str, str]:
    """Two words, most often different."""
    return self.word(rng), self.word(rng)

  def sentence(self, rng: np.random.Generator) -> list[str]:
    """Half are sentences of the suite with words replaced, half are words at random among function words."""
    if rng.random() < 0.5:
      words = [self.word(rng) if rng.random() < 0.4 else word for word in super().sentence(rng)]
    else:
      words = [
        _choose(_FUNCTION_WORDS, rng) if rng.random() < 0.4 else self.word(rng) for _ in range(rng.integers(2, 14))
      ]
    return _capitalised(words)


def _choose(words: Sequence[str], rng: np.random.Generator) -> str:
  return words[int(rng.integers(len(words)))]


def _capitalised(words: list[str]) -> list[str]:
  return [words[0][0].upper() + words[0][1:], *words[1:]]


def _text(words: list[str], rng: np.random.Generator) -> str:
  """Half of the sentences end in a full stop."""
  return ' '.join(words) + ('.' if rng.random() < 0.5 else '')


def _of_a_sentence(rng, source: Source, answer: Callable[[list[str]], str]):
  words = source.sentence(rng)
  return {'sentence': _text(words, rng)}, answer(words), []


def _neighbour(rng, source: Source, offset: int):
  """The word before or after one that occurs once in the sentence."""
  while True:
    words = source.sentence(rng)
    lower = [word.lower() for word in words]
    places = [i for i, word in enumerate(lower) if lower.count(word) == 1 and 0 <= i + offset < len(words)]
    if places:
      break
  i = places[rng.integers(len(places))]
  return {'sentence': _text(words, rng), 'query': words[i]}, words[i + offset], []


def _pair(rng, source: Source, key: Callable[[str], Any], choose: Callable[..., str]):
  """Two words that differ in `key`, and the one chosen by it."""
  while True:
    a, b = source.pair(rng)
    if key(a) != key(b):
      return {'word1': a, 'word2': b}, choose((a, b), key=key), [a, b]


def _numbers(rng, choose: Callable[..., int]):
  """Two different numbers, mostly of three digits."""
  while True:
    digits = rng.choice([2, 3, 4], p=[0.15, 0.75, 0.1])
    a, b = (int(n) for n in rng.integers(10 ** (digits - 1), 10**digits, 2))
    if rng.random() < 0.15:
      b = int(rng.integers(10, 1000))
    if a != b:
      return {'n1': str(a), 'n2': str(b)}, str(choose(a, b)), [str(a), str(b)]


def _odd_one_out(rng):
  lists = list(categories().values())
  usual, other = (lists[i] for i in rng.choice(len(lists), 2, replace=False))
  words = [usual[i] for i in rng.choice(len(usual), rng.integers(3, 5), replace=False)]
  odd = other[rng.integers(len(other))]
  words.insert(rng.integers(len(words) + 1), odd)
  return {'words': ', '.join(words)}, odd, words


# Task -> function of a generator and a source of words that draws (fields, gold, options).
_DRAW: dict[str, Callable[[np.random.Generator, Source], tuple[dict[str, str], str, list[str]]]] = {
  'first_word': lambda rng, source: _of_a_sentence(rng, source, lambda words: words[0]),
  'last_word': lambda rng, source: _of_a_sentence(rng, source, lambda words: words[-1]),
  'word_after': lambda rng, source: _neighbour(rng, source, 1),
  'word_before': lambda rng, source: _neighbour(rng, source, -1),
  'more_letters': lambda rng, source: _pair(rng, source, len, max),
  'less_letters': lambda rng, source: _pair(rng, source, len, min),
  'first_alphabetically': lambda rng, source: _pair(rng, source, str, min),
  'bigger_number': lambda rng, source: _numbers(rng, max),
  'smaller_number': lambda rng, source: _numbers(rng, min),
  'count_words': lambda rng, source: _of_a_sentence(rng, source, lambda words: str(len(words))),
  'odd_one_out': lambda rng, source: _odd_one_out(rng),
}

# Task -> place of the letter that it asks for.
_LETTER_OF_WORD = {'first_letter': 0, 'last_letter': -1}
