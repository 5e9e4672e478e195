"""Writes a text of literal characters and symbols as a template, and the lists of options in it as blocks."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import itertools
import os.path
from typing import Any

from seqio_tasks.bank.layouts import Answer, Block, Derivation
from seqio_tasks.importers.symbols import Symbol, Unsupported, parts_of

Token = str | Symbol  # one character or a symbol


class Names:
  """Names for the derived fields of one task."""

  def __init__(self):
    self.derived: dict[str, Derivation] = {}

  def of(self, symbol: Symbol) -> str:
    """The name of a field."""
    if not symbol.detail:
      return symbol.value
    derivation = Derivation(symbol.value, symbol.detail)
    for name, known in self.derived.items():
      if known == derivation:
        return name
    name = f'{symbol.value}_part_{len(self.derived) + 1}'
    self.derived[name] = derivation
    return name


def tokens_of(text: Any) -> list[Token]:
  """The characters and symbols of a string or Text."""
  return [token for part in parts_of(text) for token in ([part] if isinstance(part, Symbol) else part)]


def _index(tokens: Sequence[Token], position: int) -> int | None:
  """Which option a token stands for."""
  token = tokens[position]
  if not isinstance(token, Symbol):
    return None
  if token.kind in ('option', 'label'):
    return token.value
  if token.kind == 'number':
    for later in tokens[position + 1 :]:
      if isinstance(later, Symbol):
        return token.value - 1 if later.kind == 'option' and later.value == token.value - 1 else None
  return None


def write_template(
  tokens: Sequence[Token],
  owner: str | int,
  blocks: dict[str, Block],
  names: Names,
  answer: Answer | None,
  options: int,
  number: int | None = None,
) -> str:
  """Writes tokens as a template.

  Args:
    tokens: to write.
    owner: whose text it is: "item" or the number of an example.
    blocks: name -> list of options; receives those that are found.
    names: receives the derived fields.
    answer: the form of the answer, where the text may show it.
    options: how many options the owner has.
    number: of the example, where the text may show it.

  Raises:
    Unsupported: if a token cannot be written.
  """
  pieces: list[str] = []
  position = 0
  while position < len(tokens):
    found = _block(tokens, position, owner, names, answer, options) if _index(tokens, position) == 0 else None
    if found is None:
      pieces.append(_piece(tokens[position], owner, names, answer, number))
      position += 1
      continue
    block, position = found
    rest = tokens[position:]
    before = ''.join(itertools.takewhile(lambda p: len(p) == 1, reversed(pieces)))[::-1]
    after = ''.join(str(t) for t in itertools.takewhile(lambda t: isinstance(t, str), rest))
    block, left, right = _widen(block, before, after)
    if left:
      del pieces[len(pieces) - left :]
    pieces.append('{' + _name_of(block, blocks) + '}')
    position += right
  return ''.join(pieces)


def _block(
  tokens: Sequence[Token],
  start: int,
  owner: str | int,
  names: Names,
  answer: Answer | None,
  options: int,
) -> tuple[Block, int] | None:
  """The list of options that starts at a position, and where it ends; None if it is none."""
  units: list[tuple[int, int]] = []  # first and last position of each option's tokens
  for position in range(start, len(tokens)):
    index = _index(tokens, position)
    if index is None:
      continue
    if index == len(units) - 1:
      units[-1] = (units[-1][0], position)
    elif index == len(units):
      units.append((position, position))
    else:
      break
  if len(units) < 2:
    return None

  def text(part: Sequence[Token]) -> str | None:
    try:
      return ''.join(_piece(t, owner, names, answer, None) for t in part)
    except Unsupported:
      return None

  items = set()
  style, source, python = 'upper', None, False
  for first, end in units:
    pieces: list[str] = []
    for position in range(first, end + 1):
      token = tokens[position]
      if isinstance(token, str) or _index(tokens, position) is None:
        piece = text([token])
        if piece is None:
          return None
        pieces.append(piece)
      elif token.kind == 'option':
        python = python or ('python',) in token.detail
        source = token.owner
        pieces.append('{option}')
      else:
        style = 'numbers' if token.kind == 'number' else token.detail[0]
        pieces.append('{label}')
    items.add(''.join(pieces))
  found = [text(tokens[a[1] + 1 : b[0]]) for a, b in itertools.pairwise(units)]
  separators = [separator for separator in found if separator is not None]
  if len(items) != 1 or len(separators) < len(found) or len(set(separators[:-1])) > 1:
    return None
  last = separators[-1] if len(separators) > 1 and separators[-1] != separators[0] else None
  of = 'own'
  if source is not None and source != owner:
    of = 'item' if source == 'item' else 'example'
  limit = len(units) if len(units) < options else None
  return Block(items.pop(), separators[0], last, style, limit, of, python=python), units[-1][1] + 1


def _widen(block: Block, before: str, after: str) -> tuple[Block, int, int]:
  """Moves what surrounds every option, such as quotes, from the text around a block into its items.

  Returns:
    the block and how many characters of `before` and `after` it now holds.
  """
  separators = [block.separator] + ([block.last_separator] if block.last_separator is not None else [])
  left = os.path.commonprefix([text[::-1] for text in (before, *separators)])[::-1]
  left = left[max(left.rfind(c) for c in ' \n\t}') + 1 :]
  separators = [s[: len(s) - len(left)] for s in separators]
  right = os.path.commonprefix([after, *separators])
  ends = [right.find(c) for c in ' \n\t{,' if c in right]
  right = right[: min(ends)] if ends else right
  separators = [s[len(right) :] for s in separators]
  if not all(separators):  # an item without anything between it and the next would be hard to read
    right = ''
    separators = [block.separator] + ([block.last_separator] if block.last_separator is not None else [])
    separators = [s[: len(s) - len(left)] for s in separators]
    if not all(separators):
      return block, 0, 0
  last = separators[1] if len(separators) > 1 else None
  return (
    dataclasses.replace(block, item=left + block.item + right, separator=separators[0], last_separator=last),
    len(left),
    len(right),
  )


def _name_of(block: Block, blocks: dict[str, Block]) -> str:
  for name, known in blocks.items():
    if known == block:
      return name
  base = 'options' if '{option}' in block.item else 'labels'
  name = base if base not in blocks else f'{base}_{sum(n.startswith(base) for n in blocks) + 1}'
  blocks[name] = block
  return name


def _piece(token: Token, owner: str | int, names: Names, answer: Answer | None, number: int | None) -> str:
  """A token outside of a list of options."""
  if isinstance(token, str):
    return {'{': '{brace_open}', '}': '{brace_close}'}.get(token, token)
  if token.kind == 'label':
    return chr(ord('A' if token.detail == ('upper',) else 'a') + token.value)
  if token.kind == 'number':
    return '{number}' if token.value == number else str(token.value)
  if token.kind == 'missing':
    raise Unsupported(f'{token.value} is missing, which holds a part of the text')
  prefix = ''
  if token.owner != owner:
    if owner == 'item' or token.owner != 'item' or token.kind != 'field' or token.detail:
      raise Unsupported(f'the text of {owner} holds the {token.kind} of {token.owner}')
    prefix = 'item_'
  match token.kind:
    case 'field':
      return '{' + prefix + names.of(token) + '}'
    case 'count':
      return '{n_options}'
    case 'count_word':
      return '{n_options_word}'
    case 'option':
      return '{option_' + str(token.value + 1) + '}'
    case 'answer' | 'answer_label' | 'mapped':
      if answer is None or answer_form([token]) != dataclasses.replace(answer, label_form=None, label_space=None):
        raise Unsupported('the text shows the answer in another form than the one that is asked for')
      return '{answer}'
  raise Unsupported(f'a {token.kind} stands in the text')


def answer_form(parts: Sequence[str | Symbol]) -> Answer:
  """The form of an answer that is written so."""
  symbols = [p for p in parts if isinstance(p, Symbol)]
  if len(symbols) != 1:
    raise Unsupported(f'the answer {parts} is not one option or label')
  symbol = symbols[0]
  name = '{label}' if symbol.kind == 'answer_label' else '{option}'
  form = ''.join(p if isinstance(p, str) else name for p in parts)
  match symbol.kind:
    case 'answer':
      return Answer(form)
    case 'answer_label':
      return Answer(form, symbol.detail[0])
    case 'mapped' if symbol.detail[0] != 'by index':
      return Answer(form, mapping=symbol.detail)
    case 'option':
      return Answer(form, index=symbol.value)
    case 'label':
      return Answer(form.replace('{option}', '{label}'), symbol.detail[0], index=symbol.value)
  raise Unsupported(f'the answer is a {symbol.kind}')
