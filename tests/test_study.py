"""What the studies of the docs keep of an evaluation: no texts, and the numbers of the evaluation itself."""

import json
import pathlib

from helpers import write_evaluation
import pandas as pd
import pytest

from robust_t5x.analysis.comparison import compare

BENCHMARKS = pathlib.Path(__file__).resolve().parents[1] / 'benchmarks'


@pytest.fixture
def study(monkeypatch):
  monkeypatch.syspath_prepend(str(BENCHMARKS))
  import study

  return study


def test_tables_can_be_made_again_from_what_is_kept(study, tmp_path):
  out, kept = tmp_path / 'out', tmp_path / 'kept'
  shares = {'observed': 0.9, 'unobserved': 0.5}
  before = write_evaluation(out / 'before', 'without adapter', shares)
  after = [write_evaluation(out / f'aligned-{seed}', 'aligned', shares, seed + 1) for seed in (0, 1)]
  study.add(out, kept)
  tables, record = study.read_all(kept)
  assert {name: len(seeds) for name, seeds in tables.items()} == {'before': 1, 'aligned': 2}
  found, expected = study.compared(tables, record), compare([before, *after])
  for group in shares:
    change = found.change('aligned', group, 'AvgP', baseline='before')
    assert change == expected.change('aligned', group, 'AvgP', baseline='without adapter')
  texts = set(pd.read_parquet(f'{before}/results.parquet')['prediction'])
  assert not texts & set(tables['before'][0]['prediction'])
  # These phrasings are not the package's.
  phrasings = set(json.loads(pathlib.Path(f'{before}/run.json').read_text())['instructions'].values())
  assert not phrasings & set(record['instructions'].values())
  assert set(json.loads((kept / 'runs.json').read_text())) == {'before', 'aligned-0', 'aligned-1'}
  # A later seed is added.
  write_evaluation(tmp_path / 'more/aligned-2', 'aligned', shares, 7)
  study.add(tmp_path / 'more', kept)
  assert len(study.read_all(kept)[0]['aligned']) == 3


def test_the_rate_with_the_highest_development_accuracy_is_chosen(study, tmp_path):
  rows = [
    ('aligned', rate, 0, 'finished', accuracy, 0.1, 0.2) for rate, accuracy in ((0.01, 0.25), (0.1, 0.5), (1.0, 0.4))
  ]
  columns = [
    'method',
    'LEARNING_RATE',
    'seed',
    'status',
    'development AvgP',
    'development worst phrasing',
    'development sd',
  ]
  pd.DataFrame(rows, columns=columns).to_csv(tmp_path / 'tuning.csv', index=False)
  aligned = ['aligned', '0.01: 25.0, 0.1: 50.0, 1: 40.0', '0.1']
  assert list(study.tuning(tmp_path)) == [aligned]
  # A method that is tuned later is added.
  sweep = tmp_path / 'out/tuning/likelihood/sweep.csv'
  sweep.parent.mkdir(parents=True)
  pd.DataFrame(rows[:1], columns=columns).drop(columns='method').to_csv(sweep, index=False)
  study.add(tmp_path / 'out', tmp_path)
  assert list(study.tuning(tmp_path)) == [aligned, ['likelihood', '0.01: 25.0', '0.01']]
