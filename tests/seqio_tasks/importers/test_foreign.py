"""Files of somebody else's repository: what is read, and what is refused by name."""

import pytest

from seqio_tasks.importers import SourceError, foreign


def test_files_below_the_root_are_read(tmp_path):
  (tmp_path / 'a.json').write_text('{"x": [1]}')
  (tmp_path / 'a.py').write_text('x = 1')
  assert foreign.read_json(tmp_path, tmp_path / 'a.json') == {'x': [1]}
  assert len(foreign.read_python(tmp_path, tmp_path / 'a.py').body) == 1
  assert foreign.read_text(tmp_path, tmp_path / 'a.py') == 'x = 1'


@pytest.mark.parametrize(
  ('read', 'content', 'message'),
  [
    (foreign.read_json, '{', 'is not JSON'),
    (foreign.read_python, 'x = = 1', 'is not Python'),
    (foreign.read_python, '(' * 5000, 'is not Python'),
  ],
)
def test_what_cannot_be_read_is_named(tmp_path, read, content, message):
  path = tmp_path / 'f'
  path.write_text(content)
  with pytest.raises(SourceError, match=message):
    read(tmp_path, path)


def test_nothing_outside_of_the_root_is_read(tmp_path):
  root = tmp_path / 'root'
  root.mkdir()
  (tmp_path / 'secret').write_text('x')
  (root / 'link').symlink_to(tmp_path / 'secret')
  for path in (root / '../secret', root / 'link', tmp_path / 'secret'):
    with pytest.raises(SourceError, match='lies outside of'):
      foreign.read_text(root, path)
  with pytest.raises(SourceError, match='no such file'):
    foreign.read_text(root, root / 'none')
  with pytest.raises(SourceError, match='cannot be read'):
    foreign.read_text(root, root / 'a\0b')
