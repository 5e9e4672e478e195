"""What requests to a server and its answers look like: completions, and chat.

A completion goes on with a text; with `echo` it gives the log-probability of each of the text's tokens, so options can be
ranked. A chat answers a message, and gives no likelihood of an answer that it did not choose itself.
"""

from collections.abc import Mapping, Sequence
import math
import re
from typing import Any, TypedDict

from robust_t5x.runtime import records
from seqio_tasks.errors import shorten

COMPLETIONS, CHAT = 'completions', 'chat'
# How tokens read that are parts of a character, which has up to four bytes: as a mark, as bytes, or not at all (here as NUL).
_PART = re.compile(r'((?:\ufffd|bytes:(?:\\x[0-9a-f]{2})+|\0)+)')
_OTHER = 'the server gives log-probabilities of other tokens than it was sent'
_NO_SENSE = 'the server gives log-probabilities that are not those of its tokens, so none of them can be trusted,'
_NO_LOGARITHMS = 'the server gives numbers above 0, or without end, as log-probabilities'
_ROUNDING = 1e-3  # nats by which a log-probability may be above 0
_BROKEN_OFF = ('abort', 'error')  # as reason for an answer's end
PATHS = {COMPLETIONS: 'completions', CHAT: 'chat/completions'}


class _Text(TypedDict):
  text: str


class _Completion(TypedDict):
  choices: list[_Text]


class _Message(TypedDict):
  content: str | None


class _Reply(TypedDict):
  message: _Message


class _Chat(TypedDict):
  choices: list[_Reply]


class _Numbers(TypedDict):
  tokens: list[str]
  token_logprobs: list[float | None]


class _Scored(TypedDict):
  text: str
  logprobs: _Numbers


class _Echo(TypedDict):
  choices: list[_Scored]


def ask(api: str, text: str, system: str, max_tokens: int) -> dict[str, Any]:
  """A request for the greedy output to a text."""
  if api == COMPLETIONS:
    return {'prompt': f'{system}{text}', 'max_tokens': max_tokens, 'temperature': 0}
  told = [{'role': 'system', 'content': system}] if system else []
  return {'messages': [*told, {'role': 'user', 'content': text}], 'max_tokens': max_tokens, 'temperature': 0}


def output(api: str, answer: Mapping[str, Any]) -> str:
  """The text of an answer to `ask`."""
  choice = answer['choices'][0]
  return choice['text'] if api == COMPLETIONS else choice['message']['content'] or ''


def output_fault(api: str, answer: Any) -> str:
  """What is wrong with an answer to `ask`; empty if nothing is."""
  return _broken(answer) or records.fault(answer, _Completion if api == COMPLETIONS else _Chat)


def is_thought(api: str, answer: Mapping[str, Any]) -> bool:
  """Whether an answer to `ask` ends before the model was done thinking, and so says nothing of what it would answer.

  >>> is_thought(CHAT, {'choices': [{'message': {'content': None, 'reasoning_content': 'Well, it'}}]})
  True
  >>> is_thought(CHAT, {'choices': [{'message': {'content': '<think>Easy.</think> B'}}]})
  False
  """
  text = output(api, answer).strip()
  told = answer['choices'][0].get('message') or {}
  apart = bool(told.get('reasoning_content') or told.get('reasoning'))
  return apart and not text or text.startswith('<think>') and '</think>' not in text


def ask_scores(text: str) -> dict[str, Any]:
  """A request for the log-probabilities of a text's tokens."""
  # One token is generated: several servers refuse none.
  return {'prompt': text, 'max_tokens': 1, 'temperature': 0, 'echo': True, 'logprobs': 1}


def scores_fault(answer: Any) -> str:
  """What is wrong with an answer to `ask_scores`; empty if nothing is, also if there are no log-probabilities."""
  return _broken(answer) or records.fault(answer, _Completion)


def likelihood(answer: Mapping[str, Any], text: str, begin: int) -> float:
  """Log-likelihood, in nats, of what a text has from a character on.

  Tokens are found by how they read, from the end of the text on. The answers' `text_offset` does not tell where they are: vLLM
  counts the begin token in, which is no part of the text.

  >>> numbers = {'tokens': ['Is', ' it?', ' no', '.'], 'token_logprobs': [None, -1.0, -0.5, -9.0]}
  >>> likelihood({'choices': [{'text': 'Is it? no.', 'logprobs': numbers}]}, 'Is it? no', 6)
  -0.5

  Args:
    answer: to `ask_scores`.
    text: what was asked about.
    begin: where the part begins, at a character of ASCII; a token that lies across it counts.

  Raises:
    ValueError: if the server did not give it, saying what it gives instead.
  """
  if records.fault(answer, _Echo):
    raise ValueError('the server gives no log-probabilities (echo and logprobs of completions)')
  choice = answer['choices'][0]
  if not choice['text'].startswith(text):
    raise ValueError('the server gives no log-probabilities of the text that it was sent (echo): it sends back another')
  tokens, numbers = choice['logprobs']['tokens'], choice['logprobs']['token_logprobs']
  if len(tokens) != len(numbers):
    raise ValueError(_OTHER)
  generated = choice['text'][len(text) :].strip()
  # Behind the text stands the token that was generated; if it is an end, some servers leave it out.
  if generated or not (tokens and tokens[-1] and text.endswith(tokens[-1])):
    other = generated and not re.fullmatch(_pattern([token.strip() for token in tokens[-1:]]), generated)
    # The last token has a number and the first may not; where it is the other way round, each number is of the token behind.
    if other or (generated and numbers[-1] is None and numbers[0] is not None):
      raise ValueError(_NO_SENSE)
    tokens, numbers = tokens[:-1], numbers[:-1]
  inside = numbers[len(numbers) - _tokens_of(tokens, text, begin) :]
  if not inside or None in inside:
    raise ValueError(_OTHER)
  if not all(n is not None and math.isfinite(n) and n <= _ROUNDING for n in inside):
    raise ValueError(_NO_LOGARITHMS)
  return float(sum(n for n in inside if n is not None))


def _tokens_of(tokens: Sequence[str], text: str, begin: int) -> int:
  """How many tokens at the end make up what a text has from a character on; 0 if none do.

  >>> _tokens_of(['It', ' is:', ' no'], 'It is: no', 6), _tokens_of(['It', ' is', ': no'], 'It is: no', 6)
  (1, 1)
  """
  for count in range(1, len(tokens) + 1):
    found = re.search(_pattern(tokens[-count:]) + r'\Z', text)
    if found is None:
      return 0
    if found.start() <= begin and not (count < len(tokens) and _is_one(tokens[-count - 1], tokens[-count])):
      return count
  return 0


def _is_one(token: str, following: str) -> bool:
  """Whether two tokens share a character, of which each has some bytes; vLLM shows it whole in the last of them."""
  if not token:
    return not following or not following.isascii()
  return bool(_PART.search(token) and _PART.search(following))


def _pattern(tokens: Sequence[str]) -> str:
  """What tokens read, as a regular expression; parts of a character may be any beyond ASCII."""
  pieces = _PART.split(''.join(token or '\0' for token in tokens))
  return ''.join(
    f'[^\\x00-\\x7f]{"+" if piece.strip(chr(0)) else "*"}' if place % 2 else re.escape(piece)
    for place, piece in enumerate(pieces)
  )


def _broken(answer: Any) -> str:
  """What a server says, or shows, of an answer that it could not finish; empty if that is not so."""
  if not isinstance(answer, dict):
    return ''
  if answer.get('error'):
    said = answer['error']
    return f'the server says: {shorten(said.get("message", said) if isinstance(said, dict) else said, 200)}'
  choices = answer.get('choices')
  if choices == []:
    return 'it has no choices'
  reason = choices[0].get('finish_reason') if isinstance(choices, list) and isinstance(choices[0], dict) else None
  return f'the server broke it off: {reason}' if reason in _BROKEN_OFF else ''
