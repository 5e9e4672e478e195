"""Tests of reading CSV and JSON Lines files."""

import json
import os

import pyarrow as pa
from pyarrow import parquet
import pytest

from seqio_tasks import tables


def _file(tmp_path, data):
  path = tmp_path / 'file'
  path.write_bytes(data if isinstance(data, bytes) else data.encode('utf-8'))
  return path


def test_cells_are_text_as_it_stands(tmp_path):
  path = _file(tmp_path, '\ufeffa,b\nNA,None\n"two\nlines",{x}\n\n"a ""q""",\n')
  columns, rows = tables.read_csv(path, required=['a'])
  assert columns == ['a', 'b']
  assert rows == [
    (2, {'a': 'NA', 'b': 'None'}), (3, {'a': 'two\nlines', 'b': '{x}'}), (6, {'a': 'a "q"', 'b': ''})
  ]  # fmt: skip


def test_without_a_heading(tmp_path):
  assert tables.read_csv(_file(tmp_path, '1,2\n'), columns=['x', 'y'])[1] == [(1, {'x': '1', 'y': '2'})]


@pytest.mark.parametrize(
  ('data', 'message'),
  [
    ('', 'is empty'),
    ('a,b\n1,2,3\n', 'line 2: has 3 cells where there are 2 columns'),
    ('a,a\n', r"line 1: the columns \['a'\] stand twice"),
    ('b\n', r"line 1: has no column \['a'\]; it has \['b'\]"),
    ('a\nx\n"open\nnever closed\n', 'line 3: is not CSV'),
    (b'a\nfine\n\xff\n', 'line 3: byte 0xff is not UTF-8; save the file as UTF-8'),
  ],
)
def test_faults_of_csv_name_the_line(tmp_path, data, message):
  with pytest.raises(tables.TableError, match=message):
    tables.read_csv(_file(tmp_path, data), required=['a'])


def test_a_bad_row_need_not_lose_the_rest(tmp_path):
  faults = []
  _, rows = tables.read_csv(_file(tmp_path, 'a,b\n1,2\n3\n4,5\n'), bad_row=faults.append)
  assert [line for line, _ in rows] == [2, 4] and 'line 3: has 1 cells' in faults[0]
  rows = tables.read_jsonl(_file(tmp_path, '{"a": 1}\n[]\n\nx\n{"a": 2}\n'), bad_row=faults.append)
  assert rows == [(1, {'a': 1}), (5, {'a': 2})]
  assert 'line 2: is list' in faults[1] and 'line 4: is not JSON' in faults[2]


def test_faults_of_json_lines_name_the_line(tmp_path):
  with pytest.raises(tables.TableError, match='line 2: is not JSON'):
    tables.read_jsonl(_file(tmp_path, '{}\n{\n'))
  with pytest.raises(tables.TableError, match='cannot be read'):
    tables.read_jsonl(tmp_path / 'nothing')


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('{"a": 1', 'Expecting'),
    ('[' * 100_000, 'nested too deep'),
    ('"\\ud800"', 'surrogates not allowed'),
    ('1' * 10_000, 'digits'),
  ],
)
def test_a_json_file_that_is_none_is_named(tmp_path, text, message):
  (tmp_path / 'x.json').write_text(text)
  with pytest.raises(tables.TableError, match=f'x.json: is not JSON .*{message}.*; mend it'):
    tables.read_json(tmp_path / 'x.json', 'mend it')
  with pytest.raises(tables.TableError, match='x.json: line 1'):
    tables.read_jsonl(tmp_path / 'x.json')


def _labels(path, column, names, values):
  """A Parquet file with a class label, as Hugging Face's library writes it."""
  told = {'info': {'features': {column: {'names': names, '_type': 'ClassLabel'}}}}
  table = pa.Table.from_pydict({column: values}).replace_schema_metadata({'huggingface': json.dumps(told)})
  parquet.write_table(table, path)
  return tables.read_arrow(path)


def test_a_label_that_is_kept_back_is_none(tmp_path):
  found = _labels(tmp_path / 't.parquet', 'label', ['no', 'yes'], [1, -1, 2, None, 0])
  assert [row['label'] for _, row in found] == ['yes', None, None, None, 'no']


def test_columns_that_stand_twice_in_parquet_are_refused(tmp_path):
  nested = pa.Table.from_pylist([{'a': {'b': 1}, 'a.b': 2}])
  parquet.write_table(nested, tmp_path / 'u.parquet')
  with pytest.raises(tables.TableError, match="the columns .'a.b'. stand twice"):
    tables.read_arrow(tmp_path / 'u.parquet')


def test_a_long_cell_is_told(tmp_path):
  with pytest.raises(tables.TableError, match='line 2: is not CSV .*field limit.*, or shorten the cell'):
    tables.read_csv(_file(tmp_path, f'a,b\n{"x" * 200_000},1\n'))


def test_a_part_of_a_split_that_is_missing_is_named(tmp_path):
  """Half of the data would be read for all of them."""
  for name in ('train-00000-of-00002.parquet', '._test-00000-of-00001.parquet', 'test-00000-of-00001.parquet'):
    (tmp_path / name).touch()
  with pytest.raises(
    tables.TableError, match='train-00001-of-00002.parquet: is missing beside train-00000-of-00002.parquet'
  ):
    tables.arrow_files(tmp_path)
  (tmp_path / 'train-00001-of-00002.parquet').touch()
  found = tables.arrow_files(tmp_path)
  assert {split: len(files) for split, files in found.items()} == {'test': 1, 'train': 2}


@pytest.mark.parametrize('text', ['[{"a": 1}, {"a": 2}]', '\n[\n{"a": 1},\n{"a": 2}\n]\n'])
def test_a_list_is_no_json_lines(tmp_path, text):
  """Of a list with an object a line only the last one would be read: the others end in a comma."""
  for bad_row in (None, print):
    with pytest.raises(tables.TableError, match='begins a JSON list; write each of its objects on a line of its own'):
      tables.read_jsonl(_file(tmp_path, text), bad_row=bad_row)


def test_numbers_of_32_bits_are_the_shortest_that_they_are(tmp_path):
  """0.1 as an answer would otherwise be 0.10000000149011612, which no output is."""
  columns = {
    'a': pa.array([0.1, None], pa.float32()),
    'b': pa.array([[0.1, 3.14], [2.5]], pa.list_(pa.float32())),
    'c': [0.1, 1e-9],
  }
  parquet.write_table(pa.table(columns), tmp_path / 't.parquet')
  assert [row for _, row in tables.read_arrow(tmp_path / 't.parquet')] == [
    {'a': 0.1, 'b': [0.1, 3.14], 'c': 0.1}, {'a': None, 'b': [2.5], 'c': 1e-9}
  ]  # fmt: skip


def test_what_is_hidden_is_no_data(tmp_path):
  for name in ('b.csv', 'a.csv', '._a.csv', 'c.txt', 'sub/d.csv', '.cache/e.csv', 'sub/.part/f.csv'):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
  found = {
    pattern: [str(path.relative_to(tmp_path)) for path in tables.entries(tmp_path, pattern)]
    for pattern in ('*', '*.csv', '*/*.csv', '**/*.csv')
  }
  assert found == {
    '*': ['a.csv', 'b.csv', 'c.txt', 'sub'],
    '*.csv': ['a.csv', 'b.csv'],
    '*/*.csv': ['sub/d.csv'],
    '**/*.csv': ['a.csv', 'b.csv', 'sub/d.csv'],
  }
  assert tables.entries(tmp_path / 'nowhere') == []


@pytest.mark.parametrize(('pattern', 'closed'), [('*', '.'), ('**/*.csv', 'inside'), ('**/*.csv', '.hidden')])
def test_a_directory_that_may_not_be_read_is_not_taken_for_an_empty_one(tmp_path, monkeypatch, pattern, closed):
  scandir, path = os.scandir, tmp_path / closed
  path.mkdir(exist_ok=True)

  def refuse(place='.'):
    if str(place) == str(path):
      raise PermissionError(13, 'Permission denied', str(place))
    return scandir(place)

  monkeypatch.setattr(os, 'scandir', refuse)
  if closed == '.hidden':
    assert tables.entries(tmp_path, pattern) == []
  else:
    with pytest.raises(tables.TableError, match=rf'{path.name}: cannot be read \(Permission denied\); change its'):
      tables.entries(tmp_path, pattern)


def test_splits_of_hugging_faces_cache_are_not_joined(tmp_path):
  cache, saved = tmp_path / 'cache', tmp_path / 'saved'
  names = ['my-data-train-00000-of-00002', 'my-data-train-00001-of-00002', 'my-data-test', 'my-data-validation_matched']
  for folder, files in ((cache, [*names, 'cache-0123456789abcdef']), (saved, ['data-00000-of-00001'])):
    folder.mkdir()
    for name in files:
      (folder / f'{name}.arrow').touch()
  found = {split: [os.path.basename(f) for f in files] for split, files in tables.arrow_files(cache).items()}
  assert found == {
    'train': [f'{name}.arrow' for name in names[:2]],
    'test': ['my-data-test.arrow'],
    'validation_matched': ['my-data-validation_matched.arrow'],
  }
  # From above, folders are the splits.
  message = 'several sets of files of the split .cache.*; name the directory or file of one'
  with pytest.raises(tables.TableError, match=message):
    tables.arrow_files(tmp_path)
  # What `save_to_disk` writes has no names of its own.
  assert list(tables.arrow_files(saved)) == ['']
  (saved / 'other.arrow').touch()
  with pytest.raises(tables.TableError, match='of the split .without a name.'):
    tables.arrow_files(saved)
