"""Layouts as flat templates, so that a tf.data pipeline fills them in with joins of strings alone.

What a layout computes from an item (lists of options, derived fields, forms of the answer) depends on the item and on
few distinct definitions. Each definition is computed once for an item and becomes a text of its own; what is left of a
layout is a template that names these texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import functools
import itertools
import json
from typing import Any

from seqio_tasks.bank.fields import LETTERS, is_computed
from seqio_tasks.bank.instruction import Instruction
from seqio_tasks.bank.layouts import Answer, Item, Layout, LayoutError, few_shot_form
from seqio_tasks.bank.templates import parse_template, parsed_template


@dataclasses.dataclass(frozen=True)
class FlatPhrasings:
  """Instructions of one dataset, ready for a pipeline.

  Attributes:
    instructions: in order.
    templates: of each instruction, over the names of `features`' texts.
    answer_index: of each instruction, into `answers`.
    answers: the distinct forms of the answer.
    examples: shown before each item; empty for zero-shot forms.
    group: that results are counted in; empty where nothing is evaluated.
  """

  instructions: tuple[Instruction, ...]
  templates: tuple[str, ...]
  answer_index: tuple[int, ...]
  answers: tuple[Answer, ...]
  examples: tuple[Mapping[str, Any], ...] = dataclasses.field(default=(), hash=False)
  _parts: tuple[tuple[str, Layout], ...] = dataclasses.field(default=(), hash=False, repr=False)
  group: str = ''

  @functools.cached_property
  def plain_fields(self) -> tuple[str, ...]:
    """The fields of the item that the templates name themselves."""
    made = {name for name, _ in self._parts}
    used = dict.fromkeys(name for t in self.templates for _, name in parse_template(t) if name)
    return tuple(name for name in used if name not in made)

  def features(self, item: Item, separator: str = '\x1f') -> dict[str, Any]:
    """What the pipeline is given for an item.

    Returns:
      "texts": name -> text for every name in the templates; "golds" and "options": for each form of the answer the
      right one, and all of them as a JSON list; "option_list": all of them, joined by `separator`; "alternatives": what
      else is right, as a JSON list; "right_options": which options are right; "option_texts": what they say where
      they are labels, both as JSON lists; "right_list": as `right_options`, joined by `separator`.

    Raises:
      LayoutError: if the item lacks what an instruction needs.
    """
    missing = [name for name in self.plain_fields if name not in item]
    if missing:
      raise LayoutError(f'the templates name the fields {missing}, which the item lacks; it has {sorted(item)}')
    texts = {name: str(item[name]) for name in self.plain_fields}
    for name, layout in self._parts:
      texts[name] = layout.render(item, self.examples).input_text
    spaces = [answer.space(item) for answer in self.answers]
    right = [answer.right(item) for answer in self.answers]
    return {
      'texts': texts,
      'golds': [answer.text(item) for answer in self.answers],
      'alternatives': [json.dumps(answer.alternatives(item), ensure_ascii=False) for answer in self.answers],
      'options': [json.dumps(space, ensure_ascii=False) for space in spaces],
      'option_list': [separator.join(space) for space in spaces],
      'right_options': [json.dumps(places) for places in right],
      'right_list': [separator.join(map(str, places)) for places in right],
      'option_texts': [
        json.dumps(_texts(answer, space, item), ensure_ascii=False)
        for answer, space in zip(self.answers, spaces, strict=True)
      ],
    }


def _texts(answer: Answer, space: Sequence[str], item: Item) -> list[str]:
  """What the options of an answer say, where that is not what is to be answered; a space of its own has another order."""
  options = list(item.get('options') or ())
  own = answer.label_space is not None
  return options if not own and len(options) == len(space) and options != list(space) else []


def needed_fields(layout: Layout) -> frozenset[str]:
  """The fields that an item must have, beside its options and answer, for a layout's zero-shot form."""
  texts = [layout.template or '']
  texts += [t for b in layout.blocks.values() for t in (b.separator, b.last_separator or '')]
  names = {name for text in texts for _, name in parse_template(text) if name}
  made = {*layout.blocks, 'answer', *layout.derived}
  sources = {layout.derived[name].source for name in names if name in layout.derived}
  return frozenset(n for n in names - made if not is_computed(n)) | sources


def lists_letters(layout: Layout) -> bool:
  """Whether a layout labels all options of an item by letters, in any of its forms, so that it takes no more than `LETTERS`."""
  few_shot = layout.few_shot
  answers = [layout.default_answer, *((few_shot.answer, few_shot.example_answer) if few_shot else ())]
  forms = [(a.form + (a.label_form or ''), a.labels) for a in answers if a is not None]
  forms += [(b.item, b.labels) for b in layout.blocks.values() if b.limit is None or b.limit > LETTERS]
  return any('{label}' in form and labels != 'numbers' for form, labels in forms)


def flatten(instructions: Iterable[Instruction], examples: Sequence[Item] = ()) -> FlatPhrasings:
  """Takes the layouts of instructions apart.

  Args:
    instructions: of one dataset.
    examples: shown before each item; then the instructions' few-shot forms are used, see `layouts.few_shot_form`.

  Raises:
    LayoutError: if an instruction has no zero-shot form and there are no examples.
  """
  instructions = tuple(instructions)
  parts: dict[Any, str] = {}
  layouts: dict[str, Layout] = {}
  answers: dict[Answer, int] = {}
  templates, indices = [], []
  named = {name for i in instructions for _, name in parsed_template(i.layout.template or '')}
  free = (name for name in map('part_{}'.format, itertools.count()) if name not in named)  # fields may be called so

  def part(key: Any, layout: Layout) -> str:
    if key not in parts:
      parts[key] = next(free)
      layouts[parts[key]] = layout
    return '{' + parts[key] + '}'

  for instruction in instructions:
    layout = instruction.layout
    answer = layout.default_answer
    if examples:
      few_shot = few_shot_form(layout)
      layout = dataclasses.replace(layout, few_shot=few_shot)
      answer = few_shot.answer or answer
    indices.append(answers.setdefault(answer, len(answers)))
    if examples:
      templates.append(part((instruction.id,), layout))
      continue
    if layout.template is None:
      raise LayoutError(f'{instruction.id}: has no zero-shot form; leave it out, or give examples')
    pieces = []
    for literal, name in parse_template(layout.template):
      pieces.append(literal)
      if name in layout.blocks:
        # Separators of a block may hold other fields.
        key = (layout.blocks[name], tuple(sorted(layout.derived.items(), key=lambda d: d[0])))
        pieces.append(part(key, dataclasses.replace(layout, template='{' + name + '}')))
      elif name in layout.derived:
        pieces.append(part(layout.derived[name], dataclasses.replace(layout, template='{' + name + '}')))
      elif name == 'answer':
        pieces.append(part((name, answer), dataclasses.replace(layout, template='{answer}')))
      elif is_computed(name):
        pieces.append(part(name, dataclasses.replace(layout, template='{' + name + '}')))
      elif name:
        pieces.append('{' + name + '}')
    templates.append(''.join(pieces))
  return FlatPhrasings(
    instructions, tuple(templates), tuple(indices), tuple(answers), tuple(examples), tuple(layouts.items())
  )
