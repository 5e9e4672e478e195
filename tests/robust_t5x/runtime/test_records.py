"""Records whose fields have types."""

from typing import Required, TypedDict

import pytest

from robust_t5x.runtime import records


class Inner(TypedDict):
  count: int


class Record(TypedDict, total=False):
  name: Required[str]
  share: float
  inner: list[Inner]
  either: int | None


@pytest.mark.parametrize(
  ('value', 'fault'),
  [
    ({'name': 'x', 'share': 1, 'inner': [{'count': 2, 'more': []}], 'either': None, 'unknown': {}}, ''),
    ({}, 'it has no name'),
    (None, 'it is None, not dict'),
    ({'name': 1}, 'name is 1, not str'),
    ({'name': 'x', 'share': True}, 'share is True, not float'),
    ({'name': 'x', 'inner': [{'count': 2}, {}]}, 'inner[1] has no count'),
    ({'name': 'x', 'inner': [{'count': 2.0}]}, 'inner[0].count is 2.0, not int'),
    ({'name': 'x', 'either': 'y'}, "either is 'y', not int | None"),
  ],
)
def test_the_first_fault_is_told_by_its_place(value, fault):
  assert records.fault(value, Record) == fault


def test_a_file_is_named_with_the_cure(tmp_path):
  path = tmp_path / 'x.json'
  for content, message in (
    (b'{"name": "x"', 'x.json is not valid JSON .*; mend it'),
    (b'{"name": 1}', 'x.json: name is 1, not str; mend it'),
    (b'\xff', 'x.json: line 1: byte 0xff is not UTF-8'),
    (b'[' * 100_000, 'x.json is not valid JSON .it is nested too deep.; mend it'),
  ):
    path.write_bytes(content)
    with pytest.raises(records.RecordError, match=message):
      records.read(path, Record, 'mend it')
  path.write_text('{"name": "x"}')
  assert records.read(path, Record, 'mend it') == {'name': 'x'}
