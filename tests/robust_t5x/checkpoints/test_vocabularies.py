"""Vocabularies of checkpoints: where they are looked for, and whether they fit."""

import json
import pathlib
import shutil
import types

import pytest

from robust_t5x.checkpoints import backbones, vocabularies


def test_a_vocabulary_must_be_named_and_there(tmp_path):
  with pytest.raises(backbones.CheckpointError, match='not set: VOCABULARY'):
    vocabularies.vocabulary()
  with pytest.raises(backbones.CheckpointError, match=f'no file {tmp_path}/x.model; correct VOCABULARY'):
    vocabularies.vocabulary(str(tmp_path / 'x.model'))
  with pytest.raises(backbones.CheckpointError, match=f'no file {tmp_path}/spiece.model; put the SentencePiece model'):
    vocabularies.vocabulary(checkpoint=str(tmp_path))


@pytest.mark.parametrize(('rows', 'fits'), [(1000, True), (1255, True), (1300, False), (999, False)])
def test_every_id_needs_a_row_and_few_rows_may_be_padding(rows, fits):
  network, vocabulary = types.SimpleNamespace(vocab_size=rows), types.SimpleNamespace(vocab_size=1000)
  if fits:
    vocabularies.check_vocabulary(network, vocabulary)
    return
  with pytest.raises(
    backbones.CheckpointError, match=f"the vocabulary has 1000 ids, the model's embedding {rows} rows"
  ):
    vocabularies.check_vocabulary(network, vocabulary)


def test_a_saved_vocabulary_lies_beside_the_weights(tmp_path):
  (tmp_path / 'pieces.model').write_bytes(b'pieces')
  (tmp_path / 'model').mkdir()
  vocabulary = types.SimpleNamespace(sentencepiece_model_file=str(tmp_path / 'pieces.model'))
  vocabularies.save(str(tmp_path / 'model'), vocabulary)
  assert (tmp_path / 'model' / 'spiece.model').read_bytes() == b'pieces'


@pytest.mark.parametrize(
  ('template', 'message', 'told'),
  [('own', 'own', False), ('none', 'own', False), ('own', 'none', True), ('own', 'Be brief.', True)],
)
def test_a_saved_tokenizer_reads_texts_as_they_were_read_or_it_is_told(template, message, told, tmp_path, capsys):
  place = pathlib.Path(__file__).parents[2] / 'data/hf_tokenizers/qwen/tokenizer.json'
  vocabulary = vocabularies.vocabulary(str(place), chat_template=template, system_message=message)
  vocabularies.save(str(tmp_path), vocabulary)
  again = vocabularies.vocabulary(str(tmp_path / 'tokenizer.json'))
  assert (again.digest == vocabulary.digest) is not told
  assert ('not the SYSTEM_MESSAGE that texts were read with' in capsys.readouterr().err) is told


@pytest.fixture
def directory(tmp_path, tiny_vocabulary_path):
  """A checkpoint's directory with nothing but its pieces."""
  vocabularies.vocabulary.cache_clear()
  shutil.copyfile(tiny_vocabulary_path, tmp_path / 'spiece.model')
  return tmp_path


_T5S_OWN = {
  'added_tokens.json': lambda size: {'<extra_id_0>': size - 1, '<extra_id_99>': size - 100},
  'tokenizer_config.json': lambda size: {
    'extra_ids': 100,
    'additional_special_tokens': ['<extra_id_0>', {'content': '<extra_id_1>'}],
    'added_tokens_decoder': {
      '0': {'content': '<pad>'},
      '1': {'content': '</s>'},
      str(size - 1): {'content': '<extra_id_0>'},
    },
    'sp_model_kwargs': {},
    'tokenizer_class': 'T5Tokenizer',
  },
  'special_tokens_map.json': lambda size: {
    'eos_token': '</s>',
    'pad_token': {'content': '<pad>'},
    'unk_token': '<unk>',
  },
  'tokenizer.json': lambda size: {
    'added_tokens': [{'id': 1, 'content': '</s>'}, {'id': size - 3, 'content': '<extra_id_2>'}]
  },
}


def test_the_files_of_a_t5_add_nothing(directory):
  size = vocabularies.vocabulary(checkpoint=str(directory)).vocab_size
  for name, make in _T5S_OWN.items():
    (directory / name).write_text(json.dumps(make(size)))
  vocabularies.vocabulary.cache_clear()
  assert vocabularies.vocabulary(checkpoint=str(directory)).vocab_size == size


@pytest.mark.parametrize(
  ('name', 'content', 'message'),
  [
    ('added_tokens.json', {'<sep>': 32100}, "adds the token '<sep>' as 32100, which spiece.model has not"),
    ('added_tokens.json', {'</s>': 7}, "adds the token '</s>' as 7, which spiece.model has as 1"),
    ('added_tokens.json', {'<extra_id_100>': 3}, "adds the token '<extra_id_100>' as 3"),
    ('added_tokens.json', ['<sep>'], 'not dict'),
    ('tokenizer_config.json', {'added_tokens_decoder': {'300': {'content': '\n'}}}, r"adds the token '\\n' as 300"),
    ('tokenizer_config.json', {'added_tokens_decoder': {'x': {'content': 'y'}}}, "has 'x', not an id"),
    ('tokenizer_config.json', {'additional_special_tokens': ['<user>']}, "adds the token '<user>', which"),
    ('tokenizer_config.json', {'extra_ids': 101}, "adds the token '<extra_id_100>'"),
    ('tokenizer_config.json', {'sp_model_kwargs': {'enable_sampling': True}}, 'sp_model_kwargs is'),
    ('special_tokens_map.json', {'eos_token': '<end>'}, "adds the token '<end>'"),
    ('tokenizer.json', {'added_tokens': [{'id': 400, 'content': '<user>'}]}, "adds the token '<user>' as 400"),
  ],
)
def test_tokens_that_are_added_are_named(directory, name, content, message):
  (directory / name).write_text(json.dumps(content))
  with pytest.raises(backbones.CheckpointError, match=f'{name}: .*{message}'):
    vocabularies.vocabulary(checkpoint=str(directory))
  vocabularies.vocabulary(str(directory / 'spiece.model'))  # said to be meant


def test_a_file_that_holds_no_pieces_is_named(directory):
  path = directory / 'spiece.model'
  whole = path.read_bytes()
  for content in (b'', whole[: len(whole) // 2], b'\xff' * 100):
    path.write_bytes(content)
    vocabularies.vocabulary.cache_clear()
    with pytest.raises(backbones.CheckpointError, match='VOCABULARY: .*spiece.model is no SentencePiece model'):
      vocabularies.vocabulary(checkpoint=str(directory))
