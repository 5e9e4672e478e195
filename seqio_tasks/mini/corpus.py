"""Builds the text that the mini model is pre-trained on, from WordNet and from words themselves.

  apt-get install wordnet-base
  python -m seqio_tasks.mini.corpus --wordnet /usr/share/wordnet --out DIR

writes `train.txt`, one passage a line, and `manifest.json` with hashes and counts. Two kinds of passages:
- dictionary: WordNet's synonyms, glosses, examples, kinds and opposites, in several forms, common words more often;
- word book: how common words are spelled, begin, end, and compare with others, and how numbers compare.

WordNet's licence allows this use; none of its text is part of this package.
"""

import argparse
import collections
from collections.abc import Iterator, Sequence
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import re
import sys

from seqio_tasks.errors import UserError
from seqio_tasks.mini.vocabulary import everyday_words

_PARTS = {'noun': 'n', 'verb': 'v', 'adj': 'a', 'adv': 'r'}
_SENSE_PARTS = {'1': 'n', '2': 'v', '3': 'a', '4': 'r', '5': 'a'}
_HYPERNYM, _ANTONYM = '@', '!'
_COMMON_WORDS = 6000
_WORD_BOOK_SHARE = 0.3
_ORDINALS = ('first', 'second', 'third', 'fourth', 'fifth')
_NUMBERS = 'zero one two three four five six seven eight nine ten eleven twelve'.split()


@dataclasses.dataclass(frozen=True)
class Synset:
  """One meaning: its words and what WordNet says of them.

  Attributes:
    key: part of speech and offset, WordNet's identity.
    words: single lower-case words.
    gloss: the definition.
    examples: example sentences.
    hypernyms: keys of more general synsets.
    antonyms: keys of opposites.
  """

  key: str
  words: tuple[str, ...]
  gloss: str
  examples: tuple[str, ...]
  hypernyms: tuple[str, ...]
  antonyms: tuple[str, ...]


class CorpusError(UserError):
  """WordNet's files are missing or not as they should be."""


def parse_line(line: str, part: str) -> Synset:
  """Reads one synset from a line of WordNet's `data.*` files (format: wndb(5)).

  Raises:
    CorpusError: if the line is not in that format.
  """
  try:
    data, _, gloss = line.partition(' | ')
    fields = data.split()
    count = int(fields[3], 16)
    words = [re.sub(r'\(.*\)$', '', w) for w in fields[4 : 4 + 2 * count : 2]]
    start = 4 + 2 * count
    pointers = [fields[start + 1 + 4 * i : start + 5 + 4 * i] for i in range(int(fields[start]))]
  except (IndexError, ValueError) as e:
    raise CorpusError(f'not a line of a WordNet data file: {line[:60]!r}') from e
  examples = tuple(re.findall(r'"([^"]+)"', gloss))
  definition = re.sub(r'\(.*?\)', '', gloss.split('; "')[0])
  return Synset(
    key=f'{part}{fields[0]}',
    words=tuple(w for w in words if re.fullmatch(r'[a-z]+', w)),
    gloss=' '.join(definition.split()).strip(' ;'),
    examples=examples,
    hypernyms=tuple(_PARTS_BY_TAG[p] + o for s, o, p, _ in pointers if s == _HYPERNYM),
    antonyms=tuple(_PARTS_BY_TAG[p] + o for s, o, p, _ in pointers if s == _ANTONYM),
  )


_PARTS_BY_TAG = {'n': 'n', 'v': 'v', 'a': 'a', 's': 'a', 'r': 'r'}


def read_wordnet(directory: str | os.PathLike[str]) -> list[Synset]:
  """Reads all synsets that have at least one single lower-case word, in the files' order."""
  synsets = []
  for name, part in _PARTS.items():
    path = pathlib.Path(directory) / f'data.{name}'
    if not path.is_file():
      raise CorpusError(f'{path}: no such file; install WordNet (Debian: wordnet-base)')
    with path.open(encoding='utf-8') as f:
      synsets += [parse_line(line, part) for line in f if not line.startswith('  ')]
  return [s for s in synsets if s.words]


def word_counts(directory: str | os.PathLike[str]) -> collections.Counter:
  """How often each word was met in WordNet's tagged texts (`cntlist.rev`)."""
  counts: collections.Counter = collections.Counter()
  path = pathlib.Path(directory) / 'cntlist.rev'
  if not path.is_file():
    raise CorpusError(f'{path}: no such file; install WordNet (Debian: wordnet-base)')
  with path.open(encoding='utf-8') as f:
    for line in f:
      sense, _, count = line.split()
      counts[sense.partition('%')[0]] += int(count)
  return counts


def dictionary(synsets: Sequence[Synset], weights: dict[str, int], rng: random.Random) -> Iterator[str]:
  """Passages on meanings: more forms for common words, one or none for rare ones.

  Args:
    synsets: all synsets.
    weights: word -> 0 (rare), 1 (met in text) or 2 (common).
    rng: chooses forms.
  """
  by_key = {s.key: s for s in synsets}
  for synset in synsets:
    weight = max(weights.get(w, 0) for w in synset.words)
    if weight == 0 and (rng.random() < 0.6 or len(synset.gloss) > 90):
      continue
    forms = list(_forms(synset, by_key, rng))
    rng.shuffle(forms)
    yield from forms[: (1, 2, 5)[weight]]
    if weight:
      yield from synset.examples


def _forms(synset: Synset, by_key: dict[str, Synset], rng: random.Random) -> Iterator[str]:
  word, gloss = rng.choice(synset.words), synset.gloss
  others = [w for w in synset.words if w != word]
  yield f'{" , ".join(synset.words)} : {gloss}'
  yield rng.choice((f'{word} means {gloss}', f'what is the meaning of {word} ? {gloss}', f'define {word} : {gloss}'))
  yield rng.choice((f'{gloss} : {word}', f'the word for {gloss} is {word}', f'{gloss} is called {word}'))
  if others:
    other = rng.choice(others)
    yield rng.choice(
      (
        f'{word} means the same as {other}',
        f'another word for {word} is {other}',
        f'{word} and {other} are synonyms',
        f'instead of {word} you can say {other}',
      )
    )
    yield f'synonyms : {" , ".join(synset.words)} . {gloss}'
  for key in synset.hypernyms:
    if key in by_key:
      general = rng.choice(by_key[key].words)
      yield rng.choice(
        (
          f'{word} is a kind of {general}',
          f'{word} is a type of {general} : {gloss}',
          f'{word} belongs to the category {general}',
          f'which group does {word} belong to ? {general}',
        )
      )
  for key in synset.antonyms:
    if key in by_key:
      opposite = rng.choice(by_key[key].words)
      yield f'the opposite of {word} is {opposite}'
      yield f'{word} , not {opposite} : {gloss}'
  for example in synset.examples:
    yield f'{word} , as in : {example}'


def word_book(words: Sequence[str], count: int, rng: random.Random) -> Iterator[str]:
  """Passages on how words are written, compare and are ordered, and on numbers.

  Args:
    words: common words.
    count: number of passages.
    rng: chooses words and wordings.
  """
  makers = (_spelling, _spelling, _ends, _ends, _longer, _alphabet, _numbers, _positions, _counting)
  for _ in range(count):
    yield rng.choice(makers)(words, rng)


def _spelling(words, rng):
  word = rng.choice(words)
  letters = ' '.join(word)
  return rng.choice(
    (
      f'{word} is spelled {letters}',
      f'{word} : {letters} , {len(word)} letters',
      f'how do you spell {word} ? {letters}',
      f'the letters of {word} are {letters}',
      f'{letters} spells {word}',
      f'{word} has {len(word)} letters : {letters}',
      f'the word {word} consists of the letters {letters}',
    )
  )


def _ends(words, rng):
  word = rng.choice(words)
  begins = rng.choice(('starts', 'begins', 'opens', 'commences'))
  closes = rng.choice(('ends', 'finishes', 'closes', 'stops', 'terminates'))
  head = rng.choice(('first', 'initial', 'opening', 'starting', 'leading', 'beginning'))
  tail = rng.choice(('last', 'final', 'closing', 'ending', 'concluding'))
  return rng.choice(
    (
      f'the word {word} {begins} with {word[0]} and {closes} with {word[-1]}',
      f'{word} {begins} with the letter {word[0]}',
      f'{word} {closes} in the letter {word[-1]}',
      f'the {head} letter of {word} is {word[0]}',
      f'the {tail} letter of {word} is {word[-1]}',
      f'{word} : {head} character {word[0]} , {tail} character {word[-1]}',
      f'{word[0]} is the letter at the {rng.choice(("start", "beginning", "front"))} of {word}',
      f'{word[-1]} is the letter at the {rng.choice(("end", "back"))} of {word}',
    )
  )


def _longer(words, rng):
  a, b = rng.choice(words), rng.choice(words)
  if len(a) < len(b):
    a, b = b, a
  if len(a) == len(b):
    return rng.choice((f'{a} and {b} have the same length', f'{a} is as long as {b} : {len(a)} letters'))
  return rng.choice(
    (
      f'{a} is longer than {b}',
      f'{b} is shorter than {a}',
      f'{a} has more letters than {b}',
      f'{b} has fewer letters than {a}',
      f'{b} has less characters than {a}',
      f'of {a} and {b} , the longer word is {a}',
      f'of {b} and {a} , the shorter one is {b}',
      f'{a} : {len(a)} letters , {b} : {len(b)} letters , so {a} is longer',
      f'comparing length , {b} is the shortest and {a} is the longest',
      f'{a} takes more characters to write than {b}',
    )
  )


def _alphabet(words, rng):
  a = rng.choice(words)
  b = rng.choice([w for w in rng.sample(words, 20) if w[0] == a[0]] or words)
  a, b = sorted((a, b))
  return rng.choice(
    (
      f'{a} comes before {b} in the dictionary',
      f'{b} comes after {a} in alphabetical order',
      f'in alphabetical order : {a} , {b}',
      f'sorted alphabetically , {a} precedes {b}',
      f'{b} follows {a} in the lexicon',
      f'{a} is earlier in the alphabet than {b}',
      f'a dictionary lists {a} ahead of {b}',
      'the alphabet : a b c d e f g h i j k l m n o p q r s t u v w x y z',
    )
  )


def _numbers(words, rng):
  del words
  digits = rng.randint(1, 4)
  a, b = sorted((rng.randrange(10**digits), rng.randrange(10 ** rng.choice((digits, digits, 3)))))
  if a == b:
    return f'{a} is equal to {b}'
  return rng.choice(
    (
      f'{a} is smaller than {b}',
      f'{b} is larger than {a}',
      f'{b} is bigger than {a}',
      f'{b} is greater than {a}',
      f'{a} is less than {b}',
      f'{b} exceeds {a}',
      f'{a} is lower , {b} is higher',
      f'of {a} and {b} the maximum is {b} and the minimum is {a}',
      f'the greatest of {b} and {a} is {b}',
      f'the least of {a} and {b} is {a}',
    )
  )


def _positions(words, rng):
  chosen = rng.sample(words, rng.randint(3, 7))
  i = rng.randrange(len(chosen) - 1)
  line = ' '.join(chosen)
  return rng.choice(
    (
      f'in " {line} " the first word is {chosen[0]} and the last word is {chosen[-1]}',
      f'" {line} " starts with {chosen[0]} and ends with {chosen[-1]}',
      f'in " {line} " the word {chosen[i + 1]} comes after {chosen[i]}',
      f'in " {line} " the word {chosen[i]} comes right before {chosen[i + 1]}',
      f'{line} : {chosen[i]} precedes {chosen[i + 1]} , {chosen[i + 1]} follows {chosen[i]}',
      f'the opening word of " {line} " is {chosen[0]} , the final one is {chosen[-1]}',
      f'{line} , reversed : {" ".join(reversed(chosen))}',
    )
  )


def _counting(words, rng):
  chosen = rng.sample(words, rng.randint(2, 8))
  n = len(chosen)
  line = ' , '.join(chosen)
  inside, outside = rng.choice(chosen), rng.choice(words)
  return rng.choice(
    (
      f'{line} : {n} words',
      f'there are {n} items in the list {line}',
      f'{line} . how many ? {n} ( {_NUMBERS[n]} )',
      f'the list {line} contains {inside}',
      f'{inside} is in the list {line}',
      f'{outside} is {"" if outside in chosen else "not "}in the list {line}',
      f'is {outside} among {line} ? {"yes" if outside in chosen else "no"}',
      f'the {_ORDINALS[min(n, 5) - 1]} of {line} is {chosen[min(n, 5) - 1]}',
    )
  )


def build(wordnet: str | os.PathLike[str], out: str | os.PathLike[str], seed: int = 0) -> dict:
  """Writes the corpus; returns its manifest.

  Args:
    wordnet: WordNet's directory.
    out: where to write.
    seed: of all choices.
  """
  rng = random.Random(seed)
  synsets = read_wordnet(wordnet)
  counts = word_counts(wordnet)
  everyday = everyday_words()
  frequent = [w for w, _ in counts.most_common(4 * _COMMON_WORDS) if re.fullmatch(r'[a-z]{2,}', w)]
  common = list(dict.fromkeys([*everyday, *frequent]))[:_COMMON_WORDS]
  weights = {w: 1 for w in frequent} | {w: 2 for w in common}
  passages = list(dictionary(synsets, weights, rng))
  book = [w for w in common if len(w) > 1]
  # Everyday words stand in the word book more often than merely frequent ones.
  passages += word_book(book + 2 * everyday, int(len(passages) * _WORD_BOOK_SHARE), rng)
  rng.shuffle(passages)
  out = pathlib.Path(out)
  out.mkdir(parents=True, exist_ok=True)
  text = '\n'.join(' '.join(p.split()) for p in passages) + '\n'
  _write(out / 'train.txt', text)
  inputs = [*(f'data.{name}' for name in _PARTS), 'cntlist.rev']
  manifest = {
    'seed': seed,
    'passages': len(passages),
    'words': len(text.split()),
    'inputs': {n: _sha256((pathlib.Path(wordnet) / n).read_bytes()) for n in inputs},
    'outputs': {'train.txt': _sha256(text.encode())},
  }
  _write(out / 'manifest.json', json.dumps(manifest, indent=2) + '\n')
  return manifest


def _write(path: pathlib.Path, text: str) -> None:
  temporary = path.with_suffix('.tmp')
  temporary.write_text(text, encoding='utf-8')
  os.replace(temporary, path)


def _sha256(data: bytes) -> str:
  return hashlib.sha256(data).hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--wordnet', default='/usr/share/wordnet', help="WordNet's directory")
  parser.add_argument('--out', required=True, help='directory to write to')
  parser.add_argument('--seed', type=int, default=0)
  flags = parser.parse_args(argv)
  try:
    manifest = build(flags.wordnet, flags.out, flags.seed)
  except CorpusError as e:
    print(f'error: {e}', file=sys.stderr)
    return 2
  print(f'wrote {manifest["passages"]} passages, {manifest["words"]} words to {flags.out}')
  return 0


if __name__ == '__main__':
  sys.exit(main())
