"""The verb `convert`: mistakes on its command line, of which nothing is written."""

import pathlib

import pytest

from robust_t5x import __main__ as command

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
