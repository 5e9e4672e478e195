"""Which rows begin alike for so long that what they share is worth being read once.

Rows of a few-shot task share their examples, those of a chat model the system turn, those of a phrasing its opening. Nothing here
knows of these: groups follow from the tokens. There is one level of sharing. A group's shared tokens are read as one row, and each
of its rows only from there on; a row is in one group at most.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# What a group costs beside the reading of its shared tokens, in tokens: a program more, and batches that are not full.
GROUP_COST = 4096


class Group(NamedTuple):
  """Rows that are read behind the same tokens.

  Attributes:
    length: of the tokens that they share; 0 for rows that are read whole.
    members: indices of the rows, ascending.
  """

  length: int
  members: np.ndarray

  @property
  def saved(self) -> int:
    """Tokens that are not read again."""
    return self.length * (len(self.members) - 1)


class _Span(NamedTuple):
  """Neighbours in the order of their tokens, all those that share `length` first tokens."""

  length: int
  first: int
  end: int

  @property
  def rows(self) -> int:
    return self.end - self.first


def plan_groups(rows: Sequence[np.ndarray], cost: int, least: int = 1) -> list[Group]:
  """The groups that save the most tokens, each counted with its cost; those that share least are the first.

  The last token of a row is never shared, since its answer begins with what the network makes of it. Nothing saves less than it
  costs, so never more tokens are read than without groups.

  >>> examples, questions = np.arange(100), np.arange(100, 106)
  >>> rows = [np.append(examples, question) for question in questions] + [questions]
  >>> [(group.length, group.members.tolist()) for group in plan_groups(rows, cost=50)]
  [(0, [6]), (100, [0, 1, 2, 3, 4, 5])]

  Args:
    rows: tokens of each.
    cost: of a group, in tokens, beside those that are read once.
    least: tokens that a group shares at least.
  """
  # Big-endian bytes sort as the tokens do.
  keys = [np.asarray(row[:-1]).astype('>i4').tobytes() for row in rows]
  order = sorted(range(len(rows)), key=keys.__getitem__)
  spans = _spans([_common(rows[a][:-1], rows[b][:-1]) for a, b in zip(order, order[1:], strict=False)])
  worthy = [span for span in spans if span.length >= least and span.length * (span.rows - 1) > cost]
  lengths = np.zeros(len(rows), int)
  owner = np.full(len(rows), -1)
  for number in _chosen(worthy, cost):  # from the outermost to the innermost
    lengths[worthy[number].first : worthy[number].end] = worthy[number].length
    owner[worthy[number].first : worthy[number].end] = number
  groups = []
  for number in np.unique(owner):
    places = np.flatnonzero(owner == number)
    groups.append(Group(int(lengths[places[0]]), np.sort(np.asarray(order)[places])))
  return sorted(groups, key=lambda group: group.length)


def _common(a: np.ndarray, b: np.ndarray) -> int:
  """Tokens that two rows begin with alike."""
  size = min(len(a), len(b))
  differ = np.flatnonzero(a[:size] != b[:size])
  return int(differ[0]) if len(differ) else size


def _spans(common: Sequence[int]) -> list[_Span]:
  """All spans of sorted rows, inner ones before those that hold them; `common` says what neighbours share."""
  found, open_ = [], [(0, 0)]  # (length, first row)
  for place, length in enumerate([*common, 0]):
    first = place
    while open_[-1][0] > length:
      inner, first = open_.pop()
      found.append(_Span(inner, first, place + 1))
    if open_[-1][0] < length:
      open_.append((length, first))
  return found


def _chosen(spans: Sequence[_Span], cost: int) -> list[int]:
  """Numbers of the spans that become groups, outer ones before inner ones.

  A row of a span that becomes no group is in the nearest one around it that does, and saves that one's length. So each span's best
  saving is found for every length that may be around it, from the inside out.
  """
  parents = _parents(spans)
  around: list[list[int]] = [[] for _ in spans]  # lengths of the spans that hold each
  for i in reversed(range(len(spans))):
    parent = parents[i]
    around[i] = [0] if parent is None else [*around[parent], spans[parent].length]
  inside: list[dict[int, int]] = [{} for _ in spans]  # of the spans in each: best saving by the length around them
  rest = [span.rows for span in spans]  # rows in none of them
  opens: list[dict[int, bool]] = [{} for _ in spans]
  for i, span in enumerate(spans):
    own = span.length * (rest[i] - 1) + inside[i].get(span.length, 0) - cost
    parent = parents[i]
    for length in around[i]:
      closed = length * rest[i] + inside[i].get(length, 0)
      opens[i][length] = own > closed
      if parent is not None:
        inside[parent][length] = inside[parent].get(length, 0) + max(own, closed)
    if parent is not None:
      rest[parent] -= span.rows
  chosen, outer = [], [0] * len(spans)
  for i in reversed(range(len(spans))):
    parent = parents[i]
    length = 0 if parent is None else outer[parent]
    outer[i] = spans[i].length if opens[i][length] else length
    if opens[i][length]:
      chosen.append(i)
  return chosen


def _parents(spans: Sequence[_Span]) -> list[int | None]:
  """For each span the number of the least one that holds it."""
  parents: list[int | None] = [None] * len(spans)
  waiting: list[int] = []
  for i, span in enumerate(spans):
    while waiting and spans[waiting[-1]].first >= span.first:
      parents[waiting.pop()] = i
    waiting.append(i)
  return parents
