"""The answer that a talkative text commits to: the rules of the scorer `extracted`.

A text commits to an answer by the first of these that finds one; what a model thinks aloud between <think> and </think> and the
marks of Markdown do not count.

1. The whole text is the answer, as `answers.normalise` compares.
2. It says so: \\boxed{X}, "#### X", "final answer: X", else "the answer is X", "I choose X" and the like.
3. It begins with the answer, set off from the rest: "B. Paris", "(B)", "Yes, because", "Paris. It lies on the Seine".
4. Options: one of them alone is mentioned as a whole word, in bold if there is any; the longest where one holds another.
   Numbers: what stands behind the last "=", or the only number. Other texts: the only one in bold; what stands behind the
   colon, the "=" or the "is" of a single sentence; the only one in quotation marks. None of these where it is denied.

Several candidates are no answer, nor is a refusal that says nothing by rule 2. Options may be meant by their label or by what
they say. `extract_option` and `extract_text` return what was found, and None is a miss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import re
from typing import TypeVar

from seqio_tasks.answers import OPEN_TASKS, AnswerKey, exact_match, normalise, one_character

Found = TypeVar('Found')

_THOUGHTS = re.compile(r'<think>.*?(?:</think>|\Z)', re.DOTALL | re.IGNORECASE)
_MARKS = re.compile(r'\*\*|__|^\s*#{1,3}\s|^\s*>\s|\$', re.MULTILINE)
_BOXED = re.compile(r'\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}|####\s*(.+)')
_FINAL = re.compile(r'\bfinal\s+answer\b\s*(?:is|would\s+be|:|=)*\s*', re.IGNORECASE)
_SAYS = re.compile(
  r'\b(?:(?:(?:correct|right|best|true|most\s+likely)\s+)?(?:answer|option|choice|response)'
  r'(?:\s+(?:here|to\s+(?:this|the)\s+question))?\s*(?:is|would\s+be|should\s+be|must\s+be|:|=)+|'
  r'(?:i|we)\s+(?:would\s+|will\s+|\'ll\s+)?(?:choose|pick|select|go\s+with|answer)\b:?)\s*',
  re.IGNORECASE,
)
_BEFORE = r'(?:[\s"\'`(\[*:]|\b(?:option|choice|answer|the\s+word|the\s+letter|the\s+number)\b)*'
_REFUSAL = re.compile(
  r"\b(?:i\s+(?:can\s?not|can't|cannot|am\s+(?:unable|not\s+able)|don't\s+know|do\s+not\s+know|won't)|i'm\s+(?:sorry|unable|not\s+able|not\s+sure)|"
  r'as\s+an\s+ai|(?:it\s+is|it\'s)\s+(?:impossible|not\s+possible)\s+to|(?:none|neither)\s+of\s+(?:the|these)|not\s+enough\s+information)',
  re.IGNORECASE,
)
# Between a denial and what it denies, as in "not simply the option" and "don't think that it is".
_SO = (
  'a|an|the|option|choice|be|by|is|it|that|simply|just|really|actually|necessarily|definitely|equal|to|'
  r'think|believe|say|choose|pick|select|go|with|final|(?:(?:correct|right|best)\s+)?answer'
)
_DENIED = re.compile(
  r"(?:\b(?:can)?not|\bno(?!\s+the\b)|n't|\bnever|\bneither|\bnor|\brather\s+than|\binstead\s+of|\bexcept|\bwithout|\bunlike|\banything\s+but)"
  rf'(?:\s+(?:{_SO})\b)*\s*["\'(]*(?:\\boxed\{{)?$',
  re.IGNORECASE,
)
_LONGEST_DENIAL = 200  # letters; so a long text takes time by its length alone
_DENIED_BEHIND = re.compile(
  r"""["'`)\]}.]*\s+(?:(?:is|was)(?:n't|\s+not)\b(?!\s+only)|(?:is|was)\s+(?:also\s+)?(?:wrong|incorrect|false)\b)""",
  re.IGNORECASE,
)
_LIST_LINE = re.compile(r'^\s*\(?([A-Za-z]|\d{1,2})[.):]\s', re.MULTILINE)
_NUMBER = re.compile(r'(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s?/\s?\d+|%)?(?![\w/]|[.,]\d)')
_CURRENCY = re.compile(r'(?<!\w)[$€£¥](?=\s?[\d.])')
_QUOTED = re.compile(r'"([^"\n]+)"|(?<!\w)\'([^\'\n]+)\'(?!\w)|`([^`\n]+)`')
_BOLD = re.compile(r'\*\*([^*\n]+)\*\*|__([^_\n]+)__')
_BEHIND = re.compile(
  r'.*(?:\bis|\bare|\bwas|:|=)\s+(?:the\s+(?:word|letter|number)\s+)?(.+)', re.IGNORECASE | re.DOTALL
)
# Between options of which the text takes none alone, and what ends such a list.
_JOINED = re.compile(rf'["\'`)\]]*\s*(?:,?\s*(?:and/or|and|or|nor)\b|[,&/]){_BEFORE}', re.IGNORECASE)
_CLOSED = re.compile(r'["\'`)\]]*\s*(?:[.!?;:,]|\n|$)')
_SEVERAL, _EITHER = -1, ''  # in the place of an option, of a number
# Behind a letter that is a word; another letter behind it is another label.
_ARTICLE = re.compile(r"\s+(?!(?:or|and|nor|is|because|since|as|[A-Z])\b)\w|'")
_ONE_WORD = ('yes', 'no', 'true', 'false', 'valid', 'invalid')  # a comma sets these off, as in "Yes, because"


def score(prediction: str, key: AnswerKey) -> float | None:
  """1.0 if the answer that a text commits to is right, 0.0 if it is wrong or there is none; None where no rule applies.

  >>> score('The answer is (B), since it is larger.', AnswerKey(('B',), ('A', 'B'), (1,)))
  1.0
  >>> score('It is either A or B.', AnswerKey(('B',), ('A', 'B'), (1,)))
  0.0
  >>> score('Three plus four makes 7.', AnswerKey(('7',)))
  1.0

  No rule applies to LMentry's open tasks, whose right answer is a rule itself.
  """
  if any(_is_rule(right) for right in key.right):
    return None
  if key.options and key.right_options:
    return float(extract_option(prediction, key.options, key.option_texts) in key.right_options)
  if exact_match(_THOUGHTS.sub('', prediction), key):
    return 1.0
  return float(any(_commits_to(prediction, right) for right in key.right))


def _commits_to(text: str, right: str) -> bool:
  """Whether the answer to an open question that a text commits to is the right one; a currency goes without saying."""
  told, wanted = (set(_CURRENCY.findall(t)) for t in (one_character(text), one_character(right)))
  if told and wanted and not told & wanted:
    return False
  like = _CURRENCY.sub('', _plain(right)) or right
  return _same(extract_text(text, like), like)


def extract_option(text: str, options: Sequence[str], option_texts: Sequence[str] = ()) -> int | None:
  """Which option a text commits to.

  Args:
    text: what the model wrote.
    options: what may be answered, such as letters.
    option_texts: what the options say, where that is something else.
  """
  as_written = [i for i, option in enumerate(options) if option.strip() == text.strip()]
  if len(as_written) == 1:
    return as_written[0]
  bold = _plain(text, keep_bold=True)
  names = _names(options, option_texts)
  unmarked = _names(*([_MARKS.sub('', name).strip() for name in kind] for kind in (options, option_texts)))
  if len(unmarked) < len(names):  # the marks tell options apart, or are all of one
    text = bold
  else:
    names, text = unmarked, _plain(text)
  whole = names.get(normalise(text))
  if whole is not None:
    return whole
  said = _said(text, lambda rest: _named_at(rest, names))
  if said:
    return _only(said) if _SEVERAL not in said else None
  if _refuses(text, names):
    return None
  begun = _begins(text, names)
  if begun is not None:
    return begun
  in_bold = [option for part in _groups(_BOLD, bold) for option in _mentions(part, names)]
  return _only(in_bold or _mentions(text, names))


def extract_text(text: str, like: str) -> str | None:
  """The answer to an open question that a text commits to.

  Args:
    text: what the model wrote.
    like: an answer of the kind that is looked for: a number, or other text. Nothing else of it is used.
  """
  bold = _plain(text, keep_bold=True)
  text = _plain(text)
  numeric = _value(like) is not None
  said = _said(text, _number_at if numeric else _rest_of_sentence)
  if said:
    return _only(said, normalise)
  if _REFUSAL.search(text):
    return None
  if numeric:
    numbers = [m[0] for m in _NUMBER.finditer(text) if not _denied(text, *m.span())]
    behind = _NUMBER.match(text.rpartition('=')[2].strip()) if '=' in text else None
    if behind:
      return behind[0]
    return _only(numbers, _value)
  in_bold, quoted = (_only(_groups(*place), normalise) for place in ((_BOLD, bold), (_QUOTED, text)))
  if in_bold is not None:
    return in_bold
  if quoted is not None and not _BEHIND.match(text):
    return quoted
  sentence = text.strip()
  if '\n' not in sentence and not re.search(r'[.!?]\s+\S', sentence):
    behind = _BEHIND.match(sentence)
    if behind and not _denied_before(sentence, behind.start(1)):
      whole = _QUOTED.fullmatch(behind[1].strip(' .!'))
      return _groups(_QUOTED, whole[0])[0] if whole else behind[1]
  return text


def _only(found: Sequence[Found], kind: Callable[[Found], object] = lambda value: value) -> Found | None:
  """What was found, where all of it is of one kind."""
  kinds = {kind(value): value for value in found}
  return next(iter(kinds.values())) if len(kinds) == 1 else None


def _groups(pattern: re.Pattern[str], text: str) -> list[str]:
  """What the groups of a pattern hold, wherever it stands in a text and is not denied."""
  return [
    part for match in pattern.finditer(text) for part in match.groups() if part and not _denied(text, *match.span())
  ]


def _denied(text: str, start: int, end: int) -> bool:
  """Whether a part of a text is denied by what stands before or behind it."""
  return _denied_before(text, start) or _DENIED_BEHIND.match(text, end) is not None


def _denied_before(text: str, start: int) -> bool:
  return _DENIED.search(text, max(0, start - _LONGEST_DENIAL), start) is not None


def _refuses(text: str, names: Mapping[str, int]) -> bool:
  """Whether a text refuses to answer; an option such as "none of the above" is no refusal."""
  return any(
    not any(start <= refusal.start() and refusal.end() <= end for start, end, _ in _found(text, names, loose=True))
    for refusal in _REFUSAL.finditer(text)
  )


def _first_sentence(text: str) -> str:
  return re.split(r'[.!?](?:\s|$)|\n', text)[0]


def _is_rule(right: str) -> bool:
  rule, _, argument = right.partition(': ')
  return rule in OPEN_TASKS and bool(argument)


def _same(found: str | None, right: str) -> bool:
  if found is None:
    return False
  value = _value(right)
  return value == _value(found) if value is not None else normalise(found) == normalise(right)


def _value(text: str) -> str | None:
  """A number as text without separators of thousands and zeros that say nothing; None for anything else."""
  text = one_character(text).strip().rstrip('.')
  if not _NUMBER.fullmatch(text):
    return None
  text = text.replace(',', '').replace(' ', '').removeprefix('+')
  return text.rstrip('0').rstrip('.') if '.' in text and '/' not in text and '%' not in text else text


def _plain(text: str, keep_bold: bool = False) -> str:
  text = one_character(_THOUGHTS.sub('', text)).strip()
  return text if keep_bold else _MARKS.sub('', text).strip()


def _names(options: Sequence[str], option_texts: Sequence[str]) -> dict[str, int]:
  """Normalised name -> option; what names several options names none."""
  names: dict[str, int] = {}
  shared = set()
  texts = option_texts if len(option_texts) == len(options) else ()
  for kind in (options, texts):
    for i, name in enumerate(kind):
      folded = normalise(name)
      if not folded:
        continue
      if names.setdefault(folded, i) != i:
        shared.add(folded)
  # A label is a label, whatever another option says.
  labels = {normalise(option) for option in options}
  return {name: i for name, i in names.items() if name not in shared or (texts and name in labels)}


def _said(text: str, read: Callable[[str], Found | None]) -> list[Found]:
  """What the text says by rule 2, in the strongest form that it has."""
  for rests in (_groups(_BOXED, text), _behind(_FINAL, text), _behind(_SAYS, text)):
    found = [value for rest in rests if (value := read(rest)) is not None]
    if found:
      return found
  return []


def _behind(pattern: re.Pattern[str], text: str) -> list[str]:
  """What stands behind a pattern, wherever that is not denied."""
  return [text[m.end() :] for m in pattern.finditer(text) if not _denied_before(text, m.start())]


def _named_at(rest: str, names: Mapping[str, int]) -> int | None:
  """The option that a text names at its beginning."""
  rest = re.sub(rf'^{_BEFORE}', '', rest, flags=re.IGNORECASE)
  start, end, option = next(_found(rest, names, loose=True), (-1, 0, None))
  if start or option is None:
    return None
  return _SEVERAL if _goes_on(rest[end:], option, names) else option


def _goes_on(rest: str, option: int, names: Mapping[str, int]) -> bool:
  """Whether a text that has just named an option names others along with it, as in "A or B.", and not "A, B is wrong"."""
  others = False
  while joined := _JOINED.match(rest):
    start, end, other = next(_found(rest[joined.end() :], names, loose=True), (-1, 0, option))
    if start:
      break
    others |= other != option
    rest = rest[joined.end() + end :]
  return others and _CLOSED.match(rest) is not None


def _begins(text: str, names: Mapping[str, int]) -> int | None:
  """The option that a text begins with, set off from what follows; not where it lists several, as the question may."""
  if len(set(_LIST_LINE.findall(text))) > 1:
    return None
  first, _, _ = text.partition('\n')
  start = len(first) - len(first.lstrip('("\'['))
  for name in sorted(names, key=len, reverse=True):
    end = _end_of(first, start, name)
    if end is None:
      continue
    rest = first[end:].lstrip('"\']')
    off = r'\s*$|[.:;!)](?:\s|$)|\)?[.:]?\s*[-–—]\s|\)'
    if name in _ONE_WORD:
      off += r'|,|\s'
    return names[name] if re.match(off, rest) and not _goes_on(first[end:], names[name], names) else None
  return None


def _end_of(text: str, start: int, name: str) -> int | None:
  """Where a name ends that begins there in a text as a whole word; None if it does not."""
  pattern = r'\s*'.join(re.escape(c) for c in name if not c.isspace())
  match = re.compile(pattern, re.IGNORECASE).match(text, start)
  if match is None or (name[-1].isalnum() and re.match(r'\w', text[match.end() :])):
    return None
  return match.end()


def _mentions(text: str, names: Mapping[str, int]) -> list[int]:
  """The options that a text mentions and does not deny."""
  return [option for start, end, option in _found(text, names) if not _denied(text, start, end)]


def _found(text: str, names: Mapping[str, int], loose: bool = False) -> Iterator[tuple[int, int, int]]:
  """(start, end, option) of the names that stand in a text as whole words, the longest where they overlap.

  Unless `loose`, a single letter counts in upper case only, and "A" and "I" only where no word follows.
  """
  place = 0
  ordered = sorted(names, key=len, reverse=True)
  while place < len(text):
    if place == 0 or not (text[place - 1].isalnum() and text[place].isalnum()):
      for name in ordered:
        end = _end_of(text, place, name)
        if end is None or end == place or (_is_letter(name) and not loose and _is_word(text, place, end)):
          continue
        if _is_part(text, place, end):
          break
        yield place, end, names[name]
        place = end - 1
        break
    place += 1


def _is_letter(name: str) -> bool:
  return len(name) == 1 and name.isalpha()


def _is_word(text: str, place: int, end: int) -> bool:
  """Whether a single letter in a text is a word of it, rather than a label."""
  letter = text[place:end]
  return not letter.isupper() or (letter in 'AI' and _ARTICLE.match(text[end:]) is not None)


def _is_part(text: str, place: int, end: int) -> bool:
  """Whether what stands in a text is part of another value: of -9, 1.9 or 9/2 for 9, of C++ for C."""
  before, behind = text[:place], text[end:]
  if text[place].isdigit() and re.search(r'\d[.,]$|(?<!\w)[-+.]$', before):
    return True
  if text[end - 1].isdigit() and re.match(r'[.,/]\d|%', behind):
    return True
  return re.match(r'\+\+|#|-\w', behind) is not None


def _number_at(rest: str) -> str | None:
  first = _first_sentence(rest)
  if '=' in first:  # "the answer is 3 + 4 = 7"
    alone = _NUMBER.fullmatch(first.partition('=')[0].strip(' :*'))
    return alone[0] if alone else _number_at(first.rpartition('=')[2])
  rest = re.sub(rf'^{_BEFORE}(?:[$€£]\s*)?', '', rest, flags=re.IGNORECASE)
  number = _NUMBER.match(rest)
  if number is None:
    return None
  other = re.match(r'\s*(?:and/or|and|or)\s+', rest[number.end() :], re.IGNORECASE)
  if other and (second := _NUMBER.match(rest[number.end() + other.end() :])) and _value(second[0]) != _value(number[0]):
    return _EITHER
  return number[0]


def _rest_of_sentence(rest: str) -> str | None:
  """What a sentence says to its end; what is in quotation marks, where it begins with them."""
  rest = rest.lstrip(' :*')
  quoted = _QUOTED.match(rest)
  if quoted:
    return _groups(_QUOTED, quoted[0])[0]
  return _first_sentence(rest).strip() or None
