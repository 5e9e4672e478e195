"""Checks of the instruction bank that look at templates' fields and at phrasings side by side.

Each check yields messages that say what is wrong and how to mend it; `reading.validate` collects them.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
import re
from typing import TYPE_CHECKING, Protocol

from seqio_tasks.bank.fields import BRACES, RIGHT
from seqio_tasks.bank.instruction import PERTURBATIONS
from seqio_tasks.bank.likeness import words
from seqio_tasks.bank.templates import normalise, parse_template, render

if TYPE_CHECKING:
  from seqio_tasks.bank.instruction import Instruction
  from seqio_tasks.bank.layouts import Layout


# Roles that an adapter, or the choice of its settings, may be fitted to: an evaluation phrasing that
# also stands here would be measured on what was trained on.
TRAINING_ROLES = ('alignment', 'development')
# Roles that a model is reported on as one that was given the task.
REPORTED_ROLES = ('evaluation', 'default', *PERTURBATIONS)


class Tokenizer(Protocol):
  """What is asked of a vocabulary; `seqio.Vocabulary` has it."""

  def encode(self, text: str) -> Sequence[int]: ...


def field_faults(instruction: Instruction, fields: tuple[str, ...]) -> Iterator[str]:
  """Unknown, missing and repeated fields of a template.

  Args:
    instruction: whose template is checked.
    fields: the task's fields; a template must hold each once, but may do without those that end in "?".
  """
  counts = collections.Counter(name for _, name in parse_template(instruction.template) if name)
  names = [name.removesuffix('?') for name in fields]
  known = ', '.join(names)
  made = {*instruction.layout.blocks, *instruction.layout.derived, 'n_options', 'n_options_word'}
  for name in counts:
    if name not in names and name not in made:
      yield f"unknown field {name!r}; the task's fields are {known}"
  for name in fields:
    if counts[name] == 0 and not name.endswith('?'):
      yield f'the field {name!r} is missing; the template must hold {{{name}}} once'
    elif counts[name.removesuffix('?')] > 1:
      name = name.removesuffix('?')
      yield f'the field {name!r} stands {counts[name]} times; keep {{{name}}} once'


def form_faults(instruction: Instruction) -> Iterator[str]:
  """What keeps the forms of a phrasing from asking each example's question, or from telling how it is answered.

  What is not the task's question may ask the same of all, and published texts are kept as they are.
  """
  layout = instruction.layout
  forms = {'template': layout.template, 'input of few_shot': layout.few_shot.input if layout.few_shot else None}
  for form, text in forms.items() if instruction.role in (*TRAINING_ROLES, *REPORTED_ROLES) else ():
    if text is not None and not any(_is_of_the_item(name, layout) for _, name in parse_template(text)):
      yield (
        f'the {form} has no field of the data, so that it asks the same of every example; write where its text goes, such as {{question}}'
      )
  listed = [b for b in layout.blocks.values() if b.labelled]
  answers = [
    layout.default_answer,
    *((layout.few_shot.answer, layout.few_shot.example_answer) if layout.few_shot else ()),
  ]
  for answer in dict.fromkeys(a for a in answers if a is not None and '{label}' in a.form):
    if listed and all(b.shuffle != answer.shuffle for b in listed):
      yield 'the answer is a label, and the options are listed in another order (shuffle); give both the same'
    elif not instruction.verbatim and all(_is_number(b.labels) != _is_number(answer.labels) for b in listed):
      yield f'the answer is a label in {answer.labels}, and the template lists no options with such labels; list them so, or ask for the text'
  for block in listed:
    if block.shuffle is not None and (block.limit is not None or block.limit_to_item):
      yield 'a block of options has shuffle and a limit, so that labels are not those of the answer; leave one out'
  if instruction.verbatim:
    return
  for form, text in (*forms.items(), ('example of few_shot', layout.few_shot.example if layout.few_shot else None)):
    if text is not None and re.search(r'\\[nt](?![a-z])', text):
      yield f'the {form} holds a backslash and a letter where a line break may be meant; write it in double quotes'
  if layout.few_shot and not _tells(layout.few_shot.example, layout):
    yield 'the example of few_shot does not show its answer; write {answer} where it goes'


def _is_number(labels: str) -> bool:
  return labels == 'numbers'


def _tells(text: str, layout: Layout) -> bool:
  """Whether a text names the right answer, or what is cut out of it."""
  names = {name for _, name in parse_template(text)}
  return not RIGHT.isdisjoint(layout.derived[n].source if n in layout.derived else n for n in names)


def _is_of_the_item(name: str, layout: Layout) -> bool:
  """Whether a field's text differs between items: a block of bare labels does not, nor does a number of options."""
  block = layout.blocks.get(name)
  if block is not None:
    return any(n not in ('', 'label') for t in (block.item, block.separator) for _, n in parse_template(t))
  return name not in ('', 'n_options', 'n_options_word', *BRACES)


def text_of(instruction: Instruction) -> str:
  """What tells the texts of phrasings apart: words and fields, whatever a file calls the blocks that list options."""
  form = instruction.layout.few_shot
  text = instruction.template or (f'{form.prefix}\n{form.input}' if form else '')
  names = {n: '{options}' if '{option}' in b.item else '{label}' for n, b in instruction.layout.blocks.items()}
  return normalise(
    ''.join(f'{literal}{names.get(name, f"{{{name}}}") if name else ""}' for literal, name in parse_template(text))
  )


def clashes(read: Sequence[tuple[str, Instruction]]) -> Iterator[str]:
  """Ids and phrasings that stand twice, and evaluation phrasings that are trained on.

  Phrasings are the same if their words and fields are, whatever their tasks. One that is reported on is trained on also
  where one of its task in a training role has the same words and fields of other names, or in another order.
  """
  ids: dict[str, str] = {}
  texts: dict[str, tuple[str, Instruction]] = {}
  of_task: dict[tuple[str, tuple[str, ...]], list[tuple[str, Instruction]]] = collections.defaultdict(list)
  for path, instruction in read:
    if instruction.id in ids:
      yield (
        f'{path}: {instruction.id}: duplicate id, it also stands in {ids[instruction.id]}; '
        'give it another key or collection'
      )
      continue
    ids[instruction.id] = path
    other_path, other = texts.setdefault(text_of(instruction), (path, instruction))
    differs = 'case, punctuation and space'
    alike = of_task[instruction.task, words(instruction.template)]
    if other is instruction:
      both = [o for o in alike if _trained_and_evaluated(instruction, o[1])]
      if both:
        other_path, other = both[0]
        differs = 'case, punctuation, space and which field stands where'
    alike.append((path, instruction))
    roles = {instruction.role, other.role}
    meant = (instruction.verbatim and other.verbatim) or roles & {*PERTURBATIONS}
    if other is instruction or (meant and not roles & {*TRAINING_ROLES}):
      continue
    reason = f'the same phrasing as {other.id}'
    if _trained_and_evaluated(instruction, other):
      reason = f'this {instruction.role} phrasing also stands in the training role of {other.id}'
      if instruction.role in TRAINING_ROLES:
        reason = f'this {instruction.role} phrasing is also the {other.role} phrasing {other.id}'
    yield f'{path}: {instruction.id}: {reason} (in {other_path}), but for {differs}; remove one of them'


def _trained_and_evaluated(a: Instruction, b: Instruction) -> bool:
  return any(x.role in REPORTED_ROLES and y.role in TRAINING_ROLES for x, y in ((a, b), (b, a)))


def token_clashes(read: Sequence[tuple[str, Instruction]], vocabulary: Tokenizer) -> Iterator[str]:
  """Phrasings that a vocabulary cannot tell apart."""
  seen: dict[tuple[int, ...], str] = {}
  for path, instruction in read:
    if instruction.verbatim or instruction.role in PERTURBATIONS:
      continue
    # A stand-in for each field, since vocabularies know no braces.
    stand_ins = {name: f'zq{name}qz' for name in instruction.fields}
    ids = tuple(int(i) for i in vocabulary.encode(render(instruction.template, stand_ins)))
    other = seen.setdefault(ids, instruction.id)
    if other != instruction.id:
      yield (f'{path}: {instruction.id}: the vocabulary encodes it just as {other}; reword or remove one of them')
