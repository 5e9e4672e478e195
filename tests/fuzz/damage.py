"""Damage to bytes, to lines of text, and to trees of lists and mappings.

Every function takes a numpy generator first, changes nothing in place, and makes the same of the same generator. Most
damage is small, since a file that is nothing but noise is refused at its first byte.
"""

from collections.abc import Iterator
import copy
import re
from typing import Any

import numpy as np

ODD_TEXT = (
  '\0', '\ufeff', '\u200b', '\u202e', '\u2028', '\u0085', '\x1b[31m', 'e\u0301', '\U0001f600', '\ufffd', '\xa0', '"', "'",
  '\\', '{', '}', '{{', '}}', '%', '$', '#', '&', '|', '\n', '\r', '\t', ',', ':', '- ', '*a', '&a ', '!!python/name:os.system ',
)  # fmt: skip
ODD_BYTES = (b'\xff', b'\xed\xa0\x80', b'\xc0\xaf', b'\xe9', b'\xff\xfe', b'\0\0\0\0')
ODD_NUMBERS = (
  0, -1, 1, 2**31, -(2**31) - 1, 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e308, 5e-324, float('nan'), float('inf'), float('-inf')
)  # fmt: skip
ODD_NUMBER_WORDS = (
  '0', '-1', '1e999', 'NaN', 'nan', '-inf', 'Infinity', '1_000', '0x10', '٣', '9' * 40, '9' * 5000, '1.5', '1e-400', '', '+5', '1,5'
)  # fmt: skip
LONG = 1_000_000
DEEP = 5_000


def pick(rng: np.random.Generator, choices: Any) -> Any:
  """One of several, as it is (numpy's own choice makes arrays of it)."""
  choices = list(choices)
  return choices[int(rng.integers(len(choices)))]


# Bytes.


def truncated(rng: np.random.Generator, data: bytes) -> bytes:
  """Without its end."""
  return data[: int(rng.integers(len(data) + 1))]


def flipped(rng: np.random.Generator, data: bytes) -> bytes:
  """With one to eight bits flipped."""
  changed = bytearray(data)
  for _ in range(int(rng.integers(1, 9))):
    if changed:
      changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
  return bytes(changed)


def overwritten(rng: np.random.Generator, data: bytes) -> bytes:
  """With some bytes replaced by zeros, ones, noise, or a giant number."""
  at, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 65))
  made = pick(rng, (bytes(length), b'\xff' * length, rng.bytes(length), (2**63 - 1).to_bytes(8, 'little')))
  return data[:at] + made + data[at + len(made) :]


def inserted(rng: np.random.Generator, data: bytes) -> bytes:
  """With odd bytes between two others."""
  at = int(rng.integers(len(data) + 1))
  return data[:at] + pick(rng, ODD_BYTES) + data[at:]


def removed(rng: np.random.Generator, data: bytes) -> bytes:
  """Without some bytes from its middle."""
  at = int(rng.integers(len(data) + 1))
  return data[:at] + data[at + int(rng.integers(1, 33)) :]


def replaced(rng: np.random.Generator, data: bytes) -> bytes:
  """Something else altogether: nothing, a byte order mark, noise, another kind of file."""
  del data
  return pick(
    rng,
    (b'', b'\xef\xbb\xbf', b'\n', rng.bytes(300), b'PK\x03\x04' + rng.bytes(60), b'\x1f\x8b\x08' + rng.bytes(60), b'null', b'[]', b'{}',
     b'<!DOCTYPE html><html>', b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'),
  )  # fmt: skip


def binary(rng: np.random.Generator, data: bytes) -> bytes:
  """Bytes with one damage of those above, or two."""
  for _ in range(int(rng.integers(1, 3))):
    data = pick(rng, (truncated, flipped, flipped, overwritten, inserted, removed, replaced))(rng, data)
  return data


# Lines and characters.


def _lines(data: str) -> list[str]:
  return data.split('\n')


def line_deleted(rng: np.random.Generator, text: str) -> str:
  """Without one of its lines."""
  lines = _lines(text)
  del lines[int(rng.integers(len(lines)))]
  return '\n'.join(lines)


def line_doubled(rng: np.random.Generator, text: str) -> str:
  """With one of its lines twice, there or at the end."""
  lines = _lines(text)
  at = int(rng.integers(len(lines)))
  lines.insert(pick(rng, (at, len(lines))), lines[at])
  return '\n'.join(lines)


def lines_swapped(rng: np.random.Generator, text: str) -> str:
  """With two lines in each other's place."""
  lines = _lines(text)
  a, b = int(rng.integers(len(lines))), int(rng.integers(len(lines)))
  lines[a], lines[b] = lines[b], lines[a]
  return '\n'.join(lines)


def line_indented(rng: np.random.Generator, text: str) -> str:
  """With other white space before a line."""
  lines = _lines(text)
  at = int(rng.integers(len(lines)))
  lines[at] = pick(rng, (' ', '   ', '\t', '')) + lines[at].lstrip()
  return '\n'.join(lines)


def odd_inserted(rng: np.random.Generator, text: str) -> str:
  """With an odd character somewhere."""
  at = int(rng.integers(len(text) + 1))
  return text[:at] + pick(rng, ODD_TEXT) + text[at:]


def number_changed(rng: np.random.Generator, text: str) -> str:
  """With one of its numbers out of range, or no number."""
  found = list(re.finditer(r'(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])', text))
  if not found:
    return odd_inserted(rng, text)
  chosen = pick(rng, found)
  return text[: chosen.start()] + pick(rng, ODD_NUMBER_WORDS) + text[chosen.end() :]


def word_changed(rng: np.random.Generator, text: str) -> str:
  """With one of its words misspelt, doubled, left out, in the other case, or one that means something in YAML or Python."""
  found = list(re.finditer(r'\w+', text))
  if not found:
    return odd_inserted(rng, text)
  chosen = pick(rng, found)
  word = chosen.group()
  made = pick(
    rng, (word[:-1], word + word, '', word.swapcase(), 'null', 'None', 'true', 'no', '2020-01-01', '~', '../' + word)
  )
  return text[: chosen.start()] + made + text[chosen.end() :]


def lengthened(rng: np.random.Generator, text: str) -> str:
  """With a megabyte in one place: of a letter, of words, of brackets, or of lines."""
  at = int(rng.integers(len(text) + 1))
  made = pick(rng, ('a' * LONG, 'dog ' * (LONG // 4), '[' * DEEP, '{"a":' * DEEP, '(' * DEEP, '\n' * LONG))
  return text[:at] + made + text[at:]


def other_newlines(rng: np.random.Generator, text: str) -> str:
  """With another system's ends of lines, which are not wrong in themselves."""
  return text.replace('\n', pick(rng, ('\r\n', '\r', '\n\n')))


def text(rng: np.random.Generator, content: str) -> bytes:
  """A text file with one damage, or two or three: to its characters, lines or bytes."""
  for _ in range(int(rng.integers(1, 4))):
    made = pick(
      rng,
      (line_deleted, line_doubled, lines_swapped, line_indented, odd_inserted, odd_inserted, number_changed, number_changed,
       word_changed, word_changed, other_newlines),
    )  # fmt: skip
    content = made(rng, content)
  if rng.random() < 0.05:
    content = lengthened(rng, content)
  data = content.encode('utf-8', 'surrogatepass')
  return binary(rng, data) if rng.random() < 0.25 else data


# Trees, as JSON and YAML have them.


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
  yield path
  inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
  for key, below in inside:
    yield from _places(below, (*path, key))


def odd_value(rng: np.random.Generator, value: Any) -> Any:
  """A value of another type than this, or out of range, very long or very deep."""
  deep: Any = value
  for _ in range(int(pick(rng, (1, 3, 100)))):
    deep = [deep]
  text = value if isinstance(value, str) else 'text'
  return pick(
    rng,
    (None, True, False, '', [], {}, [[]], [value], {'a': value}, str(value), str(value), deep, text + pick(rng, ODD_TEXT),
     pick(rng, ODD_TEXT) + text, text * 50, ' ', pick(rng, ODD_NUMBERS), pick(rng, ODD_NUMBERS), pick(rng, ODD_NUMBERS)),
  )  # fmt: skip


def tree(rng: np.random.Generator, value: Any) -> Any:
  """A tree with one damage, or two: a value of another type, a key that is gone, renamed or new, an entry twice or gone.

  Args:
    rng: numpy generator.
    value: of lists, dicts with keys that are texts, and values that JSON has. What comes back may hold NaN, infinities
      and numbers of hundreds of digits.
  """
  value = copy.deepcopy(value)
  for _ in range(int(rng.integers(1, 3))):
    value = _damaged(rng, value)
  return value


def _damaged(rng: np.random.Generator, value: Any) -> Any:
  path = pick(rng, _places(value))
  if not path:
    return odd_value(rng, value) if rng.random() < 0.2 else value
  parent = value
  for key in path[:-1]:
    parent = parent[key]
  key = path[-1]
  how = int(rng.integers(6))
  if how == 0:
    del parent[key]
  elif how == 1 and isinstance(parent, dict):
    parent[pick(rng, (f'{key} ', f'{key}s', f'{key}'.upper(), '', pick(rng, ODD_TEXT), '__class__'))] = parent.pop(key)
  elif how == 1:
    parent.append(copy.deepcopy(parent[key]))
  elif how == 2 and isinstance(parent, dict):
    other = pick(rng, parent)
    parent[key], parent[other] = parent[other], parent[key]
  else:
    parent[key] = odd_value(rng, parent[key])
  return value
