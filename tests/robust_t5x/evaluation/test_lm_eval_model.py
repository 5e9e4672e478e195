"""Our models as lm-evaluation-harness calls them; of the harness there is what the model class asks of it."""

import importlib
import json
import pathlib
import sys
import types

import jax
import numpy as np
import pytest

from robust_t5x import __main__ as command
from robust_t5x.checkpoints import framed_vocabulary, loading, tokenizer_files
from robust_t5x.models.llama import LlamaConfig
from robust_t5x.models.robust import RobustModel
from robust_t5x.results import lm_eval as harness_results
from robust_t5x.runtime.errors import UserError
from seqio_tasks import framing

QUESTION = 'Which number is larger, 120 or 712?'
TOKENIZERS = pathlib.Path(__file__).parents[2] / 'data' / 'hf_tokenizers'


def asked(*arguments):
  return types.SimpleNamespace(args=arguments)


@pytest.fixture(scope='module')
def lm_eval_model():
  """The module, imported beside a harness of a few lines."""
  names = ('lm_eval', 'lm_eval.api', 'lm_eval.api.model', 'lm_eval.api.registry', 'lm_eval.utils')
  made = {name: types.ModuleType(name) for name in names}
  made['lm_eval.api.model'].LM = type('LM', (), {})
  made['lm_eval.api.registry'].register_model = lambda name: lambda cls: cls
  # Windows of texts that fit into one, as (context, continuation) that overlap and that do not.
  made['lm_eval.utils'].get_rolling_token_windows = lambda ids, prefix, *_: [([prefix, *ids[:-1]], ids)]
  made['lm_eval.utils'].make_disjoint_window = lambda pair: (pair[0][:1], pair[1])
  name = 'robust_t5x.evaluation.lm_eval_model'
  with pytest.MonkeyPatch.context() as patch:
    for own, module in made.items():
      patch.setitem(sys.modules, own, module)
    patch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module(name)
    sys.modules.pop(name)


@pytest.fixture(scope='module')
def bundled(lm_eval_model):
  return lm_eval_model.RobustLM('bundled', adapter='bundled', batch_size='4', device='cpu')


def test_continuations_and_outputs_of_an_encoder_decoder(bundled):
  """An option ends with the end token where its text does; without it, a greedy output may only begin with it."""
  model, params = bundled._model, bundled._params
  texts = [' 712</s>', '120</s>', '712', '', ' 712</s>']
  found = bundled.loglikelihood([asked(QUESTION, text) for text in texts])
  expected = model.score(params, [QUESTION], [['712', '120', '712', '712']])[0]
  np.testing.assert_allclose([score for score, _ in found[:2]], expected[:2], rtol=1e-4)
  assert [is_greedy for _, is_greedy in found] == [True, False, True, True, True]
  assert found[0] == found[4] and found[0][0] < found[2][0] < found[3][0] == 0
  untils = ['2', ['\n'], [], None]
  outputs = bundled.generate_until([asked(QUESTION, {'until': until, 'max_gen_toks': 8}) for until in untils])
  assert outputs == ['71', '712', '712', '712']


def test_what_cannot_be_is_said_in_a_line(bundled, lm_eval_model):
  with pytest.raises(UserError, match='sampled outputs; add --gen_kwargs do_sample=False'):
    bundled.generate_until([asked('a', {'do_sample': True, 'temperature': 0.7})])
  with pytest.raises(UserError, match='whole texts, which an encoder-decoder does not have'):
    bundled.loglikelihood_rolling([asked('a')])
  for call in (bundled.chat_template, lambda: bundled.apply_chat_template([{'role': 'user', 'content': 'a'}])):
    with pytest.raises(UserError, match='leave the flag out, and for none add chat_template=none'):
      call()
  with pytest.raises(UserError, match='--batch_size is auto; give a number'):
    lm_eval_model.RobustLM('bundled', batch_size='auto')


def test_results_tell_a_model_with_adapter_from_one_without(bundled, tmp_path):
  about = bundled.get_model_info()
  assert about['robust_t5x']['adapter']['path'] == 'bundled'
  results = {'results': {}, 'model_name': 'bundled', 'config': about}
  assert harness_results._label(str(tmp_path), results) == 'bundled, adapter bundled'
  about['robust_t5x']['adapter'] = None
  assert harness_results._label(str(tmp_path), results) == 'bundled'
  json.dumps(results)


@pytest.fixture(scope='module', params=['own', 'none'])
def decoder(request, lm_eval_model):
  """A tiny chat model, read as such or as a base model."""
  vocabulary = framed_vocabulary.build(tokenizer_files.read(str(TOKENIZERS / 'qwen')), request.param, 'own')
  config = LlamaConfig(
    vocab_size=vocabulary.vocab_size + 5, emb_dim=16, num_heads=2, num_kv_heads=1, head_dim=8, num_layers=1, mlp_dim=16
  )
  model = RobustModel(config.network(), vocabulary, vocabulary)
  params = model.initial_variables(jax.random.key(3))['params']
  identity = {'backbone': {'path': 'tiny', 'sha256': '0'}, 'adapter': None, 'vocabulary': vocabulary.digest}
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(loading, 'load_with_identity', lambda *a, **k: loading.Loaded(model, params, identity))
    return lm_eval_model.RobustLM('tiny', chat_template=None, batch_size=2)


def test_a_decoder_scores_what_stands_behind_the_context(decoder):
  model, params, vocabulary = decoder._model, decoder._params, decoder._vocabulary
  end = vocabulary.show([vocabulary.eos_id])
  scores = model.score(params, ['Is it?'], [['yes', 'no way']])[0]
  found = decoder.loglikelihood([asked('Is it?', f' {o}{end}') for o in ('yes', 'no way')])
  np.testing.assert_allclose([score for score, _ in found], scores, rtol=1e-5)
  # Behind a chat's turn an answer has no blank before it; behind plain text it has what the task gives.
  with_blank, without = (decoder.loglikelihood([asked('Is it?', text)])[0][0] for text in (' yes', 'yes'))
  assert (with_blank == without) == ('user' in vocabulary.show(decoder._inputs(['Is it?'])[0]))


def test_a_decoder_reads_whole_texts(decoder):
  model, params = decoder._model, decoder._params
  text = 'The sky is blue.'
  ids = decoder._vocabulary.encode(text)
  logits = model.logits(params, np.array([[model.ids.end]]), np.array([[model.ids.pad, *ids[:-1]]]))[0]
  expected = sum(float(jax.nn.log_softmax(row)[i]) for row, i in zip(logits, ids, strict=True))
  assert decoder.loglikelihood_rolling([asked(text), asked(text)]) == pytest.approx([expected] * 2, rel=1e-5)


def test_the_command_says_what_to_install(monkeypatch, capsys):
  monkeypatch.setitem(sys.modules, 'lm_eval', None)
  assert command.main(['harness', '--tasks', 'x']) == 2
  assert capsys.readouterr().err == "error: lm-evaluation-harness is not installed; pip install 'robust_t5x[lm-eval]'\n"


def test_the_command_hands_its_arguments_to_the_harness(monkeypatch, lm_eval_model, capsys):
  seen = []

  class CLI:
    def parse_args(self):
      return list(sys.argv)

    def execute(self, arguments):
      seen.append(arguments)
      raise UserError('told in a line')

  monkeypatch.setattr(sys.modules['lm_eval'], '_cli', types.SimpleNamespace(HarnessCLI=CLI), raising=False)
  monkeypatch.setattr(sys.modules['lm_eval.utils'], 'setup_logging', lambda: None, raising=False)
  before = list(sys.argv)
  assert command.main(['harness', '--tasks', 'x']) == 2
  assert seen == [['lm_eval', 'run', '--model', 'robust_t5x', '--tasks', 'x']] and sys.argv == before
  assert capsys.readouterr().err == 'error: told in a line\n'


def test_texts_of_chats_end_as_the_vocabulary_says():
  vocabulary = framed_vocabulary.build(tokenizer_files.read(str(TOKENIZERS / 'qwen')), 'own', 'own')
  assert [*vocabulary.encode_continuation(' yes'), vocabulary.eos_id] == framing.answers(vocabulary, ['yes'])[0].ids
