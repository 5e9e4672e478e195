"""Damaged answers of a served model, as an evaluation keeps them on disk."""

from collections.abc import Callable
import json
import pathlib
from typing import Any

import numpy as np

from robust_t5x.served import protocol, serving
from robust_t5x.served.answers import FILE, request_hash

from . import damage
from .running import Reading, Wrong

_URL, _MODEL = 'http://localhost:1/v1', 'm'
_TEXTS = ('Is a dog an animal?', 'Name a fruit.', 'Say "no".')


class _Client:
  """Of a server that is asked again where an answer is lost."""

  def __init__(self, answer: dict[str, Any]):
    self._answer = answer

  def post(self, path: str, body: dict[str, Any], fault: Callable[[Any], str]) -> dict[str, Any]:
    del path, body
    assert not fault(self._answer)
    return self._answer


def _answers(rng: np.random.Generator, directory: pathlib.Path) -> Reading:
  api = damage.pick(rng, (protocol.CHAT, protocol.COMPLETIONS))
  choice = {'message': {'role': 'assistant', 'content': 'plum'}, 'text': 'plum', 'finish_reason': 'stop'}
  answer = {'id': 'x', 'model': _MODEL, 'choices': [choice], 'usage': {'total_tokens': 9}}
  model = serving.Served(_Client(answer), _URL, _MODEL, api, '', 1, {})  # type: ignore[arg-type]
  hashes = [
    request_hash(f'{_URL}/{protocol.PATHS[api]}', {'model': _MODEL, **protocol.ask(api, text, '', 4)})
    for text in _TEXTS
  ]
  lines = [{'request': request, 'answer': answer} for request in hashes]
  whole = ''.join(json.dumps(line) + '\n' for line in lines)
  if rng.random() < 0.5:
    data = damage.text(rng, whole)
  else:
    made = damage.tree(rng, lines)
    try:
      data = ''.join(json.dumps(line) + '\n' for line in (made if isinstance(made, list) else [made])).encode()
    except ValueError:  # numbers of thousands of digits
      data = b'9' * 5000 + b'\n'
  (directory / FILE).write_bytes(data)

  def call() -> None:
    runner = model.runner(1, {'inputs': 64, 'targets': 4}, str(directory))
    found = runner.generate([np.array(model.vocabulary.encode(text)) for text in _TEXTS])
    if len(found) != len(_TEXTS) or not all(isinstance(text, str) for text in found):
      raise Wrong(f'{found!r} are no outputs of {len(_TEXTS)} requests')

  return Reading(call, (FILE,))


READERS = {'answers of a served model': _answers}
