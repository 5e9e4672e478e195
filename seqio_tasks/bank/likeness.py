"""How alike phrasings are, and how near those that are measured come to those that are trained on.

Likeness is defined here and nowhere else: on words, with every field as one placeholder, whatever its name. So "Is
{word1} longer or {word2}?" and "Is {a} longer or {b}?" are the same phrasing. It is reported as a distribution, since no
cut-off parts a paraphrase from a copy.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Sequence
import difflib
import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

from seqio_tasks.bank.templates import normalise
from seqio_tasks.errors import UserError

if TYPE_CHECKING:
  from seqio_tasks.bank.instruction import Instruction

PLACEHOLDER = '{}'
QUANTILES = (0.5, 0.9, 1.0)
SHARES = (0.5, 0.65, 0.8)


HEADING = 'likeness of each phrasing to the nearest one of its task, fields aside (1 is the same words):'


class Neighbour(NamedTuple):
  """A phrasing, the one of the same task that is most like it, and how alike the two are."""

  id: str
  nearest: str
  likeness: float


class Distribution(NamedTuple):
  """Of the likenesses of some phrasings, the quantiles of `QUANTILES` and how many are at least each of `SHARES`."""

  phrasings: int
  quantiles: tuple[float, ...]
  at_least: tuple[int, ...]


def words(template: str) -> tuple[str, ...]:
  """The words of a template, folded as `normalise` does, with `PLACEHOLDER` for each field.

  >>> words('Longer: {word1} or {word2}?')
  ('longer', '{}', 'or', '{}')
  """
  return tuple(PLACEHOLDER if word.startswith('{') else word for word in normalise(template).split())


def likeness(template_a: str, template_b: str) -> float:
  """How alike two phrasings are, in [0, 1]; 1 for the same words in whatever order.

  The larger of the Jaccard index of the two sets of `words` and difflib's ratio of the two sequences of them. The order
  of the two phrasings does not matter.

  >>> likeness('Longer, {word1} or {word2}?', '{a} or {b}: longer')
  1.0
  >>> likeness('One, two, three, {n}', 'one two four')
  0.5714285714285714
  """
  return _of_words(words(template_a), words(template_b))


def _of_words(a: tuple[str, ...], b: tuple[str, ...]) -> float:
  if not a or not b:
    return float(a == b)
  return max(_jaccard(frozenset(a), frozenset(b)), _ratio(a, b))


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
  return len(a & b) / len(a | b)


def _ratio(a: tuple[str, ...], b: tuple[str, ...]) -> float:
  first, second = sorted((a, b))  # difflib's ratio depends on the order
  return difflib.SequenceMatcher(None, first, second, autojunk=False).ratio()


class _Counted(NamedTuple):
  words: tuple[str, ...]
  counts: collections.Counter[str]


def _counted(instruction: Instruction) -> _Counted:
  own = words(instruction.template)
  return _Counted(own, collections.Counter(own))


def _bound(a: _Counted, b: _Counted) -> float:
  """At least `_of_words`: difflib's ratio is slow, and never above what the words have in common."""
  if not a.words or not b.words:
    return float(a.words == b.words)
  both = a.counts.keys() & b.counts.keys()
  jaccard = len(both) / (len(a.counts) + len(b.counts) - len(both))
  common = sum(min(a.counts[word], b.counts[word]) for word in both)
  return max(jaccard, 2 * common / (len(a.words) + len(b.words)))


def nearest(
  measured: Iterable[Instruction],
  trained: Iterable[Instruction],
  task_of: Callable[[Instruction], str] = lambda instruction: instruction.task,
) -> list[Neighbour]:
  """For each measured phrasing the most like one of its task among the trained ones, in order.

  Args:
    measured: phrasings; those of tasks without a trained one are left out.
    trained: phrasings that something was fitted to, or chosen on.
    task_of: says what counts as one task, such as one that two benchmarks share.
  """
  by_task: dict[str, list[tuple[str, _Counted]]] = collections.defaultdict(list)
  for instruction in trained:
    by_task[task_of(instruction)].append((instruction.id, _counted(instruction)))
  return [_nearest(i, by_task[task_of(i)]) for i in measured if task_of(i) in by_task]


def _nearest(instruction: Instruction, others: Sequence[tuple[str, _Counted]]) -> Neighbour:
  own = _counted(instruction)
  best = Neighbour(instruction.id, '', -1.0)
  bounds = sorted(((_bound(own, other), -position) for position, (_, other) in enumerate(others)), reverse=True)
  for bound, position in bounds:
    if bound <= best.likeness:
      break
    id_, other = others[-position]
    value = _of_words(own.words, other.words)
    if value > best.likeness:
      best = Neighbour(instruction.id, id_, value)
  return best


def distribution(values: Sequence[float]) -> Distribution:
  """The quantiles of likenesses, each a value that occurs, and how many are at least each of `SHARES`.

  >>> distribution([0.2, 0.4, 0.5, 0.9])
  Distribution(phrasings=4, quantiles=(0.4, 0.9, 0.9), at_least=(2, 1, 1))
  """
  if not values:
    raise UserError('there is no phrasing to take the distribution of; name banks with phrasings that are trained on')
  ordered = sorted(values)
  quantiles = tuple(ordered[math.ceil(q * len(ordered)) - 1] for q in QUANTILES)
  return Distribution(len(ordered), quantiles, tuple(sum(v >= share for v in ordered) for share in SHARES))


def to_trained(bank: Iterable[Instruction]) -> dict[tuple[str, str], Distribution]:
  """How near a bank's phrasings come to those that are trained on or chosen on.

  Returns:
    the distribution of each phrasing's likeness to its nearest neighbour, by (collection, role of the neighbours):
    collections of evaluation and default phrasings against alignment and development, of development ones against
    alignment.
  """
  members = list(bank)
  reported = ('evaluation', 'default')
  found = {}
  for roles, against in ((reported, 'alignment'), (reported, 'development'), (('development',), 'alignment')):
    trained = [i for i in members if i.role == against]
    for collection in dict.fromkeys(i.collection for i in members if i.role in roles):
      measured = [i for i in members if i.role in roles and i.collection == collection]
      neighbours = nearest(measured, trained)
      if neighbours:
        found[collection, against] = distribution([n.likeness for n in neighbours])
  return found


def describe(collection: str, against: str, found: Distribution) -> str:
  """A line for a person.

  >>> describe('mini_heldout', 'alignment', Distribution(4, (0.4, 0.9, 0.9), (2, 1, 1)))
  '  mini_heldout to alignment: median 0.40, 90% 0.90, most 0.90; of 4 phrasings 2 at 0.5 or more, 1 at 0.65, 1 at 0.8'
  """
  median, high, most = found.quantiles
  shares = [f'{n} at {share}' for n, share in zip(found.at_least, SHARES, strict=True)]
  return (
    f'  {collection} to {against}: median {median:.2f}, 90% {high:.2f}, most {most:.2f}; of {found.phrasings} phrasings '
    f'{shares[0]} or more, {", ".join(shares[1:])}'
  )


def near_duplicates(bank: Iterable[Instruction], threshold: float) -> list[tuple[str, str, float]]:
  """Pairs of phrasings of one task that are at least `threshold` alike, most alike first.

  Args:
    bank: the instructions.
    threshold: a `likeness` in (0, 1].

  Returns:
    (id, id, likeness) of each pair.
  """
  if not 0 < threshold <= 1:
    raise UserError(f'threshold is {threshold}; give a likeness above 0 and at most 1')
  by_task = collections.defaultdict(list)
  for instruction in bank:
    by_task[instruction.task].append((instruction.id, _counted(instruction)))
  pairs = []
  for members in by_task.values():
    for (id_a, a), (id_b, b) in itertools.combinations(members, 2):
      if _bound(a, b) >= threshold and (value := _of_words(a.words, b.words)) >= threshold:
        pairs.append((id_a, id_b, value))
  return sorted(pairs, key=lambda pair: -pair[2])
