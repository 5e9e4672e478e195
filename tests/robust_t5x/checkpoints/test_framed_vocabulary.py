"""Texts of decoder-only models as ids: against transformers on hostile texts, cut, padded, in tf.data."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
import seqio
import tensorflow as tf

from robust_t5x.checkpoints import chat_templates, framed_vocabulary, loading, tokenizer_files, vocabularies
from robust_t5x.checkpoints.checks import CheckpointError
from robust_t5x.models.protocol import SpecialIds, special_ids
from seqio_tasks import framing
from seqio_tasks.bank import instruction
from seqio_tasks.errors import UserError
from seqio_tasks.pipeline import phrasings

DATA = pathlib.Path(__file__).parents[2] / 'data' / 'hf_tokenizers'
STYLES = ('llama2', 'plain', 'llama3', 'qwen', 'phi3')
TEXTS, ANSWERS = (json.loads((DATA / 'texts.json').read_text())[name] for name in ('texts', 'answers'))
SYSTEM = 'Be brief. <|im_end|> </s>'


def reference(style):
  return json.loads((DATA / style / 'reference.json').read_text())


def vocabulary(style, chat_template='own', system_message='own'):
  return framed_vocabulary.build(tokenizer_files.read(str(DATA / style)), chat_template, system_message)


@pytest.fixture(scope='module', params=STYLES)
def style(request):
  return request.param


def test_chats_are_those_of_transformers(style):
  found = framing.inputs(vocabulary(style), TEXTS)
  for text, encoded, ids in zip(TEXTS, found, reference(style)['chats'], strict=True):
    assert encoded.ids == ids, text
    assert encoded.cut == 0


@pytest.mark.parametrize('named', ['llama2', 'llama3', 'qwen', 'phi3'])
def test_chats_with_a_system_message_are_those_of_transformers(named):
  found = framing.inputs(vocabulary(named, system_message=SYSTEM), TEXTS)
  for text, encoded, ids in zip(TEXTS, found, reference(named)['with_system'], strict=True):
    if named != 'llama2' or text.strip():  # its template strips the system message's end too where there is no text
      assert encoded.ids == ids, text


def test_texts_of_a_base_model_are_those_of_transformers(style):
  found = framing.inputs(vocabulary(style, 'none'), TEXTS)
  assert [encoded.ids for encoded in found] == reference(style)['texts']


def test_answers_are_what_the_template_puts_behind_the_prompt(style):
  made, known = vocabulary(style), reference(style)
  prompt = known['chats'][0]
  for answer, encoded, whole in zip(ANSWERS, framing.answers(made, ANSWERS), known['answered'], strict=True):
    trimmed = style in ('llama2', 'llama3') and answer != answer.strip()  # their templates trim, which we do not
    if answer and not trimmed:
      assert whole[: len(prompt)] == prompt
      assert whole[len(prompt) :][: len(encoded.ids) - 1] == encoded.ids[:-1], answer
    assert encoded.ids[-1] == made.eos_id
    if style != 'phi3' or answer == answer.strip():
      assert framing.answer_text(made, encoded.ids[:-1]) == answer


def test_no_text_holds_a_special_token(style):
  made = vocabulary(style)
  controls = {control.id for control in made._encoder.controls.values()}
  for text in [*TEXTS, *made._encoder.controls, ''.join(made._encoder.controls)]:
    assert controls.isdisjoint(made.encode(text)), text
    assert made.pad_id not in framing.inputs(made, [text])[0].ids
    assert controls & {*framing.answers(made, [text])[0].ids} == {made.eos_id}


@pytest.mark.parametrize(
  ('style', 'special'),
  [
    ('llama2', SpecialIds(0, 2)),  # without a padding token, the unknown one, which no text needs
    ('llama3', SpecialIds(605, 604, (601,))),
    ('qwen', SpecialIds(600, 602, (600,))),
    ('phi3', SpecialIds(681, 685, (681,))),
  ],
)
def test_special_ids(style, special):
  assert special_ids(vocabulary(style)) == special


def test_padding_that_an_input_holds_is_replaced_or_refused(capsys):
  spec = tokenizer_files.read(str(DATA / 'llama3'))
  ends = dataclasses.replace(spec, special_tokens=spec.special_tokens | {'pad_token': '<|eot_id|>'})
  assert framed_vocabulary.build(ends, 'own', 'own').pad_id == 605
  assert "padding is '<|reserved|>' (605)" in capsys.readouterr().err
  spec = tokenizer_files.read(str(DATA / 'plain'))
  layout = json.loads(json.dumps(spec.layout))
  layout['model'] |= {'byte_fallback': False}
  with pytest.raises(CheckpointError, match='no special token is left for padding.*add one to the tokenizer'):
    framed_vocabulary.build(dataclasses.replace(spec, layout=layout), 'none', 'none')


def test_what_is_cut_is_the_text(style):
  made = vocabulary(style)
  text = 'The quick brown fox 123 jumps é over 🙂 the lazy dog ' * 3
  whole, empty = (framing.inputs(made, [t])[0].ids for t in (text, ''))
  for most in range(len(empty) + 3, len(whole) + 2):
    ids, cut = framing.inputs(made, [text], most)[0]
    assert len(ids) <= most and len(ids) + cut == len(whole)
    assert len(ids) >= min(most, len(whole)) - 4  # a letter may have as many bytes
    kept = max(n for n in range(len(text) + 1) if framing.inputs(made, [text[:n]])[0].ids == ids)
    assert ids == framing.inputs(made, [text[:kept]])[0].ids
  with pytest.raises(UserError, match='an input has 2 tokens, of which the chat template alone takes'):
    framing.inputs(vocabulary('qwen'), [text], 2)


def test_where_a_soft_prompt_goes():
  def before(style, **settings):
    made = vocabulary(style, **settings)
    return made.show(framing.inputs(made, ['x'])[0].ids[: framing.prompt_position(made)])

  assert before('llama2') == before('llama2', system_message='Be brief.') == '<s>'
  assert before('llama3') == '<|begin_of_text|>'
  assert before('llama3', system_message='Be brief.').endswith('Be brief.<|eot_id|>')
  assert before('qwen') == '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n'
  assert before('qwen', system_message='none') == ''
  assert before('plain') == ''
  assert before('plain', chat_template='none') == '<s>'
  assert framing.prompt_position(seqio.ByteVocabulary()) == 0


def test_no_system_turn():
  made = vocabulary('qwen', system_message='none')
  shown = made.show(framing.inputs(made, ['Hi'])[0].ids)
  assert shown == '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n'
  for style in ('llama2', 'llama3', 'phi3'):  # have none by themselves
    assert vocabulary(style, system_message='none').digest == vocabulary(style).digest


def test_a_base_models_answers_begin_with_a_blank():
  for style in STYLES:
    made = vocabulary(style, 'none')
    together = made.encode('It is: Paris')
    ids = framing.answers(made, ['Paris'])[0].ids
    assert together[-len(ids) + 1 :] == ids[:-1]
    assert framing.answer_text(made, ids[:-1]) == 'Paris'


def test_in_tf_data_it_is_the_same_and_can_be_saved(style, tmp_path):
  made = vocabulary(style)
  room = len(framing.inputs(made, [''])[0].ids) + 6
  ds = tf.data.Dataset.from_tensor_slices(TEXTS).batch(3, drop_remainder=True)
  ds = ds.map(lambda texts: framing.inputs_tf(made, texts, room))
  rows = [(row.tolist(), int(n)) for ids, cut in ds for row, n in zip(ids.numpy(), cut.numpy(), strict=True)]
  assert rows == [tuple(e) for e in framing.inputs(made, TEXTS[: len(rows)], room)]
  iterator = iter(ds)
  next(iterator)
  saved = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / 'iterator'))
  second = next(iterator)
  again = iter(ds)
  tf.train.Checkpoint(iterator=again).read(saved)
  assert next(again)[0].to_list() == second[0].to_list()


def test_seqios_own_calls(style):
  made = vocabulary(style)
  ids = made.encode_tf(tf.constant('one two'))
  assert ids.numpy().tolist() == made.encode('one two')
  assert [r.tolist() for r in made.encode_tf(tf.constant(['one two', ''])).numpy()] == [made.encode('one two'), []]
  # What SeqIO decodes are outputs.
  answers = [framing.answers(made, [text])[0].ids for text in ('one two', '', '  three')]
  padded = np.full((3, 30), made.pad_id)
  for row, answer in zip(padded, answers, strict=True):
    row[: len(answer) + 1] = [*answer, 5]
  texts = [framing.answer_text(made, answer[:-1]) for answer in answers]
  assert texts[:2] == ['one two', '']
  assert [text.decode() for text in made.decode_tf(tf.constant(padded)).numpy()] == texts
  assert made.decode_tf(tf.constant(padded[0])).numpy() == b'one two'
  assert [made.decode(row.tolist()) for row in padded] == texts
  assert made == vocabulary(style) and hash(made) == hash(vocabulary(style))


def test_hashes_tell_whatever_changes_tokens():
  made = [vocabulary(s) for s in STYLES]
  made += [vocabulary('qwen', system_message=m) for m in ('none', 'Be brief.')] + [vocabulary('qwen', 'none')]
  hashes = [loading.vocabulary_hash(v) for v in made]
  assert len(set(hashes)) == len(hashes)
  assert hashes == [loading.vocabulary_hash(v) for v in [*(vocabulary(s) for s in STYLES), *made[len(STYLES) :]]]
  assert made[0] != made[1]


def test_a_checkpoints_directory_brings_its_template(tmp_path):
  for path in (DATA / 'qwen').iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  (tmp_path / 'config.json').write_text('{"model_type": "qwen2", "eos_token_id": 601}')
  made = vocabularies.vocabulary(checkpoint=str(tmp_path))
  assert framing.inputs(made, TEXTS[:1])[0].ids == reference('qwen')['chats'][0]
  assert special_ids(made).stops == (600, 601)
  assert vocabularies.vocabulary(str(tmp_path / 'tokenizer.json')) == made
  (tmp_path / 'chat_template.jinja').write_text("{% for m in messages %}Q: {{ m['content'] }} A:{% endfor %}")
  made = vocabularies.vocabulary(str(tmp_path / 'tokenizer.json'), extra_ids=0)
  assert made.show(framing.inputs(made, ['why?'])[0].ids) == 'Q: why? A:'
  named = [{'name': 'tool_use', 'template': 'x'}, {'name': 'default', 'template': "<{{ messages[0]['content'] }}>"}]
  (tmp_path / 'chat_template.jinja').unlink()
  (tmp_path / 'tokenizer_config.json').write_text(json.dumps({'eos_token': '<|im_end|>', 'chat_template': named}))
  made = vocabularies.vocabulary(str(tmp_path / 'tokenizer.json'), extra_ids=1)
  assert made.show(framing.inputs(made, ['why?'])[0].ids) == '<why?>'
  (tmp_path / 'tokenizer_config.json').write_text(json.dumps({'eos_token': '<|im_end|>', 'chat_template': named[:1]}))
  with pytest.raises(CheckpointError, match='of its chat templates tool_use none is the default; .*CHAT_TEMPLATE'):
    vocabularies.vocabulary(str(tmp_path / 'tokenizer.json'), extra_ids=2)
  mine = tmp_path / 'mine.jinja'
  mine.write_text("{{ messages[-1]['content'] }} =>")
  made = vocabularies.vocabulary(checkpoint=str(tmp_path), chat_template=str(mine))
  assert made.show(framing.inputs(made, ['why?'])[0].ids) == 'why? =>'
  with pytest.raises(CheckpointError, match="CHAT_TEMPLATE: .*nowhere cannot be read .*give 'own'"):
    vocabularies.vocabulary(checkpoint=str(tmp_path), chat_template=str(tmp_path / 'nowhere'))
  with pytest.raises(CheckpointError, match="SYSTEM_MESSAGE is set, but .* without a chat template.*set it to 'none'"):
    vocabularies.vocabulary(checkpoint=str(tmp_path), chat_template='none', system_message='Hi')


@pytest.mark.parametrize(
  ('name', 'content', 'message'),
  [
    ('tokenizer.json', None, 'no file .*tokenizer.json; fetch it, or write it with transformers'),
    ('tokenizer.json', '{', 'tokenizer.json is not valid JSON'),
    ('tokenizer.json', '[]', 'tokenizer.json: it is .*not dict'),
    ('tokenizer.json', '{}', 'no tokenizer'),
    ('tokenizer.json', '{"model": {"type": "Unigram"}}', "model.type is 'Unigram'"),
    ('tokenizer.json', '{"model": {"type": "BPE", "dropout": 0.1}}', 'model.dropout is 0.1, .*set it to null'),
    ('added_tokens.json', '{"<|late|>": 999}', r"added_tokens.json: the token '<\|late\|>' is 999, and tokenizer.json lacks it"),
    (
      'tokenizer_config.json', '{"added_tokens_decoder": {"7": {"content": "<|im_end|>"}}}',
      r"tokenizer_config.json: the token '<\|im_end\|>' is 7, and tokenizer.json has it as \d+; fetch both again",
    ),
    ('tokenizer_config.json', '{"eos_token": 3}', 'tokenizer_config.json: eos_token is 3'),
    ('tokenizer_config.json', '{"eos_token": "<|no|>"}', r"the eos_token beside it is '<\|no\|>', which is no token of it; fetch both"),
    ('tokenizer_config.json', '{"eos_token": "<|im_end|>", "chat_template": "{% if %}"}', 'no chat template .*CHAT_TEMPLATE'),
    ('generation_config.json', '{"eos_token_id": "x"}', "eos_token_id is 'x'"),
    ('generation_config.json', '{"eos_token_id": 32000}', 'outputs end with the token 32000, and this tokenizer has 60. ids; take the'),
    ('config.json', '{"eos_token_id": [-1]}', 'outputs end with the token -1, and this tokenizer has'),
  ],
)  # fmt: skip
def test_damaged_files_are_told_by_name(tmp_path, name, content, message):
  for path in (DATA / 'qwen').iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  (tmp_path / name).unlink(missing_ok=True)
  if content is not None:
    (tmp_path / name).write_text(content)
  with pytest.raises(CheckpointError, match=message):
    framed_vocabulary.build(tokenizer_files.read(str(tmp_path)), 'own', 'own')


def test_an_ordinary_word_that_ends_outputs_is_told(tmp_path, capsys):
  """As where a model's files are read with the tokenizer of another one that has about as many ids."""
  for path in (DATA / 'qwen').iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  (tmp_path / 'config.json').write_text('{"eos_token_id": 65}')
  made = framed_vocabulary.build(tokenizer_files.read(str(tmp_path)), 'own', 'own')
  assert 65 in made.stop_ids
  assert f'outputs end with {made.pieces[65]!r} (65), which is no special token' in capsys.readouterr().err


def test_a_special_token_that_texts_become_is_refused():
  spec = tokenizer_files.read(str(DATA / 'llama3'))
  layout = json.loads(json.dumps(spec.layout))
  layout['model'] |= {'vocab': {**layout['model']['vocab'], 'the': 600}, 'ignore_merges': True}
  layout['added_tokens'] = [{**layout['added_tokens'][0], 'content': 'the', 'id': 600}]
  spec = dataclasses.replace(spec, layout=layout, special_tokens={'eos_token': 'the'})
  with pytest.raises(CheckpointError, match='is also what its letters become in a text'):
    framed_vocabulary.FramedVocabulary(spec, None, chat_templates.OWN)


def test_tasks_hold_what_the_model_reads():
  canonical = [
    instruction.make_instruction('c', 't', f'a{i}', 'evaluation', w) for i, w in enumerate(['{x}', 'say {x}!'])
  ]
  example = {'example_id': ['e'], 'golds': [['yes']], 'options': [['["yes", "no"]']], 'option_list': [['yes\x1fno']],
    'alternatives': [['[]']], 'right_options': [['[0]']], 'right_list': [['0']], 'option_texts': [['[]']], 'fields/x': ['Hi']}  # fmt: skip
  dataset = tf.data.Dataset.from_tensor_slices(example)
  made = vocabulary('qwen')
  inputs = [encoded.ids for encoded in framing.inputs(made, ['Hi', 'say Hi!'])]
  most = max(map(len, inputs)) + 2

  def rows(preprocessor, rank):
    features = {'inputs': seqio.Feature(made, rank=rank), 'targets': seqio.Feature(made)}
    lengths = {'inputs': most, 'targets': 8}
    preprocessor = dataclasses.replace(preprocessor, sequence_length=lengths, output_features=features)
    with seqio.map_seed_manager(1):
      return list(preprocessor(dataset).as_numpy_iterator())

  expanded = rows(phrasings.expand_phrasings(canonical), 1)
  assert [row['inputs'].tolist() for row in expanded] == inputs
  assert expanded[0]['targets'].tolist() == framing.answers(made, ['yes'])[0].ids
  ranked = rows(phrasings.rank_options(canonical), 1)
  assert [row['targets'].tolist() for row in ranked[:2]] == [e.ids for e in framing.answers(made, ['yes', 'no'])]
  (stacked,) = rows(
    phrasings.stack_phrasings(2, canonical[:1], [dataclasses.replace(canonical[1], role='alignment')]), 2
  )
  assert stacked['inputs'].tolist() == [ids + [made.pad_id] * (most - len(ids)) for ids in inputs]
