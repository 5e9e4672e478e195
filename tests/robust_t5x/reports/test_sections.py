"""Sections that stand where there is something to say."""

import json

import pandas as pd

from robust_t5x import report
from robust_t5x.results.reading import read


def test_sampled_cells_are_said_and_estimated(evaluations, tmp_path):
  before, _ = evaluations
  table, record = read(before)
  number = table['example_id'].str[1:].astype(int)
  kept = table[(number + table['instruction_id'].str[-1].astype(int)) % 2 == 0]
  sampled = tmp_path / 'sampled'
  sampled.mkdir()
  kept.to_parquet(sampled / 'results.parquet')
  record['fingerprint']['cells'] = {'budget': 0.5, 'seed': 0}
  (sampled / 'run.json').write_text(json.dumps(record))
  assert report.main([str(sampled), '--out', str(tmp_path / 'out')]) == 0
  text = (tmp_path / 'out/report.md').read_text()
  assert 'Only a sample of the cells of no adapter was evaluated (CELL_BUDGET 0.5, seed 0)' in text
  estimates = pd.read_csv(tmp_path / 'out/tables/estimates.csv')
  assert estimates['cells evaluated'].tolist() == ['40 of 80', '60 of 120'] * 2
  assert (estimates['mean low'] <= estimates['mean']).all()
  assert (estimates['worst'] <= estimates['median']).all()
