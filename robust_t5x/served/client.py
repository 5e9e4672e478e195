"""Sends requests to a server over HTTP: tries again where that helps, keeps to a rate, and never shows the key."""

from collections.abc import Callable, Mapping
import http.client
import json
import random
import threading
import time
from typing import Any
import urllib.error
import urllib.parse
import urllib.request

from seqio_tasks import tables
from seqio_tasks.errors import UserError, shorten

_AGAIN = (408, 409, 425, 429)  # and all from 500 on: the same request may be answered later
_LONGEST_PAUSE = 60.0  # seconds between tries, unless the server asks for more
_LONGEST_WISH = 600.0  # seconds that a server may ask for
_MOST_BYTES = 64 << 20  # of an answer


class ServerError(UserError):
  """A server that cannot be used; the message names its address and the cure."""


class _Again(Exception):
  """A failure that may pass; `after` are the seconds that the server asks to wait."""

  def __init__(self, what: str, after: float = 0.0):
    super().__init__(what)
    self.after = after


class _NoRedirects(urllib.request.HTTPRedirectHandler):
  """Refuses redirects, which would carry the key to another host."""

  def redirect_request(self, req, fp, code, msg, headers, newurl):
    del req, fp, msg, headers
    raise ServerError(
      f'the server answers with a redirect ({code}) to {shorten(newurl)}; set ENDPOINT to where it leads'
    )


class Client:
  """Requests to one server, from several threads."""

  def __init__(self, url: str, key: str | None, timeout: float, retries: int, requests_per_minute: float | None):
    """Prepares.

    Args:
      url: of the server, such as http://localhost:8000/v1.
      key: sent as a bearer's, or None.
      timeout: seconds that an answer may take.
      retries: how often a failed request is sent again.
      requests_per_minute: sent at most, or None.

    Raises:
      ServerError: if the address or the key cannot be one.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ('http', 'https') or not parts.hostname or parts.username or parts.query:
      raise ServerError(
        f'ENDPOINT is {shorten(repr(url))}; give an address such as http://localhost:8000/v1, without user name or query'
      )
    if key is not None and (not key.isascii() or not key.isprintable() or ' ' in key):
      raise ServerError('the key in the environment has characters that a key cannot have; set it anew')
    self._url, self._key = url.rstrip('/'), key
    self._timeout, self._retries = timeout, retries
    self._interval = 60.0 / requests_per_minute if requests_per_minute else 0.0
    self._next = 0.0
    self._lock = threading.Lock()
    self._opener = urllib.request.build_opener(_NoRedirects)

  def post(self, path: str, body: Mapping[str, Any], fault: Callable[[Any], str]) -> dict[str, Any]:
    """The answer to a request.

    Args:
      path: below the server's address, such as 'completions'.
      body: of the request.
      fault: what is wrong with an answer; empty if it is as it should be.

    Raises:
      ServerError: if the server refuses the request, or does not answer after all tries.
    """
    last: Exception = ServerError('')
    for attempt in range(self._retries + 1):
      self._wait()
      try:
        answer = self._send(path, body)
        wrong = fault(answer)
        if wrong:
          raise _Again(f'an answer that is none ({wrong})')
        return answer
      except _Again as e:
        last = e
        pause = min(_LONGEST_PAUSE, 2.0**attempt / 2) * random.uniform(0.5, 1.0)
        self._pause(max(pause, e.after), e.after > 0)
    raise ServerError(
      f'{self._url}/{path}: no answer after {self._retries + 1} tries, the last: {self._hidden(last)}; see that the server runs '
      'and run the same command again: answers that came are kept'
    )

  def _wait(self) -> None:
    """Waits for the next turn that the rate allows."""
    with self._lock:
      turn = max(self._next, time.monotonic())
      self._next = turn + self._interval
    time.sleep(max(0.0, turn - time.monotonic()))

  def _pause(self, seconds: float, everybody: bool) -> None:
    """Waits; all threads do if the server asked for it."""
    if everybody:
      with self._lock:
        self._next = max(self._next, time.monotonic() + seconds)
    else:
      time.sleep(seconds)

  def _send(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    headers = {'Content-Type': 'application/json', 'Accept': 'application/json'}
    if self._key is not None:
      headers['Authorization'] = f'Bearer {self._key}'
    request = urllib.request.Request(f'{self._url}/{path}', json.dumps(body).encode(), headers)
    deadline = time.monotonic() + self._timeout
    try:
      with self._opener.open(request, timeout=self._timeout) as response:
        data = _read(response, deadline)
    except urllib.error.HTTPError as e:
      with e:
        said = self._hidden(_words(e))
      if e.code in _AGAIN or e.code >= 500:
        raise _Again(f'{e.code} {said}', _seconds(e.headers.get('Retry-After'))) from None
      cure = 'set the key in the environment' if e.code in (401, 403) else 'correct the settings of the endpoint'
      raise ServerError(f'{self._url}/{path}: the server refuses the request: {e.code} {said}; {cure}') from None
    except (OSError, http.client.HTTPException) as e:  # time-outs, refused and cut connections
      raise _Again(shorten(getattr(e, 'reason', None) or e or type(e).__name__)) from None
    try:
      answer = tables.parse_json(data.decode())
    except ValueError as e:
      raise _Again(f'an answer that is not JSON ({shorten(e)})') from None
    if not isinstance(answer, dict):
      raise _Again('an answer that is no object')
    return answer

  def _hidden(self, text: object) -> str:
    """A text without the key, which a server may send back."""
    return str(text).replace(self._key, '(the key)') if self._key else str(text)


def _read(response: Any, deadline: float) -> bytes:
  """The body of an answer; a server that sends it drop by drop has the same time as others."""
  parts, size = [], 0
  while part := response.read1(1 << 16):
    parts.append(part)
    size += len(part)
    if time.monotonic() > deadline:
      raise _Again('it took too long')
    if size > _MOST_BYTES:
      raise ServerError(f'the server sends an answer of more than {_MOST_BYTES >> 20} MiB; set ENDPOINT to another')
  expected = response.headers.get('Content-Length')
  if expected is not None and expected.isdecimal() and size < int(expected):
    raise _Again('the answer was cut off')
  return b''.join(parts)


def _words(error: urllib.error.HTTPError) -> str:
  """What a server says of an error."""
  try:
    text = error.read(10_000).decode(errors='replace')
  except (OSError, http.client.HTTPException):
    return ''
  try:
    said = json.loads(text)
    said = said.get('error', said) if isinstance(said, dict) else said
    return shorten(said.get('message', said) if isinstance(said, dict) else said, 200)
  except ValueError:
    return shorten(text, 200)


def _seconds(wish: str | None) -> float:
  """The seconds of a Retry-After; 0 where it has none.

  >>> _seconds('7'), _seconds('Wed, 21 Oct 2026 07:28:00 GMT'), _seconds(None)
  (7.0, 0.0, 0.0)
  """
  try:
    return min(max(float(wish or 0), 0.0), _LONGEST_WISH)
  except ValueError:
    return 0.0
