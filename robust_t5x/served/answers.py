"""Answers on disk by the hash of their request, so that no request is paid for twice."""

from collections.abc import Callable, Mapping
import hashlib
import json
import os
import threading
from typing import Any, TypedDict

from robust_t5x.runtime import records
from seqio_tasks import tables
from seqio_tasks.errors import UserError

FILE = 'answers.jsonl'  # in the directory of the results


class AnswersError(UserError):
  """A file of answers that is damaged; the message names file, line and cure."""


class _Line(TypedDict):
  request: str
  answer: dict[str, Any]


def request_hash(url: str, body: Mapping[str, Any]) -> str:
  """SHA-256 of what a request asks, and where; nothing of the key is in it."""
  return hashlib.sha256(json.dumps([url, body], sort_keys=True).encode()).hexdigest()


class Answers:
  """The answers in a directory; each is kept as soon as it came. Used from several threads."""

  def __init__(self, directory: str):
    """Reads what is there.

    Args:
      directory: of the results; it need not be there before the first answer.

    Raises:
      AnswersError: if a line is damaged, but for a last one that was cut short.
    """
    self._path = os.path.join(directory, FILE)
    self._lock = threading.Lock()
    self._known: dict[str, dict[str, Any]] = {}
    self._whole = 0  # bytes up to the end of the last whole line
    if os.path.isfile(self._path):
      self._load()

  def get(self, request: str) -> dict[str, Any] | None:
    """The answer to a request with this hash, or None."""
    return self._known.get(request)

  def check(self, request: str, fault: Callable[[Any], str]) -> None:
    """Raises AnswersError if there is an answer to a request and something is wrong with it.

    Args:
      request: hash of the request.
      fault: what is wrong with an answer; empty if nothing is.
    """
    found = fault(self._known[request]) if request in self._known else ''
    if found:
      raise AnswersError(
        f'{self._path}: the answer to the request {request[:12]} is damaged ({found}); delete its line to ask again'
      )

  def add(self, request: str, answer: dict[str, Any]) -> None:
    """Keeps an answer."""
    line = (json.dumps({'request': request, 'answer': answer}) + '\n').encode()
    with self._lock:
      os.makedirs(os.path.dirname(self._path), exist_ok=True)
      with open(self._path, 'r+b' if os.path.exists(self._path) else 'w+b') as f:
        f.seek(self._whole)
        f.write(line)
        f.truncate()
        f.flush()
        os.fsync(f.fileno())
      self._whole += len(line)
      self._known[request] = answer

  def _load(self) -> None:
    with open(self._path, 'rb') as f:
      data = f.read()
    for number, line in enumerate(data.split(b'\n')[:-1], start=1):
      try:
        value = tables.parse_json(line.decode())
        fault = records.fault(value, _Line)
      except ValueError as e:
        fault = f'it is not JSON ({e})'
      if fault:
        raise AnswersError(f'{self._path}: line {number}: no answer to a request ({fault}); delete the line')
      self._known[value['request']] = value['answer']
      self._whole += len(line) + 1
