"""Drafting paraphrases, with a server on this machine that drafts well and badly and judges by a rule."""

import json
import re

import pytest
from servers import serving

import gin
from robust_t5x import __main__ as command_line
from robust_t5x.checkpoints import loading
from robust_t5x.evaluation import paraphrase
from robust_t5x.served import client as client_lib
from seqio_tasks import framing
from seqio_tasks.bank import drafts, reading

pytestmark = pytest.mark.usefixtures('as_started_anew')

BANK = """
family: mine
collection: mine
role: alignment
instructions:
  quiz:
    a1: 'Say which animal is meant: {question}'
    e1: {role: evaluation, template: 'Tell me the name of the creature in {question} now'}
"""
GOOD = [
  'What beast do these words describe? {question}',
  '"{question}" is a description of the following living thing:',
  'We are looking for a creature of this kind, "{question}". Its common name?',
]
BAD = {
  'What beast is described?': drafts.MISSING,
  'Tell me the name of that creature in {question} now': drafts.NEAR,
  'What beast do these few words describe? {question}': drafts.LIKE,
  'Describe the feelings that come up when you read {question}': paraphrase.DIFFERS,
  'As to {question}, mumble some syllables': paraphrase.UNCLEAR,
}


def _server(trusting=False):
  """Drafts one text after the other; judges by what is forbidden or mumbled in either instruction."""
  outputs = iter([*GOOD, *BAD] * 10)

  def answer(body):
    text = body['messages'][0]['content']
    if 'Reply with yes or no' not in text:
      said = f'Sure, here is another one:\n\n{next(outputs)}'
    elif 'mumble' in text:
      said = 'Hard to say.'
    else:
      said = (
        '**No**, not quite.' if not trusting and re.search('feelings|French|letters|poem|who might', text) else 'Yes.'
      )
    return {'model': 'm', 'choices': [{'message': {'role': 'assistant', 'content': said}}]}

  return serving(answer)


@pytest.fixture
def bank(tmp_path, monkeypatch):
  monkeypatch.setattr(client_lib.random, 'uniform', lambda low, high: 0.0)
  monkeypatch.delenv('http_proxy', raising=False)
  path = tmp_path / 'mine.yaml'
  path.write_text(BANK)
  return path


def run(url, bank, out, *more):
  gin.clear_config(clear_constants=True)
  return command_line.main(
    [
      'tasks', 'paraphrase', '--gin_file=gin/runs/paraphrase_endpoint.gin', f'--ENDPOINT={url}', '--MODEL_NAME=m',
      '--CONCURRENCY=1', f"--BANKS=['{bank}']", '--TASK=quiz', f'--OUTPUT_DIR={out}', *more,
    ]
  )  # fmt: skip


def test_drafts_are_checked_judged_written_and_reviewed(bank, tmp_path, capsys):
  out = tmp_path / 'out'
  with _server() as (url, server):
    assert run(url, bank, out, f'--NUM_DRAFTS={len(GOOD) + len(BAD)}') == 0
  told = capsys.readouterr().out
  assert '8 drafts of 1 phrasing: 3 kept, 5 refused' in told
  for reason in BAD.values():
    assert re.search(rf'^ +1  {reason}$', told, re.MULTILINE)
  assert 'likeness to what they paraphrase: median 0.' in told and 'judge took 0 for the same' in told
  requests = [r['messages'][0]['content'] for r in server.requests]
  asked = [r for r in requests if 'Reply with' not in r]
  assert len({*asked}) == 8 and all(
    '{question} must stand in it' in r and 'Say which animal is meant' in r for r in asked
  )
  judged = [r for r in requests if 'Reply with' in r]
  assert len(judged) == 2 * (
    4 + 3 + 3
  )  # both ways round: other instructions, good ones, those that only the judge or likeness refuses
  both = reading.read_banks([str(bank), str(out)])  # no fault beside each other
  made = both.select(roles=['alignment'], collections=['paraphrases'])
  assert [i.template for i in made] == GOOD and {i.source for i in made} == {'mine/quiz/a1'}
  text = (out / paraphrase.BANK).read_text()
  assert text.startswith('# Drafts by m, which nobody has reviewed yet')
  record = json.loads((out / paraphrase.RECORD).read_text())
  assert record['model']['backbone']['path'] == f'm at {url}' and record['task'] == 'quiz'
  assert {r['text']: r['reason'] for r in record['refused']} == BAD
  assert record['kept']['p001']['manner'] == paraphrase.MANNERS[0]

  (out / paraphrase.BANK).write_text(re.sub(r'    p002:\n(      .*\n)+', '', text))
  assert command_line.main(['tasks', 'paraphrase', '--review', str(out)]) == 0
  shown = capsys.readouterr().out
  assert re.search(
    r'^Say which animal is meant: \{question\} +\| What beast do these words describe', shown, re.MULTILINE
  )
  assert 'removed since they were drafted: p002' in shown and 'p003, of mine/quiz/a1, likeness 0.' in shown
  assert "'What beast is described?' ({question})" in shown and f'refused, 1: {drafts.MISSING}' in shown


def test_what_is_there_is_not_written_over_and_no_answer_is_paid_for_twice(bank, tmp_path, capsys):
  out = tmp_path / 'out'
  with _server() as (url, server):
    assert run(url, bank, out, '--NUM_DRAFTS=3') == 0
    count = len(server.requests)
    assert run(url, bank, out, '--NUM_DRAFTS=3') == 2
    assert 'is there already; name another OUTPUT_DIR' in capsys.readouterr().err
    (out / paraphrase.BANK).unlink()
    assert run(url, bank, out, '--NUM_DRAFTS=3') == 0
    assert len(server.requests) == count


def test_a_judge_that_takes_anything_for_the_same_is_told(bank, tmp_path, capsys):
  with _server(trusting=True) as (url, _):
    assert run(url, bank, tmp_path / 'out', '--NUM_DRAFTS=3') == 0
  assert 'warning: of 4 instructions that certainly ask for something else the judge took 4' in capsys.readouterr().out


@pytest.mark.parametrize(
  ('setting', 'message'),
  [
    (
      "--SOURCES=['mine/quiz/e1']",
      'mine/quiz/e1 has the role evaluation, and paraphrases of it cannot have the role alignment',
    ),
    ("--SOURCES=['mine/quiz/a2']", "have no phrasing 'mine/quiz/a2' of quiz; did you mean mine/quiz/a1?"),
    ('--ROLE=development', 'no phrasing of quiz with the role development to paraphrase; write one'),
    ('--ROLE=incorrect', "ROLE: 'incorrect' is none of alignment, development, evaluation"),
    ('--COLLECTION=a-b', "COLLECTION: 'a-b' must be one word"),
    ('--TASK=quizz', "no phrasing of 'quizz'; did you mean quiz?"),
    ('--NUM_DRAFTS=49', 'NUM_DRAFTS is 49; with 1 phrasings to paraphrase ask for 1 to 48'),
  ],
)
def test_settings_that_cannot_be_used(bank, tmp_path, capsys, setting, message):
  assert run('http://localhost:1', bank, tmp_path / 'out', setting) == 2
  assert message in capsys.readouterr().err
  assert not (tmp_path / 'out').exists()


def test_what_to_name_is_told(capsys):
  assert command_line.main(['tasks', 'paraphrase']) == 2
  assert 'no model is named. A served model: --gin_file=gin/runs/paraphrase_endpoint.gin' in capsys.readouterr().err


def test_nothing_kept_leaves_a_record_alone(bank, tmp_path, capsys):
  out = tmp_path / 'out'
  with serving(lambda body: {'model': 'm', 'choices': [{'message': {'content': 'I cannot.'}}]}) as (url, _):
    assert run(url, bank, out, '--NUM_DRAFTS=2') == 0
  assert '0 kept, 2 refused' in capsys.readouterr().out and not (out / paraphrase.BANK).exists()
  assert command_line.main(['tasks', 'paraphrase', '--review', str(out)]) == 0
  assert f'--- refused, 2: {drafts.MISSING}' in capsys.readouterr().out


def test_review_of_something_else(tmp_path, capsys):
  assert command_line.main(['tasks', 'paraphrase', '--review', str(tmp_path)]) == 2
  assert 'has no drafts.json; name an OUTPUT_DIR of `robust-t5x tasks paraphrase`' in capsys.readouterr().err
  (tmp_path / paraphrase.RECORD).write_text('{"kept": {}}')
  assert command_line.main(['tasks', 'paraphrase', '--review', str(tmp_path)]) == 2
  assert 'name an OUTPUT_DIR of `robust-t5x tasks paraphrase`' in capsys.readouterr().err


def test_every_manner_is_another_and_sources_take_turns():
  assert len({*paraphrase.MANNERS}) == 48
  pairs = [paraphrase._asked(['a', 'b', 'c'], i) for i in range(3 * 48)]
  assert len({*pairs}) == len(pairs) and [s for s, _ in pairs[:4]] == ['a', 'b', 'c', 'a']
  assert len({m for _, m in pairs[:3]}) == 3


def test_a_loaded_model_drafts_too(bank, tmp_path, tiny_decoder_checkpoint, capsys, monkeypatch):
  """Its runner is replaced, which would compile for seconds."""
  asked = []

  class Runner:
    def __init__(self, loaded, batch_size, lengths, directory):
      assert batch_size == 2 and lengths['targets'] in (8, 192)
      self._vocabulary = loaded.vocabulary

    def generate(self, inputs, on_done):
      texts = [framing.visible(self._vocabulary, ids.tolist()) for ids in inputs]
      asked.extend(texts)
      return ['no' if 'yes or no' in text else GOOD[0] for text in texts]

  monkeypatch.setattr(loading.Loaded, 'runner', lambda *arguments: Runner(*arguments))
  out = tmp_path / 'out'
  assert command_line.main(
    [
      'tasks', 'paraphrase', '--gin_file=gin/runs/paraphrase.gin', '--gin_file=gin/models/from_checkpoint.gin',
      '--gin_file=gin/observed/none.gin', '--gin_file=gin/topologies/cpu.gin',
      f'--INITIAL_CHECKPOINT_PATH={tiny_decoder_checkpoint}', f"--BANKS=['{bank}']", '--TASK=quiz', f'--OUTPUT_DIR={out}',
      '--NUM_DRAFTS=2', '--EVAL_BATCH_SIZE=2',
    ]
  ) == 0  # fmt: skip
  told = capsys.readouterr().out
  assert '0 kept, 2 refused' in told and f'2  {paraphrase.DIFFERS}' in told
  assert len(asked) == 2 + 2 * (4 + 2) and all('animal is meant' in text for text in asked)
