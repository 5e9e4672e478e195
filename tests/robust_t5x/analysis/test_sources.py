"""Results of two models in one order, and answers as numbers."""

import numpy as np
import pandas as pd
import pytest

from robust_t5x.analysis.comparison import compare_sources
from robust_t5x.analysis.sources import Source, check_same_cells, check_same_sample, check_seeds, on_common_cells
from robust_t5x.results.schema import ResultsError


def _source(predictions, order=slice(None), label='m'):
  rows = [
    {'dataset': 'd', 'group': 'g', 'example_id': f'e{e}', 'instruction_id': f'i{i}', 'score': float(10 * e + i),
     'prediction': predictions[e][i]}
    for e in range(len(predictions)) for i in range(len(predictions[0]))
  ]  # fmt: skip
  return Source('place', label, pd.DataFrame(rows)[order], {'instructions': {}})


def test_another_order_is_put_right():
  first = _source([['a', 'b'], ['c', 'd']])
  other = _source([['a', 'b'], ['c', 'd']], order=slice(None, None, -1))
  check_same_cells(first, other)
  np.testing.assert_array_equal(other.scores()['d']['g'], [[11, 10], [1, 0]])
  np.testing.assert_array_equal(other.aligned_to(first.places, other.scores())['d']['g'], [[0, 1], [10, 11]])


def test_answers_that_are_the_same_have_one_number():
  codes = _source([['The cat.', 'the CAT'], ['?', '!'], ['dog', None]]).answers()['d']['g']
  assert codes[0, 0] == codes[0, 1]
  assert codes[1, 0] != codes[1, 1]  # nothing is left of either, so they are compared as they are
  assert codes[2, 1] == -1


def test_other_cells_and_samples_are_refused():
  first = _source([['a', 'b'], ['c', 'd']], label='first')
  with pytest.raises(
    ResultsError,
    match=r"place \(first\) and place \(other\) differ in the examples or phrasings of d \(g\): 'e1' is in one",
  ):
    check_same_cells(first, _source([['a', 'b']], label='other'))
  sampled = _source([['a', 'b'], ['c', 'd']], order=slice(0, 3), label='some')
  check_same_cells(first, sampled)
  lacking = r"place \(some\) lacks the score of 1 cell of d \(g\) that place \(first\) has, the first: example 'e1' under 'i1'; add"
  for one, other in ((first, sampled), (sampled, first)):  # tables of others, where nothing was sampled
    with pytest.raises(ResultsError, match=lacking):
      check_same_sample(one, one.scores(), other, other.scores())
  for settings, name in (({'budget': 3, 'seed': 0}, 'CELL_BUDGET'), ({'width': 3, 'seed': 0}, 'STOP_WIDTH')):
    sampled.record['fingerprint'] = {'cells': settings}
    with pytest.raises(
      ResultsError, match=f'different samples of the cells of d .*the same {name} and seed, or of all'
    ):
      check_same_sample(first, first.scores(), sampled, sampled.scores())


def test_a_cell_that_stands_twice_names_the_file():
  table = _source([['a']]).table
  with pytest.raises(ResultsError, match='place: the results have more than one score'):
    Source('place', 'm', pd.concat([table, table]), {})


def _stopped(places, label):
  rows = [
    {'dataset': 'd', 'group': 'g', 'example_id': e, 'instruction_id': i, 'score': 1.0, 'prediction': label + e + i}
    for e, i in places
  ]
  return Source('place', label, pd.DataFrame(rows), {'fingerprint': {'cells': {'width': 2, 'seed': 0}}})


def test_those_that_stopped_early_are_compared_on_what_both_have():
  a = _stopped([('e1', 'i1'), ('e2', 'i2')], 'a')
  b = _stopped([('e3', 'i1'), ('e2', 'i2'), ('e1', 'i1'), ('e1', 'i2')], 'b')
  found = on_common_cells([a, b])
  assert [s.table['prediction'].tolist() for s in found] == [['ae1i1', 'ae2i2'], ['be2i2', 'be1i1']]
  assert [s.set_aside for s in found] == [0, 2]
  check_same_cells(*found)
  check_same_sample(found[0], found[0].scores(), found[1], found[1].aligned_to(found[0].places, found[1].scores()))
  # One that did not stop has more cells; one by itself stays whole.
  whole = _source([['a', 'b'], ['c', 'd']], label='c')
  assert on_common_cells([whole, whole]) == [whole, whole] and on_common_cells([b]) == [b]
  whole.table['example_id'] = ['e1', 'e1', 'e2', 'e2']
  whole.table['instruction_id'] = ['i1', 'i2'] * 2
  assert [len(s.table) for s in on_common_cells([a, whole])] == [2, 2]


def test_a_phrasing_that_would_be_lost_is_left_to_the_check():
  a, b = _stopped([('e1', 'i1'), ('e1', 'i2')], 'a'), _stopped([('e1', 'i1')], 'b')
  assert on_common_cells([a, b]) == [a, b]


def test_a_table_without_answers_has_none():
  """Scores of others come without predictions; empty answers among others are answers."""
  assert _source([['', ''], ['', '']]).answers()['d']['g'].tolist() == [[-1, -1], [-1, -1]]
  assert _source([['', ''], ['', 'a']]).answers()['d']['g'].tolist() == [[0, 0], [0, 1]]
  both = pd.concat([_source([['', '']]).table.assign(dataset='e'), _source([['a', '']]).table])
  found = Source('place', 'm', both, {}).answers()
  assert found['e']['g'].tolist() == [[-1, -1]] and len(set(found['d']['g'][0])) == 2


def test_seeds_that_were_not_made_alike_are_refused():
  a, b = (_source([['a', 'b']]) for _ in range(2))
  a.record['fingerprint'] = {'scorer': 'exact_match', 'split': 'test', 'tasks': {'t': '1'}}
  b.record['fingerprint'] = {'scorer': 'exact_match', 'split': 'test', 'tasks': {'t': '1'}}
  check_seeds(a, b)
  b.record['fingerprint'] |= {'scorer': 'rank_likelihood', 'tasks': {'t': '2'}}
  with pytest.raises(
    ResultsError, match="have the label 'm', .*another scorer: exact_match and rank_likelihood; other examples .* in t"
  ):
    compare_sources([a, b])
  compare_sources([a, Source('there', 'n', b.table, b.record)])


def test_no_dataset_is_called_what_the_mean_of_all_is():
  rows = [{'dataset': 'all', 'group': 'g', 'example_id': 'e', 'instruction_id': 'i', 'score': 1.0, 'prediction': ''}]
  with pytest.raises(ResultsError, match="place: has a dataset called 'all'.*another name"):
    Source('place', 'm', pd.DataFrame(rows), {'instructions': {}})
