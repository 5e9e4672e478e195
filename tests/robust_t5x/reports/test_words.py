"""What a report says in words."""

import re

from helpers import change_record, stop_early, write_evaluation
import pandas as pd
import pytest

from robust_t5x import compare
from robust_t5x.reports import inputs
from robust_t5x.reports.page import write
from robust_t5x.reports.summary import summarise
from robust_t5x.reports.words import finding, methods, warnings
from robust_t5x.results.schema import ResultsError


def test_no_change_is_said(evaluations, tmp_path):
  before, _ = evaluations
  same = write_evaluation(tmp_path / 'same', 'again', {'observed': 0.95, 'unobserved': 0.5})
  assert 'under unobserved phrasings by 0.0 points' in write([before, same], str(tmp_path / 'out'))


def test_the_finding_of_many_models_gives_the_range(tmp_path):
  rows = [
    {
      'model': f'm{m}',
      'dataset': 'd',
      'group': group,
      'instruction_id': f'{group}{i}',
      'score': 0.1 * m + shift + 0.01 * i,
    }
    for m in range(1, 6)
    for group, shift in (('observed', 0.2), ('unobserved', 0.2 - 0.04 * (m - 2)))
    for i in range(4)
  ]
  pd.DataFrame(rows).to_csv(tmp_path / 't.csv', index=False)
  text = write([str(tmp_path / 't.csv')], str(tmp_path / 'out'))
  assert text.startswith(
    'Over 1 task, the accuracy of 5 models runs from 31.5% (m1) to 71.5% (m5) under observed phrasings'
  )
  assert (
    'The interval of the gap lies below zero for 3 of 5 models and is equivalent to none within 2 points for 1; the gap runs from \u221212.0 points'
    in text
  )


def test_ties_and_answers_that_cannot_be_given_are_counted_over_all_seeds(tmp_path):
  places = [write_evaluation(tmp_path / str(seed), 'm', {'observed': 0.9, 'unobserved': 0.5}, seed) for seed in (1, 2)]
  assert warnings(inputs.read(places)) == ['12 inputs of m were longer than the model was given room for and were cut.']
  change_record(places[0], ties=3, cut_answers=0)
  change_record(places[1], ties=1_000, cut_answers=2)
  found = warnings(inputs.read(places))
  assert any(text.startswith('1,003 rankings of m are ties') for text in found)
  assert any(text.startswith('2 right answers of m are longer than its outputs') for text in found)


def test_outputs_that_are_no_option_are_a_share_of_all(tmp_path):
  """Of the two datasets one has no options, whose outputs the results have as matching: half of all outputs are no option."""
  where = write_evaluation(tmp_path / 'm', 'm', {'observed': 0.9, 'unobserved': 0.5})
  path = f'{where}/results.parquet'
  table = pd.read_parquet(path)
  table.assign(matched_option=table['dataset'] == 'second').to_parquet(path)
  told = 'Of all outputs of m, 50.0% should be one of some options and are none of them.'
  assert told in warnings(inputs.read([where]))


def test_rows_of_the_data_that_were_left_out_are_told_once_by_reason(tmp_path):
  places = [write_evaluation(tmp_path / name, name, {'observed': 0.9, 'unobserved': 0.5}) for name in ('m', 'n')]
  data = {
    f'{name}.csv': {'used': 5, 'left_out': {'a blank cell': {'rows': 2, 'first': f'{name}.csv: line 3: is blank'}}}
    for name in ('one', 'two')
  }
  data['d, split test'] = {
    'used': 9,
    'left_out': {},
    'doubled': {'rows': 3, 'first': "example 'a' asks the same as 'b'"},
  }
  data['phrasings'] = {
    'used': 4,
    'left_out': {},
    'unserved': {'rows': 2, 'first': 'b/t/k needs q, where the data has r'},
  }
  for place in places:
    change_record(place, data=data)
  found = [text for text in warnings(inputs.read(places)) if 'data' in text]
  assert found == [
    '4 rows of the data were left out (a blank cell); the first: one.csv: line 3: is blank.',
    '3 examples of the data ask the same as an earlier one, and count like any other; the first: example '
    "'a' asks the same as 'b'.",
    '2 phrasings do not fit the data and were left out; the first: b/t/k needs q, where the data has r.',
  ]


def test_a_gap_says_over_which_tasks_it_is(tmp_path):
  """Of two tasks one has observed phrasings alone, which count in their accuracy and not in the gap."""
  rows = [('d', 'observed', 'o', 0.5), ('d', 'unobserved', 'u', 0.5), ('e', 'observed', 'p', 1.0)]
  rows += [('d', 'incorrect', 'i', 0.25), ('e', 'incorrect', 'j', 0.0)]
  path = tmp_path / 'm.csv'
  pd.DataFrame(rows, columns=['dataset', 'group', 'instruction_id', 'score']).to_csv(path, index=False)
  write([str(path)], str(tmp_path / 'report'))
  text = (tmp_path / 'report/report.md').read_text()
  assert '75.0% under observed phrasings, 50.0% under unobserved phrasings' in text
  assert 'a gap of 0.0 points over the 1 task with both' in text
  # 0.25 less 0.5 in d; e has no unobserved phrasings. The means, 0.125 and 0.5, are of other tasks.
  assert re.search(r'\| m \| incorrect \| 2 \| 12.5% \| .25.0', text)


def test_cells_without_a_score_are_told(tmp_path):
  """Two of three phrasings were asked of all, the third of the easy examples alone, whose 100% is no better wording."""
  rows = [(i, e, int(e < 2)) for i in 'abc' for e in range(6) if i != 'c' or e < 2]
  whole = pd.DataFrame(rows, columns=['instruction_id', 'example_id', 'score']).assign(dataset='d')
  for rows, told in ((whole, True), (whole[:12], False)):
    rows.to_csv(tmp_path / 'm.csv', index=False)
    read = inputs.read([str(tmp_path / 'm.csv')])
    assert any('4 of 18 cells of m have no score' in text for text in warnings(read)) == told
    assert methods(read)[0].startswith('Every example was answered') != told


def test_cells_that_others_stopped_before_are_told_and_not_as_missing(two_evaluations, capsys):
  first, second = map(str, two_evaluations)
  stop_early(second, 0.5)
  told = '200 of 400 cells of a are left out, since another evaluation stopped before it came to them'
  found = warnings(inputs.read([first, second]))
  assert sum(text.startswith(told) for text in found) == 1 and not any('have no score' in text for text in found)
  assert compare.main([first, second]) == 0
  assert told in capsys.readouterr().out
  assert not any('left out' in text or 'no score' in text for text in warnings(inputs.read([first])))


def test_datasets_that_a_model_lacks_are_told(tmp_path):
  rows = [('m', 'd', 'i', 0.2), ('m', 'd', 'j', 0.4), ('n', 'd', 'i', 0.2), ('n', 'd', 'j', 0.4), ('n', 'e', 'i', 0.7)]
  pd.DataFrame(rows, columns=['model', 'dataset', 'instruction_id', 'score']).to_csv(tmp_path / 't.csv', index=False)
  told = write([str(tmp_path / 't.csv')], str(tmp_path / 'out'))
  assert told.startswith('Over 1 task, the model m scores 30.0% under') and 'The model n scores 50.0% under' in told
  text = (tmp_path / 'out/report.md').read_text()
  assert 'm has results of 1 of 2 datasets under all phrasings' in text and 'n has results' not in text


def test_a_model_none_of_whose_rows_can_be_used_is_told(tmp_path):
  rows = ['m,d,i,0.5', 'm,d,j,soon', 'n,d,i,error', 'n,d,j,error', 'o,d,i,0.25', 'o,d,j,0.75']
  (tmp_path / 't.csv').write_text('\n'.join(['model,dataset,instruction_id,score', *rows]))
  read = inputs.read([str(tmp_path / 't.csv')])
  assert read.models == ('m', 'o')
  assert [text for text in warnings(read) if 'rows of' in text] == [
    '1 rows of m were left out: score is not a number.',
    '2 rows of n were left out, and it has no other: score is not a number.',
  ]


@pytest.mark.parametrize('column', ['example_id', 'template'])  # scores of examples, and accuracies
def test_models_that_were_not_scored_alike_are_told(tmp_path, column):
  rows = [
    (m, 'd', i, e, scorer, score)
    for m, scorer, score in (('m', 'em', 0), ('n', 'f1', 1))
    for i, e in (('i', 'x'), ('j', 'y'), ('i', 'y'), ('j', 'x'))[: 4 if column == 'example_id' else 2]
  ]
  columns = ['model', 'dataset', 'instruction_id', column, 'scorer', 'score']
  pd.DataFrame(rows, columns=columns).to_csv(tmp_path / 't.csv', index=False)
  read = inputs.read([str(tmp_path / 't.csv')])
  assert any(text.startswith('n is scored by f1, m by em: ') for text in warnings(read))
  assert finding(read, summarise(read)).endswith(', but n is scored by f1, m by em.')


def test_what_is_wrong_with_a_table_of_accuracies_names_it(tmp_path):
  header = 'dataset,instruction_id,score,scorer\n'
  for rows, said in (('d,i,0.5,em\nd,i,0.5,f1\n', 'more than one score'), ('all,i,0.5,em\n', "a dataset called 'all'")):
    (tmp_path / 't.csv').write_text(header + rows)
    with pytest.raises(ResultsError, match=f't.csv: .*{said}'):
      inputs.read([str(tmp_path / 't.csv')])
