"""The section on perturbations."""

from helpers import scores_table
import pandas as pd

from robust_t5x.reports import content, inputs, perturbations, summary, words
from robust_t5x.results.runs import Run


def test_a_row_for_each_kind_and_none_among_groups_that_mean_something_else(tmp_path, evaluations):
  run = Run.open(str(tmp_path / 'a'), label='m', fingerprint={'tasks': {'first': 'x'}})
  table = scores_table('m', 'first', {'observed': 1.0, 'unobserved': 0.5})
  base = table[table['group'] == 'observed']
  parts = [
    base.assign(instruction_id=base['instruction_id'] + f'_{k}', group=k, score=s)
    for k, s in (('typos', 0.0), ('case', 1.0))
  ]
  run.add_shard('first', pd.concat([table, *parts], ignore_index=True))
  run.finish({}, {})
  read = inputs.read([str(tmp_path / 'a')])
  section = perturbations.section(read)
  rows = {row[1]: row for row in section.tables[0].rows}
  assert list(rows) == ['typos', 'case'] and rows['typos'][:5] == ('m', 'typos', 2, 1.0, 0.0)
  assert rows['typos'][5].high < -0.5 and rows['typos'][6] < 0.05 and rows['case'][6] == 1.0
  assert (
    'What perturbations change' in section.tables[0].caption and 'none changes what is asked' in section.tables[0].note
  )
  assert content.group_table(read, summary.summarise(read, 0.02)) is None
  assert perturbations.section(inputs.read([evaluations[0]])) is None


def test_the_finding_sets_perturbed_phrasings_against_the_same_ones(tmp_path):
  """And not all phrasings against those that there is something to perturb in."""
  run = Run.open(str(tmp_path / 'a'), label='m', fingerprint={'tasks': {'first': 'x'}})
  table = scores_table('m', 'first', {'observed': 1.0, 'unobserved': 0.5})
  first = table[table['instruction_id'] == 'first/u1'].assign(score=1.0)
  table.loc[table['instruction_id'] == 'first/u1', 'score'] = 1.0
  ordered = first.assign(instruction_id='first/u1_option_order', group='option_order', score=0.0)
  run.add_shard('first', pd.concat([table, ordered], ignore_index=True))
  run.finish({}, {})
  read = inputs.read([str(tmp_path / 'a')])
  text = words.finding(read, summary.summarise(read, 0.02))
  assert 'under unobserved phrasings' in text and 'under option_order phrasings' not in text
  assert 'Against the same phrasings without it, accuracy changes with option_order by −100.0 points' in text
