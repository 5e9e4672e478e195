"""Tests of reading YAML files that break the reader."""

import pytest

from seqio_tasks.bank import instruction, reading, yaml_files
from seqio_tasks.errors import UserError


def _levels(depth: int) -> str:
  lines = ['a0: &a0 {x: 1, y: 2, z: 3}']
  lines += [f'a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}, z: *a{i - 1}}}' for i in range(1, depth)]
  return '\n'.join(lines) + '\n'


@pytest.mark.parametrize(
  ('text', 'line', 'message'),
  [
    (_levels(40), 10, 'the aliases stand for more than 100000 entries'),
    ('b: 1\na: &a {x: *a}\n', 2, r'the alias \*a stands inside of what it stands for'),
    ('b: 1\na: &a [1, &b [*a]]\n', 2, r'the alias \*a stands inside'),
    ('a: ' + '[' * 100_000, 1, 'is nested more than 50 deep'),
    ('\n' + '- ' * 5000 + 'x', 2, 'is nested more than 50 deep'),
    ('a: 1\nb: 2024-13-45\n', 2, "'2024-13-45' is not of the type timestamp"),
    ('a: 1\nb: !!bool maybe\n', 2, "'maybe' is not of the type bool"),
    ('a: 1\nb: !!int x\n', 2, "'x' is not of the type int"),
    ('a: 1\nb: ' + '9' * 5000, 2, '9… is too long for a number'),
    ('a: 0x' + 'f' * 5000, 1, '0xf+… is too long for a number'),
  ],
)
def test_what_breaks_a_reader_is_told_by_its_line(tmp_path, text, line, message):
  path = tmp_path / 'a.yaml'
  path.write_text(text)
  with pytest.raises(yaml_files.YamlError, match=f'a.yaml: line {line}: .*{message}') as error:
    yaml_files.read(path)
  assert len(str(error.value)) < 500


@pytest.mark.parametrize(
  'data',
  [b'a: \0', b'a: !!python/name:os.system', b'? [a]\n: b', b'a: \xff', b'a: *b', b'{', b'a: !!binary "\xc3\xa9"'],
)
def test_other_faults_are_one_error_that_names_the_file(tmp_path, data):
  path = tmp_path / 'a.yaml'
  path.write_bytes(data)
  with pytest.raises(UserError, match=r'a\.yaml: ') as error:
    yaml_files.read(path)
  assert '\n' not in str(error.value)


def test_aliases_and_merges_of_moderate_size_are_read(tmp_path):
  path = tmp_path / 'a.yaml'
  path.write_bytes(b'\xef\xbb\xbfa: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n')
  assert yaml_files.read(path)[0] == {'a': {'x': 1}, 'b': {'x': 1}, 'c': {'x': 1, 'y': 2}}
  path.write_text('')
  assert yaml_files.read(path) == (None, None)


def test_a_long_value_is_shortened_in_a_fault(write, good):
  with pytest.raises(instruction.BankError) as error:
    reading.Bank.from_files([write('a.yaml', good + '    t02: [' + 'x, ' * 100_000 + ']\n')])
  assert all(len(problem) < 500 for problem in error.value.problems)


@pytest.mark.parametrize(
  ('text', 'read'),
  [
    ('a: |\n  one\n\n  two\n', 'one\n\ntwo'),
    ('a: >\n  one\n  two\n', 'one two'),
    ('a: |+\n  one\n\n', 'one\n'),
    ('a: |-\n  one\n', 'one'),
    ('a: "one\\n"\n', 'one\n'),
  ],
)
def test_a_block_of_text_ends_with_its_last_word(tmp_path, text, read):
  path = tmp_path / 'bank.yaml'
  path.write_text(text)
  assert yaml_files.read(path)[0] == {'a': read}
