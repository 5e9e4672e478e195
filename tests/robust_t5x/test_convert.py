"""The verb `convert`: mistakes on its command line, of which nothing is written."""

import dataclasses
import pathlib
import shutil

import numpy as np
import pytest
from tiny_backbones import CONFIG, params_of, write

from robust_t5x import __main__ as command
from robust_t5x import convert
from robust_t5x.checkpoints import backbones, huggingface

BACKBONE = str(pathlib.Path(__file__).parents[1] / 'data/hf_t5/v1_1')


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['x', 'y'], 'the following arguments are required: --to'),
    (['x', '--to', 't5x'], 'the following arguments are required: target'),
    (['x', 'y', '--to', 'torch'], "argument --to: invalid choice: 'torch'"),
    (['x', 'y', '--to', 't5x', '--dtype', 'int8'], "argument --dtype: invalid choice: 'int8'"),
    (['x', 'y', '--to', 't5x', '--adapt', 'z'], 'unrecognized arguments: --adapt z'),
  ],
)
def test_arguments_that_cannot_be_understood(arguments, message, capsys):
  with pytest.raises(SystemExit) as end:
    command.main(['convert', *arguments])
  assert end.value.code == 2
  assert message in capsys.readouterr().err


@pytest.mark.parametrize(
  ('source', 'to', 'more', 'message'),
  [
    ('nowhere', 't5x', [], 'nowhere'),
    ('nowhere', 'npy', [], 'nowhere'),
    (BACKBONE, 'huggingface', ['--adapter', 'x'], '--adapter: huggingface has no place for an adapter'),
  ],
)
def test_what_cannot_be_converted_is_one_line(source, to, more, message, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  assert command.main(['convert', source, 'target', '--to', to, *more]) == 2
  said = capsys.readouterr()
  assert said.out == '' and said.err.startswith('error: ') and said.err.count('\n') == 1
  assert message in said.err
  assert not list(tmp_path.iterdir())


def test_a_file_that_exists_is_left_alone(tmp_path, capsys):
  path = tmp_path / 'adapter.npy'
  path.write_text('precious')
  assert command.main(['convert', 'x', str(path), '--to', 'npy']) == 2
  assert f'error: {path} exists; choose another place\n' == capsys.readouterr().err
  assert path.read_text() == 'precious'


def test_what_cannot_be_written_leaves_nothing(tiny_checkpoint, tmp_path, monkeypatch, capsys):
  def full(path, *_, **__):
    pathlib.Path(path).mkdir()
    (pathlib.Path(path) / 'config.json').write_text('{}')
    raise OSError(28, 'No space left on device', path)

  monkeypatch.setattr(huggingface, 'write', full)
  assert command.main(['convert', str(tiny_checkpoint), f'{tmp_path}/new/x/', '--to', 'huggingface']) == 2
  assert 'No space left on device' in capsys.readouterr().err
  assert not list((tmp_path / 'new').iterdir())


def test_what_a_killed_conversion_left_is_no_checkpoint_and_is_removed(tiny_checkpoint, tmp_path, capsys):
  left = tmp_path / f'x.{10**9}.tmp'
  shutil.copytree(tiny_checkpoint, left)
  with pytest.raises(backbones.CheckpointError, match='is what an interrupted `robust-t5x convert` left; delete it'):
    backbones.open_backbone(str(left))
  assert command.main(['convert', str(tiny_checkpoint), f'{tmp_path}/x/', '--to', 'huggingface']) == 0
  assert f'removed {left}, which an interrupted conversion left' in capsys.readouterr().err
  assert [path.name for path in tmp_path.iterdir()] == ['x']


def test_a_dtype_that_is_too_small_is_refused(tmp_path, capsys):
  flat = params_of(CONFIG)
  flat['encoder/encoder_norm/scale'] = np.full(16, 1e6, np.float32)
  path = write(tmp_path / 'a', flat)
  for to in ('huggingface', 't5x'):
    assert command.main(['convert', path, str(tmp_path / 'b'), '--to', to, '--dtype', 'float16']) == 2
    assert f'{path}: encoder/encoder_norm/scale holds 1e+06, too large for float16' in capsys.readouterr().err
    assert not (tmp_path / 'b').exists()
  report = convert.convert_backbone(path, str(tmp_path / 'b'), 'huggingface', dtype='bfloat16')
  assert report['sha256'] == backbones.backbone_hash(str(tmp_path / 'b')) != backbones.backbone_hash(path)


def test_settings_that_shapes_do_not_tell_stand_in_a_file_beside_t5xs(tmp_path):
  path = write(tmp_path / 'a', params_of(CONFIG), dataclasses.replace(CONFIG, relpos_max_distance=64))
  convert.convert_backbone(path, str(tmp_path / 'b'), 't5x')
  assert backbones.open_backbone(str(tmp_path / 'b')).config.relpos_max_distance == 64
  assert backbones.backbone_hash(str(tmp_path / 'b')) == backbones.backbone_hash(path)
  (tmp_path / 'b' / 'network.json').write_text('{')
  backbones.open_backbone.cache_clear()
  with pytest.raises(backbones.CheckpointError, match='b/network.json: cannot be read as JSON'):
    backbones.open_backbone(str(tmp_path / 'b'))
