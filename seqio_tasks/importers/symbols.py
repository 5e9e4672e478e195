"""Texts whose parts are not known yet: literal text and symbols for an item's fields, options, labels and answer.

What Python's string functions do to such a text, as far as it can be told without the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import string
from typing import Any

from seqio_tasks.errors import shorten

# What foreign code may make of memory; its templates need a hundredth of it.
MOST_ELEMENTS = 100_000
_MOST_CHARACTERS = 100_000
_MOST_BITS = 10_000
_MOST_STEPS = 100  # that a field is cut with


class Unsupported(Exception):
  """Code that is beyond what is understood; the message says what."""


class Raised(Exception):
  """The code that is read raises an error itself; the message says which."""


@dataclasses.dataclass(frozen=True)
class Symbol:
  """A text that is not known yet.

  Attributes:
    kind: "field", "option", "label", "answer" (an option), "answer_label", "number", "count", "count_word" or "mapped".
    owner: "item" or the number of an example.
    value: a field's name, an option's, label's or answer's index, a number's value.
    detail: a field's or option's operations, the style of a label, the mapping of a mapped answer.
  """

  kind: str
  owner: str | int
  value: Any = None
  detail: tuple = ()


def check_steps(detail: tuple) -> tuple:
  """What is done to a field; Unsupported if that is too much."""
  if len(detail) > _MOST_STEPS:
    raise Unsupported('a text is cut too often')
  return detail


class Text:
  """A string made of literal text and symbols."""

  __slots__ = ('parts',)

  def __init__(self, parts: Sequence[str | Symbol]):
    merged: list[str | Symbol] = []
    for part in parts:
      if isinstance(part, str) and merged and isinstance(merged[-1], str):
        merged[-1] += part
      elif part != '':
        merged.append(part)
    self.parts = tuple(merged)

  @property
  def symbol(self) -> Symbol | None:
    """The symbol, if the text is nothing else."""
    return self.parts[0] if len(self.parts) == 1 and isinstance(self.parts[0], Symbol) else None

  def __repr__(self):
    return f'Text{self.parts}'


class Count(int):
  """The number of somebody's options."""

  owner: str | int = 'item'


class AnswerIndex(int):
  """Where among somebody's options the answer is."""

  owner: str | int = 'item'


def join(*parts: Any) -> str | Text:
  """Concatenates strings, texts and numbers."""
  flat: list[str | Symbol] = []
  letters = 0
  for part in parts:
    pieces = parts_of(part)
    letters += sum(len(p) for p in pieces if isinstance(p, str))
    if letters > _MOST_CHARACTERS or len(flat) + len(pieces) > MOST_ELEMENTS:
      raise Unsupported('a text grows too long')
    flat.extend(pieces)
  text = Text(flat)
  written = [p for p in text.parts if isinstance(p, str)]
  return ''.join(written) if len(written) == len(text.parts) else text


def weigh(value: Any) -> int:
  """How much there is to a value, what stands in it several times counted each time.

  Raises:
    Unsupported: if it is more than foreign code may make.
  """
  if isinstance(value, int):
    if value.bit_length() > _MOST_BITS:
      raise Unsupported('a number grows too large')
    return 1
  if isinstance(value, str):
    if len(value) > _MOST_CHARACTERS:
      raise Unsupported('a text grows too long')
    return len(value)
  if isinstance(value, Text):
    return sum(len(p) if isinstance(p, str) else 1 for p in value.parts)
  weight = 0
  waiting = [value]
  while waiting:
    inner = waiting.pop()
    weight += 1
    if isinstance(inner, list | tuple | dict):
      if weight + len(waiting) + len(inner) > MOST_ELEMENTS:
        raise Unsupported('a list grows too long')
      waiting += [*inner, *inner.values()] if isinstance(inner, dict) else inner
  return weight


def replaced(text: str, old: str, new: str, *most: int) -> str:
  """str.replace, as far as the text does not grow too long."""
  if len(text) + text.count(old) * len(new) > _MOST_CHARACTERS:
    raise Unsupported('a text grows too long')
  return text.replace(old, new, *most)


def parts_of(value: Any) -> tuple[str | Symbol, ...]:
  """What a value is when it is formatted."""
  if isinstance(value, str):
    return (value,) if value else ()
  if isinstance(value, Text):
    return value.parts
  if isinstance(value, Symbol):
    return (value,)
  if isinstance(value, Count):
    return (Symbol('count', value.owner, int(value)),)
  if isinstance(value, AnswerIndex):
    raise Unsupported('the index of an answer is printed')
  if isinstance(value, bool) or value is None:
    return (str(value),)
  if isinstance(value, int):
    return (Symbol('number', 'item', value),)
  if isinstance(value, list):
    inner: list[str | Symbol] = ['[']
    for i, element in enumerate(value):
      if i:
        inner.append(', ')
      symbol = element.symbol if isinstance(element, Text) else None
      if isinstance(element, str):
        inner.append(repr(element))
      elif symbol is not None and symbol.kind == 'option':
        inner.append(dataclasses.replace(symbol, detail=(*symbol.detail, ('python',))))
      else:
        raise Unsupported('a list of texts is printed')
    return (*inner, ']')
  raise Unsupported(f'{type(value).__name__} is printed')


@dataclasses.dataclass(frozen=True)
class SplitText:
  """The parts of a field that is split, as many as there may be."""

  symbol: Symbol
  separator: str
  most: int

  def part(self, index: int, parts: int = 0) -> Text:
    step = ('split', self.separator, self.most, parts, index)
    return Text([dataclasses.replace(self.symbol, detail=check_steps((*self.symbol.detail, step)))])


def chr_(code: int) -> str | Text:
  letter = chr(code)
  return Text([_label(letter)]) if letter.isalpha() and letter.isascii() else letter


def _label(letter: str) -> Symbol:
  style, start = ('upper', 'A') if letter.isupper() else ('lower', 'a')
  return Symbol('label', 'item', ord(letter) - ord(start), (style,))


def labels_of(values: list[Any]) -> list[Any]:
  """A list of the first letters becomes one of labels."""
  if len(values) > 1 and all(isinstance(v, str) for v in values):
    joined = ''.join(values)
    if all(len(v) == 1 for v in values) and (
      string.ascii_uppercase.startswith(joined) or string.ascii_lowercase.startswith(joined)
    ):
      return [Text([_label(v)]) for v in values]
  return values


def label_text(symbol: Symbol) -> str:
  return chr(ord('A' if symbol.detail == ('upper',) else 'a') + symbol.value)


def same(a: Symbol, b: Symbol) -> bool:
  """Whether two symbols are the same text; an answer is the option that it is."""
  options = ('option', 'answer')
  if a.kind in options and b.kind in options:
    return (a.owner, a.value, a.detail) == (b.owner, b.value, b.detail)
  return a == b


def format_text(template: str | Text, arguments: Sequence[Any], named: Mapping[str, Any]) -> str | Text:
  """str.format; symbols in the template stay as they are."""
  pieces: list[Any] = []
  count = 0
  for part in parts_of(template):
    if isinstance(part, Symbol):
      pieces.append(part)
      continue
    try:
      fields = list(string.Formatter().parse(part))
    except ValueError as e:
      raise Raised(f'ValueError: {e}') from e
    for literal, name, spec, conversion in fields:
      pieces.append(literal)
      if name is None:
        continue
      if spec or conversion or not (name == '' or name.isidentifier() or (name.isdecimal() and len(name) < 6)):
        raise Unsupported(f'the format field {shorten(name)!r}')
      if name == '' or name.isdigit():
        position = count if name == '' else int(name)
        count += name == ''
        if position >= len(arguments):
          raise Raised('IndexError: too few values to format')
        pieces.append(arguments[position])
      elif name in named:
        pieces.append(named[name])
      else:
        raise Raised(f'KeyError: {shorten(name)!r}')
  return join(*pieces)


def text_method(text: Text, name: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
  symbol = text.symbol
  if name == 'replace' and symbol is None:
    old, new = arguments
    if not isinstance(old, str) or not isinstance(new, str):
      raise Unsupported('a symbol is replaced')
    # As for a field: each symbol is replaced in by itself.
    return join(*(replaced(p, old, new) if isinstance(p, str) else text_method(Text([p]), name, arguments, named)
                  for p in text.parts))  # fmt: skip
  if symbol is None:
    raise Unsupported(f'method {name} of a text')
  if name == 'split' and symbol.kind == 'field':
    most = named.get('maxsplit', arguments[1] if len(arguments) > 1 else -1)
    return SplitText(symbol, arguments[0], int(most))
  if name == 'strip' and not arguments:
    return Text([dataclasses.replace(symbol, detail=check_steps((*symbol.detail, ('strip',))))])
  if name == 'replace':
    old, new = arguments
    step = ('replace', old, new) if new else ('remove', old)
    return Text([dataclasses.replace(symbol, detail=check_steps((*symbol.detail, step)))])
  raise Unsupported(f'method {name} of a {symbol.kind}')


def slice_text(text: Text, lower: int | None, upper: int | None) -> str | Text:
  """A part of a text, if only literal text is cut off."""
  parts = list(text.parts)
  if lower:
    if lower < 0 or not isinstance(parts[0], str) or len(parts[0]) < lower:
      raise Unsupported('a symbol is cut')
    parts[0] = parts[0][lower:]
  if upper is not None:
    if upper >= 0 or not isinstance(parts[-1], str) or len(parts[-1]) < -upper:
      raise Unsupported('a symbol is cut')
    parts[-1] = parts[-1][:upper]
  return join(*parts)
