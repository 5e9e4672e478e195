"""Chat templates: what a model's own template puts around a user's text, and around an answer to it.

A template is a program of somebody else's, in jinja2. It runs in jinja2's sandbox with what transformers offers templates,
on placeholders instead of texts: what it prints around them is the *frame* of every text. So no text can change the frame,
and a template runs a few times for a model, not once for each text.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import datetime
import functools
import json
from typing import Any, NamedTuple

import jinja2
from jinja2 import ext, sandbox
import jinja2.exceptions
import jinja2.nodes
import jinja2.parser

from robust_t5x.checkpoints.checks import CheckpointError
from seqio_tasks.errors import shorten

OWN, NONE = 'own', 'none'  # values of CHAT_TEMPLATE and SYSTEM_MESSAGE

_LONGEST = 1 << 20  # characters of a template, and of what it prints
_MOST_STEPS = 100_000  # numbers that all ranges of a template give together
_LARGEST_POWER = 64
# Templates that name the day get this one, so that a model reads the same on every day; Llama 3's fall back on it too.
_DAY = datetime.datetime(2024, 7, 26)

# Stand for texts. Of private characters, so that no template has them.
_USER, _NEXT, _ANSWER, _SYSTEM = (f'\ue000{name}\ue001' for name in ('user', 'next', 'answer', 'system'))
_BLANKS = ' \n'  # around a text, to see whether a template strips it


class Piece(NamedTuple):
  """A part of a rendered template.

  Attributes:
    text: the characters.
    is_data: whether they come from outside the template, so that no special token is recognised in them.
  """

  text: str
  is_data: bool = False


@dataclasses.dataclass(frozen=True)
class Frame:
  """What stands around a user's text and around the answer.

  Attributes:
    opening: what comes before the user's turn, such as a begin token and a system turn.
    header: from there to the text.
    after: behind the text, up to where the answer begins.
    strips: whether blanks at the text's start, and at its end, are taken off.
    answer_lead: blanks between `after` and an answer.
    answer_tail: behind an answer.
  """

  opening: tuple[Piece, ...] = ()
  header: tuple[Piece, ...] = ()
  after: str = ''
  strips: tuple[bool, bool] = (False, False)
  answer_lead: str = ''
  answer_tail: str = ''


class _Generation(ext.Extension):
  """`{% generation %}`, with which templates mark an assistant's words; it prints what is in it."""

  tags = {'generation'}

  def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
    next(parser.stream)
    return parser.parse_statements(('name:endgeneration',), drop_needle=True)


class _Environment(sandbox.ImmutableSandboxedEnvironment):
  """The sandbox, which also refuses products and powers that would fill the memory."""

  intercepted_binops = frozenset({'*', '**'})

  def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
    sizes = [len(x) if isinstance(x, str | list | tuple) else x for x in (left, right)]
    if any(isinstance(x, str | list | tuple) for x in (left, right)) and sizes[0] * sizes[1] > _LONGEST:
      raise jinja2.exceptions.SecurityError('it repeats a text too often')
    if operator == '**' and abs(right) > _LARGEST_POWER:
      raise jinja2.exceptions.SecurityError('it raises to a large power')
    return super().call_binop(context, operator, left, right)


def _raise_exception(message: str) -> None:
  raise jinja2.exceptions.TemplateError(message)


def _to_json(
  x: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
  return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _counted_range() -> Callable[..., range]:
  left = _MOST_STEPS

  def limited(*arguments: int) -> range:
    nonlocal left
    made = range(*arguments)
    left -= len(made)
    if left < 0:
      raise jinja2.exceptions.SecurityError('it counts too far')
    return made

  return limited


@dataclasses.dataclass(frozen=True)
class ChatTemplate:
  """A template with where it is from.

  Attributes:
    source: its text.
    place: file, and field of it, for messages.
    special_tokens: name -> text, as templates use them (bos_token, eos_token, ...).
  """

  source: str
  place: str
  special_tokens: Mapping[str, str]

  @functools.cached_property
  def _compiled(self) -> jinja2.Template:
    if len(self.source) > _LONGEST:
      raise CheckpointError(f'{self.place}: the chat template has {len(self.source)} characters; {self._cure}')
    environment = _Environment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, ext.loopcontrols])
    environment.filters['tojson'] = _to_json
    environment.globals['raise_exception'] = _raise_exception
    environment.globals['strftime_now'] = _DAY.strftime
    try:
      return environment.from_string(self.source)
    except (jinja2.exceptions.TemplateError, RecursionError) as e:
      raise CheckpointError(f'{self.place}: no chat template ({shorten(e)}); {self._cure}') from e

  @property
  def _cure(self) -> str:
    return "mend it, or set CHAT_TEMPLATE to a file of your own, or to 'none' for a model without one"

  def render(self, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool) -> str:
    """What it prints for a conversation; models that can think aloud are asked not to.

    Raises:
      CheckpointError: if it raises, naming file and cure.
    """
    printed, length = [], 0
    try:
      for part in self._compiled.generate(
        messages=[dict(message) for message in messages],
        tools=None,
        documents=None,
        add_generation_prompt=add_generation_prompt,
        enable_thinking=False,
        range=_counted_range(),
        **self.special_tokens,
      ):
        printed.append(part)
        length += len(part)
        if length > _LONGEST:
          raise jinja2.exceptions.SecurityError('it prints without end')
    except CheckpointError:
      raise
    except Exception as e:  # a program of somebody else's
      roles = ', '.join(message['role'] for message in messages)
      raise CheckpointError(
        f'{self.place}: the chat template refuses a conversation of {roles} ({shorten(e)}); {self._cure}'
      ) from e
    return ''.join(printed)


def find_frame(template: ChatTemplate, system_message: str = OWN) -> Frame:
  """What a template puts around a user's text.

  Args:
    template: the template.
    system_message: 'own' for what the template does by itself, 'none' for no system turn, or a text for one.

  Raises:
    CheckpointError: if the template raises, or does not show the texts once and as they are.
  """
  system = [{'role': 'system', 'content': _SYSTEM}] if system_message not in (OWN, NONE) else []

  def conversation(*contents: str) -> list[dict[str, str]]:
    roles = ('user', 'assistant', 'user')
    return system + [{'role': role, 'content': text} for role, text in zip(roles, contents, strict=False)]

  try:
    prompt = template.render(conversation(_USER), True)
  except CheckpointError as e:
    if not system:
      raise
    template.render(conversation(_USER)[1:], True)
    raise CheckpointError(f"{e}; or set SYSTEM_MESSAGE to 'own' or 'none': it is said without a system message") from e
  if prompt.count(_USER) != 1 or (system and prompt.partition(_USER)[0].count(_SYSTEM) != 1):
    lost = "the user's text" if prompt.count(_USER) != 1 else 'the system message, or not before the text'
    cure = template._cure if prompt.count(_USER) != 1 else "set SYSTEM_MESSAGE to 'own' or 'none'"
    raise CheckpointError(f'{template.place}: the chat template does not print {lost} once; {cure}')
  before, after = prompt.split(_USER)
  strips = _strips(template, conversation(_BLANKS + _USER + _BLANKS), before, after)
  lead, tail, header = _answer_and_header(template, conversation, prompt, before)
  bos = template.special_tokens.get('bos_token', '')
  begin = bos if bos and before.startswith(bos) and bos not in after else ''
  if system_message == NONE:
    if not header:
      raise CheckpointError(
        f"{template.place}: the chat template does not tell where the user's turn begins, so that SYSTEM_MESSAGE 'none' "
        "cannot take off what is before it; set it to 'own' or to a text"
      )
    opening = '' if header.startswith(begin) else begin
  elif header:
    opening = before.removesuffix(header)
  else:
    opening, header = begin, before.removeprefix(begin)
  return Frame(_pieces(opening, system_message), _pieces(header, system_message), after, strips, lead, tail)


def _strips(template: ChatTemplate, padded: Sequence[Mapping[str, str]], before: str, after: str) -> tuple[bool, bool]:
  """Whether the template takes blanks off at the start and at the end of a text."""
  left, _, right = template.render(padded, True).partition(_USER)
  if left not in (before, before + _BLANKS) or right not in (after, _BLANKS + after):
    raise CheckpointError(f"{template.place}: the chat template changes the user's text; {template._cure}")
  return left == before, right == after


def _answer_and_header(
  template: ChatTemplate, conversation: Callable[..., list[dict[str, str]]], prompt: str, before: str
) -> tuple[str, str, str]:
  """(blanks before an answer, what is behind it, what the user's turn begins with); empty where nothing tells."""
  try:
    answered = template.render(conversation(_USER, _ANSWER), False)
    longer = template.render(conversation(_USER, _ANSWER, _NEXT), False)
  except CheckpointError:  # a template for one question only
    return '', '', ''
  shown, _, tail = answered.partition(_ANSWER)
  lead = shown.removeprefix(prompt) if shown.startswith(prompt) else ''
  between = longer.partition(_ANSWER)[2].partition(_NEXT)[0]
  header = between.removeprefix(tail) if tail and between.startswith(tail) else ''
  return ('' if lead.strip() else lead), tail, (header if header and before.endswith(header) else '')


def _pieces(text: str, system_message: str) -> tuple[Piece, ...]:
  """A part of the frame, with the system message where its placeholder stands."""
  first, found, rest = text.partition(_SYSTEM)
  parts = (Piece(first), Piece(system_message, True), Piece(rest)) if found else (Piece(first),)
  return tuple(part for part in parts if part.text)
