"""What T5X's evaluator leaves, as a results table."""

import json

import pytest

from robust_t5x.results.reading import read
from robust_t5x.results.schema import COLUMNS, ResultsError


def _write(directory, name, rows):
  where = directory / 'inference_eval'
  where.mkdir(exist_ok=True)
  (where / name).write_text('\n'.join(json.dumps(row) for row in rows) + '\n')


def _decoded(example, prediction, gold='yes', **more):
  features = {'example_id': example, 'instruction_id': 'i', 'targets_pretokenized': gold, **more}
  return {'input': features, 'prediction': prediction}


def _option(example, option, score, right):
  features = {'example_id': example, 'instruction_id': 'i', 'targets_pretokenized': option, 'is_correct': right}
  return {'input': features | {'truncated_tokens': 2}, 'score': score}


def test_decoded_and_ranked_rows(tmp_path):
  options = {'options': '["yes", "no"]', 'alternatives': '["yeah"]'}
  _write(tmp_path, 'mini_a_eval_observed-000010.jsonl', [_decoded('old', 'yes')])
  _write(
    tmp_path, 'mini_a_eval_observed-000020.jsonl',
    [_decoded('e1', 'Yeah!', **options), _decoded('e2', 'maybe', **options)],
  )  # fmt: skip
  _write(
    tmp_path, 'mini_a_eval_unobserved__rank-000020.jsonl',
    [
      _option('e1', 'yes', -2.0, True), _option('e1', 'no', -1.0, False), _option('e2', 'yes', -0.25, True),
      _option('e3', 'yes', -0.5, True), _option('e3', 'no', -0.5, False),
    ],
  )  # fmt: skip
  (tmp_path / 'config.gin').write_text('A = 1')
  table, record = read(str(tmp_path))
  assert list(table.columns) == list(COLUMNS)
  assert table[['dataset', 'group', 'example_id', 'scorer']].values.tolist() == [
    ['mini_a', 'observed', 'e1', 'exact_match'],
    ['mini_a', 'observed', 'e2', 'exact_match'],
    ['mini_a', 'unobserved', 'e1', 'rank_likelihood'],
    ['mini_a', 'unobserved', 'e2', 'rank_likelihood'],
    ['mini_a', 'unobserved', 'e3', 'rank_likelihood'],
  ]
  assert table['score'].tolist() == [1.0, 0.0, 0.0, 1.0, 0.5]
  assert table['prediction'].tolist() == ['Yeah!', 'maybe', 'no', 'yes', 'yes']
  assert table['gold'].tolist() == ['yes'] * 5
  assert table['matched_option'].tolist() == [False, False, True, True, True]
  assert table['tied_options'].tolist() == [0, 0, 0, 0, 2] and record['ties'] == 1
  assert table['option_scores'].tolist()[2] == '{"yes": -2.0, "no": -1.0}'
  assert (record['label'], record['step'], record['truncated_inputs']) == (tmp_path.name, 20, 3)
  assert record['gin_config'] == 'A = 1'


def test_a_group_is_the_one_that_results_are_counted_in(tmp_path):
  """A mixture of a collection is named after that, and what a suite calls observed may be unobserved for this model."""
  _write(tmp_path, 'a_eval_bigbench-000001.jsonl', [_decoded('e', 'yes', group='unobserved')])
  option = _option('e', 'yes', -1.0, True)
  option['input']['group'] = 'unobserved'
  _write(tmp_path, 'b_eval_observed__rank-000001.jsonl', [option])
  assert read(str(tmp_path))[0]['group'].tolist() == ['unobserved', 'unobserved']


def test_what_cannot_be_read_is_named(tmp_path):
  _write(tmp_path, 'train_eval-1.jsonl', [])
  with pytest.raises(ResultsError, match='no inferences of an evaluation task'):
    read(str(tmp_path))
  _write(tmp_path, 'mini_a_eval_observed-000010.jsonl', [_decoded('e1', 'yes'), {'input': {}}])
  with pytest.raises(ResultsError, match='line 2: not a row of an evaluation task'):
    read(str(tmp_path))


def test_a_score_that_is_not_finite_is_named(tmp_path):
  rows = [_option('e1', 'yes', float('nan'), True), _option('e1', 'no', -1.0, False)]
  _write(tmp_path, 'mini_a_eval_unobserved__rank-000020.jsonl', rows)
  with pytest.raises(ResultsError, match="mini_a_eval_unobserved__rank-000020.jsonl: example 'e1' .*cannot be ranked"):
    read(str(tmp_path))


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'score': '-1.0'}, "line 1: not a row .*score is '-1.0', not float"),
    ({'input': {}}, 'line 1: not a row .*input has no example_id'),
    ({'input': {'example_id': 3}}, 'line 1: not a row'),
  ],
)
def test_a_field_of_a_wrong_type_is_named(tmp_path, change, message):
  rows = [_option('e1', 'yes', -1.0, True) | change, _option('e1', 'no', -1.0, False)]
  _write(tmp_path, 'mini_a_eval_unobserved__rank-000020.jsonl', rows)
  with pytest.raises(ResultsError, match=message):
    read(str(tmp_path))


def test_rows_that_are_missing_or_stand_twice_are_named(tmp_path):
  name = 'mini_a_eval_unobserved__rank-000020.jsonl'
  whole = [_option('e1', o, -1.0, o == 'yes') for o in ('yes', 'no', 'perhaps')]
  for i, row in enumerate(whole):
    row['input']['idx'] = [0, i]
  for rows in (whole[1:], whole[:1] + whole[2:], [*whole, whole[0]], whole[::-1]):
    _write(tmp_path, name, rows)
    with pytest.raises(
      ResultsError, match=f"{name}: example 'e1' under 'i' has not a row for each of its options once"
    ):
      read(str(tmp_path))
  other = [{**row, 'input': {**row['input'], 'instruction_id': 'j'}} for row in whole[:2]]
  _write(tmp_path, name, whole + other)
  with pytest.raises(ResultsError, match=f"{name}: example 'e1' under 'j' has not a row for each"):
    read(str(tmp_path))
  _write(tmp_path, name, whole)
  _write(tmp_path, 'mini_a_eval_observed-000020.jsonl', [_decoded('e1', 'yes'), _decoded('e1', 'yes')])
  with pytest.raises(ResultsError, match="line 2: a second row of 'e1' under 'i'"):
    read(str(tmp_path))
  _write(tmp_path, 'mini_a_eval_observed-000020.jsonl', [_decoded('e1', 'yes', options='["a", 3]')])
  with pytest.raises(ResultsError, match='line 1: its answers.* is 3, not str'):
    read(str(tmp_path))


def test_tasks_at_different_steps_are_not_mixed(tmp_path):
  _write(tmp_path, 'mini_a_eval_observed-000020.jsonl', [_decoded('e1', 'yes')])
  _write(tmp_path, 'mini_a_eval_unobserved-000010.jsonl', [_decoded('e1', 'yes')])
  with pytest.raises(ResultsError, match='mini_a_eval_unobserved was evaluated at step 10, others at step 20'):
    read(str(tmp_path))


def test_an_example_none_of_whose_options_is_right_is_named(tmp_path):
  _write(tmp_path, 'd_eval_g__rank-000001.jsonl', [_option('e', 'a', -1.0, False), _option('e', 'b', -2.0, False)])
  with pytest.raises(ResultsError, match="none of the options of example 'e' under 'i' is right"):
    read(str(tmp_path))
