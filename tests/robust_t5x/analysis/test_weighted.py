"""Metrics under weights: against the metrics of the data themselves and of resamples that are written out."""

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
import numpy as np
import pytest

from robust_t5x.analysis import metrics, weighted

SCORES = st_numpy.arrays(
  float, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.sampled_from([0.0, 0.25, 1.0, np.nan])
)
# Values that a repeated phrasing does not change; the others compare phrasings in pairs.
UNPAIRED = [name for name in metrics.METRICS if name not in ('sd', 'case-level sd', 'PSS')]


def _weights(scores, examples=None, phrasings=None):
  examples = np.ones((1, scores.shape[-2])) if examples is None else examples
  phrasings = np.ones((1, scores.shape[-1])) if phrasings is None else phrasings
  return weighted.Weighted(scores, np.asarray(examples, float), np.asarray(phrasings, float))


@pytest.mark.parametrize('name', metrics.METRICS)
@hypothesis.given(SCORES)
@hypothesis.settings(max_examples=40, deadline=None)
def test_weights_of_one_are_the_data(name, scores):
  assert metrics.METRICS[name](_weights(scores))[0] == pytest.approx(
    metrics.METRICS[name](scores), nan_ok=True, abs=1e-7
  )


@pytest.mark.parametrize('name', UNPAIRED)
@hypothesis.given(SCORES, st.integers(0, 9))
@hypothesis.settings(max_examples=40, deadline=None)
def test_a_resample_written_out(name, scores, seed):
  rng = np.random.default_rng(seed)
  n, k = scores.shape
  examples, phrasings = rng.integers(n, size=n), rng.integers(k, size=k)
  resample = _weights(scores, np.bincount(examples, minlength=n)[None], np.bincount(phrasings, minlength=k)[None])
  value = metrics.METRICS[name](resample)
  expected = metrics.METRICS[name](scores[examples][:, phrasings])
  assert value[0] == pytest.approx(expected, nan_ok=True, abs=1e-7)


def test_a_phrasing_held_twice_is_not_compared_with_itself():
  scores = np.array([[1, 0.5, 0], [0, 0, 1]])
  twice = _weights(scores, phrasings=[[2, 1, 0]])
  # Of the pairs of three phrasings two are of the first with the second, one is of the first with itself.
  assert metrics.pairwise_sensitivity(twice)[0] == pytest.approx((0.5 + 0) / 2)
  assert metrics.standard_deviation(twice)[0] == pytest.approx(np.sqrt(2 / 4 * (0.5 - 0.25) ** 2))
  assert np.isnan(metrics.standard_deviation(_weights(scores, phrasings=[[3, 0, 0]]))[0])


@hypothesis.given(SCORES, st.permutations(range(6)), st.permutations(range(6)))
@hypothesis.settings(max_examples=40, deadline=None)
def test_order_does_not_matter(scores, rows, columns):
  n, k = scores.shape
  other = scores[[r for r in rows if r < n]][:, [c for c in columns if c < k]]
  for name, metric in metrics.METRICS.items():
    assert metric(other) == pytest.approx(metric(scores), nan_ok=True, abs=1e-12), name


def test_leading_axes_and_many_levels():
  scores = np.random.default_rng(0).random((2, 3, 30, 20))  # 600 different values in each table
  values = _weights(scores)
  for name, metric in metrics.METRICS.items():
    assert metric(values).shape == (1, 2, 3)
    assert metric(values)[0] == pytest.approx(metric(scores), abs=1 / 255), name


def test_draws_are_resamples_after_the_data():
  weights = weighted.draw(5, {'a': 3, 'b': 7}, 100, np.random.default_rng(0))
  assert (weights.examples[0] == 1).all()
  assert (weights.phrasings['b'][0] == 1).all()
  assert (weights.examples.sum(1) == 5).all()
  assert (weights.phrasings['b'].sum(1) == 7).all()
  assert weights.examples[1:].std() > 0.5


def test_values_of_examples_are_what_case_level_metrics_are_means_of():
  scores = np.random.default_rng(0).random((2, 7, 4)).round(1)
  scores[:, 2, 1:] = np.nan
  for name, of_examples in metrics.CASE_METRICS.items():
    values = of_examples(weighted.Weighted(scores))
    assert values.shape == (2, 7)
    assert np.nanmean(values, axis=-1) == pytest.approx(metrics.METRICS[name](scores)), name
    assert np.isnan(values[:, 2]).all() == (name in ('case-level sd', 'PSS'))
