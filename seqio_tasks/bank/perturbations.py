"""Perturbations: phrasings changed as people and programs change them, whose meaning stays what it was.

A perturbed phrasing has its kind as its role, so that it is evaluated and reported in a group of its own and nothing is trained on
it. Which words, marks or frames are chosen follows from the seed, the kind and the phrasing's id alone. Fields stay as they are,
and so does what is to be answered, but for `option_labels` and `option_order`, where another label may be right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import random
import re

from seqio_tasks.bank.instruction import PERTURBATIONS, Instruction, make_instruction
from seqio_tasks.bank.layouts import Answer, Block, Layout
from seqio_tasks.bank.templates import parse_template
from seqio_tasks.errors import UserError

_FIELD = '\0'  # stands for a field while a text is changed; no bank file can hold it
_WORDS = re.compile(r'[^\W\d_]{4,}')  # those that can be misspelt and still be read
_MISSPELT, _SPACED, _MARKED = 0.15, 0.2, 0.5  # shares of words, blanks and marks that are changed
_NEIGHBOURS = {  # on a keyboard
  key: [near for near in (row[i - 1 : i], row[i + 1 : i + 2]) if near]
  for row in ('qwertyuiop', 'asdfghjkl', 'zxcvbnm')
  for i, key in enumerate(row)
}
# Marks that part sentences, not those within numbers, times, words and rows of dots.
_MARKS = re.compile(r'(?<![.,;:!?\d_])[.,;:!?](?![.,;:!?\w])')
_OTHER_MARKS = {
  '.': ('', '!', '..'), ',': ('', ';'), ';': ('', ','), ':': ('', ',', '::'), '!': ('.', '!!'), '?': ('', '.', '??')
}  # fmt: skip
_QUOTES = re.compile(r'["“”]|(?<!\w)[\'‘]|[\'’](?!\w)')
_OTHER_QUOTES = ('"', "'", '`', '*', '')
_BREAKS = ('\n\n', ' ', ' | ', '\n---\n', '\n\n\n', '\t')
_COLONS = (' -', ' =', ' :', '::', ' =>')
_BETWEEN_OPTIONS = (' | ', '; ', ' / ', '\n\n', '\n')
_LABEL = re.compile(r'[(\[]?\{label\}(?:\.|\)|\]|:| -)? ')  # what opens an option of a list
_LABELS = ('{label}. ', '{label}) ', '({label}) ', '[{label}] ', '{label}: ', '{label} - ')
# Where a text says what labels look like, they must stay so.
_TELLS_LETTERS = re.compile(r'\b(small|lower|upper|capital)|\b[A-Za-z], ?[B-Zb-z]\b|[(\[\'"][A-Za-z][)\]\'"]')
_POLITE = (
  'Please help me with the following. ',
  'Hello! I would be very grateful for your help with this. ',
  'If it is not too much trouble, could you please do this for me? ',
  'Kindly do what is asked below, and thank you in advance.\n',
  'Excuse me, may I ask you something? ',
  'Good morning! Would you be so kind as to look at this?\n\n',
  'Thank you very much for taking the time for this.\n',
  'I hope that this finds you well. Please take a look at it: ',
)
_PERSONAS = (
  'You are a retired teacher who enjoys puzzles.\n',
  'You are an expert in this field. ',
  'You are a student who sits an examination. ',
  'You are a cheerful assistant called Robin.\n\n',
  'You are a librarian in a small town. ',
  'You are an engineer with twenty years of experience.\n',
  'You are a curious ten-year-old. ',
  'You are a journalist who checks every fact.\n\n',
)


def perturb(instruction: Instruction, kind: str, seed: int = 0) -> Instruction | None:
  """A phrasing with a perturbation.

  >>> from seqio_tasks.bank.instruction import make_instruction
  >>> asked = make_instruction('mine', 'quiz', 'e1', 'evaluation', 'Answer this question: {question}')
  >>> found = perturb(asked, 'case')
  >>> found.id, found.role, found.source, found.template
  ('mine/quiz/e1_case', 'case', 'mine/quiz/e1', 'answer this question: {question}')

  Args:
    instruction: what is perturbed.
    kind: one of `instruction.PERTURBATIONS`.
    seed: of what is chosen.

  Returns:
    the phrasing, with the kind as its role and behind its key, and the id of the unperturbed one as its source; None where there
    is nothing to perturb, such as the order of options where none are listed.

  Raises:
    UserError: if there is no such kind.
  """
  if kind not in _KINDS:
    raise UserError(f'no perturbation {kind!r}; use some of {", ".join(PERTURBATIONS)}')
  layout = _KINDS[kind](instruction.layout, f'{seed}/{kind}/{instruction.id}')
  if layout == instruction.layout:
    return None
  key = f'{instruction.key}_{kind}'
  return make_instruction(
    instruction.collection, instruction.task, key, kind, layout.template, layout, source=instruction.id
  )


def perturbed(instructions: Iterable[Instruction], kinds: Sequence[str], seed: int = 0) -> list[Instruction]:
  """Phrasings with each of some perturbations, where there is something to perturb; see `perturb`."""
  instructions = list(instructions)
  made = (perturb(instruction, kind, seed) for kind in dict.fromkeys(kinds) for instruction in instructions)
  return [instruction for instruction in made if instruction is not None]


def unperturbed(id_: str, kind: str) -> str:
  """The id of the phrasing that one was made of."""
  return id_.removesuffix(f'_{kind}')


def _of_texts(change: Callable[[str, random.Random], str]) -> Callable[[Layout, str], Layout]:
  """What changes all texts of a layout, but for their fields; what is chosen for all of them is chosen alike."""

  def changed(template: str, seed: str) -> str:
    parts = parse_template(template)
    text = change(_FIELD.join(literal for literal, _ in parts), random.Random(seed))
    names = [name for _, name in parts]
    return ''.join(
      literal + (f'{{{name}}}' if name else '') for literal, name in zip(text.split(_FIELD), names, strict=True)
    )

  def of_layout(layout: Layout, seed: str) -> Layout:
    form = layout.few_shot
    if form is not None:
      prefix, example, asked = (changed(text, seed) for text in (form.prefix, form.example, form.input))
      form = dataclasses.replace(form, prefix=prefix, example=example, input=asked)
    template = None if layout.template is None else changed(layout.template, seed)
    return dataclasses.replace(layout, template=template, few_shot=form)

  return of_layout


def _replaced(text: str, places: Sequence[re.Match[str]], share: float, draws: random.Random, new: Callable) -> str:
  """A text in which a share of some places, at least one, stand anew."""
  if not places:
    return text
  sure = draws.randrange(len(places))
  for i in reversed(range(len(places))):
    if draws.random() < share or i == sure:
      text = text[: places[i].start()] + new(places[i][0], draws) + text[places[i].end() :]
  return text


def _typos(text: str, draws: random.Random) -> str:
  return _replaced(text, [*_WORDS.finditer(text)], _MISSPELT, draws, _misspelt)


def _misspelt(word: str, draws: random.Random) -> str:
  """A word with two letters exchanged, one left out, one doubled or its neighbour on the keyboard; never its first."""
  i = draws.randrange(1, len(word) - 1)
  near = _NEIGHBOURS.get(word[i])
  ways = [word[:i] + word[i + 1 :], word[:i] + word[i] + word[i:]]
  if word[i] != word[i + 1]:
    ways.append(word[:i] + word[i + 1] + word[i] + word[i + 2 :])
  if near:
    ways.append(word[:i] + draws.choice(near) + word[i + 1 :])
  return draws.choice(ways)


def _case(text: str, draws: random.Random) -> str:
  ways = [str.lower, str.upper, _title]
  draws.shuffle(ways)
  return next((changed for way in ways if (changed := way(text)) != text), text)


def _title(text: str) -> str:
  return re.sub(r'(?<![\w\'’])[^\W\d_]', lambda match: match[0].upper(), text)


def _spacing(text: str, draws: random.Random) -> str:
  places = [*re.finditer(r'(?<=\S) (?=\S)|(?<=\w)(?=[.,;:!?](?:\s|$))|(?<=\S)\n', text)]
  return _replaced(text, places, _SPACED, draws, _spaced)


def _spaced(space: str, draws: random.Random) -> str:
  if space == '\n':
    return draws.choice(('\n\n', ' \n', '\n '))
  return space + draws.choice((' ', '  ') if space else (' ',))


def _punctuation(text: str, draws: random.Random) -> str:
  quote = draws.choice(_OTHER_QUOTES)
  text = _replaced(text, [*_MARKS.finditer(text)], _MARKED, draws, lambda mark, d: d.choice(_OTHER_MARKS[mark]))
  return _QUOTES.sub(lambda _: quote, text)


def _separators(layout: Layout, seed: str) -> Layout:
  def change(text: str, draws: random.Random) -> str:
    line, colon = draws.choice(_BREAKS), draws.choice(_COLONS)
    text = re.sub(r'(?<=\w):(?=\s|\0|$)', colon, text)
    lines = {match[0] for match in re.finditer(r'\n+', text)}
    return re.sub(r'\n+', draws.choice([b for b in _BREAKS if b not in lines]) if line in lines else line, text)

  draws = random.Random(seed)
  changed = _of_texts(change)(layout, seed)
  blocks = {
    name: dataclasses.replace(
      block,
      separator=draws.choice([s for s in _BETWEEN_OPTIONS if s != block.separator]),
      last_separator=None,
    )
    for name, block in layout.blocks.items()
  }
  return dataclasses.replace(changed, blocks=blocks)


def _option_labels(layout: Layout, seed: str) -> Layout:
  """Other letters, in another writing; numbers stay numbers, which texts ask for by that name."""
  labelled = [block for block in layout.blocks.values() if block.labelled]
  if not labelled:
    return layout
  draws = random.Random(seed)
  writing = draws.choice([w for w in _LABELS if not any(block.item.startswith(w) for block in labelled)])
  letters = {'upper': 'lower', 'lower': 'upper'}
  if _TELLS_LETTERS.search(' '.join(_texts(layout))) or draws.random() < 0.5:
    letters = {}
  blocks = {
    name: dataclasses.replace(
      block, item=_LABEL.sub(writing, block.item, count=1), labels=letters.get(block.labels, block.labels)
    )
    if block.labelled
    else block
    for name, block in layout.blocks.items()
  }
  return _with_answers(layout, blocks, lambda answer: {'labels': letters.get(answer.labels, answer.labels)})


def _option_order(layout: Layout, seed: str) -> Layout:
  """Another order of the options, the same in all lists; not where a text names options by their number or lists a part of them."""
  of_item = all(b.of == 'own' and b.limit is None and not b.limit_to_item for b in layout.blocks.values())
  listed = any('{option}' in b.item for b in layout.blocks.values())
  if not (of_item and listed) or re.search(r'\{option_\d', ' '.join(_texts(layout))):
    return layout
  shuffle = random.Random(seed).randrange(1 << 31)
  blocks = {name: dataclasses.replace(block, shuffle=shuffle) for name, block in layout.blocks.items()}
  return _with_answers(layout, blocks, lambda _: {'shuffle': shuffle})


def _texts(layout: Layout) -> list[str]:
  form = layout.few_shot
  return [layout.template or '', *((form.prefix, form.example, form.input) if form else ())]


def _with_answers(layout: Layout, blocks: Mapping[str, Block], change: Callable[[Answer], dict]) -> Layout:
  """A layout with other blocks, and every form of the answer that it gives itself changed; the others follow the blocks."""

  def changed(answer: Answer | None) -> Answer | None:
    return answer if answer is None or '{label}' not in answer.form else dataclasses.replace(answer, **change(answer))

  form = layout.few_shot
  if form is not None:
    form = dataclasses.replace(form, example_answer=changed(form.example_answer), answer=changed(form.answer))
  return dataclasses.replace(layout, blocks=blocks, answer=changed(layout.answer), few_shot=form)


def _framed(frames: Sequence[str]) -> Callable[[Layout, str], Layout]:
  """What puts one of some texts in front; of the few-shot form once, before all examples."""

  def of_layout(layout: Layout, seed: str) -> Layout:
    frame = random.Random(seed).choice(frames)
    form = layout.few_shot
    if form is not None:
      form = dataclasses.replace(form, prefix=frame + form.prefix)
    template = None if layout.template is None else frame + layout.template
    return dataclasses.replace(layout, template=template, few_shot=form)

  return of_layout


_KINDS: Mapping[str, Callable[[Layout, str], Layout]] = dict(
  zip(
    PERTURBATIONS,
    (
      _of_texts(_typos), _of_texts(_case), _of_texts(_spacing), _of_texts(_punctuation), _separators, _option_labels,
      _option_order, _framed(_POLITE), _framed(_PERSONAS),
    ),
    strict=True,
  )
)  # fmt: skip
