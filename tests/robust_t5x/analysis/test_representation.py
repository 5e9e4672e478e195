"""Distances between phrasings, against hand-computed cases and scipy."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from robust_t5x.analysis import representation


@pytest.mark.parametrize(
  ('a', 'b', 'measure', 'expected'),
  [
    ([1, 0], [0, 2], 'cosine', 1.0),
    ([1, 1], [2, 0], 'cosine', 1 - 1 / math.sqrt(2)),
    ([3, 0], [-1, 0], 'cosine', 2.0),
    ([0, 0], [3, 4], 'euclidean', 5 / math.sqrt(2)),
    ([1, 0], [0, 1], 'Jensen-Shannon', math.log(2)),
    ([0.25, 0.75], [0.25, 0.75], 'Jensen-Shannon', 0.0),
    # Mean (0.75, 0.25): half of KL(p, mean) and KL(q, mean).
    ([1, 0], [0.5, 0.5], 'Jensen-Shannon', 0.5 * math.log(1 / 0.75) + 0.25 * (math.log(0.5 / 0.75) + math.log(2))),
  ],
)
def test_distance(a, b, measure, expected):
  a, b = np.asarray(a, float), np.asarray(b, float)
  if measure == 'Jensen-Shannon':
    a, b = (np.log(np.maximum(x, 1e-300)) for x in (a, b))
  assert representation.distance(a, b, measure) == pytest.approx(expected, abs=1e-9)
  states = np.stack([a, b])[None]
  assert representation.between_phrasings(states, measure) == pytest.approx([expected], abs=1e-9)


def test_all_pairs_count_alike():
  states = np.array([[[0.0], [1.0], [3.0]], [[2.0], [2.0], [2.0]]])
  np.testing.assert_allclose(representation.between_phrasings(states, 'euclidean'), [(1 + 3 + 2) / 3, 0])
  assert np.isnan(representation.between_phrasings(states[:, :1], 'euclidean')).all()
  assert representation.between_examples(states, 'euclidean') == pytest.approx((2 + 1 + 1) / 3)
  rng = np.random.default_rng(0)
  p = rng.dirichlet(np.ones(5), size=(3, 4))
  pairs = [
    representation.distance(np.log(p[:, i]), np.log(p[:, j]), 'Jensen-Shannon') for i in range(4) for j in range(i)
  ]
  np.testing.assert_allclose(representation.between_phrasings(np.log(p), 'Jensen-Shannon'), np.mean(pairs, axis=0))


def test_the_canonical_place_leaves_the_phrasing_itself_out():
  states = np.array([[[0.0], [2.0], [4.0], [9.0]]])
  observed = np.array([True, True, True, False])
  found = representation.to_canonical(states, observed, 'euclidean')
  np.testing.assert_allclose(found, [[3, 0, 3, 7]])
  found = representation.to_canonical(states, ~observed, 'euclidean')
  np.testing.assert_allclose(found, [[9, 7, 5, np.nan]])
  found = representation.to_canonical(states, np.zeros(4, bool), 'euclidean')
  np.testing.assert_allclose(found, [[5, 7 / 3, 1 / 3, 7]])


def test_rank_correlation_is_spearmans():
  rng = np.random.default_rng(0)
  x = [rng.normal(size=12), rng.integers(4, size=9).astype(float), np.arange(2.0)]
  y = [rng.normal(size=12), rng.integers(3, size=9).astype(float), np.arange(2.0)]
  found = representation.rank_correlation(x, y)
  rho = [scipy.stats.spearmanr(a, b).statistic for a, b in zip(x[:2], y[:2], strict=True)]
  assert found.estimate == pytest.approx(np.mean(rho))
  half = 1.959964 * np.sqrt((1 + rho[0] ** 2 / 2) / 9 + (1 + rho[1] ** 2 / 2) / 6) / 2
  z = np.arctanh(np.mean(rho))
  assert [found.low, found.high] == pytest.approx(np.tanh([z - half, z + half]))
  assert representation.rank_correlation([np.arange(5.0)], [np.arange(5.0) ** 3]).high == pytest.approx(1)
  assert not representation.rank_correlation([np.arange(5.0)], [np.zeros(5)]).is_known
  three = representation.rank_correlation([np.arange(3.0)], [np.arange(3.0)])
  assert three.estimate == pytest.approx(1) and not three.has_ends
  holes = (
    [np.r_[x[0], np.nan], np.r_[x[1], 1.0], np.arange(3.0)],
    [np.r_[y[0], 1.0], np.r_[y[1], np.nan], np.arange(3.0)],
  )
  assert representation.rank_correlation(*holes) == found
  assert [len(a) for a, _ in representation.correlated(*holes)] == [12, 9]


def test_a_dataset_that_has_no_distance_takes_it_from_no_other():
  """One phrasing has none to another, one observed one no canonical place, one example no other: the rest count."""
  rng = np.random.default_rng(0)

  def found(*sizes):
    accuracies = {
      (str(d), f'{g}{i}'): rng.random()
      for d, (_, *own) in enumerate(sizes)
      for g, k in zip('ou', own, strict=True)
      for i in range(k)
    }
    collector = representation.Collector([representation.WITHOUT], {representation.WITHOUT: pd.Series(accuracies)})
    same = np.random.default_rng(1)
    for d, (examples, *own) in enumerate(sizes):
      rows = [
        (g, f'{s}{i}', 't') for g, s, k in zip(('observed', 'unobserved'), 'ou', own, strict=True) for i in range(k)
      ]
      phrasings = pd.DataFrame(rows, columns=['group', 'instruction_id', 'template'])
      states = same.normal(size=(examples, len(rows), 4))
      output = np.log(same.dirichlet(np.ones(3), (examples, len(rows))))
      collector.add(
        str(d), phrasings, {representation.WITHOUT: representation.States(states, states, output, states[:, :, None])}
      )
    made = collector.finish()
    place = made.distances[(made.distances['place'] == 'input') & (made.distances['measure'] == 'cosine')]
    return place.set_index('quantity')['estimate'], made.correlations

  whole = (8, 3, 5)
  alone, _ = found(whole)
  assert not alone.isna().any()
  one_phrasing, _ = found(whole, (8, 0, 1))
  for quantity in ('between phrasings', 'ratio', 'observed to canonical', 'unobserved to canonical'):
    assert one_phrasing[quantity] == pytest.approx(alone[quantity])
  one_observed, correlations = found(whole, (8, 1, 5))
  assert one_observed['observed to canonical'] == pytest.approx(alone['observed to canonical'])
  assert set(correlations.loc[(correlations['group'] == 'all') & (correlations['place'] == 'input'), 'phrasings']) == {
    13
  }
  one_example, _ = found(whole, (1, 3, 5))
  assert one_example['between examples'] == alone['between examples'] and one_example['ratio'] == pytest.approx(
    alone['ratio']
  )


def test_the_interval_of_a_rank_correlation_covers():
  rng = np.random.default_rng(3)
  truth = 6 / np.pi * np.arcsin(0.5 / 2)  # of normals with correlation 0.5
  covered = []
  for _ in range(400):
    x = rng.normal(size=20)
    y = 0.5 * x + np.sqrt(0.75) * rng.normal(size=20)
    found = representation.rank_correlation([x], [y])
    covered.append(found.low <= truth <= found.high)
  assert 0.92 <= np.mean(covered) <= 0.98


def test_principal_components_keep_distances_in_a_plane():
  rng = np.random.default_rng(1)
  plane = rng.normal(size=(20, 2)) @ np.linalg.qr(rng.normal(size=(6, 2)))[0].T + 5
  points, shares = representation.principal_components(plane, plane)
  assert shares.sum() == pytest.approx(1)
  assert shares[0] > shares[1]
  before, after = (np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (plane, points))
  np.testing.assert_allclose(after, before, atol=1e-9)
