"""Models compared: numbers against the tables that they are made from."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from robust_t5x.analysis import metrics
from robust_t5x.analysis.comparison import compare, compare_sources
from robust_t5x.analysis.sources import Source
from robust_t5x.results.reading import read
from robust_t5x.results.schema import GrainError, ResultsError


def test_numbers_agree_with_the_table(evaluations):
  before, after = evaluations
  comparison = compare([before, *after])
  table = {d: read(d)[0] for d in (before, *after)}

  def mean(directory, group):
    rows = table[directory].query('group == @group')
    return rows.groupby('dataset')['score'].mean().mean()

  assert comparison.has_gap and not _compare({'m': {'d': _scores(0)}}).has_gap
  gap = comparison.gap('no adapter')
  assert gap.estimate == pytest.approx(mean(before, 'unobserved') - mean(before, 'observed'))
  assert gap.high < 0
  change = comparison.gap_change('aligned')
  expected = np.mean([mean(d, 'unobserved') - mean(d, 'observed') for d in after]) - gap.estimate
  assert change.estimate == pytest.approx(expected)
  assert change.low > 0


def test_agreement_and_tests_of_a_pair(evaluations):
  before, after = evaluations
  comparison = compare([before, *after])
  table = read(before)[0]
  cell = ['dataset', 'example_id']
  pairs = table.query('group == "unobserved"').groupby(cell)['prediction'].agg(list)
  expected = np.mean([(p[0] == p[1]) + (p[0] == p[2]) + (p[1] == p[2]) for p in pairs]) / 3
  assert comparison.answer_agreement('no adapter', 'unobserved')['consistency'].estimate == pytest.approx(expected)
  tests = comparison.paired('unobserved').set_index('dataset')
  assert list(tests.index) == ['all', 'first', 'second']
  change = comparison.change('aligned', 'unobserved', 'AvgP')
  assert tests.at['all', 'difference'] == pytest.approx(change.estimate)
  assert tests.at['all', 'p'] < 0.05
  assert tests.at['first', 'p_adjusted'] >= tests.at['first', 'p']
  by_phrasing = comparison.mcnemar('aligned', 'unobserved').set_index('instruction_id')
  assert len(by_phrasing) == 6
  rows = [read(d)[0].query('instruction_id == "first/u2"')['score'].to_numpy() for d in (before, after[0])]
  assert by_phrasing.at['first/u2', 'only_model'] == ((rows[1] == 1) & (rows[0] == 0)).sum()


def _compare(scores):
  """Compares models from scores: model -> dataset -> [N, k], unobserved, or these by group; a list of such is runs of one model."""
  sources = []
  for model, runs in scores.items():
    for run in runs if isinstance(runs, list) else [runs]:
      rows = [
        {
          'dataset': dataset, 'example_id': f'e{e}', 'instruction_id': f'{dataset}/{group}{i}', 'group': group,
          'score': score, 'prediction': str(int(score * (1 + e % 3))), 'matched_option': True,
        }
        for dataset, groups in run.items()
        for group, table in (groups if isinstance(groups, dict) else {'unobserved': groups}).items()
        for (e, i), score in np.ndenumerate(table)
      ]  # fmt: skip
      sources.append(
        Source(f'{model}{len(sources)}', model, pd.DataFrame(rows), {'instructions': {}, 'fingerprint': {}})
      )
  return compare_sources(sources)


def _scores(seed, n=40, k=4, chance=0.6):
  return (np.random.default_rng(seed).random((n, k)) < chance).astype(float)


def test_datasets_are_resampled_apart():
  """Two datasets that are alike tell twice as much as one: their interval is narrower by the root of two."""
  alike = _scores(0)
  halves = []
  for name, datasets in (('one', {'a': alike}), ('two', {'a': alike, 'b': alike})):
    found = _compare({name: datasets}).answer_agreement(name, 'unobserved')
    halves.append([found[m].high - found[m].estimate for m in ('consistency', "Fleiss' kappa")])
  assert np.array(halves[1]) * np.sqrt(2) == pytest.approx(np.array(halves[0]), rel=0.1)


@pytest.mark.parametrize('metric', ['AvgP', 'MaxP', 'PSS'])
def test_the_p_value_of_a_pair_is_that_of_the_difference(metric):
  comparison = _compare({'m': {'d': _scores(0)}, 'n': {'d': _scores(0)}})
  row = comparison.paired('unobserved', metric).iloc[0]
  assert abs(row['difference']) < 1e-9 and row['p'] > 0.5
  assert row['value'] == row['baseline_value'] > 0


def test_families_of_tests_are_adjusted_apart():
  scores = {
    name: {d: _scores(seed + 10 * i, chance=c) for i, d in enumerate('ab')}
    for name, seed, c in (('m', 1, 0.5), ('n', 2, 0.7))
  }
  tests = _compare(scores).paired('unobserved').set_index('dataset')
  assert tests.at['all', 'p_adjusted'] == tests.at['all', 'p'] < 0.5
  own = tests.loc[['a', 'b'], 'p'].sort_values()
  assert tests.at[own.index[0], 'p_adjusted'] == pytest.approx(2 * own.iloc[0])


@pytest.mark.parametrize('metric', ['AvgP', 'MaxP', 'worst phrasing', 'case-level best'])
def test_a_model_of_several_seeds_has_their_mean(metric):
  runs = [{'d': _scores(seed, chance=chance)} for seed, chance in ((1, 0.3), (2, 0.9))]
  comparison = _compare({'m': runs})
  expected = np.mean([metrics.METRICS[metric](run['d']) for run in runs])
  assert comparison.value('m', 'unobserved', metric) == pytest.approx(expected)
  assert comparison.interval('m', 'unobserved', metric).estimate == pytest.approx(expected)


def test_intervals_of_shares_stay_between_0_and_1():
  nearly = _scores(3, n=6, chance=0.9)
  comparison = _compare({'m': [{'d': nearly}, {'d': 1 - nearly}]})
  for metric in comparison.metric_names:
    found = comparison.interval('m', 'unobserved', metric)
    assert 0 <= found.low <= found.high <= 1, metric


def test_a_change_of_the_best_phrasing_is_the_models_less_the_baselines():
  low, high = np.array([[1.0, 0.0]] * 3 + [[0.0, 0.0]] * 17), np.array([[1.0, 0.0]] * 18 + [[0.0, 0.0]] * 2)
  comparison = _compare({'m': {'d': low}, 'n': {'d': high}})
  change = comparison.change('n', 'unobserved', 'MaxP')
  assert change.estimate == pytest.approx(18 / 20 - 3 / 20) and 0 < change.low < change.high
  assert comparison.paired('unobserved', 'MaxP').iloc[0][['difference', 'low']].tolist() == [
    change.estimate,
    change.low,
  ]


def test_a_change_of_agreement_holds_the_truth_and_is_paired():
  """Phrasings answer alike in a share of examples that differs by example, in both models; the truth is the law's."""
  draw, n, k = np.random.default_rng(7), 60, 4
  held, narrower = 0, 0
  for _ in range(100):
    easy = draw.beta(1, 1, n)
    scores = {
      name: {'d': np.where(draw.random((n, k)) < np.minimum(easy + more, 1)[:, None], 1.0, 0.0)}
      for name, more in (('m', 0.0), ('n', 0.2))
    }
    comparison = _compare(scores)
    change = comparison.answer_agreement_change('n', 'unobserved')['consistency']
    apart = [comparison.answer_agreement(m, 'unobserved')['consistency'] for m in 'mn']
    assert change.estimate == pytest.approx(apart[1].estimate - apart[0].estimate)
    # E[p² + (1 - p)²] of p uniform is 2/3; of min(p + 0.2, 1) it is the integral from 0.2 to 1, and 1 for the last fifth.
    truth = (2 / 3 * (1 - 0.2**3) - (1 - 0.2**2) + 0.8) + 0.2 - 2 / 3
    held += change.low <= truth <= change.high
    narrower += change.high - change.low < np.hypot(*(a.high - a.low for a in apart))
  assert held >= 88 and narrower >= 70


def test_agreement_of_datasets_has_the_freedom_of_all_examples_and_kappa_may_be_below_0():
  """Kappa of two phrasings that never agree is -1; Student's t has N - 1 degrees of freedom, N the examples of all datasets."""
  never = np.array([[1.0, 0.0], [0.0, 1.0]] * 3)
  comparison = _compare({'m': {'a': never, 'b': never}})
  found = comparison.answer_agreement('m', 'unobserved')["Fleiss' kappa"]
  assert found.estimate < -0.3 and -1 <= found.low <= found.estimate
  alike = _scores(5, n=5)
  comparison = _compare({'m': {'a': alike, 'b': alike}})
  rate = comparison.answer_agreement('m', 'unobserved')['consistency']
  drawn = np.mean([comparison._agreement[d, 'unobserved']['consistency'][1:, 0] for d in 'ab'], axis=0)
  half = scipy.stats.t.ppf(0.975, 9) * drawn.std(ddof=1) * np.sqrt(10 / 9)
  assert rate.high == pytest.approx(min(rate.estimate + half, 1.0)) and rate.estimate - rate.low == pytest.approx(half)


def test_a_dataset_without_a_metric_takes_it_from_no_other():
  """One phrasing has no sd and no pairs: their means are those of the other dataset, with its intervals, and paired."""
  scores = {model: {'a': _scores(seed), 'one': _scores(seed, k=1)} for model, seed in (('m', 0), ('n', 1))}
  found, alone = _compare(scores), _compare({model: {'a': own['a']} for model, own in scores.items()})
  for metric in metrics.OF_PAIRS:
    assert found.interval('m', 'unobserved', metric) == alone.interval('m', 'unobserved', metric)
    assert found.change('n', 'unobserved', metric) == alone.change('n', 'unobserved', metric)
    assert np.isnan(found.value('m', 'unobserved', metric, 'one'))
  assert found.answer_agreement('m', 'unobserved') == alone.answer_agreement('m', 'unobserved')
  assert found.answer_agreement_change('n', 'unobserved') == alone.answer_agreement_change('n', 'unobserved')
  assert found.value('m', 'unobserved', 'AvgP') == pytest.approx(
    (scores['m']['a'].mean() + scores['m']['one'].mean()) / 2
  )
  assert found.left_out('unobserved') == {name: ['one'] for name in (*metrics.OF_PAIRS, 'consistency', "Fleiss' kappa")}
  assert alone.left_out('unobserved') == {}


def test_kappa_is_over_the_datasets_on_which_all_models_have_it():
  """n answers alike throughout b, so that m's is that of a too; o, which does so everywhere, has none and takes none from others."""
  silent = np.zeros((40, 4))
  scores = {
    'm': {'a': _scores(0), 'b': _scores(1)},
    'n': {'a': _scores(2), 'b': silent},
    'o': {'a': silent, 'b': silent},
  }
  found, alone = _compare(scores), _compare({model: {'a': own['a']} for model, own in scores.items()})
  for name, kappa in ((model, found.answer_agreement(model, 'unobserved')["Fleiss' kappa"]) for model in 'mn'):
    assert kappa.has_ends and kappa == alone.answer_agreement(name, 'unobserved')["Fleiss' kappa"]
  change = found.answer_agreement_change('n', 'unobserved')["Fleiss' kappa"]
  assert change == alone.answer_agreement_change('n', 'unobserved')["Fleiss' kappa"]
  assert not found.answer_agreement('o', 'unobserved')["Fleiss' kappa"].is_known
  assert found.left_out('unobserved') == {"Fleiss' kappa": ['b']}
  # No dataset on which both have it: none is left, which is said.
  apart = _compare({'m': {'a': _scores(0), 'b': silent}, 'n': {'a': silent, 'b': _scores(1)}})
  assert not apart.answer_agreement('m', 'unobserved')["Fleiss' kappa"].is_known
  assert apart.left_out('unobserved') == {"Fleiss' kappa": ['a', 'b']}


def test_models_agree_by_the_mean_of_their_seeds_and_outputs_are_counted():
  """By its first seed m would rank the phrasings as n does; by the mean of both it is the other way round."""
  up, down = np.array([[0.0, 1.0]] * 4), np.array([[1.0, 0.0]] * 4)
  first = np.array([[0.0, 1.0]] + [[1.0, 1.0]] * 3)
  comparison = _compare({'m': [{'d': first}, {'d': down}], 'n': {'d': up}})
  assert comparison.kendalls_w('unobserved') == {'d': 0.0}
  table = comparison.sources[0].table
  table.loc[:1, 'matched_option'] = False
  assert compare_sources(comparison.sources).unmatched['m'] == pytest.approx((2 / len(table) + 0) / 2)


def test_a_phrasing_by_itself_and_groups_against_each_other():
  scores = {'observed': np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0], [1.0, 0.0]]), 'unobserved': np.eye(4)[:, :2]}
  comparison = _compare({'m': {'a': {'observed': np.zeros((4, 2))}, 'b': scores}})
  alone = [comparison.of_phrasing('m', 'b', 'observed', place) for place in (0, 1)]
  assert [found.estimate for found in alone] == [1.0, 0.5]
  assert 0 < alone[1].low < 0.5 < alone[1].high < 1
  # Of the datasets that have both groups, as the gap is; none has the third.
  assert comparison.difference('m', 'unobserved', 'observed') == pytest.approx(0.25 - 0.75)
  assert comparison.gap('m').estimate == pytest.approx(0.25 - 0.75)
  assert comparison.difference('m', 'unobserved', 'held out') is None
  assert comparison.value('m', 'observed', 'AvgP') == pytest.approx((0 + 0.75) / 2)
  assert comparison.value('m', 'observed', 'AvgP', 'b') == 0.75
  assert comparison.names['b', 'unobserved'] == ('b/unobserved0', 'b/unobserved1')


def _in_another_order():
  """Models m and n, whose rows stand in opposite orders."""
  m, n = np.array([[1.0, 0], [1, 0], [1, 0], [0, 0]]), np.array([[0.0, 0], [0, 0], [0, 1], [0, 0]])
  first, second = _compare({'m': {'d': m}, 'n': {'d': n}}).sources
  return compare_sources([first, Source(second.path, 'n', second.table.iloc[::-1], second.record)])


def test_phrasings_are_in_the_order_of_the_first_results():
  comparison = _in_another_order()
  ids = ['d/unobserved0', 'd/unobserved1']
  assert comparison.names['d', 'unobserved'] == tuple(ids)
  assert dataclasses.replace(comparison, sources=()).names == comparison.names
  table = comparison.phrasings
  assert list(table.columns) == ['dataset', 'group', 'instruction_id', 'template', 'm', 'n']
  assert table['instruction_id'].tolist() == ids and table[['m', 'n']].to_numpy().tolist() == [[0.75, 0], [0, 0.25]]


def test_mcnemar_of_each_phrasing_is_adjusted_over_all():
  """m alone is right three times under the first phrasing (p = 2 / 2³), and n once under the second (p = 1); Holm doubles the lesser."""
  tests = _in_another_order().mcnemar('n', 'unobserved')
  assert tests.to_numpy().tolist() == [['d', 'd/unobserved0', 0, 3, 0.25, 0.5], ['d', 'd/unobserved1', 1, 0, 1.0, 1.0]]
  assert list(tests.columns)[2:] == ['only_model', 'only_baseline', 'p', 'p_adjusted']


def test_each_evaluation_has_one_row_for_each_phrasing(evaluations):
  before, after = evaluations
  table = compare([before, *after]).phrasings
  assert len(table) == 2 * 5 and table['instruction_id'].is_unique and table.notna().all(axis=None)


def test_columns_of_categories_give_no_phrasings_that_are_not_there():
  """As a Parquet file whose texts are a dictionary is read; of two datasets with two groups, no pair of the one's with the other's."""
  scores = {d: {'observed': _scores(0), 'unobserved': _scores(1)} for d in 'ab'}
  comparison = _compare({'m': scores, 'n': scores})
  texts = ['dataset', 'group', 'instruction_id']
  sources = [
    Source(s.path, s.label, s.table.astype(dict.fromkeys(texts, 'category')), s.record) for s in comparison.sources
  ]
  found = compare_sources(sources).phrasings
  pd.testing.assert_frame_equal(found.astype(dict.fromkeys(texts, str)), comparison.phrasings, check_dtype=False)
  assert len(found) == 2 * 2 * 4


def test_other_phrasings_are_refused():
  one, other = (_compare({name: {'d': _scores(0, k=k)}}).sources[0] for name, k in (('m', 4), ('n', 3)))
  with pytest.raises(ResultsError, match=r'\(m\) and .* \(n\) differ in the examples or phrasings of d'):
    compare_sources([one, other])


def test_a_change_of_the_best_phrasing_has_the_spread_of_the_seeds():
  """MaxP is 0.55 and 0.5 in two seeds: their mean has sd 0.025, by Student's t of one degree of freedom."""
  few, many = (np.repeat([[1.0], [0.0]], [right, 20 - right], axis=0) for right in (10, 11))
  comparison = _compare({'n': {'d': few}, 'm': [{'d': few}, {'d': many}]})
  change = comparison.change('m', 'unobserved', 'MaxP')
  assert change.estimate == pytest.approx(0.025)
  assert change.high - change.estimate > scipy.stats.t.ppf(0.975, 1) * 0.025


def test_two_examples_are_enough_for_an_interval():
  found = _compare({'m': {'d': np.eye(2)}}).interval('m', 'unobserved', 'MaxP')
  assert 0 <= found.low <= found.estimate == 0.5 < found.high <= 1


def test_accuracies_of_phrasings_have_their_metrics_and_no_others(tmp_path):
  """Differences of 0.1, 0.1 and 0.2: mean 0.4 / 3, sample sd √(1/300)."""
  for name, scores in (('a', (0.5, 0.6, 0.7)), ('b', (0.6, 0.7, 0.9))):
    rows = {'dataset': 'd', 'instruction_id': ['x', 'y', 'z'], 'score': scores, 'model': name}
    pd.DataFrame(rows).to_csv(tmp_path / f'{name}.csv', index=False)
  comparison = compare([str(tmp_path / 'a.csv'), str(tmp_path / 'b.csv')])
  assert set(metrics.METRICS) - set(comparison.metric_names) == set(metrics.CASE_METRICS)
  assert _compare({'m': {'d': _scores(0)}}).metric_names == tuple(metrics.METRICS)
  change = comparison.change('b', 'all', 'AvgP')
  assert change.estimate == pytest.approx(0.4 / 3)
  assert change.high - change.estimate == pytest.approx(scipy.stats.t.ppf(0.975, 2) * np.sqrt(1 / 300 / 3))
  best = comparison.interval('b', 'all', 'MaxP')
  assert best.estimate == 0.9 and np.isnan([best.low, best.high]).all()
  first = comparison.sources[0]
  seeds = compare_sources([first, Source('again', first.label, first.table, first.record)])
  for metric in metrics.CASE_METRICS:
    with pytest.raises(GrainError, match=f'{metric} needs per-example scores; .*/a.csv has accuracies per phrasing'):
      seeds.value('a', 'all', metric)


def test_an_evaluation_that_is_given_twice_is_no_second_seed(evaluations, tmp_path):
  before, _ = evaluations
  (tmp_path / 'link').symlink_to(before)
  for again in (before, str(tmp_path / 'link')):
    with pytest.raises(ResultsError, match='are the same evaluation; give it once'):
      compare([before, again])
