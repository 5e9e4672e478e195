"""Tests of what counts as a right answer."""

import pytest

from seqio_tasks import answers


@pytest.mark.parametrize(
  ('prediction', 'gold', 'folded', 'same'),
  [
    (' Cat', 'cat', 1, 1),
    ('cat.', 'cat', 1, 0),
    ('ice-cream', 'ice cream', 1, 0),
    ('a cat', 'cat', 0, 0),
    ('( [', '([', 1, 0),
    ('(', '[', 0, 0),
  ],
)
def test_the_two_rules_of_exact_match(prediction, gold, folded, same):
  assert answers.exact_match(prediction, gold) == folded
  assert answers.same_but_for_case(prediction, gold) == same


def test_any_right_answer_will_do_and_any_option_is_known():
  assert answers.matches_any('B!', ['a', 'b']) == 1.0 and answers.matches_any('c', ['a', 'b']) == 0.0
  assert answers.is_an_option('Yes.', ['yes', 'no']) and not answers.is_an_option('maybe', ['yes', 'no'])
  assert answers.is_an_option('anything', [])


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
    ('I like dogs too', 'sentence_containing: dogs', 1.0),
    ("I don't like dogs", 'sentence_not_containing: dogs', 0.0),
    ('I like hotdogs', 'sentence_not_containing: dogs', 1.0),
  ],
)
def test_rules_of_open_lmentry_tasks(prediction, gold, expected):
  assert answers.lmentry_score(prediction, gold) == expected
