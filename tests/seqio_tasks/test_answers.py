"""Tests of what counts as a right answer."""

import numpy as np
import pytest

from seqio_tasks import answers
from seqio_tasks.answers import AnswerKey
from seqio_tasks.errors import UserError


@pytest.mark.parametrize(
  ('prediction', 'gold', 'same'),
  [
    (' Cat', 'cat', True),
    ('CAT.', 'cat', True),
    ('Cat!', 'cat', True),
    ('"cat".', 'cat', True),
    ('“Cat”', "'cat'", True),
    ('(B)', 'b', True),
    ('the  cat\n', 'the cat', True),
    ('( [', '([', True),
    ('x > 5', 'x>5', True),
    ('\u22125', '-5', True),
    ('\u20135', '-5', True),
    ('Ｃａｔ\u3000５', 'cat 5', True),
    ('cafe\u0301', 'caf\u00e9', True),
    ('it\u2019s', "it's", True),
    ('STRASSE', 'straße', True),
    ('5.', '5', True),
    ('\uff01x\uff5e', '!x~', True),
    ('\uff5fx', '\u007fx', False),
    ('\uff00x', ' x', False),
    ('a\u3000b', 'a b', True),
    ('a\u3001b', 'a b', False),
    ('a\u2fffb', 'a b', False),
    ('"cat', 'cat', False),
    ("cat'", 'cat', False),
    ('"cat\'', 'cat', False),
    ('abca', 'bc', False),
    ('""', '"', False),
    ('a cat', 'cat', False),
    ('ice-cream', 'ice cream', False),
    ('-7', '7', False),
    ('+7', '7', False),
    ('1.2', '1/2', False),
    ('1.2', '12', False),
    ('.5', '5', False),
    ('1,2', '12', False),
    ('C', 'C++', False),
    ('C#', 'C', False),
    ('x < 5', 'x > 5', False),
    ('s - 3 = 4', 's / 3 = 4', False),
    ('5!', '5', False),
    ('(n)!', '(n)', False),
    ('50%', '50', False),
    ('$5', '5', False),
    ('[5]', '5', False),
    ('(1, 2)', '1, 2', False),
    ('(', '[', False),
    ('¬p', 'p', False),
    ('p \u2192 q', 'p \u2194 q', False),
    ('2\u00b2', '22', False),
    ('', 'cat', False),
    ('.', '!', False),
  ],
)
def test_exact_match_folds_what_tells_nothing_apart(prediction, gold, same):
  assert answers.exact_match(prediction, AnswerKey((gold,))) == float(same)
  assert answers.exact_match(gold, AnswerKey((prediction,))) == float(same)
  assert answers.is_an_option(prediction, ['something else', gold]) is same


def test_every_right_answer_counts():
  key = AnswerKey(('2', 'two'))
  assert [answers.exact_match(p, key) for p in ('Two', '2', 'three')] == [1.0, 1.0, 0.0]
  assert answers.is_an_option('anything', [])


def test_options_that_differ_in_case_alone_are_told_apart():
  key = AnswerKey(('Polish',), ('polish', 'Polish', 'wax'), (1,))
  assert [answers.exact_match(p, key) for p in ('Polish ', 'polish', 'POLISH')] == [1.0, 0.0, 0.0]
  assert (
    answers.exact_match('Polish.', key) == 0.0
    and answers.exact_match('Polish', AnswerKey(('Polish ',), key.options, ())) == 1.0
  )
  spaced = AnswerKey((' x  Y',), ('x y', ' x  Y'), (1,))
  assert answers.exact_match('x  Y ', spaced) == 1.0 and answers.exact_match('x Y', spaced) == 0.0
  shouted = AnswerKey(('no',), ('no', 'NO!'), (0,))
  assert answers.exact_match('No!', shouted) == 0.0 and answers.exact_match('no', shouted) == 1.0
  # Where no wrong option reads so, case is folded.
  assert answers.exact_match('WAX', AnswerKey(('wax',), key.options, (2,))) == 1.0


def test_a_key_is_read_from_the_features_of_a_row():
  features = {
    'targets_pretokenized': 'B', 'alternatives': '["C"]', 'options': '["A", "B", "C"]', 'right_options': '[1, 2]',
    'option_texts': '["x", "y", "z"]', 'truncated_tokens': 3,
  }  # fmt: skip
  assert AnswerKey.of_features(features) == AnswerKey(('B', 'C'), ('A', 'B', 'C'), (1, 2), ('x', 'y', 'z'))
  assert AnswerKey.of_features({'targets_pretokenized': 'free'}) == AnswerKey(('free',))
  older = {'targets_pretokenized': 'b', 'alternatives': '["c"]', 'options': '["a", "b", "c"]'}
  assert AnswerKey.of_features(older).right_options == (1, 2)


@pytest.mark.parametrize(
  ('scores', 'best'),
  [
    ([-3.0], (0,)),
    ([-2.0, -1.0, -3.0], (1,)),
    ([-1.0, -2.0, -1.0], (0, 2)),
    ([0.0, 0.0], (0, 1)),
    ([-100.0, -100.00005], (0, 1)),
    ([-100.0, -100.001], (0,)),
    ([5e-7, 0.0], (0, 1)),
    ([2e-6, 0.0], (0,)),
  ],
)
def test_the_best_options(scores, best):
  assert answers.best_options(scores) == best


@pytest.mark.parametrize('scores', [[], [np.nan, -1.0], [-1.0, np.inf], [-np.inf, -1.0], [np.nan, np.nan]])
def test_what_cannot_be_ranked_is_an_error(scores):
  with pytest.raises(UserError, match='cannot be ranked'):
    answers.best_options(scores)


@pytest.mark.parametrize(
  ('best', 'right', 'score'),
  [([1], [1], 1), ([1], [0], 0), ([0, 1], [1], 0.5), ([0, 1, 2], [1, 2], 2 / 3), ([0, 1], [0, 1], 1), ([0], [], 0)],
)
def test_a_tie_counts_as_the_share_that_is_right(best, right, score):
  assert answers.ranking_score(best, right) == score


@pytest.mark.parametrize(
  ('prediction', 'gold', 'options', 'expected'),
  [
    ('apple', 'apple', (), 1),
    (' "Apple." ', 'apple', (), 1),
    ("The word 'apple'", 'apple', (), 1),
    ('the letter B', 'b', (), 1),
    ('The', 'the', (), 1),
    ('the word', 'word', (), 0),
    ('an apple', 'apple', (), 0),
    ('apple pie', 'apple', (), 0),
    ('723.', '723', (), 1),
    ('1723', '723', (), 0),
    ('-7', '7', (), 0),
    ('\u22127.', '-7', (), 1),
    ('(+7)', '7', (), 0),
    ('(-17)', '-17', (), 1),
    ('.-7a', '-7a', (), 1),
    ('-a7', 'a7', (), 1),
    ('the word the letter x', 'the letter x', (), 0),
    ("don't", "don't", (), 1),
    ('', 'apple', (), 0),
    ('Yes, all of them.', 'yes', ('yes', 'no'), 1),
    ('No', 'yes', ('yes', 'no'), 0),
    ('nothing', 'no', ('yes', 'no'), 0),
    ('I say yes', 'yes', ('yes', 'no'), 0),
    ('', 'no', ('yes', 'no'), 0),
    ('no many', 'no', ('no', 'many'), 0),
  ],
)
def test_scores(prediction, gold, options, expected):
  assert answers.lmentry_score(prediction, gold, options) == expected


@pytest.mark.parametrize(
  ('prediction', 'gold', 'expected'),
  [
    ('Bear.', 'starts_with_letter: b', 1.0),
    ('a bear', 'starts_with_letter: b', 0.0),
    ('rib', 'ends_with_letter: b', 1.0),
    ('abc', 'word_containing: b', 1.0),
    ('abc', 'word_not_containing: b', 0.0),
    ('Dogs bark.', 'starts_with_word: dogs', 1.0),
    ('dogs', 'starts_with_word: dogs', 0.0),
    ('I like dogs!', 'ends_with_word: dogs', 1.0),
    ('dogs like dogs and me', 'ends_with_word: dogs', 0.0),
    ('the dogs bark', 'starts_with_word: dogs', 0.0),
    ('abc', 'ends_with_letter: b', 0.0),
    ('abc', 'starts_with_letter: b', 0.0),
    ('acd', 'word_containing: b', 0.0),
    ('ac bd', 'word_not_containing: e', 0.0),
    ('acd', 'word_not_containing: b', 1.0),
    ('Bear', 'starts_with_letter: B', 1.0),
    ('x', 'other_rule: x', 0.0),
    ('other_rule: x', 'other_rule: x', 1.0),
    ('starts_with_letter', 'starts_with_letter', 1.0),
    ('', 'word_not_containing: b', 0.0),
    ('hello', 'sentence_not_containing: dogs', 0.0),
    ('starts_with_letter:', 'starts_with_letter:', 1.0),
    ('I like dogs too', 'sentence_containing: dogs', 1.0),
    ("I don't like dogs", 'sentence_not_containing: dogs', 0.0),
    ('I like hotdogs', 'sentence_not_containing: dogs', 1.0),
  ],
)
def test_rules_of_open_lmentry_tasks(prediction, gold, expected):
  assert answers.lmentry_score(prediction, gold) == expected
