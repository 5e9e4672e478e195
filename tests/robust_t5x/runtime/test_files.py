"""Files are written whole or not at all."""

import os

import pytest

from robust_t5x.runtime import files


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
