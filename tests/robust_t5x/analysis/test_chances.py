"""Chances of phrasings under two assumptions, and what is made of them, against what is known."""

import numpy as np
import pytest

from robust_t5x.analysis import chances

KINDS = [chances.beta, chances.free]


@pytest.mark.parametrize('draw', KINDS)
def test_many_cells_leave_little_doubt(draw):
  right, cells = np.array([200, 500, 900]), np.array([1000, 1000, 1000])
  drawn = draw(right, cells, 500, np.random.default_rng(0))
  assert drawn.shape == (500, 3)
  assert drawn.mean(0) == pytest.approx([0.2, 0.5, 0.9], abs=0.01)
  assert drawn.std(0) == pytest.approx(np.sqrt([0.16, 0.25, 0.09]) / np.sqrt(1000), rel=0.35)


@pytest.mark.parametrize('draw', KINDS)
def test_few_cells_are_drawn_towards_the_others(draw):
  right, cells = np.array([3, *[30] * 20]), np.array([3, *[60] * 20])
  drawn = draw(right, cells, 500, np.random.default_rng(0))
  assert 0.45 < drawn[:, 0].mean() < 0.75 and drawn[:, 1:].mean() == pytest.approx(0.5, abs=0.03)


def test_a_distribution_of_any_shape_follows_two_heaps():
  right, cells = np.array([1] * 30 + [15] * 30), np.full(60, 20)
  for draw, least in ((chances.beta, 0.9), (chances.free, 0.0)):
    best = draw(right, cells, 400, np.random.default_rng(0)).max(1)
    assert (np.median(best) > 0.88) == bool(least)


def test_all_cells_leave_nothing_to_draw():
  scores = np.random.default_rng(0).random((6, 3)).round()
  drawn = np.random.default_rng(1).random((4, 3))
  assert chances.completed(scores, drawn, np.random.default_rng(2)) == pytest.approx(np.tile(scores.mean(0), (4, 1)))


def test_what_examples_share_moves_all_phrasings():
  ability = np.repeat([[0.0], [1.0]], 50, axis=0)
  same = np.repeat(ability, 6, axis=1)
  assert chances.intraclass_correlation(same) == pytest.approx(1, abs=0.05)
  scores = np.where(np.arange(100)[:, None] % 5 == 0, same, np.nan)
  found = chances.completed(scores, np.full((400, 6), 0.5), np.random.default_rng(0))
  assert np.ptp(found, axis=1).max() == pytest.approx(0, abs=0.02) and found.std(0) == pytest.approx(
    0.8 * 0.5 / np.sqrt(80), rel=0.2
  )
  independent = np.random.default_rng(0).random((4000, 6)).round()
  assert chances.intraclass_correlation(independent) == pytest.approx(0, abs=0.02)
  assert chances.intraclass_correlation(np.array([[1.0, np.nan], [np.nan, 0.0]])) == 0.0
