"""Reading backbones of every format, and converting them."""

import os
import subprocess
import sys
import tracemalloc

import fsspec
from letters import Letters
import ml_dtypes
import numpy as np
import pytest
from tiny_backbones import CONFIG, assert_holds, params_of, write

from robust_t5x import __main__ as command
from robust_t5x import convert
from robust_t5x.checkpoints import backbones, huggingface, layouts, vocabularies
from robust_t5x.models import llama, t5


def test_there_and_back(family, tmp_path):
  config, flat = family
  first = write(tmp_path / 'a', flat, config)
  convert.convert_backbone(first, str(tmp_path / 'b'), 't5x')
  report = convert.convert_backbone(str(tmp_path / 'b'), str(tmp_path / 'c'), 'huggingface')
  for path, form in ((first, 'huggingface'), (tmp_path / 'b', 't5x'), (tmp_path / 'c', 'huggingface')):
    assert assert_holds(path, flat, form).config == config
  assert report['parameters'] == {name: list(x.shape) for name, x in flat.items()}
  hashes = {backbones.backbone_hash(str(tmp_path / n)) for n in 'abc'}
  assert hashes == {report['sha256']}


@pytest.mark.parametrize('to', ['huggingface', 't5x'])
def test_bfloat16_keeps_what_it_can(to, tmp_path):
  flat = params_of(CONFIG)
  source = write(tmp_path / 'a', flat)
  convert.convert_backbone(source, str(tmp_path / 'b'), to, dtype='bfloat16')
  rounded = {name: x.astype(ml_dtypes.bfloat16) for name, x in flat.items()}
  assert_holds(tmp_path / 'b', rounded, to)


@pytest.mark.parametrize(
  ('files', 'message'),
  [
    (['config.json', 'pytorch_model.bin'], 'pytorch_model.bin is a torch pickle, which may run code when it is read'),
    (['config.json'], 'no model.safetensors; fetch the whole checkpoint'),
    (['model.ckpt-1.index', 'model.ckpt-1.meta'], 'is a TensorFlow checkpoint, which is not read'),
    (['checkpoint_100/x', 'checkpoint_90/x'], r'holds several checkpoints; give .*/checkpoint_100'),
    (
      ['checkpoint_100/x', 'checkpoint_200.orbax-checkpoint-tmp-1/x'],
      r'holds several checkpoints; give .*/checkpoint_100$',
    ),
    (
      ['default/x', '_CHECKPOINT_METADATA'],
      'is the state of a run of ours, .*; give what it ends with, adapter.safetensors',
    ),
    (['README'], 'is no checkpoint'),
  ],
)
def test_what_is_no_checkpoint_is_refused_with_a_cure(files, message, tmp_path):
  write(tmp_path / 'a', params_of(CONFIG))
  for name in files:
    file = tmp_path / 'b' / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text((tmp_path / 'a' / name).read_text() if name == 'config.json' else '')
  with pytest.raises(ValueError, match=message):
    backbones.open_backbone(str(tmp_path / 'b'))


@pytest.mark.parametrize('place', ['meta-llama/Llama-3.1-8B', 'hf://meta-llama/Llama-3.1-8B'])
def test_a_model_of_the_hub_is_to_be_fetched_first(place, monkeypatch):
  monkeypatch.setattr(fsspec.core, 'url_to_fs', lambda place: (fsspec.filesystem('memory'), '/nothing'))
  with pytest.raises(backbones.CheckpointError, match=f'no directory {place}; .*`hf download meta-llama/Llama-3.1-8B '):
    backbones.open_backbone(place)


def test_a_place_out_of_reach_is_one_error_whatever_its_library_raises(monkeypatch):
  class OutOfReachError(Exception):
    """Of a client of HTTP, which is no OSError."""

  def fails(*_):
    raise OutOfReachError('Name or service not known')

  monkeypatch.setattr(fsspec.core, 'url_to_fs', fails)
  monkeypatch.setattr(fsspec, 'open', fails)
  with pytest.raises(backbones.CheckpointError, match=r'hf://a/b cannot be read \(Name or service not known\)'):
    backbones.open_backbone('hf://a/b')
  with pytest.raises(backbones.CheckpointError, match=r'hf://a/b/tokenizer.json cannot be read \(Name or service'):
    vocabularies.vocabulary('hf://a/b/tokenizer.json')


def test_another_architecture_is_refused(tmp_path):
  convert.convert_backbone(write(tmp_path / 'a', params_of(CONFIG)), str(tmp_path / 'b'), 't5x')
  import dataclasses

  from robust_t5x.models import robust
  from robust_t5x.runtime import partitioning

  other = robust.RobustModel(t5.Transformer(dataclasses.replace(CONFIG, mlp_dim=48)), Letters(), Letters())
  shapes, axes = other.variable_shapes()
  like = partitioning.placed(shapes, partitioning.param_shardings(axes, shapes, partitioning.make_mesh()))
  with pytest.raises(backbones.CheckpointError, match=r'wi_0/kernel: \[16, 24\] in the checkpoint, \[16, 48\]'):
    backbones.load_backbone(str(tmp_path / 'b'), like)


def test_a_target_that_exists_is_left_alone(tiny_checkpoint, tmp_path, capsys):
  (tmp_path / 'x').mkdir()
  (tmp_path / 'x' / 'precious').write_text('')
  assert command.main(['convert', str(tiny_checkpoint), str(tmp_path / 'x'), '--to', 't5x']) == 2
  assert 'exists and is not empty' in capsys.readouterr().err
  assert os.listdir(tmp_path / 'x') == ['precious']


def test_a_conversion_needs_memory_for_one_tensor_only(tmp_path):
  """A model of 200 MB whose largest tensor has 17 MB."""
  config = t5.T5Config(8192, 512, 8, 64, 8, 8, 4096)
  from robust_t5x.models import robust, trainable

  shapes, _ = robust.RobustModel(t5.Transformer(config), Letters(), Letters()).variable_shapes()

  flat = {name: x.shape for name, x in trainable.flatten(shapes).items()}
  huggingface.write(str(tmp_path / 'a'), config, lambda name: np.zeros(flat[name], np.float32), flat, 'float32')
  size = sum(f.stat().st_size for f in (tmp_path / 'a').iterdir())
  code = """
import resource, sys
from robust_t5x import convert
from robust_t5x.checkpoints import backbones, huggingface, t5x_format
import orbax.checkpoint, tensorstore
backbones.open_backbone(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
convert.convert_backbone(sys.argv[1], sys.argv[2], sys.argv[3])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""
  for to, source in (('t5x', 'a'), ('huggingface', 't5x')):
    done = subprocess.run(
      [sys.executable, '-c', code, str(tmp_path / source), str(tmp_path / to), to],
      capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert size > 200e6
    assert int(done.stdout) < 0.5 * size, to


@pytest.mark.parametrize('stored', ['float32', 'bfloat16'])
def test_a_conversion_holds_one_tensor_and_a_block_of_it(tmp_path, stored):
  """Three neighbours are as large as the largest tensor; what arrays take is counted, in float32's sizes of it."""
  config = llama.LlamaConfig(
    vocab_size=4096, emb_dim=512, num_heads=8, num_kv_heads=2, head_dim=64, num_layers=1, mlp_dim=4096
  )
  shapes = layouts.layout(config).shapes()
  largest = 4 * 4096 * 512
  huggingface.write(str(tmp_path / 'a'), config, lambda name: np.ones(shapes[name], np.float32), shapes, stored)
  for source, target, to in (('a', 'b', 't5x'), ('b', 'c', 'huggingface'), ('a', 'd', 'huggingface')):
    backbones.open_backbone(str(tmp_path / source))
    tracemalloc.start()
    convert.convert_backbone(str(tmp_path / source), str(tmp_path / target), to)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.6 * largest, (source, to)


def test_the_sum_of_a_file_that_was_written_again_is_that_of_what_it_holds(tmp_path):
  sums = []
  for text in (b'', b'abc'):
    (tmp_path / 'file').write_bytes(text)
    sums.append(backbones.sha256(str(tmp_path / 'file')))
  # FIPS 180-2, and the well-known sum of nothing.
  assert [digest[:16] for digest in sums] == ['e3b0c44298fc1c14', 'ba7816bf8f01cfea']
