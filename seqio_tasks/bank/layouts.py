"""How an instruction lays out an item: option blocks, derived fields, answers and few-shot examples.

An item is a mapping with "answer", usually "question" and "options", and whatever other fields a task has. An
`Layout` turns it into the text that a model reads, the text that it should write, and the texts that it may write:

  >>> layout = Layout('{question}\\n{options}', blocks={'options': STYLES['letters']})
  >>> layout.render({'question': 'Two?', 'options': ['2', '3'], 'answer': '3'})
  Rendered(input_text='Two?\\nA. 2\\nB. 3', output_text='B', label_space=('A', 'B'))

A template's field is, in this order: a block of the layout; a derived field of the layout; "answer"; a field of the
item; "n_options", "n_options_word"; "option_1", "option_2" and so on; "brace_open" and "brace_close", for texts that
have braces themselves. Imports nothing beyond the standard library, so that banks can be read and filled in anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
from types import MappingProxyType
from typing import Any, NamedTuple

from seqio_tasks.bank.fields import BRACES, LETTERS, OPTION, RIGHT, count_word, shuffled
from seqio_tasks.bank.templates import parsed_template
from seqio_tasks.errors import UserError

Item = Mapping[str, Any]

# Label style -> the i-th label, from 0.
LABELS: Mapping[str, Callable[[int], str]] = MappingProxyType(
  {'upper': lambda i: _letter('A', i), 'lower': lambda i: _letter('a', i), 'numbers': lambda i: str(i + 1)}
)
OTHERWISE = '*'  # key of a mapping for whatever it does not name


class LayoutError(UserError):
  """An item that a layout cannot be filled in with; the message names the field and the cure."""


def _letter(first: str, place: int) -> str:
  if place >= LETTERS:
    raise LayoutError(
      f'the item has more options than the {LETTERS} letters; take a phrasing that lists options by number'
    )
  return chr(ord(first) + place)


class Rendered(NamedTuple):
  """A filled-in layout.

  Attributes:
    input_text: what the model reads.
    output_text: what it should write.
    label_space: what it may write, one text for each option; empty where answers are free.
  """

  input_text: str
  output_text: str
  label_space: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Block:
  """How the options of an item are listed.

  Attributes:
    item: template of one option, with {option}, {label} or both.
    separator: template between two options.
    last_separator: between the last two, as `separator` by default.
    labels: a name in `LABELS`.
    limit: most options that are listed; all by default.
    of: "own" lists the options of the item, or of the example where it stands in one; "item" lists the item's
      everywhere; "example" lists the first example's, even outside of it.
    limit_to_item: list no more options than the item has; matters in an example with more.
    python: write each option as Python would print the string.
    shuffle: seed of another order of the options, the same for all items with as many; by default their own order.
  """

  item: str
  separator: str = '\n'
  last_separator: str | None = None
  labels: str = 'upper'
  limit: int | None = None
  of: str = 'own'
  limit_to_item: bool = False
  python: bool = False
  shuffle: int | None = None

  @property
  def labelled(self) -> bool:
    """Whether options are listed with labels."""
    return '{label}' in self.item


# Ways to list options that need no definition of their own.
STYLES: Mapping[str, Block] = MappingProxyType(
  {
    'letters': Block('{label}. {option}'),
    'letters_parenthesised': Block('({label}) {option}'),
    'letters_closed': Block('{label}) {option}'),
    'lower_letters': Block('{label}) {option}', labels='lower'),
    'numbers': Block('{label}. {option}', labels='numbers'),
    'numbers_closed': Block('{label}) {option}', labels='numbers'),
    'bullets': Block('- {option}'),
    'plain': Block('{option}'),
    'inline': Block('{option}', ', '),
    'inline_or': Block('{option}', ', ', ' or '),
    'inline_letters': Block('({label}) {option}', ' '),
    'quoted': Block("'{option}'", ', '),
    'slashes': Block('{option}', ' / '),
  }
)


@dataclasses.dataclass(frozen=True)
class Derivation:
  """A field that is cut out of another.

  Attributes:
    source: the item's field.
    steps: done in order, each a tuple of
      ("split", separator, most splits or -1, number of parts that there must be or 0, index of the part),
      ("remove", text), ("replace", text, by), ("prepend", text) or ("strip",).
  """

  source: str
  steps: tuple[tuple[Any, ...], ...]

  def __call__(self, text: str) -> str:
    """The derived field; LayoutError if the text has not the parts that are asked for."""
    for kind, *arguments in self.steps:
      text = STEPS[kind](text, *arguments)
    return text


def _split(text: str, separator: str, most: int, parts: int, index: int) -> str:
  pieces = text.split(separator, most)
  if parts and len(pieces) != parts:
    raise LayoutError(f'{separator!r} parts {text[:60]!r} into {len(pieces)}, not {parts}; the item does not fit')
  try:
    return pieces[index]
  except IndexError:
    raise LayoutError(f'{separator!r} parts {text[:60]!r} into {len(pieces)}, which has no part {index}') from None


STEPS: Mapping[str, Callable[..., str]] = MappingProxyType(
  {
    'split': _split,
    'remove': lambda text, old: text.replace(old, ''),
    'replace': lambda text, old, new: text.replace(old, new),
    'prepend': lambda text, prefix: prefix + text,
    'strip': lambda text: text.strip(),
  }
)


@dataclasses.dataclass(frozen=True)
class Answer:
  """What the right answer looks like, and what the other answers would.

  Attributes:
    form: template with {option}, {label} or, where answers are free, fields of the item.
    labels: a name in `LABELS`.
    mapping: option's text -> what stands for it in {option}; the key "*" for all others; empty for none.
    index: the answer is always this option; by default it is the item's.
    label_form: template of the label space, as `form` by default.
    label_space: the label space where it does not depend on the item.
    shuffle: as that of the block that lists the options, so that labels are those that stand there.
  """

  form: str = '{option}'
  labels: str = 'upper'
  mapping: tuple[tuple[str, str], ...] = ()
  index: int | None = None
  label_form: str | None = None
  label_space: tuple[str, ...] | None = None
  shuffle: int | None = None

  def text(self, item: Item) -> str:
    """What should be written; LayoutError if the item's answer is not among its options."""
    if self.index is not None:
      return self._fill(self.form, item, _options(item)[self.index], self.index)
    return self._fill(self.form, item, str(item['answer']), answer_index(item) if '{label}' in self.form else 0)

  def alternatives(self, item: Item) -> list[str]:
    """What else may be written and is right."""
    others = {name: value for name, value in item.items() if name != 'answer_index'}
    return [self.text({**others, 'answer': answer}) for answer in item.get('alternatives', ())]

  def space(self, item: Item) -> tuple[str, ...]:
    """What may be written, for each option; empty if the item has no options."""
    if self.label_space is not None:
      return self.label_space
    form = self.form if self.label_form is None else self.label_form
    if '{option}' not in form and '{label}' not in form:
      return ()
    return tuple(self._fill(form, item, option, i) for i, option in enumerate(item.get('options') or ()))

  def right(self, item: Item) -> tuple[int, ...]:
    """Which of `space` are right: by the option's place, or by its text where the space does not depend on the item."""
    space = self.space(item)
    if self.label_space is not None:
      texts = [self.text(item), *self.alternatives(item)]
      return tuple(i for i, text in enumerate(space) if text in texts)
    if not space:
      return ()
    if self.index is not None:
      return (self.index,)
    answers = (str(item['answer']), *item.get('alternatives', ()))
    own = item.get('answer_index')
    return tuple(i for i, option in enumerate(_options(item)) if i == own or option in answers)

  def _fill(self, form: str, item: Item, option: str, index: int) -> str:
    if self.mapping:
      mapping = dict(self.mapping)
      if option not in mapping and OTHERWISE not in mapping:
        raise LayoutError(f'the answer {option!r} is not among {sorted(mapping)}, which the instruction maps')
      option = mapping.get(option, mapping.get(OTHERWISE, option))
    pieces = []
    for literal, name in parsed_template(form):
      pieces.append(literal)
      if name == 'label':
        place = shuffled(len(_options(item)), self.shuffle).index(index)
        pieces.append(LABELS[self.labels](place))
      elif name:
        pieces.append(option if name == 'option' else str(_field(item, name)))
    return ''.join(pieces)


@dataclasses.dataclass(frozen=True)
class FewShot:
  """The few-shot form: prefix, one text for each example, then the item.

  Attributes:
    prefix: template, filled in with the item.
    example: template, filled in with the example, with {answer}, {number} (from 1) and the item's fields as
      {item_question} and so on.
    input: template, filled in with the item.
    example_answer: the form of {answer} in an example, as in the zero-shot form by default.
    answer: the form of the answer, as in the zero-shot form by default.
  """

  prefix: str
  example: str
  input: str
  example_answer: Answer | None = None
  answer: Answer | None = None


@dataclasses.dataclass(frozen=True)
class Layout:
  """An instruction's text and how items go into it.

  Attributes:
    template: of the zero-shot form; None if there is none.
    blocks: name of a field -> how it lists the options.
    derived: name of a field -> how it is cut out of another.
    answer: by default the label if options are listed with labels, otherwise the option's text.
    few_shot: None if there is no such form.
  """

  template: str | None
  blocks: Mapping[str, Block] = dataclasses.field(default_factory=dict)
  derived: Mapping[str, Derivation] = dataclasses.field(default_factory=dict)
  answer: Answer | None = None
  few_shot: FewShot | None = None

  @functools.cached_property
  def default_answer(self) -> Answer:
    """The form of the answer."""
    if self.answer is not None:
      return self.answer
    labelled = next((block for block in self.blocks.values() if block.labelled), None)
    return Answer('{label}', labelled.labels, shuffle=labelled.shuffle) if labelled else Answer()

  @property
  def shows_the_answer(self) -> bool:
    """Whether the right answer stands in what is asked, and not in the examples of a few-shot form alone."""
    asked = [self.template, *((self.few_shot.prefix, self.few_shot.input) if self.few_shot else ())]
    asked += [text for b in self.blocks.values() for text in (b.separator, b.last_separator)]
    names = {name for text in asked for _, name in parsed_template(text or '')}
    return not RIGHT.isdisjoint(self.derived[name].source if name in self.derived else name for name in names)

  def render(self, item: Item, examples: Sequence[Item] = ()) -> Rendered:
    """Fills the layout in.

    Args:
      item: what is asked.
      examples: shown before it, for the few-shot form.

    Raises:
      LayoutError: if the layout lacks the form that is asked for, or the item a field.
    """
    if examples:
      return self._render_few_shot(item, examples)
    if self.template is None:
      raise LayoutError('the instruction has no zero-shot form; give examples')
    text = self._fill(self.template, item, item, examples, self.default_answer, {})
    return Rendered(text, self.default_answer.text(item), self.default_answer.space(item))

  def _render_few_shot(self, item: Item, examples: Sequence[Item]) -> Rendered:
    form = self.few_shot
    if form is None:
      raise LayoutError('the instruction has no few-shot form; give no examples, or use `few_shot_form`')
    answer = form.answer or self.default_answer
    texts = [self._fill(form.prefix, item, item, examples, answer, {})]
    of_item = {f'item_{name}': value for name, value in item.items() if isinstance(value, str)}
    for number, example in enumerate(examples, start=1):
      extra = of_item | {'number': str(number)}
      texts.append(self._fill(form.example, example, item, examples, form.example_answer or self.default_answer, extra))
    texts.append(self._fill(form.input, item, item, examples, answer, {}))
    return Rendered(''.join(texts), answer.text(item), answer.space(item))

  def _fill(
    self, template: str, owner: Item, item: Item, examples: Sequence[Item], answer: Answer, extra: Mapping[str, str]
  ) -> str:
    """Fills a template with the fields of `owner`, which is the item or one of the examples."""

    def value(name: str) -> str:
      if name in self.blocks:
        return block(self.blocks[name])
      if name in self.derived:
        return self.derived[name](str(_field(owner, self.derived[name].source)))
      if name == 'answer':
        return answer.text(owner)
      if name in owner and name != 'options':
        return str(owner[name])
      if name in extra:
        return extra[name]
      if name in BRACES:
        return BRACES[name]
      if name == 'n_options':
        return str(len(_options(owner)))
      if name == 'n_options_word':
        return count_word(len(_options(owner)))
      if numbered := OPTION.fullmatch(name):
        options, number = _options(owner), int(numbered[1])
        if number > len(options):
          raise LayoutError(f'the template names {name}, but the item has {len(options)} options')
        return options[number - 1]
      raise LayoutError(f'the template names the field {name!r}, which the item lacks; it has {sorted(owner)}')

    def block(b: Block) -> str:
      source = {'own': owner, 'item': item, 'example': examples[0] if examples else owner}[b.of]
      options = _options(source)
      most = len(options) if b.limit is None else min(b.limit, len(options))
      if b.limit_to_item:
        most = min(most, len(_options(item)))
      shown = []
      for i, place in enumerate(shuffled(most, b.shuffle)):
        option = options[place]
        if i:
          separator = b.last_separator if i == most - 1 else None
          shown.append(fill(b.separator if separator is None else separator))
        shown.append(fill(b.item, {'option': repr(option) if b.python else option, 'label': LABELS[b.labels](i)}))
      return ''.join(shown)

    def fill(text: str, of_option: Mapping[str, str] = MappingProxyType({})) -> str:
      return ''.join(
        literal + ('' if not name else of_option[name] if name in of_option else value(name))
        for literal, name in parsed_template(text)
      )

    return fill(template)


def answer_index(item: Item) -> int:
  """Which option is the answer: "answer_index", or else the first one equal to "answer"; LayoutError if none is."""
  options = _options(item)
  if 'answer_index' in item:
    return item['answer_index']
  try:
    return list(options).index(item['answer'])
  except ValueError:
    raise LayoutError(
      f'the answer {item["answer"]!r} is not among the options {list(options)}; mend the item'
    ) from None


def _field(item: Item, name: str) -> Any:
  if name not in item:
    raise LayoutError(f'the item lacks the field {name!r}; it has {sorted(item)}')
  return item[name]


def few_shot_form(layout: Layout) -> FewShot:
  """The few-shot form, or else the zero-shot form with answers, an empty line after each; LayoutError if there is neither."""
  if layout.few_shot is not None:
    return layout.few_shot
  if layout.template is None:
    raise LayoutError('the instruction has neither a zero-shot nor a few-shot form')
  gap = '' if layout.template.endswith((' ', '\n')) else ' '
  return FewShot('', f'{layout.template}{gap}{{answer}}\n\n', layout.template)


def _options(item: Item) -> Sequence[str]:
  options = item.get('options')
  if not options:
    raise LayoutError('the instruction lists options, but the item has none; take a phrasing that lists none')
  return options
