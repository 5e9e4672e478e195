"""Results of two models in one order, and answers as numbers."""

import numpy as np
import pandas as pd
import pytest

from robust_t5x.analysis.sources import Source, check_same_cells, check_same_sample
from robust_t5x.results.schema import ResultsError


def _source(predictions, order=slice(None), label='m'):
  rows = [
    {'dataset': 'd', 'group': 'g', 'example_id': f'e{e}', 'instruction_id': f'i{i}', 'score': float(10 * e + i),
     'prediction': predictions[e][i]}
    for e in range(len(predictions)) for i in range(len(predictions[0]))
  ]  # fmt: skip
  return Source('place', label, pd.DataFrame(rows)[order], {})


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
    ResultsError, match=r'place \(first\) and place \(other\) differ in the examples or phrasings of d'
  ):
    check_same_cells(first, _source([['a', 'b']], label='other'))
  sampled = _source([['a', 'b'], ['c', 'd']], order=slice(0, 3))
  check_same_cells(first, sampled)
  with pytest.raises(ResultsError, match='different samples of the cells of d'):
    check_same_sample(first, first.scores(), sampled, sampled.scores())


def test_a_cell_that_stands_twice_names_the_file():
  table = _source([['a']]).table
  with pytest.raises(ResultsError, match='place: the results have more than one score'):
    Source('place', 'm', pd.concat([table, table]), {})
