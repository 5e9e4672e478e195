"""What the uncertainty of a mean is made of."""

import dataclasses

from helpers import in_two_orders
import numpy as np
import pandas as pd
import pytest

from robust_t5x.analysis import uncertainty
from robust_t5x.analysis.comparison import compare
from robust_t5x.analysis.crossed import EXAMPLES, PHRASINGS, SEEDS, Estimate, Part
from robust_t5x.analysis.uncertainty import BOTH, DATA, RUNS, WORDING


def _parts(**variances):
  names = {'e': EXAMPLES, 'p': PHRASINGS, 's': SEEDS}
  return [Part(v, 10, frozenset(names[letter] for letter in of)) for of, v in variances.items()]


def test_shares_by_hand():
  # Examples and phrasings each hold the 1 of both: 4, 2 and 1 of 7 are left.
  found = uncertainty.shares(Estimate(0.5, _parts(e=5.0, p=3.0, ep=-1.0)))
  assert found == pytest.approx({DATA: 4 / 7, WORDING: 2 / 7, BOTH: 1 / 7, RUNS: 0.0})
  # With seeds: e 8 = 4 + 1 + 2 + 1, p 6 = 2 + 1 + 2 + 1, s 8 = 3 + 2 + 2 + 1, pairs 2, 3, 3 hold the 1 of all three.
  parts = _parts(e=8.0, p=6.0, s=8.0, ep=-2.0, es=-3.0, ps=-3.0, eps=1.0)
  found = uncertainty.shares(Estimate(0.5, parts))
  assert found == pytest.approx({DATA: 4 / 15, WORDING: 2 / 15, BOTH: 2 / 15, RUNS: 7 / 15})


def test_shares_below_zero_count_as_none():
  assert uncertainty.shares(Estimate(0.5, _parts(e=5.0, p=0.5, ep=-1.0)))[WORDING] == 0
  assert uncertainty.shares(Estimate(0.5, [])) == {}


def test_what_is_left_without_end_of_examples():
  found = uncertainty.Uncertainty(Estimate(0.5, _parts(e=4.0, p=1.0)), {DATA: 0.75, WORDING: 0.25}, {}, '')
  assert found.without(DATA) == pytest.approx(found.half_width / 2)
  assert found.without(DATA, WORDING) == 0


def test_phrasings_that_are_alike_in_all_datasets(tmp_path):
  # Accuracies of three phrasings in three datasets: what all share has variance 0.01, and each dataset its own level.
  effect = np.array([-0.1, 0.0, 0.1])
  rows = [
    ('m', d, 'unobserved', f'i{i}', level + effect[i])
    for d, level in (('a', 0.3), ('b', 0.5), ('c', 0.7))
    for i in range(3)
  ]
  table = pd.DataFrame(rows, columns=['model', 'dataset', 'group', 'instruction_id', 'score'])
  table.to_csv(tmp_path / 't.csv', index=False)
  found = uncertainty.of_mean(compare([str(tmp_path / 't.csv')]), 'm', 'unobserved')
  assert found.components[uncertainty.COMMON].variance == pytest.approx(0.01)
  assert found.components['phrasings'].variance == pytest.approx(0.01)
  # Datasets: 0.04, and no error, since the phrasings move all of them together.
  assert found.components[uncertainty.DATASETS].variance == pytest.approx(0.04)
  assert found.shares == {WORDING: 1.0, DATA: 0.0, BOTH: 0.0, RUNS: 0.0}
  # Other phrasings in each dataset: the error of a mean, 0.01 / 3, is taken out.
  table['instruction_id'] = table['dataset'] + table['instruction_id']
  table.to_csv(tmp_path / 'own.csv', index=False)
  found = uncertainty.of_mean(compare([str(tmp_path / 'own.csv')]), 'm', 'unobserved')
  assert uncertainty.COMMON not in found.components
  assert found.components[uncertainty.DATASETS].variance == pytest.approx(0.04 - 0.01 / 3)


def test_the_order_of_the_rows_of_a_table_says_nothing(tmp_path):
  """Phrasings of three datasets are the same, though a file has them in another order in each."""
  one, other = (uncertainty.of_mean(compare([path]), 'm', 'all') for path in in_two_orders(tmp_path))
  assert set(one.components) == set(other.components) and uncertainty.COMMON in one.components
  for name, component in one.components.items():
    assert dataclasses.astuple(other.components[name]) == pytest.approx(dataclasses.astuple(component)), name
  assert other.shares == pytest.approx(one.shares)
