"""An evaluation on disk: written once, found again, and not overwritten by another."""

from helpers import GROUPS, scores_table
import pandas as pd
import pytest

from robust_t5x.results.reading import read
from robust_t5x.results.runs import Run
from robust_t5x.results.schema import COLUMNS, ResultsError


def test_a_run_is_written_once_and_found_again(tmp_path):
  where = tmp_path / 'run'
  fingerprint = {'tasks': {'first': 'x', 'second': 'y'}}
  run = Run.open(str(where), label='m', fingerprint=fingerprint)
  run.add_shard('first', scores_table('m', 'first', {'observed': 1, 'unobserved': 1}))
  # Interrupted here: what is done is found, and a reader is told.
  with pytest.raises(ResultsError, match='was interrupted; run the same'):
    read(str(where))
  run = Run.open(str(where), label='m', fingerprint=fingerprint)
  assert not run.finished
  assert run.has_shard('first')
  assert not run.has_shard('second')
  run.add_shard('second', scores_table('m', 'second', {'observed': 0, 'unobserved': 0}))
  table = run.finish({'first/o1': 'text'}, {'note': 'x'})
  again, record = read(str(where))
  pd.testing.assert_frame_equal(table, again)
  assert list(pd.read_csv(where / 'results.csv').columns) == list(COLUMNS)
  assert record['truncated_inputs'] == 6
  assert record['note'] == 'x'
  assert record['versions']['jax']
  assert Run.open(str(where), label='m', fingerprint=fingerprint).finished
  assert sorted(p.name for p in where.iterdir()) == ['results.csv', 'results.parquet', 'run.json']


def test_another_evaluation_does_not_overwrite_and_each_difference_is_named(tmp_path):
  before = {'tasks': {'t': '1', 'u': '2'}, 'adapter': 'a', 'split': 'test'}
  Run.open(str(tmp_path), label='m', fingerprint=before)
  with pytest.raises(ResultsError) as error:
    Run.open(str(tmp_path), label='n', fingerprint={'tasks': {'t': '3'}, 'adapter': 'b', 'split': 'test'})
  assert str(error.value) == (
    f"OUTPUT_DIR: {tmp_path} holds another evaluation: adapter was 'a', is 'b'; label was 'm', is 'n'; tasks.t was '1', is "
    "'3'; tasks.u was '2', is not there. Choose another directory, set what it was, or delete that one"
  )


def test_another_vocabulary_is_another_evaluation_unless_none_was_recorded(tmp_path):
  Run.open(str(tmp_path / 'now'), label='m', fingerprint={'tasks': {}, 'vocabulary': 'a'})
  with pytest.raises(ResultsError, match="vocabulary was 'a', is 'b'"):
    Run.open(str(tmp_path / 'now'), label='m', fingerprint={'tasks': {}, 'vocabulary': 'b'})
  before = Run.open(str(tmp_path / 'before'), label='m', fingerprint={'tasks': {'t': 'x'}})
  Run.open(str(tmp_path / 'before'), label='m', fingerprint={'tasks': {'t': 'x'}, 'vocabulary': 'b'})
  before.finish({}, {'model': {'vocabulary': 'a'}}, scores_table('m', 't', {'observed': 1, 'unobserved': 1}))
  with pytest.raises(ResultsError, match="vocabulary was 'a', is 'b'"):
    Run.open(str(tmp_path / 'before'), label='m', fingerprint={'tasks': {'t': 'x'}, 'vocabulary': 'b'})


def test_phrasings_that_are_counted_in_another_group_are_another_evaluation(tmp_path):
  run = Run.open(str(tmp_path), label='m', fingerprint={'tasks': {'t': 'x'}})
  run.add_shard('t', scores_table('m', 't', {'observed': 1, 'unobserved': 1}))
  groups = {('t', f't/{i}'): group for group, ids in GROUPS.items() for i in ids}
  told = f"OUTPUT_DIR: {tmp_path} holds another evaluation: the group of t/o1 was 'observed', is 'unobserved' .*; so it is of 1 more"
  for _ in range(2):  # under way, and finished
    run.check_groups(groups | {('u', 't/o1'): 'unobserved'})
    with pytest.raises(ResultsError, match=told):
      run.check_groups(dict.fromkeys(groups, 'unobserved'))
    if not run.finished:
      run.finish({}, {})


def test_results_that_no_record_tells_of_are_not_taken_for_those_of_today(tmp_path):
  run = Run.open(str(tmp_path), label='m', fingerprint={'tasks': {'t': 'x'}})
  run.add_shard('t', scores_table('m', 't', {'observed': 1, 'unobserved': 1}))
  (tmp_path / 'run.json').unlink()
  with pytest.raises(ResultsError, match=f'OUTPUT_DIR: {tmp_path} holds shards/ and no run.json, .*; move them away'):
    Run.open(str(tmp_path), label='m', fingerprint={'tasks': {'t': 'y'}})
  for shard in (tmp_path / 'shards').iterdir():  # as a kill before the record was written leaves it
    shard.unlink()
  Run.open(str(tmp_path), label='m', fingerprint={'tasks': {'t': 'y'}}).finish(
    {}, {}, scores_table('m', 't', {'observed': 1, 'unobserved': 1})
  )
  (tmp_path / 'run.json').unlink()
  with pytest.raises(ResultsError, match='holds results.parquet, results.csv and no run.json'):
    Run.open(str(tmp_path), label='m', fingerprint={'tasks': {'t': 'y'}})
  with pytest.raises(ResultsError, match='has results.parquet and no run.json, which says of what it is'):
    read(str(tmp_path))


def test_what_a_killed_evaluation_left_is_removed(tmp_path):
  fingerprint = {'tasks': {'first': 'x'}}
  run = Run.open(str(tmp_path), label='m', fingerprint=fingerprint)
  run.add_shard('first', scores_table('m', 'first', {'observed': 1, 'unobserved': 1}))
  (tmp_path / f'results.csv.{10**30}.tmp').write_text('part')
  run.finish({}, {})
  (tmp_path / 'shards').mkdir()
  (tmp_path / 'shards/x.parquet').write_text('')
  Run.open(str(tmp_path), label='m', fingerprint=fingerprint)
  assert sorted(p.name for p in tmp_path.iterdir()) == ['results.csv', 'results.parquet', 'run.json']


def test_damaged_rows_of_a_task_are_named_before_work_starts(tmp_path):
  run = Run.open(str(tmp_path), label='m', fingerprint={'tasks': {'first': 'x'}})
  run.add_shard('first', scores_table('m', 'first', {'observed': 1, 'unobserved': 1}))
  (shard,) = (tmp_path / 'shards').iterdir()
  shard.write_bytes(shard.read_bytes()[:-9])
  with pytest.raises(ResultsError, match=f'{shard.name} is not a whole .*; delete it and run the same'):
    run.has_shard('first')


def test_texts_with_ends_of_lines_are_read_from_the_csv(tmp_path):
  run = Run.open(str(tmp_path), label='m', fingerprint={'tasks': {'first': 'x'}})
  table = scores_table('m', 'first', {'observed': 1, 'unobserved': 1})
  table['prediction'] = ['a\rb', 'a\nb', '"', ',', 'NA'] * (len(table) // 5)
  run.add_shard('first', table)
  run.finish({}, {})
  again, _ = read(str(tmp_path / 'results.csv'))
  pd.testing.assert_frame_equal(again, table, check_dtype=False)
