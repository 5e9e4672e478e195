"""Turns what an `interpreter` saw of somebody's code into layouts, and checks them against it.

The code is called with several numbers of options and of examples. A layout is read off one of the calls and must
then give, for all of them, the very text that the code gave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import itertools
from typing import Any

from seqio_tasks.bank.layouts import Answer, Block, FewShot, Layout, LayoutError
from seqio_tasks.importers.symbols import Symbol, Unsupported, parts_of
from seqio_tasks.importers.templating import Names, Token, answer_form, tokens_of, write_template


@dataclasses.dataclass(frozen=True)
class Probe:
  """What the code gave for symbols.

  Attributes:
    options: how many options the item has.
    example_options: how many options each example has; empty for the zero-shot form.
    input_text: a string or Text.
    output_text: a string or Text.
    label_space: a list of strings or Texts.
  """

  options: int
  example_options: tuple[int, ...]
  input_text: Any
  output_text: Any
  label_space: Sequence[Any]


def fit(zero_shot: Sequence[Probe], few_shot: Sequence[Probe], names: Names) -> Layout:
  """The layout that gives what all probes gave.

  Args:
    zero_shot: probes without examples, empty if the code has no such form.
    few_shot: probes with one, two or more examples, empty if the code has no such form.
    names: receives the derived fields.

  Raises:
    Unsupported: if no layout does.
  """
  blocks: dict[str, Block] = {}
  template = answer = None
  if zero_shot:
    probe = max(zero_shot, key=lambda p: p.options)
    answer = _answer(zero_shot)
    template = write_template(tokens_of(probe.input_text), 'item', blocks, names, answer, probe.options)
  form = None
  if few_shot:
    form = _few_shot(few_shot, blocks, names)
    if form.answer == answer:
      form = dataclasses.replace(form, answer=None)
  derived = {name: names.derived[name] for name in names.derived if _used(name, template, form, blocks)}
  layout = Layout(template, blocks, derived, answer, form)
  for variant in _variants(layout):
    problems = [p for p in map(lambda probe: _difference(variant, probe, names), [*zero_shot, *few_shot]) if p]
    if not problems:
      return variant
  raise Unsupported(problems[0])


def _used(name: str, template: str | None, form: FewShot | None, blocks: Mapping[str, Block]) -> bool:
  texts = [template or '', *(b.separator + (b.last_separator or '') for b in blocks.values())]
  texts += [form.prefix, form.example, form.input] if form else []
  return any('{' + name + '}' in text for text in texts)


def _variants(layout: Layout) -> Iterable[Layout]:
  """A layout, and others with blocks that differ where item and examples have different numbers of options."""
  yield layout
  if layout.few_shot is None:
    return
  names = list(layout.blocks)
  choices: list[dict[str, Any]] = [{'limit_to_item': True}, {'of': 'item'}, {'of': 'example'}]
  for name, choice in itertools.product(names, choices):
    yield dataclasses.replace(
      layout, blocks={**layout.blocks, name: dataclasses.replace(layout.blocks[name], **choice)}
    )
  for choice in choices[:2]:
    yield dataclasses.replace(
      layout, blocks={name: dataclasses.replace(b, **choice) for name, b in layout.blocks.items()}
    )


def _answer(probes: Sequence[Probe]) -> Answer:
  """The form of the answer and its label space."""
  forms = {answer_form(parts_of(p.output_text)) for p in probes}
  if len(forms) != 1:
    raise Unsupported('the form of the answer depends on the number of options')
  answer = forms.pop()
  spaces = [p.label_space for p in probes]
  if all(isinstance(label, str) for space in spaces for label in space):
    if len({tuple(space) for space in spaces}) != 1:
      raise Unsupported('the label space depends on the number of options')
    return dataclasses.replace(answer, label_space=tuple(spaces[0]))
  counted = [[_label_form(label, i) for i, label in enumerate(space)] for space in spaces]
  label_forms = {form for space in counted for form in space}
  if len(label_forms) != 1:
    raise Unsupported(f'the label space {spaces[0]} has labels of several forms')
  form, style = label_forms.pop()
  if all(len(space) == p.options for space, p in zip(spaces, probes, strict=True)):
    return dataclasses.replace(answer, label_form=None if form == answer.form else form, labels=style or answer.labels)
  if style and len({len(space) for space in spaces}) == 1:
    labels = [chr(ord('A' if style == 'upper' else 'a') + i) for i in range(len(spaces[0]))]
    return dataclasses.replace(answer, label_space=tuple(form.replace('{label}', label) for label in labels))
  raise Unsupported('the label space is not one label for each option')


def _label_form(label: Any, index: int) -> tuple[str, str | None]:
  parts = parts_of(label)
  symbols = [p for p in parts if isinstance(p, Symbol)]
  if (
    len(symbols) != 1
    or symbols[0].value != index
    or symbols[0].kind not in ('label', 'option', 'answer', 'answer_label')
  ):
    raise Unsupported(f'the label {label} is not that of option {index + 1}')
  labelled = symbols[0].kind in ('label', 'answer_label')
  form = ''.join(p if isinstance(p, str) else '{label}' if labelled else '{option}' for p in parts)
  return form, symbols[0].detail[0] if labelled else None


def _few_shot(probes: Sequence[Probe], blocks: dict[str, Block], names: Names) -> FewShot:
  even = [p for p in probes if set(p.example_options) == {p.options}]
  most = max(p.options for p in even)
  one, two = ([p for p in even if p.options == most and len(p.example_options) == n][0] for n in (1, 2))
  first, second = tokens_of(one.input_text), tokens_of(two.input_text)
  length = len(second) - len(first)
  cuts = [p for p in range(len(first) - length + 1) if length > 0 and _repeats(first, second, p, length)]
  if not cuts:
    raise Unsupported('the examples are not one text after another')
  # Of all cuts that give the same text, the one behind an end of line reads best.
  cut = next((p for p in cuts if p == 0 or first[p - 1] == '\n'), cuts[0])
  answer = _answer(probes)
  parts = first[:cut], first[cut : cut + length], first[cut + length :]
  shown = [t for t in parts[1] if isinstance(t, Symbol) and t.kind in ('answer', 'answer_label', 'mapped')]
  forms = {answer_form([t]) for t in shown if t.owner == 0}
  if len(forms) > 1:
    raise Unsupported('an example shows its answer in several forms')
  example_answer = forms.pop() if forms else Answer()
  return FewShot(
    write_template(parts[0], 'item', blocks, names, answer, most),
    write_template(parts[1], 0, blocks, names, example_answer, most, number=1),
    write_template(parts[2], 'item', blocks, names, answer, most),
    example_answer,
    answer,
  )


def _repeats(first: Sequence[Token], second: Sequence[Token], cut: int, length: int) -> bool:
  """Whether `second` is `first` with the text of one more example behind that of the first."""
  if first[: cut + length] != second[: cut + length] or first[cut + length :] != second[cut + 2 * length :]:
    return False
  return all(map(_follows, second[cut : cut + length], second[cut + length : cut + 2 * length]))


def _follows(a: Token, b: Token) -> bool:
  """Whether a token of the second example is that of the first."""
  if a == b:
    return isinstance(a, str) or a.owner == 'item'
  if isinstance(a, str) or isinstance(b, str):
    return False
  if a.kind == b.kind == 'number':
    return b.value == a.value + 1
  return a.owner == 0 and b == dataclasses.replace(a, owner=1)


def _difference(layout: Layout, probe: Probe, names: Names) -> str | None:
  """How a filled-in layout differs from a probe; None if it does not."""
  filled = dataclasses.replace(layout, derived={})
  item = _stand_in('item', probe.options, layout)
  examples = [_stand_in(i, n, layout) for i, n in enumerate(probe.example_options)]
  try:
    rendered = filled.render(item, examples)
  except LayoutError as e:
    return f'the layout cannot be filled in: {e}'
  expected = _stand(probe.input_text, names)
  if rendered.input_text != expected:
    return f'the text would be {rendered.input_text[:300]!r} and is {expected[:300]!r}'
  return None


def _stand_in(owner: str | int, options: int, layout: Layout) -> Mapping[str, Any]:
  """An item of distinct texts."""
  names = {*layout.derived, 'question', 'domain'}
  fields = {name: f'<{owner} {name}>' for name in names}
  texts = [f'<{owner} option {i}>' for i in range(options)]
  return fields | {'options': texts, 'answer': texts[1]}


def _stand(text: Any, names: Names) -> str:
  """What a probe's text is for `_stand_in`."""
  pieces = []
  for part in parts_of(text):
    if isinstance(part, str):
      pieces.append(part)
      continue
    option = f'<{part.owner} option {part.value}>'
    match part.kind:
      case 'field':
        pieces.append(f'<{part.owner} {names.of(part)}>')
      case 'option':
        pieces.append(repr(option) if part.detail else option)
      case 'answer':
        pieces.append(option)
      case 'label' | 'answer_label':
        pieces.append(chr(ord('A' if part.detail == ('upper',) else 'a') + part.value))
      case 'number':
        pieces.append(str(part.value))
      case 'count':
        pieces.append(str(part.value))
      case 'count_word':
        pieces.append(str(part.detail[0]))
      case 'mapped':
        pieces.append(str(dict(part.detail).get(option, dict(part.detail).get('*'))))
      case kind:
        raise Unsupported(f'a {kind} stands in the text')
  return ''.join(pieces)
