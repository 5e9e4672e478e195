"""Results of any origin: what cannot be read is said."""

from helpers import change_record, write_evaluation
import pytest

from robust_t5x.results import schema
from robust_t5x.results.reading import read, read_models
from robust_t5x.results.schema import ResultsError


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda d: None, 'holds no evaluation'),
    (lambda d: (d / 'run.json').write_text('{'), 'not valid JSON'),
    (lambda d: (d / 'run.json').write_text('{"finished": "now", "label": "m"}'), 'no results.parquet'),
  ],
)
def test_unreadable_results(tmp_path, make, message):
  make(tmp_path)
  with pytest.raises(ResultsError, match=message):
    read(str(tmp_path))


def test_a_table_that_is_not_that_of_its_record_is_refused(tmp_path):
  where = write_evaluation(tmp_path / 'a', 'm', {'observed': 1, 'unobserved': 0}, examples=2)
  change_record(where, rows=21)
  with pytest.raises(ResultsError, match='results.parquet has 20 rows, by run.json there should be 21; delete the'):
    read(where)
  change_record(where, rows=20)
  table, _ = read(where)
  table.loc[3, 'model'] = 'other'
  schema.write_parquet(table, f'{where}/results.parquet')
  with pytest.raises(ResultsError, match="has rows of 'm' and of 'other'"):
    read(where)


def test_a_table_of_others_that_is_named_twice_is_one(tmp_path):
  (tmp_path / 't.csv').write_text('model,dataset,instruction_id,score\nm,d,i,0.5\nn,d,i,0.25\n')
  (tmp_path / 'link.csv').symlink_to(tmp_path / 't.csv')
  path = str(tmp_path / 't.csv')
  found = read_models([path, path, str(tmp_path / 'link.csv')])
  assert [(r.model, r.path, len(r.table), r.record['left_out']) for r in found] == [
    ('m', path, 1, []),
    ('n', path, 1, []),
  ]
