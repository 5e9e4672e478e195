"""The table's grain, and files that are not as they should be."""

import json

from helpers import scores_table
import pandas as pd
import pytest

from robust_t5x.results import schema


def test_grain():
  table = scores_table('m', 'd', {'observed': 1, 'unobserved': 0}, examples=2)
  assert schema.grain(table) == schema.EXAMPLE
  assert schema.grain(table.drop(columns='example_id')) == schema.PHRASING


def test_a_table_without_a_column_is_named(tmp_path):
  table = scores_table('m', 'd', {'observed': 1, 'unobserved': 0}, examples=2)
  schema.write_parquet(table.drop(columns=['gold', 'score']), str(tmp_path / 'results.parquet'))
  with pytest.raises(schema.ResultsError, match='results.parquet lacks the columns gold, score'):
    schema.read_table(str(tmp_path))
  assert [p.name for p in tmp_path.iterdir()] == ['results.parquet']


def test_a_record_that_is_no_json_is_named(tmp_path):
  (tmp_path / 'run.json').write_text('{')
  with pytest.raises(schema.ResultsError, match='run.json is not valid JSON'):
    schema.read_record(str(tmp_path / 'run.json'))


def test_a_damaged_table_is_named(tmp_path):
  table = scores_table('m', 'd', {'observed': 1, 'unobserved': 0}, examples=50)
  path = tmp_path / 'results.parquet'
  schema.write_parquet(table, str(path))
  whole = path.read_bytes()
  for content in (b'', whole[:-1], whole[: len(whole) // 2], whole.replace(b'observed', b'obServed', 1)):
    path.write_bytes(content)
    with pytest.raises(
      schema.ResultsError, match=r'results.parquet is not a whole Parquet file .*; delete the directory'
    ):
      schema.read_table(str(tmp_path))


@pytest.mark.parametrize(
  ('column', 'values', 'message'),
  [
    ('score', [1.0, float('nan')], 'row 2: score is nan, not a number from 0 to 1'),
    ('score', [float('inf'), 0.5], 'row 1: score is inf, not a number from 0 to 1'),
    ('score', [0.5, 1.5], 'row 2: score is 1.5, not a number from 0 to 1'),
    ('score', ['1.0', '0.5'], 'the column score holds .* where there should be numbers'),
    ('extracted_score', [float('nan'), -1.0], 'row 2: extracted_score is -1, not a number from 0 to 1'),
    ('truncated_tokens', [0, -1], 'row 2: truncated_tokens is -1, not a whole number from 0'),
    ('tied_options', [0.5, 0.0], 'row 1: tied_options is 0.5, not a whole number from 0'),
    ('matched_option', ['yes', 'no'], 'the column matched_option holds .* where there should be truth values'),
    ('example_id', [1, 2], 'the column example_id holds int64 where there should be texts'),
    ('prediction', ['a', None], 'the column prediction holds .*string where there should be texts'),
  ],
)
def test_values_that_cannot_be_are_named(tmp_path, column, values, message):
  table = scores_table('m', 'd', {'observed': 1, 'unobserved': 0}, examples=2)[:2]
  schema.write_parquet(table.assign(**{column: values}), str(tmp_path / 'results.parquet'))
  with pytest.raises(schema.ResultsError, match=f'results.parquet.* {message}'):
    schema.read_table(str(tmp_path))


def test_truth_values_are_scores(tmp_path):
  table = scores_table('m', 'd', {'observed': 1, 'unobserved': 0}, examples=2)[:2]
  table = table.assign(score=[True, False], strict_score=pd.array([None, True], dtype='boolean'))
  schema.write_parquet(table, str(tmp_path / 'results.parquet'))
  found = schema.read_table(str(tmp_path))
  assert list(found['score']) == [1.0, 0.0] and list(found['strict_score'].fillna(-1)) == [-1, 1]


@pytest.mark.parametrize(
  ('record', 'message'),
  [
    ([], r'it is \[\], not dict'),
    ({'label': 3}, 'label is 3, not str'),
    ({'rows': True}, 'rows is True, not int'),
    ({'fingerprint': {'tasks': ['a', 3]}}, 'fingerprint.tasks is'),
    ({'instructions': {'i': None}}, 'instructions.i is None, not str'),
  ],
)
def test_a_record_with_a_wrong_type_is_named(tmp_path, record, message):
  (tmp_path / 'run.json').write_text(json.dumps(record))
  with pytest.raises(
    schema.ResultsError, match=f'run.json: {message}.*; delete it, with the results beside it, and evaluate again'
  ):
    schema.read_record(str(tmp_path / 'run.json'))
