"""Runs a small part of Python over symbols instead of data, to read templates off somebody else's code.

Published instruction sets are often functions that glue strings together. Here such a function's syntax tree is walked
with symbols in place of the item's texts: what comes out is a `Text`, which tells literal text from the item's fields.
None of it is handed to Python. What is understood is classes, functions, loops, conditions, string formatting and the
few functions in `Interpreter`; files are read by the caller's function alone. All else is an `Unsupported` error.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
import operator
import pathlib
from typing import Any

from seqio_tasks.errors import shorten
from seqio_tasks.importers import SourceError, foreign, symbols
from seqio_tasks.importers.objects import Bound, Class, Function, Instance, Method, Opaque, Return, Scope, Super
from seqio_tasks.importers.operations import Operations, range_
from seqio_tasks.importers.symbols import AnswerIndex, Raised, SplitText, Symbol, Text, Unsupported, join

_BINARY = {ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Mod: operator.mod, ast.FloorDiv: operator.floordiv}
_MOST_STEPS = 200_000  # of a call, of a module
# What Python says to code that errs.
ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Interpreter:
  """Reads modules of one source tree."""

  def __init__(self, root: pathlib.Path, read_json: Callable[[str], Any]):
    """Prepares.

    Args:
      root: directory that absolute imports of the code refer to.
      read_json: called with the path of a file that the code reads.
    """
    self._root, self._read_json = root.resolve(), read_json
    self._modules: dict[str, Scope] = {}
    self._steps = 0
    self._operations = Operations()

  def module(self, path: str) -> Scope:
    """Reads a module, given by its path below the root."""
    if path not in self._modules:
      try:
        tree = foreign.read_python(self._root, self._root / path)
      except SourceError as e:
        raise Unsupported(str(e)) from e
      scope = Scope({})
      self._modules[path] = scope
      for node in tree.body:
        try:
          self._statement(node, scope)
        except (Unsupported, *ERRORS):
          # Scripts do more at top level than their templates need; what is missing is noticed when it is used.
          continue
    return self._modules[path]

  def paths(self, function: Callable[[], Any], most: int = 64) -> Iterator[tuple[Any, tuple]]:
    """Calls a function once for every way that comparisons with data may turn out.

    Yields:
      (value or the Raised error, decisions as `Operations` has them).
    """
    plans: list[list[bool]] = [[]]
    self._steps = 0
    while plans:
      plan = plans.pop()
      self._operations.begin(plan)
      try:
        result = function()
      except Raised as e:
        result = e
      except ERRORS as e:
        raise Unsupported(f'the code cannot be followed ({type(e).__name__}: {shorten(e)})') from e
      decisions = tuple(self._operations.decisions)
      yield result, decisions
      for i in range(len(plan), len(decisions)):
        # Every decision beyond the plan was taken as True; its other way is still to be seen.
        plans.append([d[2] for d in decisions[:i]] + [False])
      most -= 1
      if most < 0:
        raise Unsupported('too many ways through the code')

  def call(self, function: Any, *arguments: Any, **named: Any) -> Any:
    """Calls a function, method or class of the code."""
    if isinstance(function, Bound):
      return self._apply(function.function, (function.instance, *arguments), named, function.class_)
    if isinstance(function, Function):
      return self._apply(function, arguments, named, None)
    if isinstance(function, Class):
      instance = Instance(function, {})
      init = function.find('__init__')
      if init is not None:
        self._apply(init, (instance, *arguments), named, None)
      return instance
    if isinstance(function, Method):
      value = self._operations.method(function.value, function.name, arguments, named)
      if function.name == 'append':
        self._spend(symbols.weigh(function.value) // 10)
      return value
    if callable(function):
      return function(*arguments, **named)
    raise Unsupported(f'{type(function).__name__} is called')

  # Statements.

  def _statement(self, node: ast.stmt, scope: Scope) -> None:
    self._spend(1)
    match node:
      case ast.Expr():
        if not isinstance(node.value, ast.Constant):
          self._value(node.value, scope)
      case ast.Assign():
        value = self._value(node.value, scope)
        for target in node.targets:
          self._assign(target, value, scope)
      case ast.AugAssign(op=ast.Add()):
        self._assign(
          node.target, self._operations.add(self._value(node.target, scope), self._value(node.value, scope)), scope
        )
      case ast.AugAssign(op=ast.Sub()):
        self._assign(node.target, self._value(node.target, scope) - self._value(node.value, scope), scope)
      case ast.Return():
        raise Return(self._value(node.value, scope) if node.value else None)
      case ast.For():
        for element in self._operations.elements(self._value(node.iter, scope)):
          self._assign(node.target, element, scope)
          self._body(node.body, scope)
      case ast.If():
        self._body(node.body if self._operations.true(self._value(node.test, scope)) else node.orelse, scope)
      case ast.FunctionDef():
        scope.names[node.name] = Function(node, scope)
      case ast.ClassDef():
        class_ = Class(node.name, [self._value(base, scope) for base in node.bases], {})
        self._body(node.body, Scope(class_.members, scope, class_))
        scope.names[node.name] = class_
      case ast.ImportFrom():
        self._import_from(node, scope)
      case ast.Import():
        for alias in node.names:
          scope.names[(alias.asname or alias.name).split('.')[0]] = alias.name
      case ast.Assert():
        if not self._operations.true(self._value(node.test, scope)):
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

  def _body(self, nodes: Sequence[ast.stmt], scope: Scope) -> None:
    for node in nodes:
      self._statement(node, scope)

  def _import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
    path = (node.module or '').replace('.', '/') + '.py'
    inside = (self._root / path).is_file()
    names = self.module(path).names if inside else {}
    for alias in node.names:
      scope.names[alias.asname or alias.name] = names.get(alias.name, Opaque())

  def _assign(self, target: ast.expr, value: Any, scope: Scope) -> None:
    match target:
      case ast.Name():
        scope.names[target.id] = value
      case ast.Tuple() | ast.List():
        elements = self._operations.elements(value, len(target.elts))
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
        self._spend(symbols.weigh(owner) // 10)
      case _:
        raise Unsupported(f'assignment to {ast.unparse(target)}')

  # Expressions.

  def _spend(self, steps: int) -> None:
    self._steps += steps
    if self._steps > _MOST_STEPS:
      raise Unsupported('the code runs too long')

  def _value(self, node: ast.expr, scope: Scope) -> Any:
    """What an expression gives. What it makes is weighed, so that neither time nor memory grow without end."""
    self._spend(1)
    value = self._evaluated(node, scope)
    # What is only looked up has been weighed, or stands in a file of data, however long that is.
    looked_up = isinstance(node, ast.Name | ast.Attribute) or (
      isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice)
    )
    if not looked_up and not (isinstance(node, ast.Call) and ast.unparse(node.func) == 'json.load'):
      self._spend(symbols.weigh(value) // 10)
    return value

  def _evaluated(self, node: ast.expr, scope: Scope) -> Any:
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
        return self._operations.add(self._value(node.left, scope), self._value(node.right, scope))
      case ast.BinOp():
        left, right = self._value(node.left, scope), self._value(node.right, scope)
        if type(node.op) not in _BINARY or not isinstance(left, int) or not isinstance(right, int):
          raise Unsupported(f'the operation {ast.unparse(node)}')
        return _BINARY[type(node.op)](int(left), int(right))
      case ast.UnaryOp(op=ast.Not()):
        return not self._operations.true(self._value(node.operand, scope))
      case ast.UnaryOp(op=ast.USub()):
        return -self._value(node.operand, scope)
      case ast.BoolOp():
        for operand in node.values:
          value = self._value(operand, scope)
          if self._operations.true(value) != isinstance(node.op, ast.And):
            return value
        return value
      case ast.Compare(ops=[op], comparators=[right]):
        return self._operations.compare(op, self._value(node.left, scope), self._value(right, scope))
      case ast.IfExp():
        return self._choice(node, scope)
      case ast.Lambda():
        return Function(node, scope)
      case ast.Dict():
        pairs = [(k, v) for k, v in zip(node.keys, node.values, strict=True) if k is not None]
        if len(pairs) < len(node.keys):
          raise Unsupported('a dictionary unpacked into another')
        return {self._value(k, scope): self._value(v, scope) for k, v in pairs}
      case ast.Tuple():
        return tuple(self._value(e, scope) for e in node.elts)
      case ast.List():
        return symbols.labels_of([self._value(e, scope) for e in node.elts])
      case ast.ListComp(generators=[generator]) | ast.GeneratorExp(generators=[generator]):
        values = []
        for element in self._operations.elements(self._value(generator.iter, scope)):
          inner = Scope({}, scope)
          self._assign(generator.target, element, inner)
          if all(self._operations.true(self._value(test, inner)) for test in generator.ifs):
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

  def _name(self, name: str, scope: Scope) -> Any:
    builtins: Mapping[str, Any] = {
      'len': self._operations.length,
      'ord': ord,
      'chr': symbols.chr_,
      'range': range_,
      'zip': lambda *a: list(zip(*map(self._operations.elements, a), strict=False)),
      'enumerate': lambda a, start=0: list(enumerate(self._operations.elements(a), start)),
      'str': lambda a: join(a),
      'int': lambda a: int(a),
      'list': lambda a: list(self._operations.elements(a)),
      'print': lambda *a: None,
      'open': lambda path, *a, **k: path,
    }
    try:
      return scope.get(name)
    except Unsupported:
      if name in builtins:
        return builtins[name]
      raise

  def _call(self, node: ast.Call, scope: Scope) -> Any:
    if isinstance(node.func, ast.Name) and node.func.id == 'super':
      if scope.class_ is None:
        raise Unsupported('super() outside of a class')
      return Super(scope.get('self'), scope.class_)
    arguments: list[Any] = []
    for argument in node.args:
      if isinstance(argument, ast.Starred):
        arguments.extend(self._operations.elements(self._value(argument.value, scope)))
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
    if isinstance(function, Opaque):
      raise Unsupported(f'{ast.unparse(node.func)} comes from outside')
    return self.call(function, *arguments, **named)

  def _apply(self, function: Function, arguments: Sequence[Any], named: Mapping[str, Any], class_: Any) -> Any:
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
    scope = Scope(values, function.scope, class_)
    if isinstance(function.node, ast.Lambda):
      return self._value(function.node.body, scope)
    try:
      self._body(function.node.body, scope)
    except Return as e:
      return e.value
    return None

  def _attribute(self, owner: Any, name: str) -> Any:
    if isinstance(owner, Instance | Super):
      instance = owner if isinstance(owner, Instance) else owner.instance
      after = owner.after if isinstance(owner, Super) else None
      if after is None and name in instance.attributes:
        return instance.attributes[name]
      member = instance.class_.find(name, after)
      if member is None and name == '__init__':
        return lambda *a, **k: None
      if member is None:
        raise Raised(f'AttributeError: {name}')
      if isinstance(member, Function):
        return Bound(member, instance, member.scope.class_)
      return member
    if isinstance(owner, str | Text | list | dict):
      return Method(owner, name)
    raise Unsupported(f'attribute {name} of {type(owner).__name__}')

  def _subscript(self, node: ast.Subscript, scope: Scope) -> Any:
    owner = self._value(node.value, scope)
    if isinstance(node.slice, ast.Slice):
      bounds = [None if b is None else int(self._value(b, scope)) for b in (node.slice.lower, node.slice.upper)]
      if isinstance(owner, Text):
        return symbols.slice_text(owner, *bounds)
      return owner[bounds[0] : bounds[1]]
    index = self._value(node.slice, scope)
    if isinstance(owner, dict):
      return self._operations.lookup(owner, index)
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
      return self._operations.answer_element(owner, index)
    return value

  def _choice(self, node: ast.IfExp, scope: Scope) -> Any:
    """`a if answer == "x" else b` with two literals is a mapping of the answer."""
    if isinstance(node.test, ast.Compare) and len(node.test.ops) == 1 and isinstance(node.test.ops[0], ast.Eq):
      left, right = self._value(node.test.left, scope), self._value(node.test.comparators[0], scope)
      symbol = left.symbol if isinstance(left, Text) else None
      if symbol is not None and symbol.kind == 'answer' and isinstance(right, str):
        yes, no = self._value(node.body, scope), self._value(node.orelse, scope)
        if isinstance(yes, str) and isinstance(no, str):
          return Text([Symbol('mapped', symbol.owner, symbol.value, ((right, yes), ('*', no)))])
    return self._value(node.body if self._operations.true(self._value(node.test, scope)) else node.orelse, scope)
