"""The table of scorers, and the columns that they fill."""

import json

import numpy as np
import pytest

from robust_t5x.results.scorers import SCORERS, exact_match, lmentry


def test_the_table_is_whole():
  assert list(SCORERS) == ['exact_match', 'lmentry', 'rank_likelihood', 'paper_logits']
  for name, scorer in SCORERS.items():
    assert scorer.name == name and scorer.words
    # What ranks options needs some.
    assert scorer.needs_options or scorer.rank is None


def test_a_decoded_answer():
  cell = SCORERS['exact_match'].of_output('B.', ['b', 'bee'], ['a', 'b'])
  assert cell == {
    'scorer': 'exact_match', 'prediction': 'B.', 'gold': 'b', 'score': 1.0, 'option_scores': '', 'matched_option': True,
  }  # fmt: skip
  assert SCORERS['exact_match'].of_output('bee', ['b', 'bee'], ['a', 'b'])['matched_option'] is False
  assert SCORERS['lmentry'].of_output('the word "b"', ['c', 'b'], [])['score'] == 1.0


@pytest.mark.parametrize(
  ('scores', 'prediction', 'score'),
  [([-1.0, -2.0, -3.0], 'a', 0.0), ([-2.0, -1.0, -1.0], 'b', 1.0), ([-3.0, -2.0, -1.123456], 'c', 0.0)],
)
def test_the_best_option_is_the_answer_and_the_first_of_equals(scores, prediction, score):
  cell = SCORERS['rank_likelihood'].of_ranking(np.float32(scores), ['a', 'b', 'c'], 'b', [False, True, False])
  assert (cell['prediction'], cell['score'], cell['gold']) == (prediction, score, 'b')
  assert json.loads(cell['option_scores']) == dict(zip('abc', np.round(scores, 5), strict=True))
  assert cell['matched_option'] is True


def test_the_best_of_several_right_answers_counts():
  assert exact_match('two', ['2', 'two']) == 1.0
  assert lmentry('No, never.', ['yes', 'no'], ['yes', 'no']) == 1.0
  assert lmentry('No, never.', ['yes'], ['yes', 'no']) == 0.0
