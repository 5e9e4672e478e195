"""Means over crossed factors: variances by hand and by other libraries, and how often the intervals hold the truth."""

import numpy as np
import pytest
import scipy.special
import scipy.stats

from robust_t5x.analysis.crossed import EXAMPLES, PHRASINGS, SEEDS, Estimate, Part, contrast

ONE = [(slice(None), 1.0)]


def _names(k, *groups):
  return {group: tuple(f'{group}{i}' for i in range(k)) for group in groups}


def _parts(estimate):
  return sorted((round(p.variance, 10), p.freedom) for p in estimate.parts)


def test_one_phrasing_is_the_t_interval_of_a_mean():
  scores = np.random.default_rng(0).random((1, 30, 1))
  found = contrast([{'a': scores}], [_names(1, 'a')], {'a': 1}, ONE)
  low, high = scipy.stats.t.interval(0.95, 29, scores.mean(), scipy.stats.sem(scores[0])[0])
  interval = found.interval()
  assert (interval.estimate, interval.low, interval.high) == pytest.approx((scores.mean(), low, high))


def test_a_paired_change_of_one_phrasing_is_the_paired_t_test():
  first, second = np.random.default_rng(1).random((2, 1, 25, 1))
  both = np.concatenate([first, second])
  found = contrast([{'a': both}], [_names(1, 'a')], {'a': 1}, [(slice(1, 2), 1), (slice(0, 1), -1)])
  assert found.p_value() == pytest.approx(scipy.stats.ttest_rel(second[0, :, 0], first[0, :, 0]).pvalue)


def test_accuracies_of_phrasings_are_a_sample_of_phrasings():
  accuracies = np.array([[[0.4, 0.5, 0.9]]])
  found = contrast([{'a': accuracies}], [_names(3, 'a')], {'a': 1}, ONE)
  assert _parts(found) == [(round(accuracies.var(ddof=1) / 3, 10), 2)]
  assert found.examples == 0
  other = np.array([[[0.1, 0.2]]])
  gap = contrast([{'u': accuracies, 'o': other}], [_names(3, 'u') | _names(2, 'o')], {'u': 1, 'o': -1}, ONE)
  assert gap.p_value() == pytest.approx(scipy.stats.ttest_ind(accuracies[0, 0], other[0, 0], equal_var=False).pvalue)


def test_the_parts_of_a_crossed_table_by_hand():
  y = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
  n, k = y.shape
  rows, columns = y.mean(1), y.mean(0)
  residual = y - rows[:, None] - columns + y.mean()
  found = contrast([{'a': y[None]}], [_names(k, 'a')], {'a': 1}, ONE)
  expected = [
    (rows.var(ddof=1) / n, n - 1),
    (columns.var(ddof=1) / k, k - 1),
    (-(residual**2).sum() / ((n - 1) * (k - 1)) / (n * k), (n - 1) * (k - 1)),
  ]
  assert _parts(found) == sorted((round(v, 10), f) for v, f in expected)
  total = sum(v for v, _ in expected)
  assert found.variance == pytest.approx(total)
  assert found.freedom == pytest.approx(total**2 / sum(v**2 / f for v, f in expected))


def test_seeds_are_a_factor_of_their_own():
  rng = np.random.default_rng(2)
  y = rng.random((3, 40, 1)) + np.array([0.0, 0.1, 0.3])[:, None, None]
  found = contrast([{'a': y}], [_names(1, 'a')], {'a': 1}, ONE)
  means, rows = y.mean((1, 2)), y[:, :, 0].mean(0)
  apart = y[:, :, 0] - rows - means[:, None] + y.mean()
  expected = [
    (rows.var(ddof=1) / 40, 39),
    (means.var(ddof=1) / 3, 2),
    (-(apart**2).sum() / (2 * 39) / (3 * 40), 2 * 39),
  ]
  assert _parts(found) == sorted((round(v, 10), f) for v, f in expected)
  # Of a change, the seeds of both models count.
  pair = np.concatenate([y, y[:2]])
  change = contrast([{'a': pair}], [_names(1, 'a')], {'a': 1}, [(slice(3, 5), 1), (slice(0, 3), -1)])
  assert (round(means[:2].var(ddof=1) / 2, 10), 1) in _parts(change)
  assert (round(means.var(ddof=1) / 3, 10), 2) in _parts(change)


def test_a_phrasing_of_several_datasets_is_one_phrasing():
  accuracies = np.array([[[0.2, 0.5, 0.8]]])
  shared = contrast([{'a': accuracies}] * 2, [_names(3, 'a')] * 2, {'a': 1}, ONE)
  assert _parts(shared) == [(round(accuracies.var(ddof=1) / 3, 10), 2)]
  apart = contrast([{'a': accuracies}] * 2, [_names(3, 'a'), {'a': tuple('xyz')}], {'a': 1}, ONE)
  assert _parts(apart) == [(round(accuracies.var(ddof=1) / 3 / 4, 10), 2)] * 2
  assert apart.freedom == pytest.approx(4)


def test_datasets_count_alike_whatever_their_size():
  small, large = np.zeros((1, 5, 2)), np.ones((1, 500, 4))
  assert contrast([{'a': small}, {'a': large}], [_names(2, 'a'), _names(4, 'a')], {'a': 1}, ONE).value == 0.5


def test_cells_that_were_not_evaluated_are_left_out():
  y = np.random.default_rng(3).random((1, 6, 3))
  padded = np.full((1, 8, 4), np.nan)
  padded[:, 1:7, :3] = y
  whole = contrast([{'a': y}], [_names(3, 'a')], {'a': 1}, ONE)
  holes = contrast([{'a': padded}], [_names(4, 'a')], {'a': 1}, ONE)
  assert holes.value == pytest.approx(whole.value)
  assert _parts(holes) == _parts(whole)
  assert holes.examples == whole.examples == 6


def test_what_never_differs_still_has_an_interval():
  same = np.ones((2, 18, 3))
  change = contrast([{'a': same}], [_names(3, 'a')], {'a': 1}, [(slice(1, 2), 1), (slice(0, 1), -1)])
  assert change.interval().high == pytest.approx(scipy.stats.t.ppf(0.975, 17) / 20)
  assert change.p_value() == 1.0
  right = contrast([{'a': same[:1]}], [_names(3, 'a')], {'a': 1}, ONE).share()
  assert (right.low, right.high) == pytest.approx((scipy.stats.beta.ppf(0.025, 18, 1), 1.0))
  wrong = contrast([{'a': same[:1] * 0}], [_names(3, 'a')], {'a': 1}, ONE).share()
  assert (wrong.low, wrong.high) == pytest.approx((0.0, scipy.stats.beta.ppf(0.975, 1, 18)))


def test_a_share_of_independent_trials_is_nearly_clopper_and_pearsons():
  y = (np.arange(100) < 90).astype(float)[None, :, None]
  found = contrast([{'a': y}], [_names(1, 'a')], {'a': 1}, ONE).share()
  exact = scipy.stats.binomtest(90, 100).proportion_ci(method='exact')
  assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.003)
  assert 0 <= found.low and found.high <= 1


def test_what_tells_nothing_of_the_variance_has_no_ends():
  one = contrast([{'a': np.array([[[0.7]]])}], [_names(1, 'a')], {'a': 1}, ONE)
  assert one.value == 0.7 and not one.share().has_ends and np.isnan(one.p_value())
  # Published accuracies that happen to be alike, without examples: no interval of no width, and no p-value of 0.
  flat = contrast([{'a': np.full((1, 1, 4), 0.1 + 0.2)}], [_names(4, 'a')], {'a': 1}, ONE)
  assert flat.value == pytest.approx(0.3)
  assert not flat.share().has_ends and not flat.interval().has_ends and np.isnan(flat.p_value())


def test_the_examples_behind_all_right_answers_are_those_of_datasets_that_count_alike():
  """Ten examples of one dataset leave its half of the mean unsure, however many the other has."""
  scores = [{'a': np.ones((1, n, 2))} for n in (10, 1000)]
  found = contrast(scores, [_names(2, 'a'), {'a': tuple('xy')}], {'a': 1}, ONE)
  assert found.examples == pytest.approx(1 / (0.25 / 10 + 0.25 / 1000))
  assert found.share().low == pytest.approx(scipy.stats.beta.ppf(0.025, found.examples, 1))


def test_rounding_is_no_variance():
  y = np.tile([[0.1, 0.2, 0.7]], (6, 1))[None] + np.linspace(0, 0.1, 6)[:, None] * 0
  found = contrast([{'a': y[:, :, :1]}], [_names(1, 'a')], {'a': 1}, ONE)
  assert found.variance == 0
  assert found.share().low == pytest.approx(scipy.stats.beta.ppf(0.025, 0.6, 6 - 0.6 + 1))


def test_parts_of_three_crossed_factors_by_hand():
  """Mean squares of a full table of seeds, examples and phrasings, as textbooks of variance components have them."""
  y = np.random.default_rng(8).random((3, 5, 4))
  g, n, k = y.shape
  mean = y.mean()
  s, e, p = y.mean((1, 2)), y.mean((0, 2)), y.mean((0, 1))
  se, sp, ep = y.mean(2), y.mean(1), y.mean(0)
  of = lambda squares, freedom, times: (times * (squares**2).sum() / freedom / (g * n * k), freedom)  # noqa: E731
  rest = y - se[:, :, None] - sp[:, None] - ep + s[:, None, None] + e[:, None] + p - mean
  expected = [
    of(s - mean, g - 1, n * k), of(e - mean, n - 1, g * k), of(p - mean, k - 1, g * n),
    of(se - s[:, None] - e + mean, (g - 1) * (n - 1), -k), of(sp - s[:, None] - p + mean, (g - 1) * (k - 1), -n),
    of(ep - e[:, None] - p + mean, (n - 1) * (k - 1), -g), of(rest, (g - 1) * (n - 1) * (k - 1), 1),
  ]  # fmt: skip
  found = contrast([{'a': y}], [_names(k, 'a')], {'a': 1}, ONE)
  assert _parts(found) == sorted((round(v, 10), f) for v, f in expected)


def test_intervals_of_differences_end_where_differences_do():
  # Two phrasings in each group, and by Student's t at one degree of freedom +-9 times the standard error.
  right, wrong = np.array([[[0.9, 1.0]]]), np.array([[[0.0, 0.2]]])
  names = _names(2, 'u') | _names(2, 'o')
  gap = contrast([{'u': right, 'o': wrong}], [names], {'u': 1, 'o': -1}, ONE)
  assert gap.value + gap.half_width() > 1 and gap.limits == (-1, 1)
  assert (gap.interval().low, gap.interval().high) == (pytest.approx(gap.value - gap.half_width()), 1)
  both = {'u': np.concatenate([right, wrong]), 'o': np.concatenate([wrong, right])}
  models = [(slice(0, 1), 1), (slice(1, 2), -1)]
  assert contrast([both], [names], {'u': 1, 'o': -1}, models).limits == (-2, 2)
  assert contrast([both], [names], {'u': 1}, models).limits == (-1, 1)
  assert contrast([both], [names], {'u': 1}, models, bounds=None).limits == (-np.inf, np.inf)


def test_weights_scale_the_variance():
  y = np.random.default_rng(9).random((3, 6, 4))
  plain = contrast([{'a': y}], [_names(4, 'a')], {'a': 1}, ONE)
  twice = contrast([{'a': y}], [_names(4, 'a')], {'a': 1}, [(slice(None), 2.0)])
  minus = contrast([{'a': y}], [_names(4, 'a')], {'a': -1}, ONE)
  assert (twice.value, twice.variance, twice.freedom) == pytest.approx(
    (2 * plain.value, 4 * plain.variance, plain.freedom)
  )
  assert (minus.value, minus.variance, minus.freedom) == pytest.approx((-plain.value, plain.variance, plain.freedom))


def test_what_groups_share_on_an_example_cancels_in_a_gap():
  rng = np.random.default_rng(10)
  ability = rng.random((1, 50, 1))
  tables = {g: ability + rng.normal(0, 0.01, (1, 50, 3)) for g in 'uo'}
  gap = contrast([tables], [_names(3, *'uo')], {'u': 1, 'o': -1}, ONE)
  alone = contrast([tables], [_names(3, *'uo')], {'u': 1}, ONE)
  assert gap.variance < 0.01 * alone.variance


def test_cells_sampled_at_random_count_their_noise_once():
  """Examples and phrasings that do not differ: the variance of the mean is that of the cells, p (1 - p) / their number."""
  rng = np.random.default_rng(11)
  variances = []
  for _ in range(200):
    y = (rng.random((60, 20)) < 0.5).astype(float)
    y[rng.random(y.shape) < 0.8] = np.nan
    found = contrast([{'a': y[None]}], [_names(20, 'a')], {'a': 1}, ONE)
    variances.append(sum(p.variance for p in found.parts))
  assert np.mean(variances) == pytest.approx(0.25 / 240, rel=0.1)


def test_the_example_of_sampled_cells_counts_as_far_as_phrasings_share_it():
  """Only examples differ, and each is asked under two of ten phrasings: simulated variance of the mean."""
  rng = np.random.default_rng(12)
  means, variances = [], []
  for _ in range(400):
    y = np.tile((rng.random((40, 1)) < 0.5).astype(float), (1, 10))
    order = rng.random(y.shape).argsort(1).argsort(1)
    y[order >= 2] = np.nan
    found = contrast([{'a': y[None]}], [_names(10, 'a')], {'a': 1}, ONE)
    means.append(found.value)
    variances.append(sum(p.variance for p in found.parts))
  assert np.mean(variances) == pytest.approx(np.var(means), rel=0.15)


def test_what_sampled_cells_say_of_each_factor_is_right_in_the_mean():
  """Effects of known variances, and of each of 20 phrasings 6 of 60 examples: what each adds to the variance of the mean."""
  sds = {'e': 0.25, 'p': 0.1, 's': 0.05, 'ep': 0.3, 'es': 0.15, 'ps': 0.1, 'eps': 0.3}
  factors = {'e': EXAMPLES, 'p': PHRASINGS, 's': SEEDS}
  shape = {'s': 2, 'e': 60, 'p': 20}
  draws = []
  for seed in range(250):
    rng = np.random.default_rng(seed)
    y = sum(rng.normal(0, sd, [shape[f] if f in of else 1 for f in 'sep']) for of, sd in sds.items())
    asked = rng.random((60, 20)).argsort(0).argsort(0) < 6
    found = contrast([{'a': np.where(asked, y, np.nan)}], [_names(20, 'a')], {'a': 1}, ONE, bounds=None)
    weight = asked / 120
    true = {
      of: sd**2
      * (weight.sum(tuple(axis for axis, f in enumerate('ep') if f not in of)) ** 2).sum()
      / (2 if 's' in of else 1)
      for of, sd in sds.items()
    }
    shares = {of: found.share_of(*(factors[f] for f in of)) for of in sds}
    draws.append([*(shares[of] / true[of] for of in sds), sum(p.variance for p in found.parts) / sum(true.values())])
  means, errors = np.mean(draws, 0), np.std(draws, 0) / len(draws) ** 0.5
  assert (np.abs(means - 1) < 3.5 * errors).all(), (means, errors)
  assert errors[-1] < 0.05


def test_kappa_has_the_interval_of_the_logarithm_of_its_distance_to_one():
  found = Estimate(0.8, [Part(0.01, 30)], 40)
  half = scipy.stats.t.ppf(0.975, 30) * 0.1
  interval = found.complement()
  assert np.log(1 - interval.low) == pytest.approx(np.log(0.2) + half / 0.2)
  assert np.log(1 - interval.high) == pytest.approx(np.log(0.2) - half / 0.2)
  assert not Estimate(1.0, [Part(0.0, 30)], 40).complement().has_ends
  assert not Estimate(0.5, [Part(0.0, 30)], 40).complement().has_ends
  assert not Estimate(0.5, []).complement().has_ends


def test_the_variance_is_at_least_that_of_each_factor():
  assert Estimate(0.5, [Part(0.04, 3), Part(-0.03, 9), Part(0.01, 2)]).variance == 0.04


@pytest.mark.parametrize(
  ('phrasings', 'examples', 'seeds'), [(3, 60, 1), (4, 200, 1), (10, 50, 1), (10, 100, 3), (30, 100, 1)]
)
def test_intervals_cover_and_tests_reject_as_they_say(phrasings, examples, seeds):
  """Of 400 tables from a known model, 95% intervals of a mean and a gap hold the truth in 92% or more."""
  rng = np.random.default_rng(5)
  seed_sd = 0.15 if seeds > 1 else 0.0
  logits = 0.5 + rng.normal(0, np.sqrt(1.44 + 0.16 + seed_sd**2), 400_000)
  truth = scipy.special.expit(logits).mean()
  covered, rejected = [], []
  for _ in range(400):
    ability, seed = rng.normal(0, 1.2, (1, examples, 1)), rng.normal(0, seed_sd, (seeds, 1, 1))
    tables = {
      group: (
        rng.random((seeds, examples, phrasings))
        < scipy.special.expit(0.5 + ability + seed + rng.normal(0, 0.4, (1, 1, phrasings)))
      ).astype(float)
      for group in 'uo'
    }
    names = [_names(phrasings, *'uo')]
    interval = contrast([tables], names, {'u': 1}, ONE).share()
    covered.append(interval.low <= truth <= interval.high)
    rejected.append(contrast([tables], names, {'u': 1, 'o': -1}, ONE).p_value() < 0.05)
  assert np.mean(covered) >= 0.92
  assert np.mean(rejected) <= 0.08


def test_degrees_of_freedom_are_at_least_one():
  """Two parts of 2 and -1.5, a variance of 2 and degrees of freedom of 4 / (4 / 1 + 2.25 / 1) below 1."""
  found = Estimate(0.5, [Part(2.0, 1), Part(-1.5, 1)])
  assert (found.variance, found.freedom) == (2.0, 1.0)


def test_one_cell_for_each_phrasing_tells_no_noise_of_cells():
  """Four cells of four phrasings: nothing is counted twice that could be told. A fifth has 5 - 4 degrees of freedom."""
  y = np.full((1, 4, 4), np.nan)
  y[0, range(4), range(4)] = [1.0, 0.0, 1.0, 1.0]
  one = contrast([{'a': y}], [_names(4, 'a')], {'a': 1}, ONE)
  assert {tuple(sorted(p.of)) for p in one.parts} == {('examples',), ('phrasings',)}
  y[0, 1, 0] = 0.0
  both = [p for p in contrast([{'a': y}], [_names(4, 'a')], {'a': 1}, ONE).parts if len(p.of) == 2]
  assert [p.freedom for p in both] == [1]


def test_examples_that_are_asked_once_each_tell_nothing_of_their_effect():
  """Cells of ±1/8, of two phrasings and two examples each: 4/64, times 4 / (4 - 2) for the phrasings' means."""
  nan = np.nan
  scores = np.array([[[1.0, nan], [0.0, nan], [nan, 1.0], [nan, 0.0]]])
  found = contrast([{'a': scores}], [{'a': 'xy'}], {'a': 1}, [(slice(None), 1)])
  [part] = [p for p in found.parts if p.of == {EXAMPLES, PHRASINGS}]
  assert (part.variance, part.freedom) == (pytest.approx(-0.125), 2)


def test_a_phrasing_that_is_alone_among_those_drawn_with_it_has_one_degree_of_freedom():
  """x counts where it stands first, with y; so that z is alone."""
  scores = np.random.default_rng(0).random((1, 5, 2)).round()
  found = contrast([{'a': scores}] * 2, [{'a': 'xy'}, {'a': 'xz'}], {'a': 1}, [(slice(None), 1)])
  assert [p.freedom for p in found.parts if p.of == {PHRASINGS}] == [1, 1]
