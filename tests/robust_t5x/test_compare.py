"""The verb `compare`: one model against another on the same cells, and what must not be compared."""

import math
import re

from helpers import change_record
import numpy as np
import pandas as pd
import pytest

from robust_t5x import compare
from robust_t5x.analysis.significance import adjust
from robust_t5x.results.reading import read


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'fingerprint__scorer': 'rank_likelihood'}, 'another scorer: exact_match and rank_likelihood'),
    ({'fingerprint__split': 'validation'}, 'another split: test and validation'),
    ({'model__vocabulary': 'a' * 64}, 'another vocabulary: hash ffffffffffff and aaaaaaaaaaaa'),
    ({'fingerprint__tasks': {'first': 'x', 'second': 'z'}}, 'other examples or phrasings in second'),
    ({'fingerprint__tasks': {'first': 'x', 'second': 'y', 'third': 'w'}}, 'third in one of them only'),
  ],
)
def test_what_must_not_be_compared(two_evaluations, capsys, changes, message):
  first, second = two_evaluations
  change_record(second, **changes)
  assert compare.main([str(first), str(second), '--out', str(first / 'out')]) == 2
  out, error = capsys.readouterr()
  assert out == ''
  assert error.startswith(f'error: {first} and {second} cannot be compared: ')
  assert message in error
  assert len(error.splitlines()) == 1
  assert not (first / 'out').exists()


def test_numbers_agree_with_the_tables(two_evaluations, tmp_path, capsys):
  first, second = two_evaluations
  assert compare.main([str(first), str(second), '--out', str(tmp_path / 'out')]) == 0
  out = capsys.readouterr().out
  assert out.startswith('b against a over 2 datasets: ')
  assert 'The vocabulary is not recorded' not in out
  assert 'Holm' in out
  saved = pd.read_csv(tmp_path / 'out/compare.csv')
  a, b = (read(str(d))[0] for d in two_evaluations)
  cells = a.merge(b, on=['dataset', 'example_id', 'instruction_id', 'group'], suffixes=('_a', '_b'))
  for row in saved.itertuples():
    part = cells[cells['group'] == row.group]
    part = part if row.dataset == 'all' else part[part['dataset'] == row.dataset]
    expected = (part['score_b'] - part['score_a']).groupby(part['dataset']).mean().mean()
    assert row.difference == pytest.approx(expected)
    assert row.low <= row.difference <= row.high
    only_b = ((part['score_b'] == 1) & (part['score_a'] == 0)).sum()
    only_a = ((part['score_a'] == 1) & (part['score_b'] == 0)).sum()
    assert row.odds_ratio == pytest.approx((only_b + 0.5) / (only_a + 0.5))
    change = (part['score_b'] - part['score_a']).groupby([part['dataset'], part['example_id']]).mean()
    assert row.cohens_d == pytest.approx(change.mean() / change.std(ddof=1))
  whole = saved['dataset'] == 'all'
  for family in (whole, ~whole):
    np.testing.assert_allclose(saved.loc[family, 'p_adjusted'], adjust(saved.loc[family, 'p']))
  unobserved = saved[(saved['group'] == 'unobserved') & whole].iloc[0]
  assert unobserved['low'] > 0
  assert unobserved['p_adjusted'] < 0.05
  tests = pd.read_csv(tmp_path / 'out/mcnemar.csv')
  assert len(tests) == 10
  assert (tmp_path / 'out/compare.pdf').read_bytes().startswith(b'%PDF')
  assert (tmp_path / 'out/compare_unobserved.tex').read_text().count(r'\\') == 1 + 3
  assert re.search(r'^\| first \|', (tmp_path / 'out/compare.md').read_text(), re.MULTILINE)


def test_the_same_label_is_told_apart_by_place(two_evaluations, capsys):
  first, second = two_evaluations
  change_record(second, label='a')
  assert compare.main([str(first), str(second)]) == 0
  assert capsys.readouterr().out.startswith('b against a over 2 datasets: ')


def test_accuracies_per_phrasing_have_no_mcnemar(tmp_path, capsys):
  for name, scores in (('a', (0.5, 0.6, 0.7)), ('b', (0.6, 0.7, 0.9))):
    rows = {'dataset': 'd', 'instruction_id': ['x', 'y', 'z'], 'score': scores, 'model': name}
    pd.DataFrame(rows).to_csv(tmp_path / f'{name}.csv', index=False)
  assert compare.main([str(tmp_path / 'a.csv'), str(tmp_path / 'b.csv')]) == 0
  out = capsys.readouterr().out
  assert "McNemar's test need per-example scores" in out
  assert '+13.3 [' in out
  # Differences 0.1, 0.1, 0.2: mean 0.1333, sample sd 0.0577.
  assert f'{0.4 / 3 / math.sqrt(1 / 300):.3f}' in out


def test_rows_that_a_table_lost_are_told(tmp_path, capsys):
  for name in 'ab':
    rows = {'dataset': 'd', 'instruction_id': ['x', 'y', 'z', 'w'], 'score': [0.5, 0.6, 0.7, 'n/a'], 'model': name}
    pd.DataFrame(rows).to_csv(tmp_path / f'{name}.csv', index=False)
  assert compare.main([str(tmp_path / 'a.csv'), str(tmp_path / 'b.csv'), '--out', str(tmp_path / 'out')]) == 0
  for told in (capsys.readouterr().out, (tmp_path / 'out/compare.md').read_text()):
    assert '1 rows of a were left out: score' in told and '1 rows of b were left out: score' in told


def test_results_are_not_compared_with_themselves(tmp_path, two_evaluations, capsys):
  path = tmp_path / 't.csv'
  path.write_text('dataset,instruction_id,score\nd,i,0.5\nd,j,0.5\n')
  for one, two in ((path, tmp_path / 'x' / '..' / 't.csv'), two_evaluations[:1] * 2):
    assert compare.main([str(one), str(two)]) == 2
    assert capsys.readouterr().err == f'error: {one} and {two} are the same results; give those of two models\n'
