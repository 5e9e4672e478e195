"""A server on this machine that answers like a served model, well or badly."""

import contextlib
import http.server
import json
import threading
import time


class Server:
  """What was asked, and what is answered: one of `faults` after another, then `answer` of each request."""

  def __init__(self, answer, faults=()):
    self.answer, self.faults = answer, list(faults)
    self.requests: list[dict] = []
    self.headers: list[dict] = []
    self.most_at_once = 0
    self._running = 0
    self._lock = threading.Lock()

  def handle(self, handler):
    """Answers a request, or does as the next fault says."""
    body = json.loads(handler.rfile.read(int(handler.headers['Content-Length'])))
    with self._lock:
      self.requests.append({'path': handler.path, **body})
      self.headers.append(dict(handler.headers))
      fault = self.faults.pop(0) if self.faults else None
    (fault or self._well)(handler, body)

  def _well(self, handler, body):
    with self._lock:
      self._running += 1
      self.most_at_once = max(self.most_at_once, self._running)
    try:
      answer = json.dumps(self.answer(body)).encode()
    finally:
      with self._lock:  # before the reply, at which the next request comes
        self._running -= 1
    send(handler, 200, answer)


def send(handler, status, data, length=None, **headers):
  """Sends an answer, with another Content-Length if one is given."""
  handler.send_response(status)
  handler.send_header('Content-Length', str(len(data) if length is None else length))
  for name, value in headers.items():
    handler.send_header(name.replace('_', '-'), value)
  handler.end_headers()
  handler.wfile.write(data)


def status(code, text='{"error": {"message": "no"}}', **headers):
  """The fault of an answer with a status."""
  return lambda handler, body: send(handler, code, text.encode(), **headers)


def cut(handler, body):
  """Half of an answer."""
  send(handler, 200, b'{"model": "m", "choi', length=1000)
  handler.close_connection = True


def silent(seconds):
  """No answer in time."""
  return lambda handler, body: time.sleep(seconds)


def dripping(handler, body):
  """An answer that comes drop by drop, each in time."""
  handler.send_response(200)
  handler.send_header('Content-Length', '1000')
  handler.end_headers()
  with contextlib.suppress(OSError):
    for _ in range(1000):
      handler.wfile.write(b' ')
      handler.wfile.flush()
      time.sleep(0.05)


@contextlib.contextmanager
def serving(answer, faults=()):
  """(address, Server) of a server that runs."""
  server = Server(answer, faults)

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
      with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        server.handle(self)

    do_GET = do_POST

    def log_message(self, *arguments):
      pass

  running = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
  running.daemon_threads = True
  thread = threading.Thread(target=running.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True)
  thread.start()
  try:
    yield f'http://127.0.0.1:{running.server_port}/v1', server
  finally:
    running.shutdown()
    running.server_close()


def chat(text='yes', model='m'):
  """A function that answers every chat alike."""
  return lambda body: {'model': model, 'choices': [{'message': {'role': 'assistant', 'content': text}}]}


def echo(body):
  """Completions of a model whose tokens are words, each as likely as it is long, and of an odd taste for the word right."""
  text = body['prompt'] + ' end'
  starts = [0, *(i for i, c in enumerate(text) if c == ' ')]
  words = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
  numbers = [None, *(-0.25 if 'right' in w else -float(len(w)) for w in words[1:])]
  logprobs = {'tokens': words, 'token_logprobs': numbers}
  return {'model': 'm', 'choices': [{'text': text, 'logprobs': logprobs if body.get('echo') else None}]}
