"""The table of scorers, and the columns that they fill."""

import json
import math

import numpy as np
import pytest

from robust_t5x.results.scorers import SCORERS, lmentry
from seqio_tasks.answers import AnswerKey
from seqio_tasks.errors import UserError

KEY = AnswerKey(('b', 'bee'), ('a', 'b', 'c'), (1,))


def test_the_table_is_whole():
  assert list(SCORERS) == ['exact_match', 'extracted', 'lmentry', 'rank_likelihood', 'paper_logits']
  for name, scorer in SCORERS.items():
    assert scorer.name == name and scorer.words
    # What ranks options needs some.
    assert scorer.needs_options or scorer.rank is None


def test_a_decoded_answer():
  cell = SCORERS['exact_match'].of_output('B.', KEY)
  assert cell == {
    'scorer': 'exact_match', 'prediction': 'B.', 'gold': 'b', 'score': 1.0, 'option_scores': '', 'option_tokens': '', 'also_right': '',
    'matched_option': True,
    'tied_options': 0, 'strict_score': 1.0, 'extracted_score': 1.0,
  }  # fmt: skip
  assert SCORERS['exact_match'].of_output('bee', KEY)['matched_option'] is False
  assert SCORERS['lmentry'].of_output('the word "b"', AnswerKey(('c', 'b')))['score'] == 1.0


@pytest.mark.parametrize(
  ('output', 'strict', 'extracted', 'lenient'),
  [('b', 1, 1, 1), ('The answer is B.', 0, 1, 1), ('The answer is A.', 0, 0, 0), ('a or b', 0, 0, 0)],
)
def test_a_talkative_answer_is_judged_beside_the_strict_one(output, strict, extracted, lenient):
  cell = SCORERS['exact_match'].of_output(output, KEY)
  assert (cell['score'], cell['extracted_score']) == (strict, extracted)
  cell = SCORERS['extracted'].of_output(output, KEY)
  assert (cell['score'], cell['strict_score'], cell['extracted_score']) == (lenient, strict, extracted)


def test_where_no_rule_of_extraction_applies_nothing_stands():
  cell = SCORERS['lmentry'].of_output('banana', AnswerKey(('starts_with_letter: b',)))
  assert cell['score'] == 1.0 and math.isnan(cell['extracted_score'])


@pytest.mark.parametrize(
  ('scores', 'prediction', 'score', 'tied'),
  [
    ([-1.0, -2.0, -3.0], 'a', 0.0, 0),
    ([-2.0, -1.0, -1.0], 'b', 0.5, 2),
    ([-1.0, -2.0, -1.0], 'a', 0.0, 2),
    ([-1.0, -1.0, -1.0], 'a', 1 / 3, 3),
    ([-3.0, -2.0, -1.123456], 'c', 0.0, 0),
  ],
)
def test_the_best_option_is_the_answer_and_a_tie_is_counted(scores, prediction, score, tied):
  cell = SCORERS['rank_likelihood'].of_ranking(np.float32(scores), KEY)
  assert (cell['prediction'], cell['score'], cell['gold'], cell['tied_options']) == (prediction, score, 'b', tied)
  assert json.loads(cell['option_scores']) == dict(zip('abc', np.round(scores, 5), strict=True))
  assert cell['matched_option'] is True and math.isnan(cell['extracted_score']) and math.isnan(cell['strict_score'])
  assert cell['also_right'] == ''


def test_other_right_options_are_told():
  key = AnswerKey(('red', 'pink'), ('blue', 'red', 'pink'), (1, 2))
  cell = SCORERS['rank_likelihood'].of_ranking([-3.0, -2.0, -1.0], key)
  assert (cell['prediction'], cell['score'], cell['gold'], cell['also_right']) == ('pink', 1.0, 'red', '["pink"]')
  # One score stands for options of the same text; that there are more can be told.
  assert (
    SCORERS['rank_likelihood'].of_ranking([-3.0, -3.0, -1.0], AnswerKey(('a',), ('x', 'x', 'a'), (2,)))['option_tokens']
    == '[]'
  )


@pytest.mark.parametrize('wrong', ['C', '-9', 's - 3 = 4'])
def test_an_option_that_reads_much_like_the_right_one_is_wrong(wrong):
  right = {'C': 'C++', '-9': '9', 's - 3 = 4': 's / 3 = 4'}[wrong]
  key = AnswerKey((right,), (right, wrong), (0,))
  assert SCORERS['rank_likelihood'].of_ranking([-2.0, -1.0], key)['score'] == 0.0
  assert SCORERS['rank_likelihood'].of_ranking([-1.0, -2.0], key)['score'] == 1.0
  assert SCORERS['exact_match'].of_output(wrong, key)['score'] == 0.0


def test_several_options_may_be_right():
  key = AnswerKey(('a', 'c'), ('a', 'b', 'c'), (0, 2))
  assert [SCORERS['rank_likelihood'].of_ranking(s, key)['score'] for s in ([2, 1, 0], [1, 2, 0], [0, 1, 2])] == [
    1,
    0,
    1,
  ]


def test_numbers_that_are_not_finite_are_an_error():
  with pytest.raises(UserError, match='cannot be ranked'):
    SCORERS['rank_likelihood'].of_ranking([math.nan, -1.0, -1.0], KEY)


@pytest.mark.parametrize('scores', [[-1.0, -2.0], [-1.0, -2.0, -3.0, -4.0]])
def test_another_number_of_numbers_than_options_is_an_error(scores):
  with pytest.raises(ValueError, match='zip'):
    SCORERS['rank_likelihood'].of_ranking(scores, KEY)


def test_the_best_of_several_right_answers_counts():
  key = AnswerKey(('yes', 'no'), ('yes', 'no'), (0, 1))
  assert lmentry('No, never.', key) == 1.0
  assert lmentry('No, never.', AnswerKey(('yes',), ('yes', 'no'), (0,))) == 0.0


def test_only_rankings_need_options():
  assert {name for name, scorer in SCORERS.items() if scorer.needs_options} == {'rank_likelihood', 'paper_logits'}
