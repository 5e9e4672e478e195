"""Model A against model B on the same cells: differences, effect sizes and adjusted p-values, or why not.

`robust-t5x compare out/before out/after [--out out/compared]`
"""

import argparse
from collections.abc import Mapping, Sequence
import dataclasses
import os
import sys
from typing import Any

from robust_t5x.runtime import quiet
from seqio_tasks.errors import UserError

RULE = (
  'p: two-sided, two-way bootstrap over examples and phrasings, paired. Adjusted by Holm over the datasets of all '
  'groups; the rows "all" are a family of their own.'
)
RULE_PHRASINGS = RULE.replace('two-way bootstrap over examples and phrasings', 'bootstrap over phrasings alone')
EFFECTS = (
  "Cohen's h: of the two accuracies, 0.2 small, 0.5 medium, 0.8 large. Cohen's d: mean difference of the examples, each "
  'averaged over phrasings, by its standard deviation. Odds ratio: cells that only B has right by cells that only A has '
  "right, half a cell added to both. McNemar: phrasings whose exact test is below 0.05 after Holm's adjustment over all "
  'phrasings of the group.'
)
EFFECTS_PHRASINGS = (
  "Cohen's h: of the two accuracies, 0.2 small, 0.5 medium, 0.8 large. Cohen's d: mean difference of the phrasings by "
  "its standard deviation. Odds ratio and McNemar's test need per-example scores; these inputs have accuracies per phrasing."
)


class NotComparableError(UserError):
  """Two evaluations whose numbers must not be set against each other; the message has every reason."""


def reasons(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
  """Why two evaluations cannot be compared, from their records; empty if nothing speaks against it.

  Args:
    first: `run.json` of A.
    second: `run.json` of B.
  """
  a, b = first.get('fingerprint', {}), second.get('fingerprint', {})
  found = []
  for name, what in (('scorer', 'scorer'), ('split', 'split')):
    # T5X's output names no split.
    if name in a and name in b and _names(a[name]) != _names(b[name]):
      found.append(f'another {what}: {_names(a[name])} and {_names(b[name])}')
  vocabularies = [record.get('model', {}).get('vocabulary') for record in (first, second)]
  if all(vocabularies) and vocabularies[0] != vocabularies[1]:
    found.append(f'another vocabulary: hash {vocabularies[0][:12]} and {vocabularies[1][:12]}')
  tasks_a, tasks_b = a.get('tasks', {}), b.get('tasks', {})
  if isinstance(tasks_a, Mapping) and isinstance(tasks_b, Mapping):
    other = [task for task in tasks_a if task in tasks_b and tasks_a[task] != tasks_b[task]]
    if other:
      found.append(f'other examples or phrasings in {_some(other)}')
  missing = sorted(set(tasks_a) ^ set(tasks_b))
  if missing and isinstance(tasks_a, Mapping) == isinstance(tasks_b, Mapping):
    found.append(f'{_some(missing)} in one of them only')
  return found


def notes(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
  """What could not be checked, or differs without forbidding the comparison."""
  found = []
  if not all(record.get('model', {}).get('vocabulary') for record in (first, second)):
    found.append('The vocabulary is not recorded for both, so it was not checked.')
  lengths = [record.get('fingerprint', {}).get('task_feature_lengths') for record in (first, second)]
  if all(lengths) and lengths[0] != lengths[1]:
    found.append(f'Inputs were cut at other lengths: {lengths[0]} and {lengths[1]}.')
  return found


def read(first: str, second: str) -> Any:
  """The analysis.Comparison of two evaluations.

  Raises:
    ResultsError: if one is missing or unfinished.
    NotComparableError: with every reason, if they must not be compared.
  """
  from robust_t5x.analysis import comparison as comparison_lib
  from robust_t5x.results import reading, schema

  try:
    comparison = comparison_lib.compare([first, second])
  except schema.ResultsError as e:
    found = reasons(*(reading.read(path)[1] for path in (first, second))) or [str(e)]
    raise NotComparableError(f'{first} and {second} cannot be compared: {"; ".join(found)}') from e
  found = reasons(*(source.record for source in comparison.sources[:2]))
  if found:
    raise NotComparableError(f'{first} and {second} cannot be compared: {"; ".join(found)}')
  if len(comparison.sources) != 2:
    raise NotComparableError(
      f'{first} and {second} hold {len(comparison.sources)} models together; give files of one model each'
    )
  return comparison if len(comparison.models) == 2 else _told_apart(comparison)


def _told_apart(comparison: Any) -> Any:
  """Two evaluations with the same label, which would count as seeds, named after their places."""
  from robust_t5x.analysis import comparison as comparison_lib

  names = [os.path.basename(os.path.abspath(s.path)) or s.path for s in comparison.sources]
  names = [s.path for s in comparison.sources] if names[0] == names[1] else names
  sources = [
    comparison_lib.Source(s.path, name, s.table, s.record) for s, name in zip(comparison.sources, names, strict=True)
  ]
  keys = ['dataset', 'group', 'instruction_id']
  accuracies = comparison.phrasings[[*keys, 'template']]
  for source in sources:
    mean = source.table.groupby(keys, sort=False, observed=True)['score'].mean().rename(source.label).reset_index()
    accuracies = accuracies.merge(mean, on=keys)
  return dataclasses.replace(
    comparison, models=tuple(names), runs={s.label: (s.path,) for s in sources}, phrasings=accuracies,
    unmatched=dict.fromkeys(names, float('nan')), records={s.label: s.record for s in sources}, sources=tuple(sources),
  )  # fmt: skip


def effects(comparison: Any) -> Any:
  """A row for each group and dataset, and each group's mean over datasets.

  Returns:
    columns of analysis.Comparison.paired, with p_adjusted over all groups, and cohens_d, odds_ratio and
    mcnemar (phrasings found / tested), missing where the results have no scores of examples or scores between 0 and 1.
  """
  import pandas as pd

  from robust_t5x.analysis import significance

  model = comparison.models[1]
  parts = [comparison.paired(group) for group in comparison.groups]
  table = pd.concat(parts, ignore_index=True)
  whole = table['dataset'] == 'all'
  for family in (whole, ~whole):
    table.loc[family, 'p_adjusted'] = significance.adjust(table.loc[family, 'p'], significance.HOLM)
  tests = {group: mcnemar(comparison, group) for group in comparison.groups}
  extra = []
  for row in table.itertuples():
    names = [row.dataset] if row.dataset != 'all' else [d for d, g in comparison.datasets.items() if row.group in g]
    pairs = [(comparison.datasets[d][row.group][0], comparison.datasets[d][row.group][1]) for d in names]
    test = tests[row.group]
    part = None if test is None else test[test['dataset'].isin(names)]
    extra.append((cohens_d(pairs), odds_ratio(part), None if part is None else _count(part)))
  table[['cohens_d', 'odds_ratio', 'mcnemar']] = pd.DataFrame(extra, index=table.index, dtype=object)
  return table.assign(model=model)


def mcnemar(comparison: Any, group: str) -> Any:
  """McNemar's test of each phrasing of a group; None where the scores do not allow it."""
  from robust_t5x.results import schema

  try:
    return comparison.mcnemar(comparison.models[1], group)
  except schema.GrainError:
    return None
  except ValueError:  # scores between 0 and 1
    return None


def cohens_d(pairs: Sequence[tuple[Any, Any]]) -> float:
  """Paired effect size: mean of the differences B - A by their sample standard deviation; NaN if that is 0.

  Args:
    pairs: for each dataset scores (A, B), each [N, k]. Of each example the mean over phrasings counts; with a single
      example, which stands for accuracies per phrasing, each phrasing.

  Source: Cohen 1988, section 2.3 (d' of matched pairs).
  """
  import numpy as np

  from robust_t5x.analysis import metrics

  differences = []
  for a, b in pairs:
    change = b - a
    differences.append(change[0] if len(change) == 1 else metrics.phrasing_accuracy(change.T))
  change = np.concatenate(differences)
  change = change[~np.isnan(change)]
  spread = change.std(ddof=1) if len(change) > 1 else 0.0
  return float(change.mean() / spread) if spread > 0 else float('nan')


def odds_ratio(tests: Any) -> float | None:
  """Odds ratio of matched pairs: cells that only B has right by those that only A has right.

  Half a cell is added to both, so that it is finite (Haldane 1956). Above 1 where B is better; None without tests.
  """
  if tests is None or not len(tests):
    return None
  return float((tests['only_model'].sum() + 0.5) / (tests['only_baseline'].sum() + 0.5))


def tables(comparison: Any, table: Any) -> dict[str, Any]:
  """For each group a report_tables.Table of the effects."""
  from robust_t5x.analysis import comparison as comparison_lib
  from robust_t5x.reports.tables import Column, Table

  a, b = comparison.models
  columns = (
    Column('dataset'), Column(a, 'percent'), Column(b, 'percent'), Column('difference, points', 'points'),
    Column('p', 'p'), Column('p adjusted', 'p'), Column("Cohen's h", 'number'), Column("Cohen's d", 'number'),
    Column('odds ratio', 'number'), Column('McNemar'),
  )  # fmt: skip
  if table['odds_ratio'].isna().all():
    columns = columns[:-2]
  out = {}
  for group in comparison.groups:
    rows = [
      (
        r.dataset, r.baseline_value, r.value, comparison_lib.Interval(r.difference, r.low, r.high), r.p, r.p_adjusted,
        r.cohens_h, r.cohens_d, r.odds_ratio, r.mcnemar,
      )[: len(columns)]
      for r in table[table['group'] == group].itertuples()
    ]  # fmt: skip
    out[group] = Table(f'compare_{group}', f'{b} against {a} under {group} phrasings', columns, rows)
  return out


def finding(comparison: Any, table: Any) -> str:
  """The comparison in a sentence."""
  from robust_t5x.analysis import comparison as comparison_lib
  from robust_t5x.reports.tables import points, text

  a, b = comparison.models
  parts = []
  for row in table[table['dataset'] == 'all'].itertuples():
    change = points(comparison_lib.Interval(row.difference, row.low, row.high))
    p = text(row.p_adjusted, 'p')
    p = f' (p {p})' if p.startswith('<') else f' (p = {p})' if p else ''
    parts.append(f'{change} under {row.group} phrasings{p}')
  count = len(comparison.datasets)
  return f'{b} against {a} over {count} dataset{"s" if count > 1 else ""}: {", ".join(parts)}.'


def write(comparison: Any, out: str) -> None:
  """Writes `compare.md`, `compare.csv`, a LaTeX table for each group, `mcnemar.csv` and a plot as PNG and PDF."""
  import pandas as pd

  from robust_t5x.reports import inputs, plots
  from robust_t5x.runtime import files

  os.makedirs(out, exist_ok=True)
  table = effects(comparison)
  shown = tables(comparison, table)
  lines = ['# Comparison', f'**{finding(comparison, table)}**']
  for group, one in shown.items():
    lines += [f'## Under {group} phrasings', one.markdown()]
    files.write_atomically(os.path.join(out, f'{one.name}.tex'), one.latex())
  lines += explanations(comparison)
  files.write_atomically(os.path.join(out, 'compare.md'), '\n\n'.join(lines) + '\n')
  files.write_atomically(os.path.join(out, 'compare.csv'), table.to_csv(index=False))
  tests = [t.assign(group=g) for g in comparison.groups if (t := mcnemar(comparison, g)) is not None]
  if tests:
    files.write_atomically(os.path.join(out, 'mcnemar.csv'), pd.concat(tests).to_csv(index=False))
  plots.save(plots.differences(table, inputs.in_order(comparison.groups)), os.path.join(out, 'compare'))


def explanations(comparison: Any) -> list[str]:
  """What the columns mean, and what was not checked."""
  from robust_t5x.results import schema

  by_example = comparison.grain == schema.EXAMPLE
  told = [RULE, EFFECTS] if by_example else [RULE_PHRASINGS, EFFECTS_PHRASINGS]
  return told + notes(*(comparison.records[model] for model in comparison.models))


def _count(tests: Any) -> str:
  return f'{int((tests["p_adjusted"] < 0.05).sum())} of {len(tests)}'


def _names(value: Any) -> str:
  return value if isinstance(value, str) else ', '.join(map(str, value))


def _some(names: Sequence[str]) -> str:
  return ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  quiet.set_up()
  from robust_t5x.results import schema

  parser = argparse.ArgumentParser(prog='robust-t5x compare', description=__doc__.splitlines()[0])
  parser.add_argument(
    'first', metavar='A', help='OUTPUT_DIR of a finished evaluation, or a table of results: the baseline'
  )
  parser.add_argument('second', metavar='B', help='the same, of what is compared with it')
  parser.add_argument('--out', help='directory for tables and a plot')
  args = parser.parse_args(argv)
  try:
    comparison = read(args.first, args.second)
    table = effects(comparison)
  except (schema.ResultsError, NotComparableError) as e:
    print(f'error: {e}', file=sys.stderr)
    return 2
  print(finding(comparison, table))
  for one in tables(comparison, table).values():
    print(f'\n{one.caption}\n{one.plain()}')
  for line in explanations(comparison):
    print(f'\n{line}')
  if args.out:
    write(comparison, args.out)
    print(f'\nwrote {os.path.join(args.out, "compare.md")}')
  return 0
