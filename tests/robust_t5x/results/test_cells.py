"""Values of a table as arrays of examples by phrasings."""

import numpy as np
import pandas as pd
import pytest

from robust_t5x.results.cells import Cells

TABLE = pd.DataFrame(
  [
    ('d', 'observed', 'e2', 'i1', 0.5),
    ('d', 'observed', 'e1', 'i1', 1.0),
    ('d', 'unobserved', 'e1', 'i3', 0.0),
    ('d', 'unobserved', 'e1', 'i2', 0.25),
    ('f', 'observed', 'e1', 'i1', 0.75),
  ],
  columns=['dataset', 'group', 'example_id', 'instruction_id', 'score'],
)


def test_cells_stand_in_the_tables_order():
  places = Cells(TABLE)
  assert places.examples['d'].tolist() == ['e2', 'e1']
  assert {group: ids.tolist() for group, ids in places.phrasings['d'].items()} == {
    'observed': ['i1'],
    'unobserved': ['i3', 'i2'],
  }
  arrays = places.fill(TABLE['score'].to_numpy(), np.nan)
  np.testing.assert_array_equal(arrays['d']['observed'], [[0.5], [1.0]])
  np.testing.assert_array_equal(arrays['d']['unobserved'], [[np.nan, np.nan], [0.0, 0.25]])
  np.testing.assert_array_equal(places.fill(np.arange(5), -1)['d']['unobserved'], [[-1, -1], [2, 3]])


def test_neither_values_nor_what_stands_for_missing_ones_are_rounded():
  places = Cells(TABLE)
  np.testing.assert_array_equal(places.fill(np.arange(5), np.nan)['d']['unobserved'], [[np.nan, np.nan], [2, 3]])
  np.testing.assert_array_equal(places.fill(TABLE['score'].to_numpy(), -1)['d']['unobserved'], [[-1, -1], [0, 0.25]])


def test_accuracies_of_phrasings_count_as_one_example():
  arrays = Cells(TABLE.drop(columns='example_id').iloc[2:]).fill(TABLE['score'].to_numpy()[2:], np.nan)
  np.testing.assert_array_equal(arrays['d']['unobserved'], [[0.0, 0.25]])


def test_a_cell_that_stands_twice_is_named():
  with pytest.raises(ValueError, match="more than one score of example 'e1' under 'i3'"):
    Cells(pd.concat([TABLE, TABLE.iloc[2:3]]))


def test_a_dataset_called_as_the_mean_of_all_is_refused():
  with pytest.raises(ValueError, match="a dataset called 'all'"):
    Cells(TABLE.replace('f', 'all'))


def test_the_row_that_stands_twice_is_found_among_several():
  """Of two examples under three phrasings the fifth cell, in a table where the dataset is not the first."""
  rows = [('g', 'observed', e, i, 0.0) for e in ('e1', 'e2') for i in ('i1', 'i2', 'i3')]
  table = pd.concat([TABLE, pd.DataFrame([*rows, rows[4]], columns=TABLE.columns)])
  with pytest.raises(ValueError, match="more than one score of example 'e2' under 'i2'"):
    Cells(table)
