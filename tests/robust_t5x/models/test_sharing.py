"""Groups of rows that begin alike: by hand, against every possible partition, and never at a loss."""

import os

import numpy as np
import pytest

from robust_t5x.models import sharing


def _plan(rows, **settings):
  groups = sharing.plan_groups([np.asarray(row) for row in rows], **settings)
  return [(group.length, group.members.tolist()) for group in groups]


def test_rows_that_share_little_are_read_whole():
  rows = [[1, 2, 3, 4], [1, 2, 3, 5], [1, 9]]
  assert _plan(rows, cost=9) == [(0, [0, 1, 2])]
  assert _plan([], cost=9) == []
  # Of four rows three need not read the two shared tokens: 6 tokens, at a cost of 5 or of 6.
  rows = [[1, 2, i, 4] for i in range(4)]
  assert _plan(rows, cost=5) == [(2, [0, 1, 2, 3])]
  assert _plan(rows, cost=6) == [(0, [0, 1, 2, 3])]


def test_the_last_token_is_read_in_its_row():
  assert _plan([[1, 2, 3]] * 4, cost=0) == [(2, [0, 1, 2, 3])]
  # Rows that are a beginning of the others share all but their last token.
  assert _plan([[1, 2], [1, 2], [1, 2, 3], [1, 2, 4]], cost=0) == [(1, [0, 1, 2, 3])]
  assert _plan([[1], [1]], cost=0) == [(0, [0, 1])]


def test_a_row_is_with_those_that_it_shares_most_with_if_they_are_enough():
  examples = [7] * 20
  of_one = [[1, 2, *examples, i, 0] for i in range(4)]  # 22 tokens of 4 rows
  others = [[1, 2, 30 + i, 0] for i in range(12)]  # 2 tokens of 12 rows
  assert _plan([*others, *of_one], cost=10) == [(2, list(range(12))), (22, list(range(12, 16)))]
  # The four alone would save 66 tokens and cost 70; with the others they save 2 each.
  assert _plan([*others, *of_one], cost=70) == [(0, list(range(16)))]
  assert _plan([*others, *of_one], cost=25) == [(0, list(range(12))), (22, list(range(12, 16)))]


def test_fewer_tokens_than_a_soft_prompt_stands_behind_are_not_shared():
  rows = [[1, 2, i, 4] for i in range(9)]
  assert _plan(rows, cost=0, least=2)[0][0] == 2
  assert _plan(rows, cost=0, least=3) == [(0, list(range(9)))]


def _partitions(items):
  if not items:
    yield []
    return
  for rest in _partitions(items[1:]):
    yield [[items[0]], *rest]
    for k in range(len(rest)):
      yield [*rest[:k], [items[0], *rest[k]], *rest[k + 1 :]]


def test_no_partition_saves_more():
  rng = np.random.default_rng(0)
  for _ in range(150):
    rows = [rng.integers(0, 2, rng.integers(1, 9)) for _ in range(rng.integers(0, 6))]
    cost = int(rng.integers(0, 4))

    def saved(members, rows=rows, cost=cost):
      common = os.path.commonprefix([rows[i][:-1].tolist() for i in members])
      return max(0, len(common) * (len(members) - 1) - cost)

    found = sum(g.length * (len(g.members) - 1) - cost for g in sharing.plan_groups(rows, cost=cost) if g.length)
    assert found == max(sum(map(saved, p)) for p in _partitions(list(range(len(rows)))))


@pytest.mark.parametrize('seed', range(3))
def test_a_row_is_what_its_group_shares_and_its_rest_and_nothing_is_lost(seed):
  rng = np.random.default_rng(seed)
  starts = [rng.integers(0, 9, n) for n in rng.integers(0, 60, 12)]
  rows = [
    np.concatenate([starts[a], starts[b], rng.integers(0, 9, n)])
    for a, b, n in zip(rng.integers(0, 3, 300), rng.integers(0, 12, 300), rng.integers(1, 30, 300), strict=True)
  ]
  groups = sharing.plan_groups(rows, cost=100)
  assert len(groups) > 3
  assert sorted(i for group in groups for i in group.members) == list(range(len(rows)))
  read = 0
  for length, members in groups:
    read += length
    for i in members:
      assert rows[i][:length].tolist() == rows[members[0]][:length].tolist() and len(rows[i]) > length
      read += len(rows[i]) - length
  assert read < sum(map(len, rows)) - 100 * (len(groups) - 1)
