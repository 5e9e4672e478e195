"""Perturbed phrasings against the same ones unperturbed."""

from helpers import scores_table
import pandas as pd
import pytest

from robust_t5x.analysis import comparison as comparison_lib
from robust_t5x.analysis.perturbations import pairs
from robust_t5x.results.runs import Run

ACCURACY = {'observed': 0.9, 'unobserved': 0.4}


def _written(directory, label, right, lacking=()):
  """An evaluation with typos in observed phrasings, which cost what `right` leaves of each score."""
  parts = []
  run = Run.open(str(directory), label=label, fingerprint={'tasks': {'first': 'x'}})
  table = scores_table(label, 'first', ACCURACY)
  typos = table[(table['group'] == 'observed') & ~table['instruction_id'].isin(lacking)].copy()
  parts = [
    table,
    typos.assign(instruction_id=typos['instruction_id'] + '_typos', group='typos', score=typos['score'] * right),
  ]
  run.add_shard('first', pd.concat(parts, ignore_index=True))
  run.finish({i: 'Do it: {x}' for part in parts for i in part['instruction_id'].unique()}, {})
  return str(directory)


def test_each_is_set_against_its_own_phrasing(tmp_path):
  found = comparison_lib.compare([_written(tmp_path / 'a', 'm', 0.0, lacking=['first/o2'])])
  (pair,) = pairs(found, 'm')
  only = found.phrasings.set_index('instruction_id')['m']['first/o1']
  assert (pair.kind, pair.phrasings, pair.without, pair.with_) == ('typos', 1, pytest.approx(only), 0.0)
  interval = pair.change.interval()
  assert interval.estimate == pytest.approx(-only) and -1 < interval.low < interval.high < -0.5


def test_the_difference_is_paired(tmp_path):
  found = comparison_lib.compare([_written(tmp_path / 'a', 'm', 1.0)])
  (pair,) = pairs(found, 'm')
  assert pair.phrasings == 2 and pair.without == pair.with_ and pair.change.value == 0
  wide = found.contrast({'typos': 1.0, 'observed': -1.0}, [('m', 1.0)]).interval()
  same = pair.change.interval()
  assert same.low < 0 < same.high and same.high - same.low <= wide.high - wide.low


def test_models_keep_apart_and_others_have_none(tmp_path, evaluations):
  paths = [_written(tmp_path / 'a', 'm', 1.0), _written(tmp_path / 'b', 'n', 0.5)]
  found = comparison_lib.compare(paths)
  assert [pairs(found, m)[0].with_ / pairs(found, m)[0].without for m in 'mn'] == [1.0, 0.5]
  assert not pairs(comparison_lib.compare([evaluations[0]]), 'no adapter')
