"""The section on whether a model is robust enough, and the finding that speaks of it."""

from helpers import write_evaluation
import pandas as pd

from robust_t5x import report
from robust_t5x.reports import robustness
from robust_t5x.reports.inputs import read
from robust_t5x.reports.summary import summarise


def test_gaps_and_changes_stand_beside_the_margin(evaluations):
  inputs = read([evaluations[0], *evaluations[1]])
  section = robustness.section(inputs, summarise(inputs, 0.5), 0.05)
  differences, spreads = section.tables
  assert [row[:2] for row in differences.rows] == [
    ('no adapter', 'gap'), ('aligned', 'gap'), ('aligned', 'observed, against no adapter'),
    ('aligned', 'unobserved, against no adapter'), ('aligned', 'gap, against no adapter'),
  ]  # fmt: skip
  assert all('equivalent within 50 points' in row[-1] for row in differences.rows[1:3])
  assert [row[:2] for row in spreads.rows] == [(m, g) for m in inputs.models for g in inputs.groups]


def test_the_finding_says_what_is_small_and_what_is_not_known(tmp_path, capsys):
  accuracy = {'observed': 0.7, 'unobserved': 0.7}
  places = [write_evaluation(tmp_path / name, name, accuracy, seed=1, examples=400) for name in ('one', 'two')]
  assert report.main([*places, '--out', str(tmp_path / 'out'), '--margin', '6']) == 0
  said = capsys.readouterr().out
  assert 'under unobserved phrasings by 0.0 points' in said and said.count('(equivalent within 6 points)') == 4
  assert report.main([places[0], '--out', str(tmp_path / 'out'), '--margin', '0.5', '--spread-margin', '40']) == 0
  assert '(cannot tell)' in capsys.readouterr().out
  saved = pd.read_csv(tmp_path / 'out/tables/robust_spread.csv')
  assert (saved['so it is'] == 'below 40 points').all() and (saved['p below'] < 0.01).all()


def test_nothing_is_decided_of_a_single_accuracy(tmp_path):
  table = pd.DataFrame({'model': 'm', 'dataset': 'd', 'group': 'all', 'instruction_id': ['a'], 'score': [0.4]})
  table.to_csv(tmp_path / 't.csv', index=False)
  inputs = read([str(tmp_path / 't.csv')])
  assert robustness.section(inputs, summarise(inputs), 0.05) is None
