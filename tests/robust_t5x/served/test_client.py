"""Requests to a server that is hostile."""

import time

import pytest
from servers import chat, cut, dripping, send, serving, silent, status

from robust_t5x.served import client as client_lib
from robust_t5x.served.client import Client, ServerError


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
  """Pauses between tries are kept, not waited for."""
  pauses = []
  real = time.sleep
  monkeypatch.setattr(client_lib.time, 'sleep', lambda s: pauses.append(s) or real(min(s, 0.01)))
  for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
    monkeypatch.delenv(name, raising=False)
  return pauses


def client(url, key=None, timeout=5.0, retries=3, rate=None):
  return Client(url, key, timeout, retries, rate)


def fine(answer):
  return '' if 'choices' in answer else 'it has no choices'


def test_the_key_goes_into_the_header_alone():
  with serving(chat()) as (url, server):
    assert client(url, 'secret').post('chat/completions', {'a': 1}, fine)['choices']
  assert server.headers[0]['Authorization'] == 'Bearer secret'
  assert server.requests == [{'path': '/v1/chat/completions', 'a': 1}]


@pytest.mark.parametrize(
  'fault',
  [
    status(429), status(500), status(503, 'down'), status(408), cut, status(200, '{"model": "m"'), status(200, '[]'),
    status(200, '{"error": "busy"}'), lambda handler, body: handler.connection.close(),
  ],
)  # fmt: skip
def test_what_may_pass_is_tried_again(fault, no_pauses):
  with serving(chat(), [fault, fault]) as (url, server):
    assert client(url).post('x', {}, fine)['model'] == 'm'
  assert len(server.requests) == 3
  assert 0.25 <= max(no_pauses) <= 1.0  # half a second and a second at most, at random


def test_time_outs(no_pauses):
  for fault in (silent(0.5), dripping):
    with serving(chat(), [fault]) as (url, server):
      assert client(url, timeout=0.2).post('x', {}, fine)
    assert len(server.requests) == 2


def test_pauses_grow_and_end(no_pauses):
  with serving(chat(), [status(500, 'dead')] * 9) as (url, _):
    with pytest.raises(
      ServerError, match=r'/v1/x: no answer after 9 tries, the last: 500 dead; see that the server runs'
    ):
      client(url, retries=8).post('x', {}, fine)
  pauses = [p for p in no_pauses if p > 0]
  assert pauses[0] <= 0.5 and 30 <= pauses[-1] <= 60


def test_a_wish_of_the_server_is_kept_by_all(no_pauses):
  with serving(chat(), [status(429, Retry_After='40')]) as (url, _):
    sender = client(url)
    sender.post('x', {}, fine)
  assert max(no_pauses) == pytest.approx(40, abs=1)


def test_a_rate(no_pauses):
  with serving(chat()) as (url, _):
    sender = client(url, rate=6)
    for _ in range(3):
      sender.post('x', {}, fine)
  assert max(no_pauses) > 15  # the third is due 20 seconds after the first


@pytest.mark.parametrize(
  ('code', 'cure'),
  [(400, 'correct the settings'), (404, 'correct the settings'), (401, 'set the key in the environment')],
)
def test_what_is_refused_is_told_at_once_without_the_key(code, cure):
  said = '{"error": {"message": "bad key secret-123"}}'
  with serving(chat(), [status(code, said)]) as (url, server):
    with pytest.raises(ServerError, match=rf'refuses the request: {code} bad key \(the key\); {cure}') as e:
      client(url, 'secret-123').post('x', {}, fine)
  assert len(server.requests) == 1 and 'secret-123' not in str(e.value)


def test_redirects_would_take_the_key_elsewhere():
  with serving(chat()) as (other, reached):
    with serving(chat(), [status(307, '', Location=f'{other}/x')]) as (url, _):
      with pytest.raises(ServerError, match=r'redirect \(307\) to http.*; set ENDPOINT to where it leads'):
        client(url, 'secret').post('x', {}, fine)
  assert not reached.requests


def test_an_answer_without_end(monkeypatch):
  monkeypatch.setattr(client_lib, '_MOST_BYTES', 10_000)
  with serving(chat(), [lambda handler, body: send(handler, 200, b' ' * 200_000)]) as (url, _):
    with pytest.raises(ServerError, match='sends an answer of more than'):
      client(url).post('x', {}, fine)


def test_nobody_there():
  with serving(chat()) as (url, _):
    pass
  with pytest.raises(ServerError, match=r'no answer after 2 tries, the last: .*refused'):
    client(url, retries=1).post('x', {}, fine)


@pytest.mark.parametrize(
  'url', ['localhost:8000', 'ftp://host/v1', 'http://', 'http://user:word@host/v1', 'http://h/v1?key=1']
)
def test_addresses(url):
  with pytest.raises(ServerError, match='ENDPOINT is .*; give an address such as'):
    client(url)


@pytest.mark.parametrize('key', ['two words', 'line\nend', 'schlüssel'])
def test_keys_that_are_none_are_not_shown(key):
  with pytest.raises(ServerError, match='the key in the environment has characters') as e:
    client('http://localhost/v1', key)
  assert key not in str(e.value)
