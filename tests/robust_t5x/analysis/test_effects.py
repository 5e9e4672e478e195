"""Whether two evaluations may be compared, with every reason why not."""

from helpers import change_record, write_evaluation
import pandas as pd
import pytest

from robust_t5x.analysis import effects
from robust_t5x.analysis.effects import NotComparableError, compare_two

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
