"""YAML files of other people, read so that every fault becomes one error, in bounded time and memory.

PyYAML composes recursively, lets an alias stand for a tree however often, and lets Python's own errors through where a plain
word looks like a date or a number. So a file's events are counted before anything is built of them.
"""

from __future__ import annotations

from collections.abc import Iterator
import os
from typing import Any

import yaml

from seqio_tasks import tables
from seqio_tasks.errors import UserError, shorten

# libyaml's loader is some ten times as fast, where PyYAML was built with it.
Loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
_MOST_LEVELS = 50  # a bank needs ten
_MOST_ALIASED = 100_000  # parts of the tree that stand there through aliases
_LONGEST_NUMBER = 1000
_BLOCK_STYLES = ('|', '>')


class YamlError(UserError):
  """A file that cannot be read; the message names file, line and cure."""


def read(path: str | os.PathLike[str], loader_class: Any = Loader) -> tuple[Any, yaml.Node | None]:
  """The value of a YAML file, and the node that it was made of; (None, None) for an empty file.

  A text in block style (| or >) does not hold the line break that ends its last line. In quotes "\\n" stands for one.

  Raises:
    YamlError: if it cannot be read.
    TableError: if it is no UTF-8 file.
  """
  text = tables.read_text(path)
  try:
    _check_size(path, text, loader_class)
    loader = loader_class(text)
    node = loader.get_single_node()
  except yaml.YAMLError as e:
    raise YamlError(f'{path}: is not YAML ({shorten(e, 300)}); mend the line named') from e
  if node is None:
    return None, None
  for scalar in _scalars(node):
    if scalar.style in _BLOCK_STYLES:
      scalar.value = scalar.value.removesuffix('\n')
    if scalar.tag != 'tag:yaml.org,2002:str' and len(scalar.value) > _LONGEST_NUMBER:
      raise YamlError(
        f'{path}: line {_line(scalar)}: {shorten(scalar.value, 40)} is too long for a number; put it in quotes'
      )
  try:
    return loader.construct_document(node), node
  except yaml.YAMLError as e:
    raise YamlError(f'{path}: is not YAML ({shorten(e, 300)}); mend the line named') from e
  except Exception as e:  # what Python's int, float and datetime say to a word that looks like theirs
    raise YamlError(f'{path}: {_culprit(loader_class, node)}') from e


def _check_size(path: str | os.PathLike[str], text: str, loader_class: Any) -> None:
  """YamlError for what is nested too deep, holds itself, or is too large once its aliases are followed."""
  sizes: dict[str, int] = {}  # of every anchor's tree
  open_: list[list[Any]] = []  # (anchor, size so far) of what the event is inside of
  aliased = 0
  for event in yaml.parse(text, Loader=loader_class):
    size = 0
    if isinstance(event, yaml.AliasEvent):
      where = f'{path}: line {_line(event)}'
      if any(anchor == event.anchor for anchor, _ in open_):
        raise YamlError(
          f'{where}: the alias *{shorten(event.anchor, 40)} stands inside of what it stands for; write it out'
        )
      size = sizes.get(event.anchor or '', 1)
      aliased += size
      if aliased > _MOST_ALIASED:
        raise YamlError(f'{where}: the aliases stand for more than {_MOST_ALIASED} entries; write out what is meant')
    elif isinstance(event, yaml.CollectionStartEvent):
      open_.append([event.anchor, 1])
      if len(open_) > _MOST_LEVELS:
        raise YamlError(f'{path}: line {_line(event)}: is nested more than {_MOST_LEVELS} deep; mend the brackets')
    elif isinstance(event, yaml.CollectionEndEvent):
      anchor, size = open_.pop()
      if anchor:
        sizes[anchor] = size
    elif isinstance(event, yaml.ScalarEvent):
      size = 1
      if event.anchor:
        sizes[event.anchor] = 1
    if open_:
      open_[-1][1] += size


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
  """Every scalar of a tree, once however many aliases lead to it."""
  seen: set[int] = set()
  waiting = [node]
  while waiting:
    node = waiting.pop()
    if id(node) in seen:
      continue
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
      yield node
    elif isinstance(node, yaml.MappingNode):
      waiting += [part for pair in reversed(node.value) for part in reversed(pair)]
    else:
      waiting += reversed(node.value)


def _culprit(loader_class: Any, node: yaml.Node) -> str:
  """Which scalar cannot be made, and the cure."""
  loader = loader_class('')
  for scalar in _scalars(node):
    try:
      loader.construct_object(scalar)
    except Exception:
      kind = scalar.tag.rsplit(':', 1)[-1]
      return f'line {_line(scalar)}: {shorten(scalar.value, 40)!r} is not of the type {kind}, as which YAML reads it; put it in quotes'
  return 'holds a value that cannot be read; put texts in quotes and leave out tags such as !!omap'


def _line(part: yaml.Node | yaml.Event) -> int:
  return part.start_mark.line + 1 if part.start_mark is not None else 0
