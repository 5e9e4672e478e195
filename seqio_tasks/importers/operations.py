"""What Python's operators do to values that may be texts with symbols in them.

Where the outcome of a comparison depends on data, it is taken both ways in turn: `Operations.decide` follows a plan and
records what was decided.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
import operator
from typing import Any

from seqio_tasks.errors import shorten
from seqio_tasks.importers import symbols
from seqio_tasks.importers.symbols import (
  AnswerIndex,
  Count,
  Raised,
  SplitText,
  Symbol,
  Text,
  Unsupported,
  join,
  parts_of,
)

_ORDER = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}
_MOST_DECISIONS = 500


class Operations:
  """The operators, along one way through the code.

  Attributes:
    decisions: answers given so far to comparisons that only data could decide, as (symbol, literal, outcome).
  """

  def __init__(self) -> None:
    self._plan: list[bool] = []
    self.decisions: list[tuple[Symbol, str, bool]] = []

  def begin(self, plan: Sequence[bool]) -> None:
    """Starts anew; the first decisions are those of the plan, all others True."""
    self._plan, self.decisions = list(plan), []

  def index(self, values: list[Any], value: Any) -> int:
    """Where a value stands in a list."""
    symbol = value.symbol if isinstance(value, Text) else None
    for i, element in enumerate(values):
      other = element.symbol if isinstance(element, Text) else None
      if element == value or (symbol is not None and other is not None and symbols.same(symbol, other)):
        if symbol is not None and symbol.kind == 'answer':
          index = AnswerIndex(i)
          index.owner = symbol.owner
          return index
        return i
    if symbol is not None and symbol.kind == 'answer':
      for i, element in enumerate(values):
        if isinstance(element, str) and self.decide(symbol, element):
          return i
    raise Raised(f'ValueError: {_shown(value)} is not in the list')

  def answer_element(self, values: Sequence[Any], index: AnswerIndex) -> Any:
    """What stands in a list where the answer stands among the options."""
    value = values[index]
    if isinstance(value, str) and all(isinstance(v, str) for v in values):
      return Text([Symbol('mapped', index.owner, int(index), ('by index', *values))])
    parts = []
    for part in parts_of(value):
      if isinstance(part, Symbol) and part.kind == 'label' and part.value == index:
        part = Symbol('answer_label', index.owner, int(index), part.detail)
      elif isinstance(part, Symbol) and part.kind == 'option' and part.value == index:
        part = Symbol('answer', index.owner, int(index), part.detail)
      parts.append(part)
    if not any(isinstance(p, Symbol) and p.kind.startswith('answer') for p in parts):
      raise Unsupported(f"{value} stands for the answer's index")
    return Text(parts)

  def lookup(self, owner: dict, key: Any) -> Any:
    """What a dictionary has for a key."""
    if isinstance(key, Count):
      return Text([Symbol('count_word', key.owner, int(key), (owner.get(int(key)),))])
    if isinstance(key, Text):
      if key.symbol is None:
        raise Unsupported('a text is looked up')
      if key.symbol.kind == 'answer' and owner and all(isinstance(k, str) for k in (*owner, *owner.values())):
        return Text([Symbol('mapped', key.symbol.owner, key.symbol.value, tuple(owner.items()))])
      for candidate, value in owner.items():
        if self.decide(key.symbol, candidate):
          return value
      raise Raised(f'KeyError: {_shown(key)}')
    if key not in owner:
      raise Raised(f'KeyError: {_shown(key)}')
    return owner[key]

  def compare(self, op: ast.cmpop, left: Any, right: Any) -> bool:
    """The outcome of a comparison."""
    match op:
      case ast.Eq():
        return self.equal(left, right)
      case ast.NotEq():
        return not self.equal(left, right)
      case ast.Is():
        return left is right
      case ast.IsNot():
        return left is not right
      case ast.In() | ast.NotIn():
        if isinstance(right, Text) or (isinstance(right, str) and isinstance(left, Text)):
          raise Unsupported('a text is searched')
        found = (
          any(self.equal(left, element) for element in right) if isinstance(right, list | tuple) else left in right
        )
        return found == isinstance(op, ast.In)
    if type(op) in _ORDER and isinstance(left, int) and isinstance(right, int):
      return _ORDER[type(op)](int(left), int(right))
    raise Unsupported(f'comparison by {type(op).__name__}')

  def equal(self, left: Any, right: Any) -> bool:
    """Whether two values are the same."""
    if isinstance(right, Text) and not isinstance(left, Text):
      left, right = right, left
    if not isinstance(left, Text):
      return left == right
    if isinstance(right, Text):
      if left.symbol is None or right.symbol is None:
        raise Unsupported('texts are compared')
      return symbols.same(left.symbol, right.symbol)
    if left.symbol is None:
      raise Unsupported('a text is compared')
    if not isinstance(right, str):
      return False
    if left.symbol.kind == 'label':
      return symbols.label_text(left.symbol) == right
    return self.decide(left.symbol, right)

  def decide(self, symbol: Symbol, literal: str) -> bool:
    """Whether a symbol is a literal, which is taken both ways in turn."""
    for known, text, outcome in self.decisions:
      if symbols.same(known, symbol) and (text == literal or outcome):
        return outcome if text == literal else False
    position = len(self.decisions)
    if position >= _MOST_DECISIONS:
      raise Unsupported('the code compares too much')
    outcome = self._plan[position] if position < len(self._plan) else True
    self.decisions.append((symbol, literal, outcome))
    return outcome

  def true(self, value: Any) -> bool:
    """Whether a value counts as true; a text is never empty."""
    if isinstance(value, Text):
      return True
    return bool(value)

  def add(self, left: Any, right: Any) -> Any:
    """The sum of numbers, or texts or lists behind each other."""
    if isinstance(left, list) and isinstance(right, list):
      if len(left) + len(right) > symbols.MOST_ELEMENTS:
        raise Unsupported('a list grows too long')
      return left + right
    if isinstance(left, int) and isinstance(right, int):
      return int(left) + int(right)
    if isinstance(left, str | Text) and isinstance(right, str | Text):
      return join(left, right)
    if isinstance(left, str | Text):
      raise Raised('TypeError: only a string can be added to a string')
    raise Unsupported('values are added')

  def length(self, value: Any) -> int:
    """How many elements a value has; for options, a number that knows what it counts."""
    if isinstance(value, list) and value and isinstance(value[0], Text):
      symbol = value[0].symbol
      if symbol is not None and symbol.kind == 'option':
        count = Count(len(value))
        count.owner = symbol.owner
        return count
    if isinstance(value, list | tuple | str | dict):
      return len(value)
    raise Unsupported('the length of a text')

  def elements(self, value: Any, wanted: int | None = None) -> list[Any]:
    """What a value is made of; the parts of a split text only where it is known how many are wanted."""
    if isinstance(value, SplitText):
      if wanted is None:
        raise Unsupported('the parts of a text are counted')
      return [value.part(i, wanted) for i in range(wanted)]
    if isinstance(value, list | tuple | str | dict):
      return list(value)
    raise Unsupported(f'{type(value).__name__} is gone through')

  def method(self, owner: Any, name: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """Calls a method of a built-in value."""
    if name == 'format' and isinstance(owner, str | Text):
      return symbols.format_text(owner, arguments, named)
    if name == 'join' and isinstance(owner, str):
      pieces: list[Any] = []
      for i, element in enumerate(self.elements(arguments[0])):
        pieces += [owner, element] if i else [element]
      return join(*pieces)
    if name == 'index' and isinstance(owner, list):
      return self.index(owner, arguments[0])
    if name == 'append' and isinstance(owner, list):
      return owner.append(arguments[0])
    if name in ('keys', 'items', 'values') and isinstance(owner, dict):
      return list(getattr(owner, name)())
    if name in ('pop', 'get', 'copy') and isinstance(owner, dict):
      return getattr(owner, name)(*arguments)
    if isinstance(owner, Text):
      return symbols.text_method(owner, name, arguments, named)
    if isinstance(owner, str) and name == 'replace':
      return symbols.replaced(owner, *arguments)
    if isinstance(owner, str) and name in ('split', 'strip', 'lower'):
      return getattr(owner, name)(*arguments, **named)
    raise Unsupported(f'method {name} of {type(owner).__name__}')


def _shown(value: Any) -> str:
  return shorten(repr(value))


def range_(*bounds: int) -> list[int]:
  """Python's range, as a list of which there can be only so many elements."""
  elements = range(*map(int, bounds))
  if len(elements) > symbols.MOST_ELEMENTS:
    raise Unsupported('a range is too long')
  return list(elements)
