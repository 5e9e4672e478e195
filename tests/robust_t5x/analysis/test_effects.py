"""Whether two evaluations may be compared, with every reason why not."""

from helpers import change_record, stop_early, write_evaluation
import numpy as np
import pandas as pd
import pytest

from robust_t5x.analysis import decisions, effects, significance
from robust_t5x.analysis.effects import NotComparableError, compare_two
from robust_t5x.results.schema import read_table

HIGH = {'observed': 0.95, 'unobserved': 0.8}


def test_all_reasons_are_given_together(two_evaluations):
  first, second = two_evaluations
  change_record(second, fingerprint__scorer='lmentry', fingerprint__split='train')
  with pytest.raises(NotComparableError, match='another scorer.*; another split'):
    compare_two(str(first), str(second))


def test_other_examples_are_refused(two_evaluations, tmp_path):
  first, _ = two_evaluations
  fewer = write_evaluation(tmp_path / 'fewer', 'fewer', HIGH, examples=39)
  with pytest.raises(NotComparableError, match='differ in the examples or phrasings of first'):
    compare_two(str(first), fewer)


def test_without_tests_there_is_no_odds_ratio():
  assert effects._of_tests(None) == (None, None)
  tests = pd.DataFrame({'only_model': [3, 6], 'only_baseline': [1, 0], 'p_adjusted': [0.5, 0.03]})
  assert effects._of_tests(tests) == (pytest.approx(9.5 / 1.5), '1 of 2')


def test_effects_by_their_formulas_and_adjusted_over_all_groups(two_evaluations):
  comparison = compare_two(*map(str, two_evaluations))
  table = effects.effects(comparison)
  assert table['model'].unique() == ['b'] and table['baseline'].unique() == ['a']
  assert table.index.is_unique
  for whole in (True, False):  # a family each: means over datasets, and single datasets
    family = table[(table['dataset'] == 'all') == whole]
    assert set(family['group']) == {'observed', 'unobserved'}
    assert family['p_adjusted'].tolist() == pytest.approx(significance.adjust(family['p'], significance.HOLM))
    rates = significance.adjust(family['p'], significance.BENJAMINI_HOCHBERG)
    assert family['false_discovery_rate'].tolist() == pytest.approx(rates)
  rows = table[table['group'] == 'unobserved'].set_index('dataset')
  pairs = {d: comparison.datasets[d]['unobserved'] for d in ('first', 'second')}
  for names in (['first'], ['second'], ['first', 'second']):
    row = rows.loc[names[0] if len(names) == 1 else 'all']
    assert row['cohens_d'] == pytest.approx(significance.cohens_d([tuple(pairs[d]) for d in names]))
    only_a, only_b = (sum(((pairs[d][i] == 1) & (pairs[d][1 - i] == 0)).sum() for d in names) for i in (0, 1))
    assert row['odds_ratio'] == pytest.approx((only_b + 0.5) / (only_a + 0.5)) and row['odds_ratio'] > 1
    assert row['mcnemar'].endswith(f' of {3 * len(names)}')


def test_what_differs_without_forbidding_is_noted():
  record = {'fingerprint': {'task_feature_lengths': {'inputs': 8, 'targets': 2}}, 'model': {'vocabulary': 'x'}}
  longer = {**record, 'fingerprint': {'task_feature_lengths': {'inputs': 9, 'targets': 2}}}
  assert effects.notes(record, record) == []
  assert effects.notes(record, {**record, 'model': {}}) == [
    'The vocabulary is not recorded for both, so it was not checked.'
  ]
  assert len(effects.notes(record, longer)) == 1


def test_one_sided_tests_are_adjusted_by_holm_in_the_same_families(two_evaluations):
  comparison = compare_two(*map(str, two_evaluations))
  table = effects.effects(comparison, 0.02)
  for whole in (True, False):
    family = table[(table['dataset'] == 'all') == whole]
    plain = [
      decisions.p_values_of(
        comparison.contrast({r.group: 1}, [('b', 1), ('a', -1)], None if whole else r.dataset), 0.02
      )
      for r in family.itertuples()
    ]
    for name, own in (('p_equivalent', [p.equivalent for p in plain]), ('p_not_worse', [p.not_worse for p in plain])):
      assert family[name].tolist() == pytest.approx(significance.adjust(own, significance.HOLM))
      assert family[name].tolist() != pytest.approx(own)


def _of_phrasings(path, scores, models=('m',)):
  """A file of accuracies under two phrasings, the same for each model."""
  path.parent.mkdir(exist_ok=True)
  rows = [('d', i, score, model) for model in models for i, score in zip('xy', scores, strict=True)]
  pd.DataFrame(rows, columns=['dataset', 'instruction_id', 'score', 'model']).to_csv(path, index=False)
  return str(path)


def test_models_of_one_label_are_named_after_their_files_or_where_these_are_alike_their_paths(tmp_path):
  one, two = (_of_phrasings(tmp_path / f'{n}.csv', s) for n, s in (('one', (0.5, 0.25)), ('two', (1.0, 0.75))))
  found = compare_two(one, two)
  assert found.models == ('one.csv', 'two.csv')
  assert found.runs == {'one.csv': (one,), 'two.csv': (two,)}
  assert found.phrasings[['one.csv', 'two.csv']].to_numpy().tolist() == [[0.5, 1.0], [0.25, 0.75]]
  assert found.change('two.csv', 'all', 'AvgP').estimate == pytest.approx(0.5)
  assert np.isnan(list(found.unmatched.values())).all()
  other = _of_phrasings(tmp_path / 'other' / 'one.csv', (0.5, 0.5))
  assert compare_two(one, other).models == (one, other)


def test_models_of_two_labels_keep_them(two_evaluations, tmp_path):
  first, second = two_evaluations
  change_record(second, label='after')
  assert compare_two(str(first), str(second)).models == ('a', 'after')


def test_a_file_of_several_models_is_refused(tmp_path):
  two = _of_phrasings(tmp_path / 'two.csv', (0.5, 0.25), ['m', 'n'])
  one = _of_phrasings(tmp_path / 'one.csv', (0.5, 0.25), ['o'])
  for pair in ((one, two), (two, one)):
    with pytest.raises(NotComparableError, match='hold 3 models together'):
      compare_two(*pair)


@pytest.mark.parametrize('label', ['b', 'a'])  # the same label is told apart by the directory
def test_those_that_stopped_early_are_compared_on_common_cells(two_evaluations, label):
  for directory, kept in zip(two_evaluations, (0.5, 0.7), strict=True):
    stop_early(directory, kept)
  change_record(two_evaluations[1], label=label)
  found = compare_two(*map(str, two_evaluations))
  assert found.models == ('a', 'b') and [s.set_aside for s in found.sources] == [0, 80]
  one, other = (read_table(str(directory)) for directory in two_evaluations)
  assert (len(one), len(other)) == (200, 280)
  cells = one.merge(other, on=['dataset', 'group', 'instruction_id', 'example_id'])
  change = (
    (cells['score_y'] - cells['score_x']).groupby([cells[n] for n in ('group', 'dataset', 'instruction_id')]).mean()
  )
  assert found.change('b', 'unobserved', 'AvgP').estimate == pytest.approx(change['unobserved'].mean())
