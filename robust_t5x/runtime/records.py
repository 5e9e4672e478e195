"""Records in JSON files, such as `run.json`: what is read has the types that its TypedDict says, or is refused by its field."""

from collections.abc import Mapping, Sequence
import os
import types
import typing
from typing import Any

from seqio_tasks import tables
from seqio_tasks.errors import UserError, shorten


class RecordError(UserError):
  """A record that is not as it was written; the message names file, field and cure."""


def read(path: str | os.PathLike[str], kind: Any, cure: str) -> Any:
  """The record in a file.

  Args:
    path: the file.
    kind: a TypedDict; fields that it does not know are kept.
    cure: what to do about a record that is damaged.

  Raises:
    RecordError: if it is none.
  """
  try:
    value = tables.parse_json(tables.read_text(path))
  except tables.TableError as e:
    raise RecordError(str(e)) from e
  except ValueError as e:
    raise RecordError(f'{path} is not valid JSON ({e}); {cure}') from e
  found = fault(value, kind)
  if found:
    raise RecordError(f'{path}: {found}; {cure}')
  return value


def fault(value: object, kind: Any, place: str = '') -> str:
  """Which part of a value from JSON has not the type that it should; empty if all have.

  >>> fault({'a': [1, 'x']}, dict[str, list[int]])
  "a[1] is 'x', not int"
  >>> fault(None, int | None)
  ''

  Args:
    value: of dictionaries, lists, texts, numbers, truth values and None.
    kind: a type of these: a class, a union, a TypedDict, or `dict[...]`, `list[...]` of such.
    place: of the value, for the message.
  """
  origin, arguments = typing.get_origin(kind), typing.get_args(kind)
  if kind is Any or kind is object:
    return ''
  if origin in (types.UnionType, typing.Union):
    faults = [fault(value, k, place) for k in arguments]
    return '' if '' in faults else f'{place or "it"} is {shorten(repr(value), 40)}, not {_name(kind)}'
  wanted = dict if typing.is_typeddict(kind) else origin or kind
  if not _is(value, wanted):
    return f'{place or "it"} is {shorten(repr(value), 40)}, not {_name(wanted)}'
  inner: list[tuple[object, Any, str]] = []
  if typing.is_typeddict(kind):
    assert isinstance(value, dict)
    missing = sorted(kind.__required_keys__ - set(value))
    if missing:
      return f'{place or "it"} has no {missing[0]}'
    known = typing.get_type_hints(kind)
    inner = [(v, known[k], f'{place}.{k}' if place else k) for k, v in value.items() if k in known]
  elif isinstance(value, dict) and arguments:
    inner = [(v, arguments[1], f'{place}.{k}' if place else str(k)) for k, v in value.items()]
  elif isinstance(value, list) and arguments:
    inner = [(v, arguments[0], f'{place}[{i}]') for i, v in enumerate(value)]
  return next(filter(None, (fault(*part) for part in inner)), '')


def _is(value: object, wanted: Any) -> bool:
  if wanted in (int, float):
    return isinstance(value, int | wanted) and not isinstance(value, bool)
  if wanted is Mapping:
    return isinstance(value, dict)
  if wanted is Sequence:
    return isinstance(value, list)
  return isinstance(value, types.NoneType if wanted is None else wanted)


def _name(kind: Any) -> str:
  return getattr(kind, '__name__', str(kind)) if not typing.get_args(kind) else str(kind)
