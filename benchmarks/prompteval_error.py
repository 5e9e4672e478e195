"""How far PromptEval's estimate from some cells is from the full table, on evaluations of all cells.

`python benchmarks/prompteval_error.py DIR [DIR ...] --out benchmarks/results/prompteval_error.json`
"""

import argparse
import json
import pathlib

import numpy as np
import pandas as pd

from robust_t5x.analysis import metrics, prompteval
from robust_t5x.analysis.comparison import Comparison, compare

PER_EXAMPLE = (1, 2, 5, 10, 20)  # phrasings that each example is evaluated under
SEEDS = 5


def errors(comparison: Comparison, per_example: int, seed: int) -> list[dict]:
  """A row for each dataset and group of the first run: errors of the ways to estimate."""
  rows = []
  for dataset, groups in comparison.datasets.items():
    for group, scores in groups.items():
      full = scores[0]
      n, k = full.shape
      if per_example >= k:
        continue
      sampled = np.where(prompteval.balanced_cells(n, k, max(k, per_example * n), seed), full, np.nan)
      ids = comparison.sources[0].places.phrasings[dataset][group]
      templates = comparison.phrasings.query('dataset == @dataset and group == @group').set_index('instruction_id')
      words = prompteval.text_covariates(list(templates['template'].reindex(ids)))
      a = full.mean(0)
      plain = np.nanmean(sampled, axis=0)
      without, with_words = (prompteval.estimate(sampled, c, seed=seed) for c in (None, words))
      row = {'dataset': dataset, 'group': group, 'phrasings': k, 'per example': per_example, 'share': per_example / k}
      row |= {
        'W1 mean of the cells': prompteval.distance(plain, a),
        'W1 filled in': prompteval.distance(without.accuracies, a),
        'W1 distribution': prompteval.distance(without.distribution, a),
        'W1 filled in, words': prompteval.distance(with_words.accuracies, a),
        'W1 distribution, words': prompteval.distance(with_words.distribution, a),
      }
      for name in ('AvgP', 'spread', 'worst phrasing', 'MaxP'):
        interval, truth = with_words.interval(name), metrics.METRICS[name](full)
        row[f'covered {name}'] = float(interval.low - 1e-9 <= truth <= interval.high + 1e-9)
      rows.append(row)
  return rows


def main() -> None:
  """Prints the means over datasets, groups and seeds."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('directories', nargs='+', metavar='DIR', help='OUTPUT_DIR of an evaluation of all cells')
  parser.add_argument('--out', type=pathlib.Path, metavar='FILE', help='where the JSON goes')
  arguments = parser.parse_args()
  rows = [
    row
    for directory in arguments.directories
    for comparison in [compare([directory])]
    for per_example in PER_EXAMPLE
    for seed in range(SEEDS)
    for row in errors(comparison, per_example, seed)
  ]
  table = pd.DataFrame(rows)
  means = table.drop(columns=['dataset', 'group']).groupby('per example').mean()
  print(f'{len(table.groupby(["dataset", "group"]))} tables, {SEEDS} seeds')
  print(means.T.round(4).to_string())
  if arguments.out:
    rows = means.reset_index().to_dict('records')
    arguments.out.write_text(json.dumps(rows, indent=2) + '\n', encoding='utf-8')


if __name__ == '__main__':
  main()
