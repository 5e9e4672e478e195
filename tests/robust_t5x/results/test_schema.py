"""The table's grain, and files that are not as they should be."""

from helpers import scores_table
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
