"""Files are written whole or not at all."""

import errno
import os
import subprocess

import pytest

from robust_t5x.runtime import errors, files


@pytest.mark.parametrize(
  ('content', 'expected'), [('naïve\n', b'na\xc3\xafve\n'), (b'\xff\x00', b'\xff\x00'), ('', b'')]
)
def test_text_is_utf8_and_bytes_stay_as_they_are(content, expected, tmp_path):
  files.write_atomically(str(tmp_path / 'x'), content)
  assert (tmp_path / 'x').read_bytes() == expected
  assert os.listdir(tmp_path) == ['x']


def test_a_reader_keeps_the_file_that_it_opened(tmp_path):
  path = tmp_path / 'x'
  path.write_text('old')
  with path.open() as reader:
    files.write_atomically(str(path), 'new')
    assert reader.read() == 'old'
  assert path.read_text() == 'new'


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
  path = tmp_path / 'x'
  path.write_text('old')
  with pytest.raises(TypeError):
    files.write_atomically(str(path), 3)
  assert path.read_text() == 'old'


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path):
  path = tmp_path / 'x'
  path.write_text('old')
  with pytest.raises(ZeroDivisionError), files.written_whole(str(path)) as f:
    f.write(b'part')
    raise ZeroDivisionError
  assert path.read_text() == 'old' and [p.name for p in tmp_path.iterdir()] == ['x']


def test_what_killed_processes_left_is_removed(tmp_path):
  done = subprocess.Popen(['true'])
  done.wait()
  names = [f'x.{done.pid}.tmp', f'x.{os.getpid()}.tmp', f'x.{10**30}.tmp', 'x.more.tmp', f'y.{done.pid}.tmp']
  for name in names:
    (tmp_path / name).mkdir()
  (tmp_path / names[2]).rmdir()
  (tmp_path / names[2]).write_text('')
  assert files.remove_leftovers(str(tmp_path / 'x')) == sorted(str(tmp_path / name) for name in (names[0], names[2]))
  assert {p.name for p in tmp_path.iterdir()} == {names[1], *names[3:]}


@pytest.mark.parametrize('name', ['out.jsonl', 'with [brackets]*.csv'])
def test_a_file_that_is_written_again_takes_the_place_of_what_a_kill_left_of_it(tmp_path, name):
  for number in (10**9, os.getpid()):
    (tmp_path / f'{name}.{number}.tmp').write_text('part')
  (tmp_path / f'other.{10**9}.tmp').write_text('of another file')
  files.write_atomically(str(tmp_path / name), 'whole')
  assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
    name: 'whole',
    f'other.{10**9}.tmp': 'of another file',
  }


def test_an_error_of_the_system_names_the_file(tmp_path, capsys):
  path = str(tmp_path / 'x')
  with pytest.raises(OSError, match='No space left') as full, files.written_whole(path):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # a disk that is full names none
  assert errors.report_error(full.value) == 2
  assert capsys.readouterr().err == (
    f'error: {path}: No space left on device; make room there; the same command then goes on\n'
  )
  (tmp_path / 'file').touch()
  with pytest.raises(NotADirectoryError) as in_the_way:
    files.write_atomically(str(tmp_path / 'file' / 'x'), '')
  assert errors.report_error(in_the_way.value) == 2
  assert f'error: {tmp_path}/file/x: Not a directory; name another place' in capsys.readouterr().err


def test_a_directory_is_made_whole_or_not_at_all(tmp_path):
  target, said = tmp_path / 'x', []
  (tmp_path / f'x.{10**9}.tmp').mkdir()
  with pytest.raises(ZeroDivisionError), files.made_beside(f'{target}/', said.append) as made:
    os.makedirs(made)
    1 / 0  # noqa: B018
  assert not list(tmp_path.iterdir()) and 'which an interrupted command left' in said[0]
  target.mkdir()
  (target / 'own').touch()
  with files.made_beside(str(target), said.append) as made:
    os.makedirs(made)
    files.write_atomically(os.path.join(made, 'new'), 'x')
  assert sorted(os.listdir(target)) == ['new', 'own'] and os.listdir(tmp_path) == ['x']


def test_a_place_that_cannot_be_written_to_is_told_before_work_is_done(tmp_path):
  files.check_writable(str(tmp_path / 'new/out'))
  assert [p.name for p in (tmp_path / 'new').iterdir()] == []
  (tmp_path / 'file').write_text('')
  for path, named in ((tmp_path / 'file/out', 'file'), (tmp_path / 'new', 'new'), (tmp_path / ('x' * 300), 'x' * 300)):
    with pytest.raises(OSError, match=f'{named}.$'):
      files.check_writable(str(path))
  files.check_writable('gs://bucket/out')
