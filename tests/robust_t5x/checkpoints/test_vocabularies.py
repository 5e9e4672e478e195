"""Vocabularies of checkpoints: where they are looked for, and whether they fit."""

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
