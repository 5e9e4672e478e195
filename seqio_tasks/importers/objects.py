"""The objects of code that `interpreter` walks: functions, classes, instances and the names that they see."""

from __future__ import annotations

import ast
from collections.abc import Iterator
import dataclasses
from typing import Any

from seqio_tasks.importers.symbols import Unsupported

_MOST_BASES = 1000


@dataclasses.dataclass
class Function:
  """A function or lambda, and where it was defined."""

  node: ast.FunctionDef | ast.Lambda
  scope: Scope


@dataclasses.dataclass
class Class:
  """A class that is read."""

  name: str
  bases: list[Class]
  members: dict[str, Any]

  def find(self, name: str, after: Class | None = None) -> Any:
    """A member, looked up in the order of the bases; `after` starts behind a class, as super() does."""
    order = list(self.order())
    if after is not None:
      order = order[order.index(after) + 1 :]
    for class_ in order:
      if name in class_.members:
        return class_.members[name]
    return None

  def order(self) -> Iterator[Class]:
    """The class and its bases, depth first; Unsupported if there are very many."""
    waiting, count = [self], 0
    while waiting:
      class_ = waiting.pop()
      count += 1
      if count > _MOST_BASES:
        raise Unsupported('a class has too many bases')
      yield class_
      waiting += reversed(class_.bases)


@dataclasses.dataclass
class Instance:
  """An object of a class that is read."""

  class_: Class
  attributes: dict[str, Any]


@dataclasses.dataclass
class Super:
  """What super() gives: an object, looked at from behind a class."""

  instance: Instance
  after: Class


@dataclasses.dataclass
class Bound:
  """A method of an object."""

  function: Function
  instance: Instance
  class_: Class | None


@dataclasses.dataclass
class Method:
  """A method of a built-in value."""

  value: Any
  name: str


class Opaque:
  """Something imported from outside, which may be named but not used."""


class Scope:
  """Names, and those around them; `class_` is the class whose body they are in."""

  def __init__(self, names: dict[str, Any], outer: Scope | None = None, class_: Class | None = None):
    self.names, self.outer = names, outer
    self.class_: Class | None = class_ or (outer.class_ if outer else None)

  def get(self, name: str) -> Any:
    """What a name stands for; Unsupported if that is not known."""
    scope: Scope | None = self
    while scope is not None:
      if name in scope.names:
        return scope.names[name]
      scope = scope.outer
    raise Unsupported(f'the name {name} is not known')


class Return(Exception):
  """The end of a function's call, with its value."""

  def __init__(self, value: Any):
    self.value = value
