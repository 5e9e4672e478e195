"""What requests to a server and its answers look like: completions, and chat.

A completion goes on with a text; with `echo` it gives the log-probability of each of the text's tokens, so options can be
ranked. A chat answers a message, and gives no likelihood of an answer that it did not choose itself.
"""

from collections.abc import Mapping
from typing import Any, TypedDict

from robust_t5x.runtime import records

COMPLETIONS, CHAT = 'completions', 'chat'
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
  token_logprobs: list[float | None]
  text_offset: list[int]


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


def likelihood(answer: Mapping[str, Any], text: str, begin: int) -> float | None:
  """Log-likelihood, in nats, of what a text has from a character on.

  >>> numbers = {'token_logprobs': [None, -1.0, -0.5, -9.0], 'text_offset': [0, 2, 5, 8]}
  >>> likelihood({'choices': [{'text': 'Is it no.?', 'logprobs': numbers}]}, 'Is it no', 5)
  -0.5

  Args:
    answer: to `ask_scores`.
    text: what was asked about.
    begin: where the part begins; a token that lies across it counts.

  Returns:
    the number; None if the server did not give it.
  """
  if records.fault(answer, _Echo):
    return None
  choice = answer['choices'][0]
  numbers, offsets = choice['logprobs']['token_logprobs'], choice['logprobs']['text_offset']
  if not choice['text'].startswith(text) or len(numbers) != len(offsets):
    return None
  ends = [*offsets[1:], len(choice['text'])]
  inside = [n for n, start, end in zip(numbers, offsets, ends, strict=True) if end > begin and start < len(text)]
  return None if not inside or None in inside else float(sum(n for n in inside if n is not None))


def _no_choice(answer: Mapping[str, Any]) -> str:
  return '' if answer['choices'] else 'it has no choices'
