"""Runs a small part of Python over symbols instead of data, to read templates off somebody else's code.

Published instruction sets are often functions that glue strings together. Here such a function's syntax tree is walked
with symbols in place of the item's texts: what comes out is a `Text`, which tells literal text from the item's fields.
None of the code is handed to Python. What is understood is classes, functions, loops, conditions, string formatting
and the few functions in `Interpreter`; a file can be read only through the function that the caller gives. Whatever
else the code does is an `Unsupported` error.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import operator
import pathlib
from typing import Any

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


@dataclasses.dataclass
class _Function:
  node: ast.FunctionDef | ast.Lambda
  scope: _Scope


@dataclasses.dataclass
class _Class:
  name: str
  bases: list[_Class]
  members: dict[str, Any]

  def find(self, name: str, after: _Class | None = None) -> Any:
    """A member, looked up in the order of the bases; `after` starts behind a class, as super() does."""
    order = list(self.order())
    if after is not None:
      order = order[order.index(after) + 1 :]
    for class_ in order:
      if name in class_.members:
        return class_.members[name]
    return None

  def order(self) -> Iterator[_Class]:
    yield self
    for base in self.bases:
      yield from base.order()


@dataclasses.dataclass
class Instance:
  """An object of a class that is read."""

  class_: _Class
  attributes: dict[str, Any]


@dataclasses.dataclass
class _Super:
  instance: Instance
  after: _Class


@dataclasses.dataclass
class _Bound:
  function: _Function
  instance: Instance
  class_: _Class


@dataclasses.dataclass
class _Method:
  """A method of a built-in value."""

  value: Any
  name: str


class _Opaque:
  """Something imported from outside, which may be named but not used."""


class _Scope:
  def __init__(self, names: dict[str, Any], outer: _Scope | None = None, class_: _Class | None = None):
    self.names, self.outer, self.class_ = names, outer, class_ or (outer.class_ if outer else None)

  def get(self, name: str) -> Any:
    scope: _Scope | None = self
    while scope is not None:
      if name in scope.names:
        return scope.names[name]
      scope = scope.outer
    raise Unsupported(f'the name {name} is not known')


class _Return(Exception):
  def __init__(self, value: Any):
    self.value = value


_BINARY = {ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Mod: operator.mod, ast.FloorDiv: operator.floordiv}
_ORDER = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}
_MAX_STEPS = 5_000_000


class Interpreter:
  """Reads modules of one source tree.

  Attributes:
    decisions: answers given so far to comparisons that only data could decide, as (symbol, literal, outcome).
  """

  def __init__(self, root: pathlib.Path, read_json: Callable[[str], Any]):
    """Prepares.

    Args:
      root: directory that absolute imports of the code refer to.
      read_json: called with the path of a file that the code reads.
    """
    self._root, self._read_json = root.resolve(), read_json
    self._modules: dict[str, _Scope] = {}
    self._steps = 0
    self._plan: list[bool] = []
    self.decisions: list[tuple[Symbol, str, bool]] = []

  def module(self, path: str) -> _Scope:
    """Reads a module, given by its path below the root."""
    if path not in self._modules:
      file = (self._root / path).resolve()
      if not file.is_relative_to(self._root):
        raise Unsupported(f'{path} lies outside of {self._root}')
      scope = _Scope({})
      self._modules[path] = scope
      for node in ast.parse(file.read_text(encoding='utf-8')).body:
        try:
          self._statement(node, scope)
        except Unsupported:
          # Scripts do more at top level than their templates need; what is missing is noticed when it is used.
          continue
    return self._modules[path]

  def paths(self, function: Callable[[], Any], most: int = 64) -> Iterator[tuple[Any, tuple]]:
    """Calls a function once for every way that comparisons with data may turn out.

    Yields:
      (value or the Raised error, decisions).
    """
    plans: list[list[bool]] = [[]]
    while plans:
      plan = plans.pop()
      self._plan, self.decisions, self._steps = list(plan), [], 0
      try:
        result = function()
      except Raised as e:
        result = e
      yield result, tuple(self.decisions)
      for i in range(len(plan), len(self.decisions)):
        # Every decision beyond the plan was taken as True; its other way is still to be seen.
        plans.append([d[2] for d in self.decisions[:i]] + [False])
      most -= 1
      if most < 0:
        raise Unsupported('too many ways through the code')

  def call(self, function: Any, *arguments: Any, **named: Any) -> Any:
    """Calls a function, method or class of the code."""
    if isinstance(function, _Bound):
      return self._apply(function.function, (function.instance, *arguments), named, function.class_)
    if isinstance(function, _Function):
      return self._apply(function, arguments, named, None)
    if isinstance(function, _Class):
      instance = Instance(function, {})
      init = function.find('__init__')
      if init is not None:
        self._apply(init, (instance, *arguments), named, None)
      return instance
    if isinstance(function, _Method):
      return self._method(function.value, function.name, arguments, named)
    if callable(function):
      return function(*arguments, **named)
    raise Unsupported(f'{type(function).__name__} is called')

  # Statements.

  def _statement(self, node: ast.stmt, scope: _Scope) -> None:
    self._steps += 1
    if self._steps > _MAX_STEPS:
      raise Unsupported('the code runs too long')
    match node:
      case ast.Expr():
        if not isinstance(node.value, ast.Constant):
          self._value(node.value, scope)
      case ast.Assign():
        value = self._value(node.value, scope)
        for target in node.targets:
          self._assign(target, value, scope)
      case ast.AugAssign(op=ast.Add()):
        self._assign(node.target, self._add(self._value(node.target, scope), self._value(node.value, scope)), scope)
      case ast.AugAssign(op=ast.Sub()):
        self._assign(node.target, self._value(node.target, scope) - self._value(node.value, scope), scope)
      case ast.Return():
        raise _Return(self._value(node.value, scope) if node.value else None)
      case ast.For():
        for element in self._elements(self._value(node.iter, scope)):
          self._assign(node.target, element, scope)
          self._body(node.body, scope)
      case ast.If():
        self._body(node.body if self._true(self._value(node.test, scope)) else node.orelse, scope)
      case ast.FunctionDef():
        scope.names[node.name] = _Function(node, scope)
      case ast.ClassDef():
        class_ = _Class(node.name, [self._value(base, scope) for base in node.bases], {})
        self._body(node.body, _Scope(class_.members, scope, class_))
        scope.names[node.name] = class_
      case ast.ImportFrom():
        self._import_from(node, scope)
      case ast.Import():
        for alias in node.names:
          scope.names[(alias.asname or alias.name).split('.')[0]] = alias.name
      case ast.Assert():
        if not self._true(self._value(node.test, scope)):
          raise Raised('AssertionError')
      case ast.Raise():
        raise Raised(ast.unparse(node.exc) if node.exc else 'an error')
      case ast.Try():
        try:
          self._body(node.body, scope)
        except Raised:
          if len(node.handlers) != 1:
            raise
          self._body(node.handlers[0].body, scope)
      case ast.Pass():
        pass
      case _:
        raise Unsupported(f'{type(node).__name__.lower()} statement')

  def _body(self, nodes: Sequence[ast.stmt], scope: _Scope) -> None:
    for node in nodes:
      self._statement(node, scope)

  def _import_from(self, node: ast.ImportFrom, scope: _Scope) -> None:
    path = (node.module or '').replace('.', '/') + '.py'
    inside = (self._root / path).is_file()
    names = self.module(path).names if inside else {}
    for alias in node.names:
      scope.names[alias.asname or alias.name] = names.get(alias.name, _Opaque())

  def _assign(self, target: ast.expr, value: Any, scope: _Scope) -> None:
    match target:
      case ast.Name():
        scope.names[target.id] = value
      case ast.Tuple() | ast.List():
        elements = self._elements(value, len(target.elts))
        if len(elements) != len(target.elts):
          raise Raised(f'ValueError: {len(elements)} values for {len(target.elts)} names')
        for inner, element in zip(target.elts, elements, strict=True):
          self._assign(inner, element, scope)
      case ast.Attribute():
        owner = self._value(target.value, scope)
        if not isinstance(owner, Instance):
          raise Unsupported(f'attribute {target.attr} is set')
        owner.attributes[target.attr] = value
      case ast.Subscript():
        owner = self._value(target.value, scope)
        if not isinstance(owner, dict | list):
          raise Unsupported('an element is set')
        owner[self._value(target.slice, scope)] = value
      case _:
        raise Unsupported(f'assignment to {ast.unparse(target)}')

  # Expressions.

  def _value(self, node: ast.expr, scope: _Scope) -> Any:
    match node:
      case ast.Constant():
        return node.value
      case ast.Name():
        return self._name(node.id, scope)
      case ast.Attribute():
        return self._attribute(self._value(node.value, scope), node.attr)
      case ast.Call():
        return self._call(node, scope)
      case ast.BinOp(op=ast.Add()):
        return self._add(self._value(node.left, scope), self._value(node.right, scope))
      case ast.BinOp():
        left, right = self._value(node.left, scope), self._value(node.right, scope)
        if type(node.op) not in _BINARY or not isinstance(left, int) or not isinstance(right, int):
          raise Unsupported(f'the operation {ast.unparse(node)}')
        return _BINARY[type(node.op)](int(left), int(right))
      case ast.UnaryOp(op=ast.Not()):
        return not self._true(self._value(node.operand, scope))
      case ast.UnaryOp(op=ast.USub()):
        return -self._value(node.operand, scope)
      case ast.BoolOp():
        for operand in node.values:
          value = self._value(operand, scope)
          if self._true(value) != isinstance(node.op, ast.And):
            return value
        return value
      case ast.Compare(ops=[op], comparators=[right]):
        return self._compare(op, self._value(node.left, scope), self._value(right, scope))
      case ast.IfExp():
        return self._choice(node, scope)
      case ast.Lambda():
        return _Function(node, scope)
      case ast.Dict():
        return {self._value(k, scope): self._value(v, scope) for k, v in zip(node.keys, node.values, strict=True)}
      case ast.Tuple():
        return tuple(self._value(e, scope) for e in node.elts)
      case ast.List():
        return symbols.labels_of([self._value(e, scope) for e in node.elts])
      case ast.ListComp(generators=[generator]) | ast.GeneratorExp(generators=[generator]):
        values = []
        for element in self._elements(self._value(generator.iter, scope)):
          inner = _Scope({}, scope)
          self._assign(generator.target, element, inner)
          if all(self._true(self._value(test, inner)) for test in generator.ifs):
            values.append(self._value(node.elt, inner))
        return values
      case ast.JoinedStr():
        return join(*(self._value(v, scope) for v in node.values))
      case ast.FormattedValue(conversion=-1, format_spec=None):
        return join(self._value(node.value, scope))
      case ast.Subscript():
        return self._subscript(node, scope)
      case _:
        raise Unsupported(f'the expression {ast.unparse(node)[:60]}')

  def _name(self, name: str, scope: _Scope) -> Any:
    builtins: Mapping[str, Any] = {
      'len': self._len,
      'ord': ord,
      'chr': symbols.chr_,
      'range': _range,
      'zip': lambda *a: list(zip(*map(self._elements, a), strict=False)),
      'enumerate': lambda a, start=0: list(enumerate(self._elements(a), start)),
      'str': lambda a: join(a),
      'int': lambda a: int(a),
      'list': lambda a: list(self._elements(a)),
      'print': lambda *a: None,
      'open': lambda path, *a, **k: path,
    }
    try:
      return scope.get(name)
    except Unsupported:
      if name in builtins:
        return builtins[name]
      raise

  def _call(self, node: ast.Call, scope: _Scope) -> Any:
    if isinstance(node.func, ast.Name) and node.func.id == 'super':
      return _Super(scope.get('self'), scope.class_)
    arguments: list[Any] = []
    for argument in node.args:
      if isinstance(argument, ast.Starred):
        arguments.extend(self._elements(self._value(argument.value, scope)))
      else:
        arguments.append(self._value(argument, scope))
    named: dict[str, Any] = {}
    for keyword in node.keywords:
      value = self._value(keyword.value, scope)
      named.update(value if keyword.arg is None else {keyword.arg: value})
    if isinstance(node.func, ast.Attribute) and node.func.attr in ('load', 'join'):
      text = ast.unparse(node.func)
      if text == 'json.load':
        return self._read_json(arguments[0])
      if text == 'os.path.join':
        return '/'.join(arguments)
    function = self._value(node.func, scope)
    if isinstance(function, _Opaque):
      raise Unsupported(f'{ast.unparse(node.func)} comes from outside')
    return self.call(function, *arguments, **named)

  def _apply(self, function: _Function, arguments: Sequence[Any], named: Mapping[str, Any], class_: Any) -> Any:
    spec = function.node.args
    names = [a.arg for a in spec.args]
    if len(arguments) > len(names):
      raise Raised('TypeError: too many arguments')
    values = dict(zip(names, arguments, strict=False))
    for name, value in named.items():
      if name not in names or name in values:
        raise Raised(f'TypeError: unexpected argument {name!r}')
      values[name] = value
    for name, default in zip(names[::-1], spec.defaults[::-1], strict=False):
      if name not in values:
        values[name] = self._value(default, function.scope)
    missing = [name for name in names if name not in values]
    if missing:
      raise Raised(f'TypeError: missing argument {missing[0]!r}')
    scope = _Scope(values, function.scope, class_)
    if isinstance(function.node, ast.Lambda):
      return self._value(function.node.body, scope)
    try:
      self._body(function.node.body, scope)
    except _Return as e:
      return e.value
    return None

  def _attribute(self, owner: Any, name: str) -> Any:
    if isinstance(owner, Instance | _Super):
      instance = owner if isinstance(owner, Instance) else owner.instance
      after = owner.after if isinstance(owner, _Super) else None
      if after is None and name in instance.attributes:
        return instance.attributes[name]
      member = instance.class_.find(name, after)
      if member is None and name == '__init__':
        return lambda *a, **k: None
      if member is None:
        raise Raised(f'AttributeError: {name}')
      if isinstance(member, _Function):
        return _Bound(member, instance, member.scope.class_)
      return member
    if isinstance(owner, str | Text | list | dict):
      return _Method(owner, name)
    raise Unsupported(f'attribute {name} of {type(owner).__name__}')

  def _method(self, owner: Any, name: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    if name == 'format' and isinstance(owner, str | Text):
      return symbols.format_text(owner, arguments, named)
    if name == 'join' and isinstance(owner, str):
      pieces: list[Any] = []
      for i, element in enumerate(self._elements(arguments[0])):
        pieces += [owner, element] if i else [element]
      return join(*pieces)
    if name == 'index' and isinstance(owner, list):
      return self._index(owner, arguments[0])
    if name == 'append' and isinstance(owner, list):
      return owner.append(arguments[0])
    if name in ('keys', 'items', 'values') and isinstance(owner, dict):
      return list(getattr(owner, name)())
    if name in ('pop', 'get', 'copy') and isinstance(owner, dict):
      return getattr(owner, name)(*arguments)
    if isinstance(owner, Text):
      return symbols.text_method(owner, name, arguments, named)
    if isinstance(owner, str) and name in ('split', 'strip', 'replace', 'lower'):
      return getattr(owner, name)(*arguments, **named)
    raise Unsupported(f'method {name} of {type(owner).__name__}')

  def _index(self, values: list[Any], value: Any) -> int:
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
        if isinstance(element, str) and self._decide(symbol, element):
          return i
    raise Raised(f'ValueError: {value!r} is not in the list')

  def _subscript(self, node: ast.Subscript, scope: _Scope) -> Any:
    owner = self._value(node.value, scope)
    if isinstance(node.slice, ast.Slice):
      bounds = [None if b is None else int(self._value(b, scope)) for b in (node.slice.lower, node.slice.upper)]
      if isinstance(owner, Text):
        return symbols.slice_text(owner, *bounds)
      return owner[bounds[0] : bounds[1]]
    index = self._value(node.slice, scope)
    if isinstance(owner, dict):
      return self._lookup(owner, index)
    if isinstance(owner, Text):
      raise Unsupported('one character of a text')
    if isinstance(owner, SplitText):
      return owner.part(int(index))
    if isinstance(index, Text) and isinstance(owner, list):
      return owner  # examples by subject: whatever the subject, these
    if not isinstance(owner, list | tuple | str) or not isinstance(index, int):
      raise Unsupported(f'the element {ast.unparse(node)[:60]}')
    try:
      value = owner[index]
    except IndexError as e:
      raise Raised('IndexError: list index out of range') from e
    if isinstance(index, AnswerIndex):
      return self._answer_element(owner, index)
    return value

  def _answer_element(self, values: Sequence[Any], index: AnswerIndex) -> Any:
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

  def _lookup(self, owner: dict, key: Any) -> Any:
    if isinstance(key, Count):
      return Text([Symbol('count_word', key.owner, int(key), (owner.get(int(key)),))])
    if isinstance(key, Text):
      if key.symbol is None:
        raise Unsupported('a text is looked up')
      if key.symbol.kind == 'answer' and owner and all(isinstance(k, str) for k in (*owner, *owner.values())):
        return Text([Symbol('mapped', key.symbol.owner, key.symbol.value, tuple(owner.items()))])
      for candidate, value in owner.items():
        if self._decide(key.symbol, candidate):
          return value
      raise Raised(f'KeyError: {key!r}')
    if key not in owner:
      raise Raised(f'KeyError: {key!r}')
    return owner[key]

  def _choice(self, node: ast.IfExp, scope: _Scope) -> Any:
    """`a if answer == "x" else b` with two literals is a mapping of the answer."""
    if isinstance(node.test, ast.Compare) and len(node.test.ops) == 1 and isinstance(node.test.ops[0], ast.Eq):
      left, right = self._value(node.test.left, scope), self._value(node.test.comparators[0], scope)
      symbol = left.symbol if isinstance(left, Text) else None
      if symbol is not None and symbol.kind == 'answer' and isinstance(right, str):
        yes, no = self._value(node.body, scope), self._value(node.orelse, scope)
        if isinstance(yes, str) and isinstance(no, str):
          return Text([Symbol('mapped', symbol.owner, symbol.value, ((right, yes), ('*', no)))])
    return self._value(node.body if self._true(self._value(node.test, scope)) else node.orelse, scope)

  def _compare(self, op: ast.cmpop, left: Any, right: Any) -> bool:
    match op:
      case ast.Eq():
        return self._equal(left, right)
      case ast.NotEq():
        return not self._equal(left, right)
      case ast.Is():
        return left is right
      case ast.IsNot():
        return left is not right
      case ast.In() | ast.NotIn():
        if isinstance(right, Text) or (isinstance(right, str) and isinstance(left, Text)):
          raise Unsupported('a text is searched')
        found = (
          any(self._equal(left, element) for element in right) if isinstance(right, list | tuple) else left in right
        )
        return found == isinstance(op, ast.In)
    if type(op) in _ORDER and isinstance(left, int) and isinstance(right, int):
      return _ORDER[type(op)](int(left), int(right))
    raise Unsupported(f'comparison by {type(op).__name__}')

  def _equal(self, left: Any, right: Any) -> bool:
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
    return self._decide(left.symbol, right)

  def _decide(self, symbol: Symbol, literal: str) -> bool:
    """Whether a symbol is a literal, which is taken both ways in turn."""
    for known, text, outcome in self.decisions:
      if symbols.same(known, symbol) and (text == literal or outcome):
        return outcome if text == literal else False
    position = len(self.decisions)
    outcome = self._plan[position] if position < len(self._plan) else True
    self.decisions.append((symbol, literal, outcome))
    return outcome

  def _true(self, value: Any) -> bool:
    if isinstance(value, Text):
      return True
    return bool(value)

  def _add(self, left: Any, right: Any) -> Any:
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

  def _len(self, value: Any) -> int:
    if isinstance(value, list) and value and isinstance(value[0], Text):
      symbol = value[0].symbol
      if symbol is not None and symbol.kind == 'option':
        count = Count(len(value))
        count.owner = symbol.owner
        return count
    if isinstance(value, list | tuple | str | dict):
      return len(value)
    raise Unsupported('the length of a text')

  def _elements(self, value: Any, wanted: int | None = None) -> list[Any]:
    if isinstance(value, SplitText):
      if wanted is None:
        raise Unsupported('the parts of a text are counted')
      return [value.part(i, wanted) for i in range(wanted)]
    if isinstance(value, list | tuple | str | dict):
      return list(value)
    raise Unsupported(f'{type(value).__name__} is gone through')


def _range(*bounds: int) -> list[int]:
  elements = range(*map(int, bounds))
  if len(elements) > symbols.MOST_ELEMENTS:
    raise Unsupported('a range is too long')
  return list(elements)
