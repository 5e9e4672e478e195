"""A served model where one that is loaded may stand."""

import collections
from collections.abc import Callable, Mapping, Sequence
import concurrent.futures
import dataclasses
import hashlib
import json
import logging
import os
from typing import Any, TypeVar

import numpy as np

from robust_t5x.runtime.costs import Cost
from robust_t5x.runtime.progress import OnDone, untold
from robust_t5x.served import protocol, texts
from robust_t5x.served.answers import Answers, request_hash
from robust_t5x.served.client import Client, ServerError
from seqio_tasks.errors import UserError, shorten

_Read = TypeVar('_Read')

_logger = logging.getLogger(__name__)
_SURE = 8  # answers that tell what all others will be
_ROOM = 1 << 20  # bytes of a text: the server knows what it can take
_BYTES_PER_TOKEN = 4  # about, of English


def served(
  url: str,
  model: str,
  api: str = protocol.CHAT,
  system: str = '',
  key_variable: str = 'OPENAI_API_KEY',
  concurrency: int = 8,
  requests_per_minute: float | None = None,
  timeout: float = 120.0,
  retries: int = 6,
  fields: Mapping[str, Any] | None = None,
) -> 'Served':
  """A model that a server answers for.

  Args:
    url: of the server, such as http://localhost:8000/v1.
    model: its name there, which its answers must have.
    api: 'chat' or 'completions'.
    system: the system message of a chat; what stands before every text of a completion.
    key_variable: environment variable that holds the key, if there is one.
    concurrency: requests at a time.
    requests_per_minute: sent at most; None for as many as it takes.
    timeout: seconds that an answer may take.
    retries: how often a failed request is sent again.
    fields: what else every request says, such as {'seed': 0}; one that is None is left out.

  Raises:
    UserError: naming the setting that cannot be used.
  """
  if api not in protocol.PATHS:
    raise UserError(f'API is {api!r}; use one of {", ".join(protocol.PATHS)}')
  if not model:
    raise UserError('MODEL_NAME is empty; give the name that the server knows the model by')
  client = Client(url, os.environ.get(key_variable) or None, timeout, retries, requests_per_minute)
  return Served(client, url.rstrip('/'), model, api, system, concurrency, dict(fields or {}))


@dataclasses.dataclass(frozen=True)
class Served:
  """See `served`; what evaluations ask of it is evaluation.subjects.Subject."""

  client: Client = dataclasses.field(repr=False)
  url: str
  model: str
  api: str
  system: str
  concurrency: int
  fields: Mapping[str, Any]

  @property
  def label(self) -> str:
    return self.model

  @property
  def vocabulary(self) -> texts.Bytes:
    """Bytes: the server has its own tokens, and texts must reach it as they are."""
    return texts.Bytes()

  @property
  def identity(self) -> dict[str, Any]:
    return {
      'backbone': {'path': f'{self.model} at {self.url}', 'sha256': None}, 'adapter': None, 'api': self.api,
      'system': self.system, 'fields': dict(self.fields),
    }  # fmt: skip

  @property
  def weights(self) -> dict[str, str | None]:
    settings = json.dumps([self.api, self.system, self.fields], sort_keys=True)
    return {
      'backbone': f'{self.model} at {self.url}, settings {hashlib.sha256(settings.encode()).hexdigest()[:8]}',
      'adapter': None, 'dtype': "the server's", 'vocabulary': None,
    }  # fmt: skip

  def lengths(self, wanted: Mapping[str, int]) -> dict[str, int]:
    """Nothing is cut here."""
    return dict.fromkeys(wanted, _ROOM)

  def runner(self, batch_size: int, lengths: Mapping[str, int], directory: str) -> 'ServedRunner':
    """What answers, with the answers that are at hand in a directory; `concurrency` stands for the batch."""
    del batch_size
    return ServedRunner(self, lengths['targets'], directory)


class ServedRunner:
  """Answers of a served model; results.scorers.Runner says what is asked of it."""

  def __init__(self, model: Served, max_output: int, directory: str):
    self._model, self._max_output = model, max_output
    self._answers = Answers(directory)
    self._vocabulary = model.vocabulary

  @property
  def shared_tokens(self) -> int:
    """None that is known of: what a server keeps is its own affair."""
    return 0

  def generate(self, inputs: Sequence[np.ndarray], on_done: OnDone = untold) -> list[str]:
    """Greedy outputs."""
    api = self._model.api

    thoughts: list[bool] = []

    def output(body: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
      del body
      thoughts.append(protocol.is_thought(api, answer))
      if len(thoughts) >= _SURE and all(thoughts):
        raise ServerError(self._thinks(len(thoughts), len(thoughts)))
      return protocol.output(api, answer).strip()

    outputs = self._all(self._requests(inputs), api, lambda answer: protocol.output_fault(api, answer), output, on_done)
    if any(thoughts):
      told = self._thinks(sum(thoughts), len(thoughts))
      if all(thoughts):
        raise ServerError(told)
      _logger.warning('%s', told)
    return outputs

  def score(
    self, inputs: Sequence[np.ndarray], options: Sequence[Sequence[str]], on_done: OnDone = untold
  ) -> list[np.ndarray]:
    """Log-likelihood of every option of every input, as the server's tokens have it."""
    asked = self._continued(inputs, options)
    begins: dict[str, set[int]] = {}  # two inputs with an option each may read alike
    for text, begin in asked:
      begins.setdefault(text, set()).add(begin)

    def likelihoods(body: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[int, float]:
      text = body['prompt']
      try:
        return {begin: protocol.likelihood(answer, text, begin) for begin in begins[text]}
      except ValueError as e:
        raise ServerError(
          f'{self._model.url}: {e} for {shorten(repr(text))}; set SCORER to extracted, or serve the model with a program that gives '
          'them'
        ) from None

    bodies = [protocol.ask_scores(text) for text, _ in asked]
    # An input is done by as many requests as it has options.
    each = len(inputs) / max(len(bodies), 1)

    def in_inputs(amount: float, *, known: bool = False) -> None:
      on_done(amount * each, known=known)

    found = self._all(bodies, protocol.COMPLETIONS, protocol.scores_fault, likelihoods, in_inputs)
    numbers = [of_text[begin] for of_text, (_, begin) in zip(found, asked, strict=True)]
    ends = np.cumsum([len(row) for row in options])[:-1]
    return np.split(np.array(numbers, float), ends)

  def score_free_running(
    self, inputs: Sequence[np.ndarray], options: Sequence[Sequence[str]], on_done: OnDone = untold
  ) -> list[np.ndarray]:
    """Nothing that a server tells."""
    raise UserError('SCORER: paper_logits needs every probability of each step, which no server gives; use extracted')

  def count_tokens(self, options: Sequence[Sequence[str]]) -> list[list[int]]:
    """Nothing: they are the server's own."""
    return [[] for _ in options]

  def cost(self, inputs: Sequence[np.ndarray], options: Sequence[Sequence[str]]) -> Cost:
    """What answering takes, by `score` if there are options and by `generate` if not."""
    if options:
      bodies = [protocol.ask_scores(text) for text, _ in self._continued(inputs, options)]
      api = protocol.COMPLETIONS
    else:
      bodies, api = self._requests(inputs), self._model.api
    wanted = {self._hash(api, body): body for body in map(self._whole, bodies)}
    new = [body for request, body in wanted.items() if self._answers.get(request) is None]
    size = sum(len(json.dumps(body.get('prompt') or body['messages'], ensure_ascii=False).encode()) for body in new)
    return Cost(len(new), len(wanted) - len(new), -(-size // _BYTES_PER_TOKEN), sum(map(self._most_written, new)))

  def _thinks(self, count: int, of: int) -> str:
    return (
      f'{self._model.url}: {count} of {of} answers of {self._model.model!r} end after {self._max_output} tokens, before it was done '
      'thinking, and say nothing; raise the targets in TASK_FEATURE_LENGTHS, or set REQUEST_FIELDS to what has it answer '
      "without, such as {'chat_template_kwargs': {'enable_thinking': False}}"
    )

  def _requests(self, inputs: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    return [protocol.ask(self._model.api, t, self._model.system, self._max_output) for t in self._texts(inputs)]

  def _continued(self, inputs: Sequence[np.ndarray], options: Sequence[Sequence[str]]) -> list[tuple[str, int]]:
    """(text, where the option begins) of each input with each of its options, a space between."""
    if self._model.api != protocol.COMPLETIONS:
      raise UserError(
        'SCORER ranks options by their likelihood, which a chat does not give; set SCORER to extracted, or API to completions'
      )
    found = []
    for text, row in zip(self._texts(inputs), options, strict=True):
      before = f'{self._model.system}{text}'.rstrip(' ')
      found += [(f'{before} {option}', len(before)) for option in row]
    return found

  def _texts(self, inputs: Sequence[np.ndarray]) -> list[str]:
    return [self._vocabulary.decode([t for t in row.tolist() if t != self._vocabulary.eos_id]) for row in inputs]

  def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
    return {'model': self._model.model, **body, **self._model.fields}

  def _most_written(self, body: Mapping[str, Any]) -> int:
    """Tokens that an answer may have, by whichever name a request gives them."""
    return body.get('max_tokens') or body.get('max_completion_tokens') or self._max_output

  def _hash(self, api: str, body: Mapping[str, Any]) -> str:
    return request_hash(f'{self._model.url}/{protocol.PATHS[api]}', body)

  def _all(
    self, bodies: Sequence[dict[str, Any]], api: str, fault: Callable[[Any], str],
    read: Callable[[Mapping[str, Any], Mapping[str, Any]], _Read], on_done: OnDone,
  ) -> list[_Read]:  # fmt: skip
    """What the answers to requests say; requests that are the same are sent, and read, once.

    Args:
      bodies: of the requests.
      api: that is asked.
      fault: what is wrong with an answer, so that the request is sent again; empty if nothing is.
      read: of a request and its answer; raises an error where that cannot be used, before more is asked.
      on_done: called with how many of them have an answer since.
    """
    names = [self._hash(api, self._whole(body)) for body in bodies]
    requests = dict(zip(names, map(self._whole, bodies), strict=True))
    times = collections.Counter(names)
    made: dict[str, _Read] = {}
    for request, body in requests.items():
      self._answers.check(request, fault)
      known = self._answers.get(request)
      if known is not None:
        made[request] = read(body, known)
    if made:
      on_done(sum(times[request] for request in made), known=True)

    def answer(request: str) -> None:
      body = {name: value for name, value in requests[request].items() if value is not None}
      found = self._model.client.post(protocol.PATHS[api], body, fault)
      name = found.get('model') or self._model.model
      # A server may name the version that it took: gpt-4o-2024-08-06.
      if not str(name).startswith(self._model.model):
        raise ServerError(
          f'{self._model.url}: answers as {shorten(repr(name))} where {self._model.model!r} was asked; set MODEL_NAME to what is '
          'served, or ENDPOINT to where the model is'
        )
      self._answers.add(request, found)
      made[request] = read(requests[request], found)

    todo = [request for request in requests if request not in made]
    with concurrent.futures.ThreadPoolExecutor(self._model.concurrency) as pool:
      running = {pool.submit(answer, request): request for request in todo}
      try:
        for done in concurrent.futures.as_completed(running):
          done.result()
          on_done(times[running[done]])
      except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    return [made[name] for name in names]
