"""A decoder-only model that reads chats: scores, outputs and logits of texts, by a tiny network with random weights."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robust_t5x import infer
from robust_t5x.checkpoints import framed_vocabulary, loading, tokenizer_files
from robust_t5x.models import decoding, protocol
from robust_t5x.models.llama import LlamaConfig
from robust_t5x.models.protocol import SpecialIds
from robust_t5x.models.robust import RobustModel
from seqio_tasks import framing

DATA = pathlib.Path(__file__).parents[2] / 'data' / 'hf_tokenizers'
TEXTS = ['What is it?', 'Say yes or no: is the sky blue today?', '']
OPTIONS = [['yes', 'no way'], ['42'], ['(A)', '(B)', 'neither']]


@pytest.fixture(scope='module')
def chat():
  vocabulary = framed_vocabulary.build(tokenizer_files.read(str(DATA / 'qwen')), 'own', 'own')
  config = LlamaConfig(
    vocab_size=vocabulary.vocab_size + 5, emb_dim=16, num_heads=2, num_kv_heads=1, head_dim=8, num_layers=1, mlp_dim=16
  )
  model = RobustModel(config.network(), vocabulary, vocabulary)
  return model, model.initial_variables(jax.random.key(3))['params']


def test_scores_are_of_the_answer_behind_the_chat(chat):
  model, params = chat
  found = model.score(params, TEXTS, OPTIONS)
  for text, options, scores in zip(TEXTS, OPTIONS, found, strict=True):
    ids = framing.inputs(model.input_vocabulary, [text])[0].ids
    for option, score in zip(options, scores, strict=True):
      answer = framing.answers(model.output_vocabulary, [option])[0].ids
      # One pass over all of it, without padding, template or anything of ours around the network.
      whole = jnp.asarray([[*ids, *answer]])
      context = protocol.read(model.module, params, whole, -1)
      logits = model.module.apply({'params': params}, context.states, method='_logits')[0]
      expected = jax.nn.log_softmax(logits)[
        np.arange(len(ids) - 1, len(ids) + len(answer) - 1), np.asarray(answer)
      ].sum()
      assert score == pytest.approx(float(expected), rel=1e-4)


def test_logits_add_nothing_and_follow_the_last_token_of_each_row(chat):
  model, params = chat
  rows = [[5, 6, 7, 8, 9], [10, 11]]
  inputs = np.full((2, 7), model.ids.pad, np.int32)
  for row, ids in zip(inputs, rows, strict=True):
    row[: len(ids)] = ids
  targets = np.asarray([[20, 21, 22], [30, 31, 32]], np.int32)
  fed = np.concatenate([np.full((2, 1), 77), targets[:, :-1]], axis=1)  # the first place is ignored
  found = model.logits(params, inputs, fed)
  for row, ids, answer in zip(found, rows, targets, strict=True):
    context = protocol.read(model.module, params, jnp.asarray([[*ids, *answer]]), -1)
    logits = model.module.apply({'params': params}, context.states, method='_logits')[0]
    np.testing.assert_allclose(row, logits[len(ids) - 1 : len(ids) + 2], atol=1e-5)


def test_an_output_ends_at_each_stop_token(chat):
  model, params = chat
  ids = framing.inputs(model.input_vocabulary, TEXTS[:1])[0].ids
  free, _ = decoding.decode_greedily(model.module, params, jnp.asarray([ids]), 6, SpecialIds(pad=640, end=-1))
  tokens = free[0].tolist()
  at = next(n for n in range(1, 6) if tokens[n] not in tokens[:n])
  for special in (SpecialIds(640, tokens[at]), SpecialIds(640, 641, (642, tokens[at]))):
    found, _ = decoding.decode_greedily(model.module, params, jnp.asarray([ids]), 6, special)
    assert found[0].tolist() == [*tokens[: at + 1], *[640] * (5 - at)]


def test_texts_come_out_without_special_tokens(chat):
  model, params = chat
  assert all(isinstance(text, str) for text in model.generate(params, TEXTS, max_output=5))
  from robust_t5x.models.runner import Runner

  runner = Runner(model, params)
  vocabulary = model.output_vocabulary
  yes = framing.answers(vocabulary, ['yes'])[0].ids[:-1]
  for stop in (vocabulary.eos_id, *vocabulary.stop_ids, vocabulary.pad_id):
    assert runner._text(np.asarray([*yes, stop, *yes])) == 'yes'


def test_infer_reads_chats(chat, tmp_path):
  model, params = chat
  rows = [{'inputs': t, 'options': o} for t, o in zip(TEXTS, OPTIONS, strict=True)]
  (tmp_path / 'in.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
  loaded = loading.Loaded(model, params, {})
  out = infer.infer(loaded, str(tmp_path / 'in.jsonl'), str(tmp_path / 'out.jsonl'), max_input=30)
  made = [json.loads(line) for line in pathlib.Path(out).read_text().splitlines()]
  empty = len(framing.inputs(model.input_vocabulary, [''])[0].ids)
  assert [row.get('cut_tokens', 0) for row in made] == [
    framing.inputs(model.input_vocabulary, [text], 30)[0].cut for text in TEXTS
  ]
  assert empty < 30 and made[1]['cut_tokens'] > 0
  for row, scores in zip(made[2:], model.score(params, TEXTS[2:], OPTIONS[2:]), strict=True):
    assert row['option_scores'] == pytest.approx(scores.tolist(), abs=1e-5)
