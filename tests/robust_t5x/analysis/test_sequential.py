"""Confidence sequences: by hand, at their bounds, and that they hold at all times."""

import itertools

import numpy as np
import pytest

from robust_t5x.analysis import sequential
from robust_t5x.analysis.sequential import ConfidenceSequence, difference, sizes_after


def drawn(table, half_width, rng, level=0.95):
  """Intervals after each round, until the half width is reached or no cell is left."""
  n, k = table.shape
  orders = [rng.permutation(n) for _ in range(k)]
  cells, before, found = ConfidenceSequence([n] * k, [1 / k] * k, half_width), [0] * k, []
  while not found or found[-1].high - found[-1].low > 2 * half_width:
    after = sizes_after(before, [n] * k, [1 / k] * k, len(found))
    cells.add([table[o[b:a], i] for i, (o, b, a) in enumerate(zip(orders, before, after, strict=True))])
    found.append(cells.interval(level))
    before = after
  return found, cells


def test_one_round_by_hand():
  """Two of four cells, one right: stake 0.2 / (1/4), cut at 3/4 of what is bet on; 0.25 to 0.75 is left of the table."""
  cells = ConfidenceSequence([4], [1.0], half_width=0.2)
  cells.add([np.array([1.0, 0.0])])
  found = cells.interval()
  assert (found.estimate, found.low, found.high) == (0.5, 0.25, 0.75)
  assert (cells.evaluated, cells.cells) == (2, 4)
  # Of a table without end: wealth (1 + λ (1 - m)) (1 - λ m) with λ = 0.8 is 1 - 0.16 at m = 0.5, and below 40 everywhere.
  cells = ConfidenceSequence([10**9], [1.0], half_width=0.2)
  cells.add([np.array([1.0, 0.0])])
  assert cells.interval().low == pytest.approx(0, abs=1e-8)
  # 20 right: the wealth (1 + 0.8 (1 - m))^20 is 40 where 1 + 0.8 (1 - m) = 40^(1/20).
  cells = ConfidenceSequence([10**9], [1.0], half_width=0.2)
  cells.add([np.ones(20)])
  low = 1 - (40**0.05 - 1) / 0.8
  assert cells.interval().low == pytest.approx(low, abs=1e-6)
  assert cells.interval().high == 1.0
  # At a level of 90% it need only be 20.
  assert cells.interval(0.9).low == pytest.approx(1 - (20**0.05 - 1) / 0.8, abs=1e-6)


def test_strata_count_by_their_weights():
  """A small stratum of half the weight: its cells count more, those of the large one by the exponent 1/10."""
  cells = ConfidenceSequence([10**9, 10**9], [0.5, 0.5], half_width=0.2)
  cells.add([np.ones(20), np.ones(2)])
  found = cells.interval()
  # 20 cells by 1/10 and 2 by 1 are worth 4.
  assert found.low == pytest.approx(max(0.0, 1 - (40**0.25 - 1) / 0.8), abs=1e-6)
  assert found.estimate == 1.0


def test_all_cells_leave_nothing_open():
  cells = ConfidenceSequence([3, 1], [0.5, 0.5], half_width=0.01)
  cells.add([np.array([1.0]), np.array([0.25])])
  cells.add([np.array([0.0, 1.0]), np.array([])])
  found = cells.interval()
  assert found.estimate == pytest.approx((2 / 3 + 0.25) / 2)
  assert found.low == pytest.approx(found.estimate) and found.high == pytest.approx(found.estimate)


def test_rounds_that_are_none_are_refused():
  cells = ConfidenceSequence([3, 1], [0.5, 0.5], half_width=0.01)
  for scores in ([np.ones(1), np.ones(0)], [np.ones(4), np.ones(1)]):
    with pytest.raises(ValueError, match=r'where \[3, 1\] are left'):
      cells.add(scores)


def test_what_was_ruled_out_stays_so():
  rng = np.random.default_rng(0)
  found, _ = drawn((rng.random((200, 5)) < 0.7).astype(float), 0.04, rng)
  lows, highs = [f.low for f in found], [f.high for f in found]
  assert lows == sorted(lows) and highs == sorted(highs, reverse=True)


def test_right_and_wrong_mirror_each_other():
  table = (np.random.default_rng(1).random((100, 4)) < 0.8).astype(float)
  a, _ = drawn(table, 0.05, np.random.default_rng(2))
  b, _ = drawn(1 - table, 0.05, np.random.default_rng(2))
  assert len(a) == len(b)
  assert a[-1].low == pytest.approx(1 - b[-1].high) and a[-1].high == pytest.approx(1 - b[-1].low)


def test_they_hold_at_all_times_and_stop_early():
  """At a level of 60%, so that few tables show an error; every interval of a table must hold for it to count."""
  rng, held, shares = np.random.default_rng(3), [], []
  for _ in range(120):
    table = (rng.random((400, 3)) < rng.uniform(0.2, 0.9, (400, 1))).astype(float)
    found, cells = drawn(table, 0.05, rng, level=0.6)
    held.append(all(f.low - 1e-9 <= table.mean() <= f.high + 1e-9 for f in found))
    shares.append(cells.evaluated / cells.cells)
  assert 0.6 <= np.mean(held) < 1
  assert np.mean(shares) < 0.5


def test_alike_answers_stop_soon():
  _, cells = drawn(np.ones((2000, 5)), 0.02, np.random.default_rng(0))
  assert cells.evaluated < 0.1 * cells.cells


def test_a_difference_is_as_sure_as_its_parts():
  rng = np.random.default_rng(4)
  (_, a), (_, b) = (drawn((rng.random((200, 5)) < p).astype(float), 0.05, rng) for p in (0.8, 0.6))
  found = difference(a, b)
  parts = a.interval(0.975), b.interval(0.975)
  assert found.low == parts[0].low - parts[1].high and found.high == parts[0].high - parts[1].low
  assert found.estimate == pytest.approx(a.interval().estimate - b.interval().estimate)


def test_every_round_has_more_of_every_stratum():
  sizes, weights, before = [1000, 7, 1], [0.2, 0.3, 0.5], [0, 0, 0]
  for number in range(40):
    after = sizes_after(before, sizes, weights, number)
    assert all(b < a <= n or a == b == n for b, a, n in zip(before, after, sizes, strict=True))
    before = after
  assert before == sizes


def test_rounds_take_cells_by_weight_until_a_stratum_is_used_up():
  """Half a percent of 1,100 is 5.5 cells, in halves, rounded up. Later 10% is 110: all 10 of the small one and 100 of the other."""
  assert sizes_after([0, 0], [1000, 100], [0.5, 0.5], 0) == [3, 3]
  assert sizes_after([0, 0], [1000, 100], [0.2, 0.8], 0) == [2, 5]  # 1.1 and 4.4
  number = int(np.ceil(np.log(20) / np.log(1.25)))
  share = 0.005 * 1.25**number
  assert sizes_after([0, 0], [1090, 10], [0.5, 0.5], number) == [int(np.ceil(1100 * share - 10)), 10]
  assert sizes_after([0] * 3, [200] * 3, [1 / 3] * 3, number) == [int(np.ceil(200 * share))] * 3


def strata_of(orders, rounds):
  """For each round, what each stratum gives."""
  done = np.cumsum([[0] * len(orders), *rounds], axis=0)
  return [[np.array(o[b:a]) for o, b, a in zip(orders, *ends, strict=True)] for ends in itertools.pairwise(done)]


@pytest.mark.parametrize(
  ('strata', 'weights', 'rounds'),
  [
    (([1, 1, 0, 0], [1, 0, 0]), (0.5, 0.5), ([1, 1], [2, 1], [1, 1])),
    (([1, 1, 1, 0], [0.3, 0]), (0.2, 0.8), ([2, 1], [1, 1], [1, 0])),  # the second is used up first
    (([1, 1, 1], [0, 0, 0], [0.5]), (0.3, 0.6, 0.1), ([2, 1, 1], [1, 1, 0], [0, 1, 0])),
    (([1, 0, 0, 0, 0, 0],), (1.0,), ([1], [1], [2], [2])),
  ],
)
def test_the_bets_are_fair_over_all_orders(strata, weights, rounds):
  """The expectation of the wealth against the true mean, over every order of every stratum, is never above 1, nor is it in vain."""
  mean = sum(w * np.mean(s) for w, s in zip(weights, strata, strict=True))
  wealth = []
  for orders in itertools.product(*map(itertools.permutations, strata)):
    cells, own = ConfidenceSequence([len(s) for s in strata], weights, half_width=0.1), []
    for scores in strata_of(orders, rounds):
      cells.add(scores)
      values, exponents, stake, seen, left = cells._bets
      mirrored = np.stack([1 - values, exponents, stake, 1 - seen - left, left])
      own += [sequential._log_wealth(mean, cells._bets), sequential._log_wealth(1 - mean, mirrored)]
    wealth.append(np.exp(own))
  expected = np.mean(wealth, axis=0)
  assert (expected <= 1 + 1e-12).all() and expected[:2].min() > 0.5


def test_the_interval_is_that_of_each_bet_by_itself():
  """Against bets that are placed cell by cell, on a grid of means, for strata of unlike size and graded scores."""
  rng = np.random.default_rng(5)
  sizes, weights, half = np.array([300, 40]), np.array([0.5, 0.5]), 0.05
  orders = [rng.random(300) ** 0.3, rng.integers(0, 2, 40).astype(float)]
  rounds = strata_of(orders, [[20, 20], [40, 10], [80, 10], [50, 0]])
  cells = ConfidenceSequence(sizes, weights, half)
  grid = np.linspace(0, 1, 2001)
  up, down, done = np.zeros(2001), np.zeros(2001), [np.array([]), np.array([])]
  for scores in rounds:
    cells.add(scores)
    known = sum(w * s.sum() / n for w, s, n in zip(weights, done, sizes, strict=True))
    left = [w * (n - len(s)) / n for w, s, n in zip(weights, done, sizes, strict=True)]
    count = sum(map(len, done))
    means, squares = ([(s**p).mean() if len(s) else 0.0 for s in done] for p in (1, 2))
    variance = (0.25 + count * (np.dot(weights, squares) - np.dot(weights, means) ** 2)) / (1 + count)
    rest = np.clip((grid - known) / sum(left), 1e-9, 1 - 1e-9)
    per_cell = np.array([v / len(s) if len(s) else 0.0 for v, s in zip(left, scores, strict=True)])
    for power, own in zip(per_cell / per_cell.max(), scores, strict=True):
      for x in own:
        stake = half / variance / sum(left)
        up += power * np.log(1 + np.minimum(stake, 0.75 / rest) * (x - rest))
        down += power * np.log(1 - np.minimum(stake, 0.75 / (1 - rest)) * (x - rest))
    done = [np.r_[d, s] for d, s in zip(done, scores, strict=True)]
  holds = grid[(up < np.log(40)) & (down < np.log(40))]
  found = cells.interval()
  assert (found.low, found.high) == pytest.approx((holds.min(), holds.max()), abs=5e-4)
  assert found.high - found.low < 0.3


@pytest.mark.parametrize('score', [-0.01, 1.01, np.nan])
def test_scores_that_are_no_shares_are_refused(score):
  with pytest.raises(ValueError, match='holds for scores of 0 to 1 only'):
    ConfidenceSequence([4], [1.0], half_width=0.1).add([np.array([0.5, score])])


def test_a_sequence_that_fails_falls_back_on_what_is_certain():
  """All right at first and all wrong after that, which no random order brings about: in the end the mean is known."""
  cells = ConfidenceSequence([1000], [1.0], half_width=0.05)
  for share in (1.0,) * 5 + (0.0,) * 5:
    cells.add([np.full(100, share)])
    cells.interval()
  found = cells.interval()
  assert found.low == pytest.approx(0.5) and found.high == pytest.approx(0.5)
