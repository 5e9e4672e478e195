"""The tables of a report, and its best and worst phrasings."""

from robust_t5x.reports import content
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
