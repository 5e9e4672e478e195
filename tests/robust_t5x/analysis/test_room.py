"""Spreads against noise and bounds, by hand; ties, one phrasing, missing cells; and that the test keeps its level."""

from helpers import write_evaluation
import numpy as np
import pandas as pd
import pytest
import scipy.stats

from robust_t5x.analysis import room
from robust_t5x.analysis.comparison import compare

NAN = np.nan


def test_by_hand():
  """Cochran's Q by his formula: k = 3, columns 3, 2, 1 of 4, rows 3, 2, 1, 0."""
  scores = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]], float)
  found = room.of_scores(scores)
  assert found.q == pytest.approx(2 * (3 * (9 + 4 + 1) - 36) / (3 * 6 - (9 + 4 + 1)))  # 3
  assert found.freedom == 2 and found.p == pytest.approx(float(scipy.stats.chi2.sf(3, 2)))
  assert (found.mean, found.sd) == (0.5, 0.25)
  # Two examples differ, each with variance 1/3: 2/3 by 16.
  assert found.noise == pytest.approx(np.sqrt(2 / 3 / 16))
  # Q is (k - 1) times the variance by that of noise.
  assert found.q == pytest.approx(2 * found.sd**2 / found.noise**2)
  assert found.beyond == pytest.approx(np.sqrt(1 / 16 - 1 / 24))
  assert found.most == pytest.approx(0.5)  # 1, 1/2 and 0


def test_two_phrasings_are_mcnemars():
  scores = np.array([[1, 0]] * 7 + [[0, 1]] * 2 + [[1, 1]] * 5, float)
  assert room.of_scores(scores).q == pytest.approx((7 - 2) ** 2 / (7 + 2))


@pytest.mark.parametrize(
  ('mean', 'k', 'greatest'),
  [(0.0, 4, 0.0), (1.0, 4, 0.0), (0.5, 4, np.sqrt(1 / 3)), (0.25, 4, 0.5), (0.3, 4, np.std([1, 0.2, 0, 0], ddof=1))],
)
def test_the_room_that_a_mean_leaves(mean, k, greatest):
  assert room.greatest_sd(mean, k) == pytest.approx(greatest)


def test_no_sd_is_above_the_greatest():
  rng = np.random.default_rng(0)
  for k in (2, 3, 10):
    for _ in range(100):
      a = rng.beta(0.3, 0.3, k)
      assert a.std(ddof=1) <= room.greatest_sd(a.mean(), k) + 1e-12


def test_ties_one_phrasing_and_accuracies():
  alike = room.of_scores(np.array([[1.0, 1.0], [0.0, 0.0]]))
  assert (alike.sd, alike.noise, alike.beyond, alike.q, alike.p) == (0, 0, 0, 0, 1)
  assert room.of_scores(np.array([[1.0], [0.0]])) is None
  assert room.of_scores(np.array([[1.0, NAN], [0.0, NAN]])) is None
  published = room.of_scores(np.array([[0.2, 0.6]]))
  assert np.isnan([published.noise, published.beyond, published.q, published.p]).all()
  assert published.most == pytest.approx(np.std([0.8, 0], ddof=1))


def test_missing_cells():
  """Those of an example under one phrasing tell nothing of wording; the others give the same Q as by themselves."""
  scores = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0], [1, NAN, NAN]], float)
  assert room.of_scores(scores).q == pytest.approx(3)
  # An example under two of three phrasings adds (±1/2)², 1/2 of variance, to these two alone: d = (1/2, -1/2, 0).
  one = room.of_scores(np.array([[1, 0, NAN]], float).repeat(2, 0))
  assert (one.q, one.freedom) == (pytest.approx(2), 1)
  no_pair = room.of_scores(np.array([[1, NAN], [NAN, 0], [0, NAN], [NAN, 0]], float))
  assert np.isnan(no_pair.q) and np.isnan(no_pair.p)
  assert no_pair.noise > 0
  # Half of the cells of a table without effect of wording: noise is as great as the sd, on average.
  rng, squares = np.random.default_rng(1), []
  for _ in range(200):
    table = (rng.random((60, 8)) < rng.beta(1, 1, (60, 1))).astype(float)
    table[rng.random(table.shape) < 0.5] = NAN
    found = room.of_scores(table)
    squares.append((found.sd**2, found.noise**2))
  sd, noise = np.mean(squares, axis=0)
  assert sd == pytest.approx(noise, rel=0.15)


def test_noise_where_most_examples_have_one_answer():
  """What an evaluation that stops early leaves: of 400 examples, a tenth under each phrasing, mostly another tenth for each.

  The rows of examples that no phrasing was asked are not in the table, so that their number must not count.
  """
  rng, squares = np.random.default_rng(3), []
  for _ in range(300):
    table = (rng.random((400, 2)) < rng.beta(0.2, 0.2, (400, 1))).astype(float)
    for column in table.T:
      column[rng.permutation(400)[40:]] = NAN
    found = room.of_scores(table[~np.isnan(table).all(1)])
    squares.append((found.sd**2, found.noise**2))
  sd, noise = np.mean(squares, axis=0)
  assert sd == pytest.approx(noise, rel=0.15)
  # By hand: two examples each, one in common. Its answers differ by as much as all do: nothing is between examples.
  found = room.of_scores(np.array([[1, NAN], [1, 0], [NAN, 0]], float))
  total, within = 1 / 4, 1 / 2
  assert found.noise**2 == pytest.approx(within / 2 + max(total - within, 0))
  found = room.of_scores(np.array([[1, NAN], [1, 1], [NAN, 0]], float))
  assert found.noise**2 == pytest.approx(3 / 16 * (1 / 2 - 1 / 4))  # its answers are alike: all is between examples


def test_the_test_keeps_its_level_and_has_power():
  rng, alike, apart = np.random.default_rng(2), [], []
  for _ in range(300):
    ability, ease = rng.normal(0, 1.2, (80, 1)), rng.normal(0, 0.8, (1, 8))
    for found, logits in ((alike, ability + 0 * ease), (apart, ability + ease)):
      found.append(room.of_scores((rng.random((80, 8)) < 1 / (1 + np.exp(-logits))).astype(float)).p < 0.05)
  assert np.mean(alike) < 0.09 and np.mean(apart) > 0.9


def test_form_stands_apart_from_answers(tmp_path):
  where = write_evaluation(tmp_path / 'a', 'm', {'observed': 0.0, 'unobserved': 0.0}, examples=4)
  path = tmp_path / 'a/results.parquet'
  assert room.form(compare([where]), 'm', 'observed') is None
  table = pd.read_parquet(path)
  first = table['instruction_id'].str.endswith('o1')
  # Under o1 every output is an option, half of them right; under o2 none is, half of them right all the same.
  even = table['example_id'].isin(['e0', 'e2'])
  table = table.assign(
    matched_option=first,
    score=(even & first).astype(float),
    strict_score=(even & first).astype(float),
    extracted_score=even.astype(float),
  )
  table.to_parquet(path)
  found = room.form(compare([where]), 'm', 'observed')
  assert (found.share, found.accuracy, found.elsewhere) == (0.5, 0.5, 0.25)
  assert found.share_sd == pytest.approx(np.std([1, 0], ddof=1))
  assert np.isnan(found.accuracy_sd)  # of one phrasing


def test_of_a_comparison(tmp_path):
  where = write_evaluation(tmp_path / 'a', 'm', {'observed': 0.9, 'unobserved': 0.5})
  comparison = compare([where])
  found = room.of_comparison(comparison, 'm', 'unobserved')
  assert list(found) == ['first', 'second']
  assert found['first'] == room.of_scores(comparison.datasets['first']['unobserved'][0])
