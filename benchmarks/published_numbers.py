"""Recomputes published numbers from the published results of single phrasings, and sets them beside the published ones.

`python benchmarks/published_numbers.py --data DIR --out docs/published.md`

DIR holds instructioneval/published_results, bbh/published_accuracies, bbh/paraphrases and bbh/published_metrics as
their authors publish them.
"""

import argparse
from collections.abc import Mapping
import pathlib

import numpy as np
import pandas as pd

from robust_t5x.analysis import metrics
from robust_t5x.analysis.comparison import compare
from robust_t5x.results import reading
from robust_t5x.runtime import files

# The main comparison of Sun et al. 2024, accuracy in % and sample sd over instructions: (model, suite, group).
PAPER = {
  ('Flan-T5-XL', 'MMLU', 'observed'): (48.1, 0.3),
  ('Flan-T5-XL', 'MMLU', 'unobserved'): (47.5, 0.9),
  ('Alpaca-7B', 'MMLU', 'observed'): (41.9, 0.6),
  ('Alpaca-7B', 'MMLU', 'unobserved'): (39.7, 2.2),
}
# Names in the tables of Mizrahi et al. 2024 -> in those of Sun et al. 2024.
MODELS = {
  't0_3b': 'T0-3B', 't0pp': 'T0++', 'alpaca-7b': 'Alpaca-7B', 'alpaca-13b': 'Alpaca-13B', 'flan-t5-xl': 'Flan-T5-XL',
  'flan-t5-xxl': 'Flan-T5-XXL',
}  # fmt: skip
DATASETS = {
  'bbq lite': 'BBQ_Lite', 'code line description': 'Code_Line_Description', 'winowhy': 'Winowhy',
  'conceptual combinations': 'Conceptual_Combinations', 'hindu knowledge': 'Hindu_Knowledge',
  'known unknown': 'Known_Unknowns', 'language identification': 'Language_Identification',
  'logic grid puzzle': 'Logic_Grid_Puzzle', 'logical deduction': 'Logical_Deduction',
  'novel concepts': 'Novel_Concepts', 'play dialog': 'Play_Dialog', 'strange stories': 'Strange_Stories',
  'strategic qa': 'StrategyQA', 'vitaminc fact verification': 'Vitaminc_Fact_Verification',
}  # fmt: skip
METRICS = ('MaxP', 'AvgP', 'CPS')
ALL, CORRECT = 'no_filtering', 'correct_paraphrases_only'
SAME = 1e-9
_SUN = 'instructioneval/published_results/Main'
NOT_PUBLISHED = 'no published input'
PLACEHOLDERS = (0.0, -0.02)  # what the published means are found to hold for an accuracy that is missing


def main_comparison(data: pathlib.Path) -> pd.DataFrame:
  """Accuracy and sd over instructions of every model, suite and group, means over datasets, in %."""
  rows = []
  for path in sorted((data / _SUN).glob('*/*.csv')):
    comparison = compare([str(path)])
    model, suite = comparison.models[0], path.parent.name
    for group in ('observed', 'unobserved'):
      mean, sd = (100 * comparison.interval(model, group, metric).estimate for metric in ('AvgP', 'sd'))
      paper = PAPER.get((model, suite, group), (np.nan, np.nan))
      datasets = sum(group in groups for groups in comparison.datasets.values())
      rows.append((model, suite, group, datasets, mean, sd, *paper))
  columns = ['model', 'suite', 'group', 'datasets', 'mean', 'sd', 'paper_mean', 'paper_sd']
  return pd.DataFrame(rows, columns=columns)


def prompt_metrics(data: pathlib.Path) -> pd.DataFrame:
  """Every published cell of MaxP, AvgP and CPS beside ours.

  Returns:
    a row per metric, filter, task and model: published, ours (NaN where there is no input), and, unless they agree to
    1e-9, what makes the published value.
  """
  accuracies = {**_big_bench_hard(data), **_big_bench_lite(data)}
  rows = []
  for metric in METRICS:
    for which in (ALL, CORRECT):
      published = pd.read_csv(data / 'bbh/published_metrics' / f'{metric}_{which}.csv')
      published = published.rename(columns=str.strip).set_index('task').drop(columns='benchmark')
      for (task, model), value in published.stack().dropna().items():
        rows.append((metric, which, task, model, value, *_ours(accuracies.get((task, model, which)), metric, value)))
  return pd.DataFrame(rows, columns=['metric', 'filter', 'task', 'model', 'published', 'ours', 'disagreement'])


def _ours(found, metric: str, published: float) -> tuple[float, str]:
  if found is None:
    return np.nan, NOT_PUBLISHED
  a, not_numbers = found
  value = float(metrics.METRICS[metric](a[None]))
  if abs(value - published) <= SAME:
    return value, ''
  for placeholder in PLACEHOLDERS if not_numbers else ():
    filled = np.r_[a, np.full(not_numbers, placeholder)]
    if abs(float(metrics.METRICS[metric](filled[None])) - published) <= SAME:
      return value, f'{not_numbers} missing, counted as {placeholder:g}'
  return value, 'unexplained'


def _big_bench_hard(data: pathlib.Path) -> Mapping[tuple[str, str, str], tuple[np.ndarray, int]]:
  """(task, model, filter) -> accuracies of its phrasings, and how many are not numbers."""
  table, _ = reading.read(str(data / 'bbh/published_accuracies'))
  out = {}
  for (task, model), rows in table.groupby(['dataset', 'model']):
    out[task, model, ALL] = rows['score'].to_numpy(), 0
    out[task, model, CORRECT] = rows.loc[rows['group'] == 'correct', 'score'].to_numpy(), 0
  return out


def _big_bench_lite(data: pathlib.Path) -> Mapping[tuple[str, str, str], tuple[np.ndarray, int]]:
  """The same from the results of Sun et al. Both filters have these.

  The published metrics use the task's own description and the first instructions that Sun et al. wrote: as many as the
  model has that has the fewest (the Alpacas, or the others in language identification).
  """
  sources = {name: reading.read(str(data / f'{_SUN}/BBL/{file}.csv')) for name, file in MODELS.items()}
  out = {}
  for task, dataset in DATASETS.items():
    of_task = {name: _instructions(*source, dataset) for name, source in sources.items()}
    number = min(len(written) for _, written in of_task.values() if written)
    for name, (default, written) in of_task.items():
      if written:
        a = np.array([default, *(written[i] for i in sorted(written)[:number])])
        out[task, name, ALL] = out[task, name, CORRECT] = a[~np.isnan(a)], int(np.isnan(a).sum())
  return out


def _instructions(table: pd.DataFrame, record: Mapping, dataset: str) -> tuple[float, dict[int, float]]:
  """Accuracy under the task's own description, and under each written instruction by its number; NaN if no number."""
  rows = table[table['dataset'] == dataset]
  found = dict(zip(rows['instruction_id'], rows['score'], strict=True))
  for entry in record['left_out']:
    row = entry['content']
    if row['Dataset'] == dataset and 'not a number' in entry['reason']:
      found['/'.join((row['Collection'], row['Type'], row['ID']))] = np.nan
  written = {int(i.split('/')[2]): a for i, a in found.items() if i.split('/')[1] == 'Unobserved'}
  default = next((a for i, a in found.items() if i.split('/')[1] == 'Default'), np.nan)
  return default, written


def page(data: pathlib.Path) -> str:
  """The page docs/published.md."""
  comparison, cells = main_comparison(data), prompt_metrics(data)
  differing = cells[~cells['disagreement'].isin(('', NOT_PUBLISHED))]
  absent = cells[cells['disagreement'] == NOT_PUBLISHED]
  lines = [
    '# Published numbers, recomputed',
    '',
    'Made by `python benchmarks/published_numbers.py --data DIR --out docs/published.md` from the results of single',
    'phrasings that the authors of two papers publish. `tests/robust_t5x/results/test_published_numbers.py` checks it.',
    '',
    '## Observed and unobserved instructions (Sun et al. 2024, arXiv 2306.11270)',
    '',
    'Zero-shot accuracy in %, ± sample standard deviation over the instructions of a group; means over datasets. In',
    'brackets what the paper reports, where that is known to the digit. Gap: unobserved less observed in points,',
    'with a 95% interval over instructions (an accuracy of an instruction says nothing of examples).',
    '',
    '| suite | model | datasets | observed | unobserved | gap |',
    '|---|---|---|---|---|---|',
  ]
  for (suite, model), rows in comparison.groupby(['suite', 'model'], sort=True):
    of_model = compare([str(data / _SUN / suite / f'{model}.csv')])
    gap = of_model.gap(model)
    values = [
      f'{r["mean"]:.1f} ± {r["sd"]:.1f}'
      + ('' if np.isnan(r['paper_mean']) else f' ({r["paper_mean"]} ± {r["paper_sd"]})')
      for _, r in rows.iterrows()
    ]
    lines.append(
      f'| {suite} | {model} | {rows["datasets"].max()} | {values[0]} | {values[1]} | {100 * gap.estimate:+.1f} '
      f'[{100 * gap.low:+.1f}, {100 * gap.high:+.1f}] |'
    )
  lines += [
    '',
    'Left out of the inputs, and listed by `results.reading.read`: 56 accuracies of T0-3B on BIG-bench Lite (BBL) that are "PD"',
    'and not numbers, and second rows of two instructions of BBQ Lite that Flan-T5-XXL has twice, 0.0001 apart.',
    '',
    '## MaxP, AvgP and CPS (Mizrahi et al. 2024, arXiv 2401.00595)',
    '',
    _counts(cells),
    '',
    'The published cells of BIG-bench Lite come from the results of Sun et al. They are reproduced by taking, for each',
    "task, BIG-bench's own description and the first instructions that Sun et al. wrote, as many as the model has that",
    'has the fewest (7 to 12). Both published filters hold the same values there.',
    '',
    f'Without published inputs: {len(absent)} cells, of {", ".join(sorted(absent["model"].unique()))} on BIG-bench Lite.',
    '',
    '### Cells that differ',
    '',
    'All are of T0-3B, some of whose accuracies are "PD". The published means take them as the number in the last',
    'column, with which they are reproduced to 1e-9; ours leave them out. MaxP is the same.',
    '',
    '| task | metric | published | ours | the published value has |',
    '|---|---|---|---|---|',
  ]
  for _, row in differing[differing['filter'] == ALL].sort_values(['task', 'metric']).iterrows():
    lines.append(
      f'| {row["task"]} | {row["metric"]} | {row["published"]:.4f} | {row["ours"]:.4f} | {row["disagreement"]} |'
    )
  for title, chosen in (
    ('BIG-Bench Hard, all phrasings', ~cells['task'].isin(DATASETS) & (cells['filter'] == ALL)),
    ('BIG-Bench Hard, phrasings judged correct', ~cells['task'].isin(DATASETS) & (cells['filter'] == CORRECT)),
    ('BIG-bench Lite', cells['task'].isin(DATASETS) & (cells['filter'] == ALL) & cells['ours'].notna()),
  ):
    lines += ['', f'### {title}', '', 'Means over tasks, published / ours.', '', '| model | MaxP | AvgP | CPS |']
    lines += ['|---|---|---|---|']
    for model, rows in cells[chosen].groupby('model', sort=False):
      means = rows.groupby('metric')[['published', 'ours']].mean()
      values = [f'{means.at[m, "published"]:.4f} / {means.at[m, "ours"]:.4f}' for m in METRICS]
      lines.append(f'| {model} | {" | ".join(values)} |')
  return '\n'.join(lines) + '\n'


def _counts(cells: pd.DataFrame) -> str:
  same, absent = (cells['disagreement'] == '').sum(), (cells['disagreement'] == NOT_PUBLISHED).sum()
  unexplained = (cells['disagreement'] == 'unexplained').sum()
  return (
    f'Of {len(cells)} published cells {absent} have no published input. Of the other {len(cells) - absent}, {same} are '
    f'reproduced to 1e-9, {len(cells) - absent - same - unexplained} differ for a reason that is found, and {unexplained} '
    'are unexplained.'
  )


def main() -> None:
  """Writes the page and prints the counts."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--data', required=True, type=pathlib.Path, metavar='DIR')
  parser.add_argument('--out', required=True, metavar='FILE')
  arguments = parser.parse_args()
  text = page(arguments.data)
  files.write_atomically(arguments.out, text)
  print(_counts(prompt_metrics(arguments.data)))


if __name__ == '__main__':
  main()
