"""The tables of a report, and its best and worst phrasings."""

import pandas as pd
import pytest

from robust_t5x.reports import content, inputs
from robust_t5x.results.reading import read


def test_outputs_of_best_and_worst(evaluations):
  before, _ = evaluations
  table = read(before)[0]
  mean = table[table['dataset'] == 'first'].groupby('instruction_id')['score'].mean()
  best, worst = mean.idxmax(), mean.idxmin()
  shown = content.examples(table, best, worst, 'first', most=2)
  score = table.set_index(['instruction_id', 'example_id'])['score']
  assert len(shown) == 2
  assert all(score[best, row[0]] == 1 and score[worst, row[0]] == 0 for row in shown)


def test_spread_and_worst_by_dataset_are_of_the_group_that_is_named(tmp_path):
  """Without unobserved phrasings it is the report's first group, which by the alphabet would be the other one."""
  rows = [('d', 'observed', 'a', 0.9), ('d', 'observed', 'b', 0.7), ('d', 'incorrect', 'c', 0.1)]
  rows += [('e', 'incorrect', 'c', 0.2), ('e', 'incorrect', 'f', 0.3)]  # a dataset without the group
  rows += [('f', 'observed', 'a', 0.4)]  # and one with a phrasing, which has no spread
  path = tmp_path / 't.csv'
  pd.DataFrame(rows, columns=['dataset', 'group', 'instruction_id', 'score']).to_csv(path, index=False)
  table = content.dataset_table(inputs.read([str(path)]))
  assert 'are over observed phrasings' in table.note
  assert [row[-2:] for row in table.rows] == [pytest.approx((0.2, 0.7)), pytest.approx((0.1, 0.2)), (None, 0.4)]


def test_best_and_worst_are_of_one_group_with_its_own_rows(tmp_path):
  """Without unobserved phrasings the first group counts; an id that another group has too is another phrasing."""
  rights = {('case', 'a'): 3, ('case', 'b'): 1, ('typos', 'a'): 0, ('typos', 'c'): 4}
  rows = [('d', g, i, f'e{e}', float(e < n), f'{g}{e < n}') for (g, i), n in rights.items() for e in range(4)]
  columns = ['dataset', 'group', 'instruction_id', 'example_id', 'score', 'prediction']
  pd.DataFrame(rows, columns=columns).to_csv(tmp_path / 't.csv', index=False)
  [found] = content.extremes(inputs.read([str(tmp_path / 't.csv')]))
  assert (found.group, found.best.id, found.worst.id, found.high, found.low) == ('case', 'a', 'b', 0.75, 0.25)
  assert [(id_, best, worst) for id_, _, best, worst in found.examples] == [
    ('e1', 'caseTrue', 'caseFalse'), ('e2', 'caseTrue', 'caseFalse')
  ]  # fmt: skip


def test_a_phrasing_without_a_name_is_one():
  rows = [(i, e, float(i == 'b'), f'{i}{e}') for i in ('', 'b') for e in 'xy']
  table = pd.DataFrame(rows, columns=['instruction_id', 'example_id', 'score', 'prediction'])
  table = table.assign(dataset='d', gold='g')
  assert content.examples(table, 'b', '', 'd') == [('x', 'g', 'bx', 'x'), ('y', 'g', 'by', 'y')]
  assert content.examples(table, '', '', 'd') == []
