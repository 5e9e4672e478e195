"""Answers in words: how they are normalised, and what counts as right. The one place that says it.

Two rules go by the name of exact match: `exact_match`, which folds punctuation too and is what `robust-t5x eval` scores by,
and `same_but_for_case`, which is what the metric of SeqIO tasks counts. They differ for outputs such as "Cat."; a number
of one is not one of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
import re
import string


def normalise(text: str) -> str:
  """The form in which outputs and answers are compared by `exact_match`: lower case, punctuation as space."""
  return ' '.join(re.sub(r'[^\w]+', ' ', text.casefold()).split())


def exact_match(prediction: str, gold: str) -> float:
  """1.0 if prediction and gold are the same after `normalise`, otherwise 0.0.

  Where `normalise` leaves nothing of the gold answer, such as of brackets, both are compared without their spaces.
  """
  if not normalise(gold):
    return float(''.join(prediction.split()) == ''.join(gold.split()))
  return float(normalise(prediction) == normalise(gold))


def same_but_for_case(prediction: str, gold: str) -> float:
  """1.0 if prediction and gold are the same but for case and outer space, otherwise 0.0."""
  return float(prediction.strip().casefold() == gold.strip().casefold())


def matches_any(prediction: str, golds: Sequence[str]) -> float:
  """The best `exact_match` of a prediction with one of several right answers."""
  return max(exact_match(prediction, gold) for gold in golds)


def is_an_option(prediction: str, options: Sequence[str]) -> bool:
  """Whether a prediction is one of the options after `normalise`; true where there are none."""
  return not options or normalise(prediction) in {normalise(option) for option in options}


# LMentry's tasks without one right answer -> the field that their rule is about.
OPEN_TASKS = {
  'ends_with_letter': 'letter',
  'ends_with_word': 'word',
  'sentence_containing': 'word',
  'sentence_not_containing': 'word',
  'starts_with_letter': 'letter',
  'starts_with_word': 'word',
  'word_containing': 'letter',
  'word_not_containing': 'letter',
}
YES_NO = ('yes', 'no')

_LEAD_IN = re.compile(r'the (?:word|letter|number) (?=\S)')
_STRIPPED = string.punctuation + string.whitespace + '\u201c\u201d\u2018\u2019'


def normalise_answer(text: str) -> str:
  """Folds case and space, strips punctuation off both ends, drops "the word", "the letter" etc."""
  text = ' '.join(text.casefold().split()).strip(_STRIPPED)
  return _LEAD_IN.sub('', text, count=1).strip(_STRIPPED) if _LEAD_IN.match(text) else text


def lmentry_score(prediction: str, gold: str, options: Sequence[str] = ()) -> float:
  """The scorer `lmentry`: 1.0 if the gold answer is what the prediction says, otherwise 0.0.

  Both are normalised (`normalise_answer`) and must then be equal: 'The word "Apple".' is right for
  "apple", but a sentence about apples is not. Where the options are yes and no, the prediction's
  first word decides, whatever follows. The published scorer also accepts sentences that hold the
  answer in one of its patterns.

  Where the gold answer is a rule, such as "starts_with_letter: b", it is 1.0 if the prediction keeps to it: one word for
  the tasks about letters, two or more for those about words.
  """
  rule, _, argument = gold.partition(': ')
  if rule in OPEN_TASKS and argument:
    return float(_keeps_to(rule, argument.casefold(), re.findall(r"\w+(?:['\u2019-]\w+)*", prediction.casefold())))
  prediction, gold = normalise_answer(prediction), normalise_answer(gold)
  if set(options) == set(YES_NO):
    words = re.findall(r'\w+', prediction)
    return float(bool(words) and words[0] == gold)
  return float(prediction == gold)


def _keeps_to(rule: str, argument: str, words: Sequence[str]) -> bool:
  """Whether an answer, given as its words, is as the rule of an open task demands."""
  if OPEN_TASKS[rule] == 'letter':
    if len(words) != 1:
      return False
    word = words[0]
    return {
      'starts_with_letter': word.startswith(argument),
      'ends_with_letter': word.endswith(argument),
      'word_containing': argument in word,
      'word_not_containing': argument not in word,
    }[rule]
  if len(words) < 2:
    return False
  return {
    'starts_with_word': words[0] == argument,
    'ends_with_word': words[-1] == argument,
    'sentence_containing': argument in words,
    'sentence_not_containing': argument not in words,
  }[rule]
