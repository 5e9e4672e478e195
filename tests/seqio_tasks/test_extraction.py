"""Which answer a talkative text commits to."""

import math

import pytest

from seqio_tasks.answers import AnswerKey
from seqio_tasks.extraction import extract_option, extract_text, score

LETTERS, CITIES = ('A', 'B', 'C', 'D'), ('London', 'Paris', 'Rome', 'New York')


@pytest.mark.parametrize(
  ('text', 'option'),
  [
    # The whole text.
    ('B', 1), ('(B)', 1), ('b', 1), ('**B**', 1), ('A', 0), ('Paris', 1), ('paris.', 1),
    # What it says.
    ('The answer is B.', 1), ('The correct option is (B) Paris.', 1), ('Answer: D', 3), ('Answer: Paris', 1),
    ('I would choose B', 1), ('I choose a', 0), ('Answer: (c)', 2), ('The answer is: **B**', 1), ('\\boxed{C}', 2),
    ('Thinking of A and B ...\n#### C', 2), ('Sure! The right choice is option C because Rome is the capital.', 2),
    ('The answer is A. Final answer: B. But A is nice', 1), ('The best answer would be New York, not London.', 3),
    ('<think>A? no, C</think> B', 1), ('The answer is A. Wait, the answer is B.', None), ('The answer is E', None),
    # What it begins with.
    ('B. Paris', 1), ('B) Paris is the capital, unlike London', 1), ('D - New York', 3), ('Paris. London is in England.', 1),
    ('Option B', 1), ('(B) since London is far', 1),
    # What it mentions.
    ('I think it is Paris.', 1), ('It is not London, it is Paris.', 1), ('A city in France is Paris', 1),
    ('New York is it', 3), ('Of all of them **Paris**, not as London or Rome', 1),
    ('B. Paris\nRome is nice too', 1), ('B. Paris\nB. Rome is no such city', 1), ('# B. Paris\nRome would be wrong', 1),
    # In the same words twice, and after thoughts of several lines.
    ('The answer is B. So the answer is B', 1), ('<THINK>A?\nno, C</think> B', 1), ('__Paris__ it is, as Rome is far', 1),
    # Several, or none.
    ('A. London\nB. Paris', None), ('**London** or **Paris**', None),
    ('A or B', None), ('It is either B or C.', None), ('A. London\nB. Paris\nC. Rome', None), ('London, Paris and Rome', None),
    ('It could be Paris, or Rome.', None), ('', None), ('York', None), ('The answer is not A.', None), ('not London', None),
    ('Parisian', None), ('<think>It is B', None),
    # Refusals.
    ("I'm sorry, I cannot answer that about Paris.", None), ('I cannot say whether it is A or B', None),
    ('As an AI I have no opinion on Paris', None), ("I don't know, but the answer is probably B", None),
    ("I'm sorry, but the answer is B", 1), ('None of the options is Paris', None),
  ],
)  # fmt: skip
def test_labelled_options(text, option):
  assert extract_option(text, LETTERS, CITIES) == option


@pytest.mark.parametrize(
  ('text', 'option'),
  [
    ('Yes, because no one left.', 0), ('No.', 1), ('No, it is not; yes would be wrong', 1), ('Not sure, yes or no', None),
    ('The answer is no.', 1), ('I know nothing', None),
  ],
)  # fmt: skip
def test_yes_and_no(text, option):
  assert extract_option(text, ('yes', 'no')) == option


@pytest.mark.parametrize(
  ('options', 'text', 'option'),
  [
    (('C', 'C++', 'C#'), 'C++', 1),
    (('C', 'C++', 'C#'), 'It is C#.', 2),
    (('C', 'C++', 'C#'), 'It is C.', 0),
    (('C', 'Java'), 'It is C++', None),
    (('9', '-9', '19', '1.9'), 'The result is -9.', 1),
    (('9', '-9', '19', '1.9'), 'The answer is \u22129', 1),
    (('9', '-9', '19', '1.9'), 'It equals 9', 0),
    (('9', '-9', '19', '1.9'), 'x = 1.9', 3),
    (('9', '19'), 'It is -9', None),
    (('9', '19'), 'It is 1.9', None),
    (('entailment', 'not entailment'), 'This is not entailment', 1),
    (('entailment', 'contradiction'), 'There is no contradiction', None),
    (('New', 'New York'), 'It is New York', 1),
    (('same', 'same'), 'same', None),
    (('C', 'C++'), 'C++. Not everyone likes C', 1),
    (('C++', 'Java'), 'C++17 does that', 0),
    (('9', '19'), 'It is 9.5', None),
    (('9', '50'), 'It is 50%', None),
    (('AB', 'B'), 'It is AB', 0),
    (('+', '-'), 'so +-', None),
    (('New', 'New York'), 'A New York-based firm', None),
    (('', 'pear'), 'It is pear', 1),
    (('Paris', 'None of these'), 'None of these.', 1),
  ],
)
def test_options_that_hold_each_other(options, text, option):
  assert extract_option(text, options) == option


def test_labels_go_before_what_options_say():
  # "2" is the label of the second option and the text of the first.
  assert extract_option('2', ('1', '2'), ('2', '3')) == 1
  assert extract_option('3', ('1', '2'), ('2', '3')) == 1
  assert extract_option('B', ('A', 'B'), ('B', 'C')) == 1
  # Texts that do not belong to the labels one by one are not used.
  assert extract_option('x', ('1', '2'), ('x', 'y', 'z')) is None


@pytest.mark.parametrize(
  ('text', 'like', 'answer'),
  [
    ('7', '3', '7'), ('Three plus four is 7.', '3', '7'), ('3 + 4 = 7', '3', '7'), ('The answer is 3 + 4 = 7', '3', '7'),
    ('So we get 12, then 15, and the answer is 27.', '3', '27'), ('7 or 8', '3', None), ('7, that is 7', '3', '7'),
    ('The total is $1,234.50', '3', '1,234.50'), ('The result is \u22127', '3', '-7'), ('1/2', '3', '1/2'), ('It is 50%', '3', '50%'),
    ('The answer is 7. No, the answer is 8.', '3', None), ('none', '3', None), ('Final answer: 9', '3', '9'),
    ('apple', 'pear', 'apple'), ('The answer is Paris.', 'x', 'Paris'), ('First word: apple', 'x', 'apple'),
    ('The word is apple', 'x', 'apple'), ('Sure! "apple"', 'x', 'apple'), ('It was **apple** then', 'x', 'apple'),
    ('The first letter of the word "apple" is "a".', 'x', 'a'), ('I cannot tell.', 'x', None),
    ('The answer is 3 + 4 = 7. And 2 = 1 + 1', '3', '7'), ('7, that is 7.0', '3', '7.0'), ('The answer is $7', '3', '7'),
    ('The answer is Paris. The answer is paris.', 'x', 'paris'), ('It was **Apple**, yes, **Apple**', 'x', 'Apple'),
    ('**Apple** and **apple**', 'x', 'apple'), ('THE WORD IS apple', 'x', 'apple'),
    ('The answer is "apple". Then "pear" follows', 'x', 'apple'),
    # Several lines commit to nothing by what stands behind a colon or an "is".
    ('Sure!\nThe first letter of "apple" is a.', 'x', 'Sure!\nThe first letter of "apple" is a.'),
    ('First word: apple\nSecond word: pear', 'x', 'First word: apple\nSecond word: pear'),
  ],
)  # fmt: skip
def test_open_questions(text, like, answer):
  assert extract_text(text, like) == answer


@pytest.mark.parametrize(
  ('text', 'key', 'expected'),
  [
    ('The answer is (B).', AnswerKey(('B',), LETTERS, (1,), CITIES), 1),
    ('It must be Rome', AnswerKey(('B', 'C'), LETTERS, (1, 2), CITIES), 1),
    ('It must be Rome', AnswerKey(('B',), LETTERS, (1,), CITIES), 0),
    ('hard to say', AnswerKey(('B',), LETTERS, (1,), CITIES), 0),
    ('The total is 1,234.50', AnswerKey(('1234.5',)), 1),
    ('It makes 10', AnswerKey(('1',)), 0),
    ('It makes 10.0', AnswerKey(('+10',)), 1),
    ('1.2', AnswerKey(('1/2',)), 0),
    ('-7', AnswerKey(('7',)), 0),
    ('7 or 8', AnswerKey(('7',)), 0),
    ('It is Rome.', AnswerKey(('Paris',)), 0),
    ('It is Paris.', AnswerKey(('the city of Paris', 'Paris')), 1),
    ('The answer is maybe.', AnswerKey(('maybe',), ('Yes', 'No')), 1),  # what may be answered lacks the right answer
  ],
)
def test_scores(text, key, expected):
  assert score(text, key) == expected


@pytest.mark.parametrize(
  ('text', 'option'),
  [
    (r'The answer is not \boxed{B}.', None), (r"It isn't $\boxed{B}$", None), (r'not **\boxed{B}**', None), (r'\boxed{B} is wrong', None),
    (r"I don't think it is \boxed{B}.", None), ('B is incorrect', None), ('I would not choose B', None), ('It is anything but B', None),
    ('The answer is not necessarily B', None), ('A is wrong. I would say B', 1), ('A is not right, B is', 1),
    ("I don't think that the answer is B. It is A.", 0), ("I don't think the answer is B", None), ('No the answer is B', 1),
    ('I do not believe the correct answer is B; the answer is C', 2), ("I can't say that the final answer is B", None),
    ('Not only is the answer B', 1), ('Why not? The answer is B', 1), ('There is no B', None),
    ('B is not only right but short', 1), ("I don't think it is A but B", 1), (r'No, \boxed{B}', 1),
  ],
)  # fmt: skip
def test_denied_options(text, option):
  assert extract_option(text, LETTERS, CITIES) == option


@pytest.mark.parametrize('text', ['D. None of the above', '(D) none of the above', 'None of the above is right.', 'D'])
def test_an_option_that_reads_like_a_refusal(text):
  assert extract_option(text, LETTERS, ('London', 'Paris', 'Rome', 'None of the above')) == 3
  assert extract_option('None of the above', LETTERS, CITIES) is None


@pytest.mark.parametrize(
  ('options', 'text', 'option'),
  [
    (('$5', '$50'), '$5', 0), (('$5', '$50'), 'The answer is $50.', 1), (('$5', '5'), 'The answer is $5', 0),
    (('$5', '5'), 'The answer is 5', 1), (('*', '**'), 'The answer is **', 1), (('<', '>'), '>', 1),
    (('__init__', 'init'), 'The answer is __init__', 0), (('a', 'A'), 'A', 1),
  ],
)  # fmt: skip
def test_options_with_marks(options, text, option):
  assert extract_option(text, options) == option


@pytest.mark.parametrize(
  ('right', 'text', 'expected'),
  [
    ('$5', '$5', 1), ('$5', 'The answer is $5.00.', 1), ('$5', 'It is 5', 1), ('$5', 'The answer is \u20ac5', 0), ('\u20ac5', 'It is \u20ac5', 1),
    ('$5', '$50', 0), ('50%', '50 %', 1), ('50%', '50', 0), ('7', 'The answer is 7 = 3 + 4', 1), ('> 5', '> 5', 1),
    ('__init__', '__init__', 1), ('7', r'The answer is not \boxed{7}', 0), ('7', '8 is wrong, 7', 1),
    ('\u05e9\u05dc\u05d5\u05dd', '\u200f\u05e9\u05dc\u05d5\u05dd.', 1),
  ],
)  # fmt: skip
def test_values_with_signs(right, text, expected):
  assert score(text, AnswerKey((right,))) == expected


def test_what_is_right_by_a_rule_is_not_extracted():
  assert score('cat', AnswerKey(('starts_with_letter: c',))) is None
  assert not math.isnan(score('cat', AnswerKey(('cat: x',))))


@pytest.mark.parametrize(
  ('text', 'option'),
  [
    ('The answer is A and B.', None),
    ('The answer is (A) or (B)', None),
    ('I choose A, B and C.', None),
    ('Answer: B/C', None),
    ('(A) and (B)', None),
    ('A) or B), I think', None),
    ('The answer is a or b.', None),
    ('The answer is A and A.', 0),
    ('The answer is A, B is wrong.', 0),
    ('The answer is A and B is wrong.', 0),
    ('The answer is A, not B.', 0),
    ('The answer is A. B is wrong.', 0),
    ('The answer is B, a guess.', 1),
    ('(A) and not (B)', 0),
  ],
)
def test_an_answer_of_several_is_none(text, option):
  assert extract_option(text, ['A', 'B', 'C']) == option


def test_a_number_or_another_is_none():
  for text, right in (('The answer is 5 or 6.', 0.0), ('The answer is 5 and 6', 0.0), ('The answer is 5 or 5.0.', 1.0),
                      ('The answer is 5 and a half of 6', 1.0)):  # fmt: skip
    assert score(text, AnswerKey(('5',))) == right
  assert score('Yes and no.', AnswerKey(('yes',), ('yes', 'no'), (0,))) == 0.0


@pytest.mark.parametrize(
  ('text', 'key', 'right'),
  [
    ('A B', AnswerKey(('B',), ('A', 'B'), (1,)), 0.0),  # two labels, and no article
    ('A car is fast, so B', AnswerKey(('B',), ('A', 'B'), (1,)), 1.0),
    ('Not 12', AnswerKey(('12',)), 0.0),
    ('The answer is not 12.', AnswerKey(('12',)), 0.0),
    ('12, not 15', AnswerKey(('12',)), 1.0),
    ("I don't think the answer is 12.", AnswerKey(('12',)), 0.0),
    ("I don't think the answer is 15. The answer is 12.", AnswerKey(('12',)), 1.0),
    ('It cannot be "the cat".', AnswerKey(('the cat',)), 0.0),
    ("I don't think it is the cat.", AnswerKey(('the cat',)), 0.0),
    ("I don't think the answer is a dog. The answer is the cat.", AnswerKey(('the cat',)), 1.0),
    ('Not **the cat**', AnswerKey(('the cat',)), 0.0),
  ],
)
def test_what_is_denied_is_no_answer(text, key, right):
  assert score(text, key) == right
