"""Turns what an `interpreter` saw of somebody's code into layouts, and checks them against it.

The code is called with several numbers of options and of examples. A layout is read off one of the calls and must
then give, for all of them, the very text that the code gave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import itertools
import os.path
from typing import Any

from seqio_tasks.bank.layouts import Answer, Block, Derivation, FewShot, Layout, LayoutError
from seqio_tasks.importers.symbols import Symbol, Unsupported, parts_of

Token = str | Symbol  # one character or a symbol


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


class Names:
  """Names for the derived fields of one task."""

  def __init__(self):
    self.derived: dict[str, Derivation] = {}

  def of(self, symbol: Symbol) -> str:
    """The name of a field."""
    if not symbol.detail:
      return symbol.value
    derivation = Derivation(symbol.value, symbol.detail)
    for name, known in self.derived.items():
      if known == derivation:
        return name
    name = f'{symbol.value}_part_{len(self.derived) + 1}'
    self.derived[name] = derivation
    return name


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
    template = _template(_tokens(probe.input_text), 'item', blocks, names, answer, probe.options)
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
  for name, choice in itertools.product(names, ({'limit_to_item': True}, {'of': 'item'}, {'of': 'example'})):
    yield dataclasses.replace(
      layout, blocks={**layout.blocks, name: dataclasses.replace(layout.blocks[name], **choice)}
    )
  for choice in ({'limit_to_item': True}, {'of': 'item'}):
    yield dataclasses.replace(
      layout, blocks={name: dataclasses.replace(b, **choice) for name, b in layout.blocks.items()}
    )


# Templates.


def _tokens(text: Any) -> list[Token]:
  return [token for part in parts_of(text) for token in ([part] if isinstance(part, Symbol) else part)]


def _index(tokens: Sequence[Token], position: int) -> int | None:
  """Which option a token stands for."""
  token = tokens[position]
  if not isinstance(token, Symbol):
    return None
  if token.kind in ('option', 'label'):
    return token.value
  if token.kind == 'number':
    for later in tokens[position + 1 :]:
      if isinstance(later, Symbol):
        return token.value - 1 if later.kind == 'option' and later.value == token.value - 1 else None
  return None


def _template(
  tokens: Sequence[Token],
  owner: str | int,
  blocks: dict[str, Block],
  names: Names,
  answer: Answer | None,
  options: int,
  number: int | None = None,
) -> str:
  """Writes tokens as a template, and the lists of options in it as blocks."""
  pieces: list[str] = []
  position = 0
  while position < len(tokens):
    found = _block(tokens, position, owner, names, answer, options) if _index(tokens, position) == 0 else None
    if found is None:
      pieces.append(_piece(tokens[position], owner, names, answer, number))
      position += 1
      continue
    block, position = found
    rest = tokens[position:]
    before = ''.join(itertools.takewhile(lambda p: len(p) == 1, reversed(pieces)))[::-1]
    after = ''.join(itertools.takewhile(lambda t: isinstance(t, str), rest))
    block, left, right = _widen(block, before, after)
    if left:
      del pieces[len(pieces) - left :]
    pieces.append('{' + _name_of(block, blocks) + '}')
    position += right
  return ''.join(pieces)


def _block(
  tokens: Sequence[Token],
  start: int,
  owner: str | int,
  names: Names,
  answer: Answer | None,
  options: int,
) -> tuple[Block, int] | None:
  """The list of options that starts at a position, and where it ends; None if it is none."""
  units: list[tuple[int, int]] = []  # first and last position of each option's tokens
  for position in range(start, len(tokens)):
    index = _index(tokens, position)
    if index is None:
      continue
    if index == len(units) - 1:
      units[-1] = (units[-1][0], position)
    elif index == len(units):
      units.append((position, position))
    else:
      break
  if len(units) < 2:
    return None

  def text(part: Sequence[Token]) -> str | None:
    try:
      return ''.join(_piece(t, owner, names, answer, None) for t in part)
    except Unsupported:
      return None

  items = set()
  style, source, python = 'upper', None, False
  for first, last in units:
    pieces = []
    for position in range(first, last + 1):
      token = tokens[position]
      if _index(tokens, position) is None:
        pieces.append(text([token]))
      elif token.kind == 'option':
        python = python or ('python',) in token.detail
        source = token.owner
        pieces.append('{option}')
      else:
        style = 'numbers' if token.kind == 'number' else token.detail[0]
        pieces.append('{label}')
    if None in pieces:
      return None
    items.add(''.join(pieces))
  separators = [text(tokens[a[1] + 1 : b[0]]) for a, b in itertools.pairwise(units)]
  if len(items) != 1 or None in separators or len(set(separators[:-1])) > 1:
    return None
  last = separators[-1] if len(separators) > 1 and separators[-1] != separators[0] else None
  of = 'own'
  if source is not None and source != owner:
    of = 'item' if source == 'item' else 'example'
  limit = len(units) if len(units) < options else None
  return Block(items.pop(), separators[0], last, style, limit, of, python=python), units[-1][1] + 1


def _widen(block: Block, before: str, after: str) -> tuple[Block, int, int]:
  """Moves what surrounds every option, such as quotes, from the text around a block into its items.

  Returns:
    the block and how many characters of `before` and `after` it now holds.
  """
  separators = [block.separator] + ([block.last_separator] if block.last_separator is not None else [])
  left = os.path.commonprefix([text[::-1] for text in (before, *separators)])[::-1]
  left = left[max(left.rfind(c) for c in ' \n\t}') + 1 :]
  separators = [s[: len(s) - len(left)] for s in separators]
  right = os.path.commonprefix([after, *separators])
  ends = [right.find(c) for c in ' \n\t{,' if c in right]
  right = right[: min(ends)] if ends else right
  separators = [s[len(right) :] for s in separators]
  if not all(separators):  # an item without anything between it and the next would be hard to read
    right = ''
    separators = [block.separator] + ([block.last_separator] if block.last_separator is not None else [])
    separators = [s[: len(s) - len(left)] for s in separators]
    if not all(separators):
      return block, 0, 0
  last = separators[1] if len(separators) > 1 else None
  return (
    dataclasses.replace(block, item=left + block.item + right, separator=separators[0], last_separator=last),
    len(left),
    len(right),
  )


def _name_of(block: Block, blocks: dict[str, Block]) -> str:
  for name, known in blocks.items():
    if known == block:
      return name
  base = 'options' if '{option}' in block.item else 'labels'
  name = base if base not in blocks else f'{base}_{sum(n.startswith(base) for n in blocks) + 1}'
  blocks[name] = block
  return name


def _piece(token: Token, owner: str | int, names: Names, answer: Answer | None, number: int | None) -> str:
  """A token outside of a list of options."""
  if isinstance(token, str):
    return {'{': '{brace_open}', '}': '{brace_close}'}.get(token, token)
  if token.kind == 'label':
    return chr(ord('A' if token.detail == ('upper',) else 'a') + token.value)
  if token.kind == 'number':
    return '{number}' if token.value == number else str(token.value)
  if token.kind == 'missing':
    raise Unsupported(f'{token.value} is missing, which holds a part of the text')
  prefix = ''
  if token.owner != owner:
    if owner == 'item' or token.owner != 'item' or token.kind != 'field' or token.detail:
      raise Unsupported(f'the text of {owner} holds the {token.kind} of {token.owner}')
    prefix = 'item_'
  match token.kind:
    case 'field':
      return '{' + prefix + names.of(token) + '}'
    case 'count':
      return '{n_options}'
    case 'count_word':
      return '{n_options_word}'
    case 'option':
      return '{option_' + str(token.value + 1) + '}'
    case 'answer' | 'answer_label' | 'mapped':
      if answer is None or _answer_form([token]) != dataclasses.replace(answer, label_form=None, label_space=None):
        raise Unsupported('the text shows the answer in another form than the one that is asked for')
      return '{answer}'
  raise Unsupported(f'a {token.kind} stands in the text')


# Answers.


def _answer_form(parts: Sequence[str | Symbol]) -> Answer:
  """The form of an answer that is written so."""
  symbols = [p for p in parts if isinstance(p, Symbol)]
  if len(symbols) != 1:
    raise Unsupported(f'the answer {parts} is not one option or label')
  symbol = symbols[0]
  name = '{label}' if symbol.kind == 'answer_label' else '{option}'
  form = ''.join(p if isinstance(p, str) else name for p in parts)
  match symbol.kind:
    case 'answer':
      return Answer(form)
    case 'answer_label':
      return Answer(form, symbol.detail[0])
    case 'mapped' if symbol.detail[0] != 'by index':
      return Answer(form, mapping=symbol.detail)
    case 'option':
      return Answer(form, index=symbol.value)
    case 'label':
      return Answer(form.replace('{option}', '{label}'), symbol.detail[0], index=symbol.value)
  raise Unsupported(f'the answer is a {symbol.kind}')


def _answer(probes: Sequence[Probe]) -> Answer:
  """The form of the answer and its label space."""
  forms = {_answer_form(parts_of(p.output_text)) for p in probes}
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


# Few-shot forms.


def _few_shot(probes: Sequence[Probe], blocks: dict[str, Block], names: Names) -> FewShot:
  even = [p for p in probes if set(p.example_options) == {p.options}]
  most = max(p.options for p in even)
  one, two = ([p for p in even if p.options == most and len(p.example_options) == n][0] for n in (1, 2))
  first, second = _tokens(one.input_text), _tokens(two.input_text)
  length = len(second) - len(first)
  cuts = [p for p in range(len(first) - length + 1) if length > 0 and _repeats(first, second, p, length)]
  if not cuts:
    raise Unsupported('the examples are not one text after another')
  # Of all cuts that give the same text, the one behind an end of line reads best.
  cut = next((p for p in cuts if p == 0 or first[p - 1] == '\n'), cuts[0])
  answer = _answer(probes)
  parts = first[:cut], first[cut : cut + length], first[cut + length :]
  shown = [t for t in parts[1] if isinstance(t, Symbol) and t.kind in ('answer', 'answer_label', 'mapped')]
  forms = {_answer_form([t]) for t in shown if t.owner == 0}
  if len(forms) > 1:
    raise Unsupported('an example shows its answer in several forms')
  example_answer = forms.pop() if forms else Answer()
  return FewShot(
    _template(parts[0], 'item', blocks, names, answer, most),
    _template(parts[1], 0, blocks, names, example_answer, most, number=1),
    _template(parts[2], 'item', blocks, names, answer, most),
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


# Checks.


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
        pieces.append(dict(part.detail).get(option, dict(part.detail).get('*')))
      case kind:
        raise Unsupported(f'a {kind} stands in the text')
  return ''.join(pieces)
