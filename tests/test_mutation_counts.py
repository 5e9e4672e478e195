"""The table of mutants: its counts by hand, and that each judgement is of a mutant that was tried."""

import importlib
import json
import pathlib

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parents[1] / 'benchmarks'


@pytest.fixture
def counts(monkeypatch):
  monkeypatch.syspath_prepend(str(BENCHMARKS))
  return importlib.import_module('mutation_counts')


def test_a_row_counts_what_was_read_apart_from_what_is_not_seen(counts, monkeypatch):
  monkeypatch.setattr(counts, 'equivalent', lambda module: {'x -> y': 'alike'} if module == 'a.py' else {})
  survived = [{'change': 'x -> y'}, {'change': 'x -> z'}]
  found = {name: {'mutants': 50, 'tried': 20, 'killed': 18, 'survived': survived} for name in ('a.py', 'b.py')}
  assert counts.table(found)[1:] == [
    '| `a.py` | 50 | 20 | 18 | 1 | 1 |',
    '| `b.py` | 50 | 20 | 18 | 0 | 2 |',
    '| all | 100 | 40 | 36 | 1 | 3 |',
  ]


def test_what_is_as_good_as_the_original_was_tried_and_survived(counts):
  kept = json.loads((BENCHMARKS / 'results/mutation.json').read_text(encoding='utf-8'))
  for module, found in kept.items():
    survived = {one['change'] for one in found['survived']}
    assert set(counts.equivalent(module)) <= survived, module
    assert found['killed'] + len(found['survived']) == found['tried'] <= found['mutants'], module
