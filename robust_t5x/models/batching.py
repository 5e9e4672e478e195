"""Which inputs run together: batches of few shapes, on which little is computed on padding.

A shape is a program, and compiling it takes as long as reading many tokens. So padding, batches and programs are all counted in
tokens, and of the ways to cut inputs into batches the cheapest is taken.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import functools
import itertools
from typing import NamedTuple

import numpy as np

# In tokens. On a CPU core a model of 135M parameters reads some 2,000 while a program is compiled, and 500 while a compiled one is
# loaded; but most programs serve several tasks.
PROGRAM_COST = 256
# How many programs a shape of options has, for inputs of several lengths.
_PROGRAMS_OF_OPTIONS = 4
# In tokens: what starting a batch and fetching the weights for it costs at least.
BATCH_COST = 64
_GROWTH = 4  # how many times as many rows a batch of short inputs may hold
_SHRINKAGE = 16  # to which part of its rows a batch of few inputs is made smaller


class Grid(NamedTuple):
  """Which shapes there are: more of them, or more that several sets of inputs have in common.

  Attributes:
    least: input lengths are multiples of this, and coarser from `2 * per_octave` times it on.
    per_octave: lengths between one and its double.
    rows: factor between numbers of rows.
  """

  least: int
  per_octave: int
  rows: int


FINE = Grid(least=8, per_octave=8, rows=2)
# For few inputs, and behind shared tokens, where each of their lengths is a program more for every shape.
COARSE = Grid(least=16, per_octave=4, rows=4)


@dataclasses.dataclass(frozen=True)
class Batch:
  """Inputs that run together.

  Attributes:
    members: indices of the inputs.
    rows: rows of the program, at least as many; what is left over is padding.
    length: tokens of each row.
  """

  members: np.ndarray
  rows: int
  length: int


def bucket(length: int, grid: Grid = FINE) -> int:
  """Input length that a program may be compiled for; at most the share `1 / grid.per_octave` of a long input is padding."""
  step = max(grid.least, (1 << max(length - 1, 0).bit_length()) // (2 * grid.per_octave))
  return -(-length // step) * step


def shared_bucket(length: int) -> int:
  """Length that shared tokens are padded to: of 2 to an octave from 32 on.

  Padding there is read once and then only masked, and each length is a program more for every shape of the rows behind it.
  """
  power = max(32, 1 << max(length - 1, 0).bit_length())
  return 3 * power // 4 if 32 < power and length <= 3 * power // 4 else power


def plan_batches(
  lengths: Sequence[int],
  batch_size: int,
  longest: int | None = None,
  unit: int = 1,
  written: int = 0,
  behind_shared: bool = False,
) -> list[Batch]:
  """Cuts inputs into the batches that cost least, the longest inputs first.

  A row count is `batch_size` times or divided by a power of `Grid.rows`. Short inputs run in up to four times `batch_size` rows while
  the batch holds no more tokens than `batch_size` of the longest, few inputs in as few as a sixteenth of it. Inputs that run in
  programs of one length have at most two numbers of rows.

  Args:
    lengths: tokens of each input.
    batch_size: rows of a batch of the longest inputs; a multiple of `unit`.
    longest: length for which `batch_size` is meant, the longest of the inputs by default.
    unit: every number of rows is a multiple of it, such as the replicas.
    written: tokens that each row computes beside its input.
    behind_shared: whether the inputs are read behind tokens that they share.
  """
  grid = COARSE if behind_shared or len(lengths) < 48 * batch_size else FINE
  buckets = [bucket(int(length), grid) for length in lengths]
  longest = max([bucket(longest or 1, grid), *buckets])
  least = batch_size
  while least % (grid.rows * unit) == 0 and least > batch_size // _SHRINKAGE:
    least //= grid.rows
  order = np.argsort(lengths, kind='stable')[::-1]
  batches: list[Batch] = []
  start = 0
  for length, cut in _cheapest(buckets, batch_size, least, longest, written, grid.rows):
    for rows, count in cut:
      batches.append(Batch(order[start : start + count], rows, length))
      start += count
  return batches


_Cut = Sequence[tuple[int, int]]  # of each batch: (rows, inputs)


def _cheapest(
  buckets: Sequence[int], batch_size: int, least: int, longest: int, written: int, factor: int
) -> Iterator[tuple[int, _Cut]]:
  """The lengths of programs, the greatest first, and how the inputs that run in them are cut into batches."""
  lengths, counts = np.unique(np.asarray(buckets, int), return_counts=True)
  below = [0, *np.cumsum(counts).tolist()]
  # Of the inputs of the first lengths: (cost, how many of these lengths run in programs of shorter ones, the cut of the others).
  best: list[tuple[int, int, _Cut]] = [(0, 0, ())]
  for end, length in enumerate(lengths.tolist(), 1):
    most = batch_size
    while most < _GROWTH * batch_size and factor * most * length <= batch_size * longest:
      most *= factor
    found = []
    for first in range(end):
      cost, cut = _filled(below[end] - below[first], length + written, most, least, factor)
      found.append((best[first][0] + cost, first, cut))
    best.append(min(found))
  end = len(lengths)
  while end:
    yield int(lengths[end - 1]), best[end][2]
    end = best[end][1]


@functools.lru_cache(1 << 16)
def _filled(count: int, tokens: int, most: int, least: int, factor: int) -> tuple[int, _Cut]:
  """The cost of so many inputs that take so many tokens each, and how they are cut into batches of one or two numbers of rows."""
  sizes = [least]
  while sizes[-1] < most:
    sizes.append(sizes[-1] * factor)
  found = []
  for rows, last in itertools.product(sizes, sizes):
    full, rest = divmod(count, rows)
    smaller = -(-rest // last)
    programs = len({size for size, number in ((rows, full), (last, smaller)) if number})
    cost = (full * rows + smaller * last) * tokens + (full + smaller) * BATCH_COST + programs * PROGRAM_COST
    found.append((cost, -rows, -last))
  cost, rows, last = min(found)
  return cost, tuple(_batches(count, -rows, -last))


def _batches(count: int, rows: int, last: int) -> Iterator[tuple[int, int]]:
  """(rows, inputs) of each batch."""
  for size in (rows, last):
    while count >= size:
      yield size, size
      count -= size
  if count:
    yield last, count


def option_shapes(sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
  """Options and tokens of the longest one, of each input -> those of the program that scores them, of which there are few.

  Two shapes become one that holds both while that takes fewer tokens than the programs of one are worth.
  """
  # Lengths are rounded up, so that other inputs run in the same programs.
  rounded = [(options, -(-tokens // 4) * 4 if tokens > 8 else tokens) for options, tokens in sizes]
  kinds, members = np.unique(np.asarray(rounded, int).reshape(-1, 2), axis=0, return_inverse=True)
  members = members.ravel()
  counts = np.bincount(members, minlength=len(kinds))
  while len(kinds) > 1:
    together = np.maximum(kinds[:, None], kinds[None, :]).prod(axis=-1)
    extra = (together - kinds.prod(axis=-1)) * counts
    extra = np.triu(extra + extra.T, 1) + np.tril(np.full_like(extra, _PROGRAMS_OF_OPTIONS * PROGRAM_COST))
    if extra.min() >= _PROGRAMS_OF_OPTIONS * PROGRAM_COST:
      break
    a, b = (int(i) for i in np.unravel_index(extra.argmin(), extra.shape))  # a < b
    kinds[a], counts[a] = np.maximum(kinds[a], kinds[b]), counts[a] + counts[b]
    kinds, counts = np.delete(kinds, b, axis=0), np.delete(counts, b)
    members = np.where(members == b, a, members - (members > b))
  return [(int(kinds[m][0]), int(kinds[m][1])) for m in members]


def distinct(inputs: Sequence[np.ndarray], options: Sequence[Sequence[Sequence[int]]]) -> tuple[list[int], list[int]]:
  """Questions that are the same, input and options, are asked once.

  So it is without questions, where a phrasing does not list the options and all examples have the same.

  >>> a, b = np.array([5, 6]), np.array([7])
  >>> distinct([a, b, a], [[[1], [2]], [[1], [2]], [[1], [2]]])
  ([0, 1], [0, 1, 0])

  Args:
    inputs: tokens of each.
    options: of each input, the tokens of its options.

  Returns:
    (the indices of those that are asked, of each one its place among these).
  """
  places: dict[tuple[bytes, tuple[tuple[int, ...], ...]], int] = {}
  asked: list[int] = []
  of: list[int] = []
  for i, (tokens, own) in enumerate(zip(inputs, options, strict=True)):
    place = places.setdefault((np.asarray(tokens, np.int32).tobytes(), tuple(map(tuple, own))), len(places))
    if place == len(asked):
      asked.append(i)
    of.append(place)
  return asked, of
