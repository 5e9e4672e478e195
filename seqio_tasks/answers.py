"""Answers: how texts are compared, which option a model chose, and what counts as right. The one place that says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import json
import math
import re
import string
from typing import Any
import unicodedata

from seqio_tasks.errors import UserError

# Other characters for the same sign: minus signs and hyphens; quotation marks; full-width forms and the wide space. Those that
# are not seen, such as the marks of a direction, are none.
_SAME: dict[int, str] = {
  **dict.fromkeys(map(ord, '\u2010\u2011\u2012\u2013\u2212\ufe58\ufe63'), '-'),
  **dict.fromkeys(map(ord, '\u2018\u2019\u201a\u201b\u2032\u00b4'), "'"),
  **dict.fromkeys(map(ord, '\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb'), '"'),
  **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
  0x3000: ' ',
  **dict.fromkeys(
    (0xAD, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2065), *range(0x2066, 0x206A), 0xFEFF), ''
  ),
}
_QUOTES = '"\'`'


def one_character(text: str) -> str:
  """A text with one character for what Unicode has several for: minus signs, quotation marks, full width, accents."""
  return unicodedata.normalize('NFC', text.translate(_SAME))


def normalise(text: str) -> str:
  """The form in which outputs and answers are compared by `exact_match`.

  Folded are case, white space (all of it beside a sign), what Unicode has several characters for (`one_character`),
  quotation marks around the whole, round brackets around a single word, and the full stop or the like behind it. All else
  stays: signs, operators, decimal points, other brackets.

  >>> normalise(' The  Cat. '), normalise('\u22129'), normalise('x > 5'), normalise('C++')
  ('the cat', '-9', 'x>5', 'c++')
  """
  text = ' '.join(one_character(text).casefold().split())
  text = re.sub(r'\s*([^\w\s])\s*', r'\1', text)
  while len(text) > 1:
    inner = _inner(text)
    if not inner or inner == text:
      break
    text = inner
  return text


def _inner(text: str) -> str:
  """A text without the marks around it; "!" behind a number or bracket is a factorial and stays."""
  if text[-1] in '.,;:?' or (text[-1] == '!' and not re.search(r'[\d)]!$', text)):
    return text[:-1]
  if text[0] == text[-1] and text[0] in _QUOTES:
    return text[1:-1]
  if re.fullmatch(r'\(\w+\)', text):
    return text[1:-1]
  return text


@dataclasses.dataclass(frozen=True)
class AnswerKey:
  """What is right for an example under a phrasing.

  Attributes:
    right: right answers, at least one; the first is the one that tables show.
    options: what may be answered; empty for an open question.
    right_options: which of the options are right, by their index.
    option_texts: what the options say, where `options` are labels such as letters; else empty.
  """

  right: tuple[str, ...]
  options: tuple[str, ...] = ()
  right_options: tuple[int, ...] = ()
  option_texts: tuple[str, ...] = ()

  @classmethod
  def of_features(cls, features: Mapping[str, Any]) -> AnswerKey:
    """Of a row's features: `targets_pretokenized`, and as JSON `alternatives`, `options`, `right_options` and `option_texts`.

    Rows that were written without `right_options` have none: the options that read like a right answer are right then.
    """

    def listed(name: str) -> tuple[Any, ...]:
      return tuple(json.loads(features.get(name) or '[]'))

    right, options = (features['targets_pretokenized'], *listed('alternatives')), listed('options')
    right_options = listed('right_options')
    if 'right_options' not in features:
      right_options = tuple(i for i, option in enumerate(options) if option in right)
    return cls(right, options, right_options, listed('option_texts'))


def exact_match(prediction: str, key: AnswerKey) -> float:
  """1.0 if a text is a right answer, otherwise 0.0; compared as `normalise` says.

  Where that would make a wrong option the same as a right one, such as for options that differ in case alone, they are
  compared letter by letter.

  >>> exact_match('Paris.', AnswerKey(('paris', 'the city of Paris')))
  1.0
  >>> exact_match('-7', AnswerKey(('7',))), exact_match('It is Paris', AnswerKey(('Paris',)))
  (0.0, 0.0)
  """
  folded = normalise(prediction)
  matches = [right for right in key.right if normalise(right) == folded]
  wrong = [option for i, option in enumerate(key.options) if i not in key.right_options]
  if matches and any(normalise(option) == folded for option in wrong):
    return float(prediction.strip() in [right.strip() for right in matches])
  return float(bool(matches))


def is_an_option(prediction: str, options: Sequence[str]) -> bool:
  """Whether a prediction is one of the options after `normalise`; true where there are none."""
  return not options or normalise(prediction) in {normalise(option) for option in options}


def best_options(scores: Sequence[float]) -> tuple[int, ...]:
  """The options with the highest number: one of them or, where several have it, a tie.

  Numbers that differ by no more than a millionth are the same: options of the same tokens get them from one program, but
  not always by the same rounding.

  >>> best_options([-2.0, -1.0]), best_options([-1.0, -3.0, -1.0])
  ((1,), (0, 2))

  Raises:
    UserError: if a number is not finite, or there is none.
  """
  if not scores or not all(map(math.isfinite, scores)):
    raise UserError(
      f'the scores of the options are {[float(s) for s in scores][:8]}, which cannot be ranked; a weight that is not '
      'finite, or an overflow in bfloat16 or float16, makes them so: check the checkpoint, or compute in float32'
    )
  best = max(scores)
  return tuple(i for i, s in enumerate(scores) if best - s <= 1e-6 * max(1.0, abs(best)))


def ranking_score(best: Sequence[int], right: Sequence[int]) -> float:
  """How right the options are that score best: 1 or 0, and of a tie the share of them that is right.

  >>> ranking_score([2], [2]), ranking_score([0, 2], [2]), ranking_score([0], [2])
  (1.0, 0.5, 0.0)
  """
  return sum(i in right for i in best) / len(best)


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
_STRIPPED = string.punctuation + string.whitespace


def _strip(text: str) -> str:
  """Strips punctuation off both ends, but for the sign of a number."""
  bare = text.strip(_STRIPPED)
  before = text[: text.find(bare)] if bare else ''
  return before[-1] + bare if before.endswith(('-', '+')) and bare[0].isdigit() else bare


def normalise_answer(text: str) -> str:
  """Folds case and space, strips punctuation off both ends, drops "the word", "the letter" etc."""
  text = _strip(' '.join(one_character(text).casefold().split()))
  return _strip(_LEAD_IN.sub('', text, count=1)) if _LEAD_IN.match(text) else text


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
