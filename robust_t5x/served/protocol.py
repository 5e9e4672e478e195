"""What requests to a server and its answers look like: completions, and chat.

A completion goes on with a text; with `echo` it gives the log-probability of each of the text's tokens, so options can be
ranked. A chat answers a message, and gives no likelihood of an answer that it did not choose itself.
"""

from collections.abc import Mapping, Sequence
import re
from typing import Any, TypedDict

from robust_t5x.runtime import records

COMPLETIONS, CHAT = 'completions', 'chat'
# How tokens read that are parts of a character, which has up to four bytes: as a mark, as bytes, or not at all (here as NUL).
_PART = re.compile(r'((?:\ufffd|bytes:(?:\\x[0-9a-f]{2})+|\0)+)')
_OTHER = 'the server gives log-probabilities of other tokens than it was sent'
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
  return records.fault(answer, _Completion if api == COMPLETIONS else _Chat) or _no_choice(answer)


def ask_scores(text: str) -> dict[str, Any]:
  """A request for the log-probabilities of a text's tokens."""
  # One token is generated: several servers refuse none.
  return {'prompt': text, 'max_tokens': 1, 'temperature': 0, 'echo': True, 'logprobs': 1}


def scores_fault(answer: Any) -> str:
  """What is wrong with an answer to `ask_scores`; empty if nothing is, also if there are no log-probabilities."""
  return records.fault(answer, _Completion) or _no_choice(answer)


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
  if records.fault(answer, _Echo) or not answer['choices'][0]['text'].startswith(text):
    raise ValueError('the server gives no log-probabilities (echo and logprobs of completions)')
  choice = answer['choices'][0]
  tokens, numbers = choice['logprobs']['tokens'], choice['logprobs']['token_logprobs']
  if len(tokens) != len(numbers):
    raise ValueError(_OTHER)
  generated = choice['text'][len(text) :].strip()
  # Behind the text stands the token that was generated; if it is an end, some servers leave it out.
  if generated or not (tokens and tokens[-1] and text.endswith(tokens[-1])):
    if generated and not re.fullmatch(_pattern([token.strip() for token in tokens[-1:]]), generated):
      raise ValueError(
        'the server gives log-probabilities that are not those of its tokens, so none of them can be trusted,'
      )
    tokens, numbers = tokens[:-1], numbers[:-1]
  inside = numbers[len(numbers) - _tokens_of(tokens, text, begin) :]
  if not inside or None in inside:
    raise ValueError(_OTHER)
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


def _no_choice(answer: Mapping[str, Any]) -> str:
  return '' if answer['choices'] else 'it has no choices'
