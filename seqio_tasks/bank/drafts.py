"""Drafts: texts that a model wrote as paraphrases of a phrasing, and why they are refused.

A draft takes the place of a phrasing's template; how options are listed and what the answer looks like stay as they are. So it must
keep the fields, ask for the answer in the same form, and be neither a double of another phrasing nor so like one that is for
another purpose that training on the one would be training on the other.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
import dataclasses
import re

from seqio_tasks.bank import checks, likeness
from seqio_tasks.bank.instruction import Instruction, make_instruction
from seqio_tasks.bank.templates import normalise, parse_template
from seqio_tasks.errors import UserError

# Reasons to refuse a draft.
EMPTY = 'it is empty'
BRACES = 'braces that are no field'
MISSING = 'a field is missing'
UNKNOWN = 'a field that there is not'
TWICE = 'a field stands more often'
LONG = 'it is much longer'
FORM = 'it asks for the answer in another form'
MORE = 'it asks for more than the answer'
ABOUT = 'it speaks of rewriting'
ANSWERS = 'it gives an answer'
SAME = 'the same phrasing is there already'
LIKE = 'too like another draft or its source'
NEAR = 'too like a phrasing that is for another purpose'

MOST_ALIKE = 0.75  # likeness of two phrasings of one purpose, below it, as in the package's bank
MOST_NEAR = 0.65  # of two of different purposes
_TIMES_LONGER, _WORDS_MORE = 3, 20

# Who may be trained on, chosen on, reported on: nothing may be near what is for another purpose.
_PURPOSES = {role: role for role in checks.TRAINING_ROLES} | dict.fromkeys(checks.REPORTED_ROLES, 'evaluation')
_FORMS = {
  'letter': r'\bletters?\b|[(\[\'"]A[)\]\'"]|\bA, ?B\b',
  'number': r'\bnumbers?\b|\bdigits?\b',
  'true or false': r'\btrue\b.*\bfalse\b|\bfalse\b.*\btrue\b',
  'yes or no': r'\byes\b.*\bno\b|\bno\b.*\byes\b',
  'one word': r'\b(one|single)[ -]word\b',
  'JSON': r'\b(JSON|XML|YAML)\b',
}
_MORE = (
  r'\b(explain|explanation|justify|justification|reasoning|rationale|why|step[ -]by[ -]step|show your work|elaborate)\b'
)
_ABOUT = r'\b(rewrit|rephras|rewrote|paraphras|reword)\w*|\b(new|original) instruction\b|\bin other words\b'
_ANSWERS = r'\banswer (is|would be|was):?[ \t]*[^\s:{]'
_OPENING = re.compile(
  r'^(sure|certainly|of course|here)\b[^\n{}]*:\s*\n+|^(new|rewritten|rephrased|paraphrased)?\s*(instruction|paraphrase|version)\s*:\s*',
  re.IGNORECASE,
)
_QUOTED = (('"', '"'), ('“', '”'), ("'", "'"), ('`', '`'), ('```', '```'), ('---', '---'), ('**', '**'))


def tidied(output: str, source: Instruction) -> str:
  """A model's output without what models put around a text: a fence, quotes, "Here is the paraphrase:".

  Options that are listed in lines get lines of their own.

  >>> source = make_instruction('mine', 'quiz', 'a1', 'alignment', 'Answer: {question}')
  >>> tidied('Sure, here it is:\\n\\n"What is the answer to {question}"', source)
  'What is the answer to {question}'
  """
  text = output.strip()
  before = None
  while text != before:
    before = text
    text = _OPENING.sub('', text).strip()
    for opening, closing in _QUOTED:
      inner = text[len(opening) : -len(closing)]
      if len(text) > len(opening) + len(closing) and text == f'{opening}{inner}{closing}' and opening not in inner:
        text = inner.strip()
  for name, block in source.layout.blocks.items():
    if '\n' in block.separator:
      text = re.sub(rf'[ \t"\']*\n*\{{{name}\}}["\']?[.,;:?!]?[ \t]*\n*', f'\n{{{name}}}\n', text).strip()
  return text


def text_fault(text: str, source: Instruction) -> tuple[str, str] | None:
  """What is wrong with a draft by itself, as a reason and a detail; None if nothing is.

  >>> source = make_instruction('mine', 'quiz', 'a1', 'alignment', 'Answer with a letter: {question}')
  >>> text_fault('Which letter answers {question}', source)
  >>> text_fault('Which number answers {question}', source)
  ('it asks for the answer in another form', 'number, not letter')
  """
  if not text:
    return EMPTY, ''
  try:
    own = collections.Counter(name for _, name in parse_template(text) if name)
  except UserError:
    return BRACES, ''
  wanted = collections.Counter(name for _, name in parse_template(source.template) if name)
  for reason, names in (
    (UNKNOWN, own.keys() - wanted.keys()),
    (MISSING, (wanted - own).keys()),
    (TWICE, (own - wanted).keys()),
  ):
    if names:
      return reason, ', '.join(f'{{{name}}}' for name in sorted(names))
  if len(text.split()) > _TIMES_LONGER * len(source.template.split()) + _WORDS_MORE:
    return LONG, f'{len(text.split())} words'
  asked, kept = _forms(text), _forms(source.template)
  if asked != kept:
    return FORM, f'{" and ".join(asked) or "none named"}, not {" and ".join(kept) or "none named"}'
  for reason, pattern in ((MORE, _MORE), (ABOUT, _ABOUT), (ANSWERS, _ANSWERS)):
    found = re.search(pattern, text, re.IGNORECASE)
    if found and not re.search(pattern, source.template, re.IGNORECASE):
      return reason, found[0]
  return None


def _forms(text: str) -> list[str]:
  """The forms of answers that a text names, fields aside."""
  literal = ' '.join(literal for literal, _ in parse_template(text))
  return [name for name, pattern in _FORMS.items() if re.search(pattern, literal, re.IGNORECASE | re.DOTALL)]


class Drafts:
  """Drafts of one role for one task, as they are kept."""

  def __init__(self, bank: Iterable[Instruction], task: str, role: str, collection: str):
    """Takes what is there.

    Args:
      bank: all phrasings that are known, of whatever role.
      task: of the drafts.
      role: of the drafts: what they are for.
      collection: of the drafts.
    """
    bank = list(bank)
    self._same = {normalise(i.template): i.id for i in bank}
    self._others = [i for i in bank if i.task == task and _PURPOSES.get(i.role) not in (None, _PURPOSES[role])]
    self._alike = [i for i in bank if i.task == task and _PURPOSES.get(i.role) == _PURPOSES[role]]
    self._task, self._role, self._collection = task, role, collection
    self.kept: list[Instruction] = []

  def fault(self, text: str, source: Instruction) -> tuple[str, str] | None:
    """What speaks against a draft, as a reason and a detail; None if nothing does."""
    found = text_fault(text, source)
    if found:
      return found
    other = self._same.get(normalise(text))
    if other:
      return SAME, other
    draft = make_instruction('', self._task, 'draft', self._role, text)
    for reason, others, most in ((NEAR, self._others, MOST_NEAR), (LIKE, [*self._alike, *self.kept], MOST_ALIKE)):
      near = max(likeness.nearest([draft], others), default=None)
      if near is not None and near.likeness >= most:
        return reason, f'{near.likeness:.2f} to {near.nearest}'
    return None

  def keep(self, text: str, source: Instruction) -> Instruction:
    """The phrasing that a draft becomes; `source` is what it paraphrases."""
    layout = dataclasses.replace(source.layout, template=text, few_shot=None)
    key = f'p{len(self.kept) + 1:03}'
    made = make_instruction(self._collection, self._task, key, self._role, text, layout, source=source.id)
    self.kept.append(made)
    self._same[normalise(text)] = made.id
    return made
