"""A served model where a loaded one may stand."""

import json
import pathlib

import numpy as np
import pytest
from servers import chat, echo, serving, status

import gin
from robust_t5x import __main__ as command_line
from robust_t5x.results.reading import read
from robust_t5x.served import client as client_lib
from robust_t5x.served.client import ServerError
from robust_t5x.served.protocol import likelihood
from robust_t5x.served.serving import served
from seqio_tasks.errors import UserError

TEXT = 'Is “it” wet?\nAnswer:'


@pytest.fixture(autouse=True)
def quick(monkeypatch):
  monkeypatch.setattr(client_lib.random, 'uniform', lambda low, high: 0.0)
  for name in ('http_proxy', 'HTTP_PROXY', 'OPENAI_API_KEY'):
    monkeypatch.delenv(name, raising=False)


def runner(url, directory, **settings):
  return served(url, settings.pop('model', 'm'), **settings).runner(1, {'inputs': 9, 'targets': 5}, str(directory))


def inputs(*texts):
  """Texts as an evaluation's rows have them."""
  vocabulary = served('http://localhost', 'm').vocabulary
  return [np.array([*vocabulary.encode(text), vocabulary.eos_id]) for text in texts]


class Done:
  """Keeps what a runner says that it did."""

  def __init__(self):
    self.new, self.known = [], []

  def __call__(self, amount, *, known=False):
    (self.known if known else self.new).append(amount)


def test_greedy_outputs_of_a_chat(tmp_path):
  with serving(chat(' Yes. ')) as (url, server):
    done = Done()
    found = runner(url, tmp_path, system='Be brief.', fields={'seed': 1}).generate(inputs(TEXT, 'b', TEXT), done)
  assert found == ['Yes.', 'Yes.', 'Yes.']
  assert sorted(done.new) == [1, 2] and not done.known  # two inputs are one request
  messages = [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': TEXT}]
  asked = {'model': 'm', 'messages': messages, 'max_tokens': 5, 'temperature': 0, 'seed': 1}
  assert len(server.requests) == 2 and {'path': '/v1/chat/completions', **asked} in server.requests


def test_greedy_outputs_of_completions(tmp_path):
  with serving(lambda body: {'model': 'm', 'choices': [{'text': body['prompt'][::-1]}]}) as (url, server):
    assert runner(url, tmp_path, api='completions').generate(inputs('ab')) == ['ba']
  assert server.requests[0]['path'] == '/v1/completions'


def test_answers_are_paid_for_once(tmp_path):
  with serving(chat(), [status(400)]) as (url, server):
    with pytest.raises(ServerError):
      runner(url, tmp_path, concurrency=1).generate(inputs('a', 'b', 'c'))
    runner(url, tmp_path).generate(inputs('a', 'b', 'c'))
    count = len(server.requests)
    runner(url, tmp_path).generate(inputs('a', 'b', 'c'))
    assert len(server.requests) == count
    runner(url, tmp_path, system='other').generate(inputs('a'))
    assert len(server.requests) == count + 1


@pytest.mark.parametrize(
  ('content', 'fault'),
  [('null', ''), ('["no", "text"]', r"choices\[0\].message.content is \['no', 'text'\], not str | None")],
)
def test_an_answer_at_hand_that_is_none_is_told_before_anything_is_asked(tmp_path, content, fault):
  with serving(chat('Yes.')) as (url, server):
    runner(url, tmp_path).generate(inputs('a'))
    kept = tmp_path / 'answers.jsonl'
    kept.write_text(kept.read_text().replace('"Yes."', content))
    if fault:
      with pytest.raises(
        UserError, match=f'answers.jsonl: the answer to the request .* is damaged .{fault}.*delete its line'
      ):
        runner(url, tmp_path).generate(inputs('b', 'a'))
    else:
      assert runner(url, tmp_path).generate(inputs('a')) == ['']
    assert len(server.requests) == 1


THOUGHT = {'content': None, 'reasoning_content': 'It may be'}


@pytest.mark.parametrize('message', [THOUGHT, {'content': '<think>The answer is B'}])
def test_a_model_that_is_not_done_thinking_is_no_wrong_answer(tmp_path, message):
  def answer(body):
    return {'model': 'm', 'choices': [{'message': message}]}

  with serving(answer) as (url, server):
    with pytest.raises(
      ServerError, match='8 of 8 answers .* end after 5 tokens, before it was done thinking.*raise the'
    ):
      runner(url, tmp_path, concurrency=1).generate(inputs(*map(str, range(50))))
    assert len(server.requests) < 12
    with pytest.raises(ServerError, match='1 of 1 answers'):
      runner(url, tmp_path).generate(inputs('0'))


def test_some_thoughts_are_counted(tmp_path, caplog):
  def answer(body):
    return (
      chat('B')(body) if body['messages'][0]['content'] == 'a' else {'model': 'm', 'choices': [{'message': THOUGHT}]}
    )

  with serving(answer) as (url, _):
    assert runner(url, tmp_path).generate(inputs('a', 'b')) == ['B', '']
  assert '1 of 2 answers' in caplog.text


@pytest.mark.parametrize(
  ('made', 'message'),
  [
    ({'error': {'message': 'context length exceeded'}}, 'the server says: context length exceeded'),
    ({'choices': [{'message': {'content': 'ri'}, 'finish_reason': 'abort'}]}, 'the server broke it off: abort'),
  ],
)
def test_what_a_server_says_of_an_answer_that_is_none(tmp_path, made, message):
  with serving(lambda body: {'model': 'm', **made}) as (url, server):
    with pytest.raises(ServerError, match=message):
      runner(url, tmp_path, retries=1).generate(inputs('a'))
  assert len(server.requests) == 2


def test_many_at_a_time(tmp_path):
  import time

  def slow(body):
    time.sleep(0.1)
    return chat()(body)

  with serving(slow) as (url, server):
    runner(url, tmp_path, concurrency=4).generate(inputs(*map(str, range(12))))
  assert 2 <= server.most_at_once <= 4


def test_options_by_their_likelihood(tmp_path):
  with serving(echo) as (url, _):
    answers = runner(url, tmp_path, api='completions')
    done = Done()
    found = answers.score(inputs('Say it:', 'Now '), [['right', 'very wrong'], ['a', 'bb', 'right']], done)
    again = Done()
    answers.score(inputs('Say it:', 'Then '), [['right', 'very wrong'], ['a']], again)
  assert sum(done.new) == pytest.approx(2)  # inputs, of five requests
  assert (sum(again.known), sum(again.new)) == (pytest.approx(4 / 3), pytest.approx(2 / 3))  # two of three are at hand
  # Each word costs its letters and the space before it, but for "right"; the generated end does not count.
  np.testing.assert_allclose(found[0], [-0.25, -5.0 - 6.0])
  np.testing.assert_allclose(found[1], [-2.0, -3.0, -0.25])
  assert answers.count_tokens([['a']]) == [[]]


def test_texts_that_read_alike_are_asked_once_and_each_option_is_counted_from_its_own_beginning(tmp_path):
  with serving(echo) as (url, server):
    found = runner(url, tmp_path, api='completions').score(inputs('It is', 'It is not'), [['not dry'], ['dry', 'wet']])
  assert [row.tolist() for row in found] == [[-8.0], [-4.0, -4.0]] and len(server.requests) == 2


def scored(text, tokens, numbers=None):
  """An answer whose tokens have the log-probabilities 0, -1, -10, -100, ... from the first on, if no others are given."""
  numbers = [None, *(-(10.0**i) for i in range(len(tokens) - 1))] if numbers is None else numbers
  return {'choices': [{'text': text, 'logprobs': {'tokens': tokens, 'token_logprobs': numbers}}]}


@pytest.mark.parametrize(
  ('text', 'tokens', 'expected'),
  [
    ('It is: no', ['It is', ': no'], -1),  # a token that lies across the beginning counts
    ('It is: no.', ['It', ' is:', ' n', 'o', '.'], -110),
    (
      'It is: no.',
      ['<|begin|>', 'It', ' is:', ' no', '.'],
      -100,
    ),  # vLLM shows the begin token, which the text does not have
    ('It is: no', ['It', ' is:', ' no', '<|end|>'], -10),  # a generated end is no part of the text
    ('It is: no', ['It', ' is:', ' no', ''], -10),
    ('It is: no', ['It', ' is:', ' no'], -10),  # nor is it shown by all servers
    ('It “is”: no.', ['It ', '\ufffd', '\ufffd', 'is', '\ufffd', '\ufffd', ':', ' no', '.'], -1_000_000),
    ('It is: né!', ['It', ' is:', ' n', '\ufffd', '\ufffd', '!'], -1110),
    ('It is: né!', ['It', ' is:', ' n', 'bytes:\\xc3', 'bytes:\\xa9', '!'], -1110),
    ('It is: é!', ['It', ' is:', ' ', '', '', '!'], -1110),
    (
      'It is: 😀 é!',
      ['It', ' is:', '', ' 😀', ' ', '', 'é', '!'],
      -111110,
    ),  # vLLM shows a character with its last byte
    ('It “is”: no', ['It', ' “', 'is', '', '”', ':', ' no'], -100_000),
    ('It is é: no', ['It', ' is', ' ', '', '', ':', ' no'], -100_000),
  ],
)
def test_the_tokens_of_a_part_are_found_by_how_they_read(text, tokens, expected):
  asked = text.rstrip('.!')
  assert likelihood(scored(text, tokens), asked, asked.index(':') + 1) == pytest.approx(expected)


def test_log_probabilities_of_another_place_are_refused():
  """As llama-cpp-python gives them for models without a begin token: of each token, after itself, and none of the last."""
  with pytest.raises(ValueError, match='not those of its tokens, so none of them can be trusted'):
    likelihood(scored('It is: no.', ['It', ' is:', ' no']), 'It is: no', 6)


@pytest.mark.parametrize(
  ('numbers', 'message'),
  [
    ([None, 0.9, 0.8, 0.7, 0.1], 'numbers above 0'),  # probabilities
    ([None, -1.0, -2.0, float('-inf'), -1.0], 'or without end'),
    ([None, -1.0, -2.0, float('nan'), -1.0], 'or without end'),
    ([-3.0, -1.0, -2.0, -1.0, None], 'not those of its tokens'),  # each is of the token behind
  ],
)
def test_numbers_that_are_no_log_probabilities_are_refused(numbers, message):
  with pytest.raises(ValueError, match=message):
    likelihood(scored('It is: no.', ['It', ' is', ':', ' no', '.'], numbers), 'It is: no', 6)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda choice: choice | {'logprobs': None}, 'gives no log-probabilities'),
    (lambda choice: choice | {'text': '.'}, 'gives no log-probabilities'),  # llama.cpp's server knows no echo
    (lambda choice: choice | {'text': '<s>' + choice['text']}, r'of the text that it was sent \(echo\)'),
    # As llama.cpp's server gives them of what it generates.
    (
      lambda choice: choice | {'logprobs': {'content': [{'token': '.', 'logprob': -0.4}]}},
      'gives no log-probabilities',
    ),
    (
      lambda choice: choice | {'logprobs': {**choice['logprobs'], 'token_logprobs': [None] * 4}},
      'gives log-probabilities of other tokens than it was sent',
    ),
    (lambda choice: choice | {'logprobs': {**choice['logprobs'], 'tokens': []}}, 'of other tokens than it was sent'),
    (
      lambda choice: choice | {'logprobs': {**choice['logprobs'], 'tokens': ['token_id:4'] * 4}},
      'not those of its tokens',
    ),
  ],
)
def test_a_server_without_log_probabilities(tmp_path, change, message):
  """Told at the first answer, before more are paid for, and again without asking."""

  def answer(body):
    whole = echo(body)
    return whole | {'choices': [change(whole['choices'][0])]}

  counts = []
  with serving(answer) as (url, server):
    for _ in range(2):
      with pytest.raises(ServerError, match=f"{message}.* for 'Say it: right'; set SCORER to extracted"):
        runner(url, tmp_path, api='completions', concurrency=1).score(
          inputs('Say it:'), [['right', *map(str, range(99))]]
        )
      counts.append(len(server.requests))
  assert counts[0] < 50 and counts[1] == counts[0]


def test_the_answers_of_another_model_are_refused(tmp_path):
  with serving(chat(model='other')) as (url, _):
    with pytest.raises(ServerError, match="answers as 'other' where 'm' was asked; set MODEL_NAME"):
      runner(url, tmp_path).generate(inputs('a'))
  assert not list(tmp_path.iterdir())
  with serving(chat(model='m-2026-01-01')) as (url, _):
    assert runner(url, tmp_path).generate(inputs('a')) == ['yes']


def test_what_cannot_be_asked(tmp_path):
  with pytest.raises(UserError, match='SCORER ranks options .* set SCORER to extracted, or API to completions'):
    runner('http://localhost', tmp_path).score(inputs('a'), [['b']])
  with pytest.raises(UserError, match='paper_logits needs'):
    runner('http://localhost', tmp_path).score_free_running(inputs('a'), [['b']])
  with pytest.raises(UserError, match="API is 'edits'; use one of completions, chat"):
    served('http://localhost', 'm', api='edits')
  with pytest.raises(UserError, match='MODEL_NAME is empty'):
    served('http://localhost', '')


def test_cost(tmp_path):
  with serving(chat()) as (url, server):
    runner(url, tmp_path).generate(inputs('a'))
    counted = runner(url, tmp_path).cost(inputs('a', 'b' * 400, 'b' * 400), [])
  assert (counted.requests, counted.known, counted.output_tokens) == (1, 1, 5) and len(server.requests) == 1
  assert 100 <= counted.input_tokens <= 125
  ranked = runner(url, tmp_path, api='completions').cost(inputs('a'), [['b', 'c']])
  assert (ranked.requests, ranked.output_tokens) == (2, 2)


def test_a_field_that_is_none_is_left_out_of_requests(tmp_path):
  with serving(chat()) as (url, server):
    answers = runner(url, tmp_path, fields={'max_tokens': None, 'max_completion_tokens': 7})
    assert answers.cost(inputs('a', 'b'), []).output_tokens == 14
    answers.generate(inputs('a'))
  assert 'max_tokens' not in server.requests[0] and server.requests[0]['max_completion_tokens'] == 7


def run(arguments) -> int:
  """A command, as from a shell."""
  gin.clear_config(clear_constants=True)
  return command_line.main(arguments)


@pytest.mark.usefixtures('as_started_anew')
def test_an_evaluation(tmp_path, monkeypatch, capsys):
  """By the recipe: the cost, then an interrupted run, then the rest of it; the key stands in no file."""
  data = tmp_path / 'mine.csv'
  data.write_text('question,choices,answer\n' + ''.join(f'Which {i}?,right|wrong,right\n' for i in range(3)))
  out = tmp_path / 'out'
  monkeypatch.setenv('OPENAI_API_KEY', 'secret-123')

  def answer(body):
    listed = '(A)' in body['messages'][0]['content'] or 'A.' in body['messages'][0]['content']
    return chat('The answer is (A).' if listed else 'right')(body)

  with serving(answer, [None] * 4 + [status(403, 'no')]) as (url, server):
    flags = ['eval', 'endpoint', f'--ENDPOINT={url}', '--MODEL_NAME=m', f'--DATA_FILE={data}', f'--OUTPUT_DIR={out}']
    assert run([*flags, '--DRY_RUN=True']) == 0
    told = capsys.readouterr().out
    assert 'dry run: nothing was asked' in told and 'together: ' in told
    assert not server.requests and not out.exists()
    assert run([*flags, '--CONCURRENCY=1']) == 2
    assert 'set the key in the environment' in capsys.readouterr().err
    before = len(server.requests)
    assert run([*flags, '--CONCURRENCY=1', '--DRY_RUN=True']) == 0
    assert f'; {before - 1} answers are at hand' in capsys.readouterr().out
    monkeypatch.setattr('robust_t5x.served.serving.ServedRunner.shared_tokens', 7)  # as a decoder of ours has it
    assert run([*flags, '--CONCURRENCY=1']) == 0
  table, record = read(str(out))
  assert record['shared_tokens'] == 7
  assert set(table['scorer']) == {'extracted'} and set(table['model']) == {'m'} and len(table) % 3 == 0
  asked = [json.dumps(request, sort_keys=True) for request in server.requests]
  assert len(asked) == len(set(asked)) + 1  # the refused one was asked twice
  assert record['model']['backbone']['path'] == f'm at {url}'
  assert table['truncated_tokens'].sum() == 0 and table['cut_answer_tokens'].sum() == 0
  assert (table['score'] == 1).mean() > 0.5
  assert all(b'secret-123' not in f.read_bytes() for f in pathlib.Path(out).rglob('*') if f.is_file())


def with_begin(body):
  """As vLLM answers: a begin token that the text does not have, without a number; a line break is generated."""
  whole = echo(body)
  choice = whole['choices'][0]
  numbers = {
    'tokens': ['<s>', *choice['logprobs']['tokens'][:-1], '\n'],
    'token_logprobs': [None, -4.0, *choice['logprobs']['token_logprobs'][1:]],
  }
  return whole | {'choices': [{'text': body['prompt'] + '\n', 'logprobs': numbers}]}


@pytest.mark.usefixtures('as_started_anew')
def test_an_evaluation_by_likelihood(tmp_path):
  data, bank, out = tmp_path / 'mine.csv', tmp_path / 'bank.yaml', tmp_path / 'out'
  data.write_text('question,choices,answer\nWhich?,right|odd,right\nWhat?,right|odd,odd\n')
  bank.write_text(
    'family: own\ncollection: own_2026\nrole: evaluation\ninstructions:\n  quiz:\n'
    '    a: {template: "{question} Is it {options}?\\nAnswer:", options: inline_or}\n'
  )
  with serving(with_begin) as (url, server):
    flags = [f'--ENDPOINT={url}', '--MODEL_NAME=m', f'--DATA_FILE={data}', f'--OUTPUT_DIR={out}', '--API=completions']
    flags += [f"--BANKS=['{bank}']", "--BANK_TASKS=['quiz']", '--SCORER=rank_likelihood']
    assert run(['eval', 'endpoint', *flags]) == 0
  table, _ = read(str(out))
  assert len(server.requests) == 4
  assert list(table['option_scores']) == ['{"right": -0.25, "odd": -4.0}'] * 2
  assert sorted(table['score']) == [0, 1]


@pytest.mark.usefixtures('as_started_anew')
def test_an_evaluation_that_stops_early_asks_less(tmp_path, capsys):
  data = tmp_path / 'mine.csv'
  data.write_text('question,choices,answer\n' + ''.join(f'Which {i}?,right|wrong,right\n' for i in range(40)))
  out = tmp_path / 'out'
  with serving(chat('right')) as (url, server):
    flags = [
      'eval',
      'endpoint',
      f'--ENDPOINT={url}',
      '--MODEL_NAME=m',
      f'--DATA_FILE={data}',
      f'--OUTPUT_DIR={out}',
      '--STOP_WIDTH=10',
    ]
    assert run([*flags, '--DRY_RUN=True']) == 0
    assert 'all of this at most: it stops where STOP_WIDTH is reached' in capsys.readouterr().out
    assert run(flags) == 0
  table, record = read(str(out))
  assert 'shared_tokens' not in record
  found = record['stopped']['groups']['unobserved']
  assert len(server.requests) <= len(table) == found['evaluated'] < found['cells'] / 2
  counts = table.groupby('instruction_id').size()
  assert counts.min() == counts.max() and found['cells'] == 40 * len(counts)


def test_texts_come_back_as_they_went_in():
  import tensorflow as tf

  vocabulary = served('http://localhost', 'm').vocabulary
  texts = ['', ' zwei “Wörter”\n', '😀 </s>']
  ids = vocabulary.encode_tf(tf.constant(texts))
  assert [vocabulary.decode(row) for row in ids.to_list()] == texts
  assert ids.to_list() == [vocabulary.encode(text) for text in texts]
  assert vocabulary.encode_tf(tf.constant(texts[1])).numpy().tolist() == vocabulary.encode(texts[1])
