"""One model against another, in words, as tables and as a picture; `analysis.effects` has the numbers.

A directory holds `compare.md`, `compare.csv`, a LaTeX table for each group, `mcnemar.csv` and a plot as PNG and PDF.
"""

import os

import pandas as pd

from robust_t5x.analysis.comparison import Comparison
from robust_t5x.analysis.effects import mcnemar_tests, notes
from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports import escaping, words
from robust_t5x.reports.inputs import in_order
from robust_t5x.reports.tables import Column, Table, points, text
from robust_t5x.results.schema import EXAMPLE
from robust_t5x.runtime.files import write_atomically

RULE = (
  "p: two-sided, Student's test over examples, phrasings and seeds as crossed factors, paired. Adjusted by Holm (which keeps the "
  'chance of any false finding) over the datasets of all groups, the rows "all" a family of their own; false discovery rate: the same '
  'families by Benjamini and Hochberg. An interval is of its row alone, unadjusted: it may leave zero out where the adjusted p does not.'
)
RULE_PHRASINGS = RULE.replace('examples, phrasings and seeds as crossed factors', 'phrasings alone')
EQUIVALENCE = (
  'p equivalent: the greater of two one-sided tests, that B is the margin or more below A, and above. p not worse: that B is the margin '
  'or more below A. Both by Holm in the same families. What the adjusted tests say at 5% stands beside them.'
)
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


def tables(comparison: Comparison, found: pd.DataFrame) -> dict[str, Table]:
  """Group -> the effects as a table.

  Args:
    comparison: of two models.
    found: its `effects`.
  """
  a, b = comparison.models
  columns: tuple[Column, ...] = (
    Column('dataset'), Column(a, 'percent'), Column(b, 'percent'), Column('difference, points', 'points'),
    Column('p', 'p'), Column('p adjusted', 'p'), Column('false discovery rate', 'p'), Column('p equivalent', 'p'), Column('p not worse', 'p'), Column('so it is'), Column("Cohen's h", 'number'), Column("Cohen's d", 'number'),
    Column('odds ratio', 'number'), Column('McNemar'),
  )  # fmt: skip
  if found['odds_ratio'].isna().all():
    columns = columns[:-2]
  out = {}
  for group in comparison.groups:
    rows = [
      (
        r.dataset, r.baseline_value, r.value, Interval(r.difference, r.low, r.high), r.p, r.p_adjusted, r.false_discovery_rate, r.p_equivalent, r.p_not_worse, r.verdict,
        r.cohens_h,
        r.cohens_d, r.odds_ratio, r.mcnemar,
      )[: len(columns)]
      for r in found[found['group'] == group].itertuples()
    ]  # fmt: skip
    out[group] = Table(f'compare_{group}', f'{b} against {a} under {group} phrasings', columns, rows)
  return out


def finding(comparison: Comparison, found: pd.DataFrame) -> str:
  """The comparison in a sentence."""
  a, b = comparison.models
  parts = []
  for row in found[found['dataset'] == 'all'].itertuples():
    change = points(Interval(row.difference, row.low, row.high))
    p = text(row.p_adjusted, 'p')
    p = f' (p {p}; {row.verdict})' if p.startswith('<') else f' (p = {p}; {row.verdict})' if p else ''
    parts.append(f'{change} under {row.group} phrasings{p}')
  count = len(comparison.datasets)
  return f'{b} against {a} over {count} dataset{"s" if count > 1 else ""}: {", ".join(parts)}.'


def explanations(comparison: Comparison) -> list[str]:
  """What the columns mean, and what was not checked."""
  told = (
    [RULE, EQUIVALENCE, EFFECTS] if comparison.grain == EXAMPLE else [RULE_PHRASINGS, EQUIVALENCE, EFFECTS_PHRASINGS]
  )
  told += dict.fromkeys(line for record in comparison.records.values() for line in record.get('taken', []))
  for model in comparison.models:
    told += [*words.left_out(comparison.records, model), *words.set_aside(comparison, model)]
  return told + notes(*(comparison.records[model] for model in comparison.models))


def write(comparison: Comparison, found: pd.DataFrame, out: str) -> None:
  """Writes all files of a comparison of two models and its `effects`."""
  from robust_t5x.reports import plots

  os.makedirs(out, exist_ok=True)
  lines = ['# Comparison', f'**{escaping.markdown(finding(comparison, found))}**']
  for group, table in tables(comparison, found).items():
    lines += [f'## Under {escaping.markdown(group)} phrasings', table.markdown()]
    write_atomically(os.path.join(out, f'{table.stem}.tex'), table.latex())
  lines += [escaping.markdown_paragraph(told) for told in explanations(comparison)]
  write_atomically(os.path.join(out, 'compare.md'), '\n\n'.join(lines) + '\n')
  write_atomically(os.path.join(out, 'compare.csv'), escaping.spreadsheet(found))
  tests = [t.assign(group=g) for g in comparison.groups if (t := mcnemar_tests(comparison, g)) is not None]
  if tests:
    write_atomically(os.path.join(out, 'mcnemar.csv'), escaping.spreadsheet(pd.concat(tests, ignore_index=True)))
  plots.save(plots.differences(found, in_order(comparison.groups)), os.path.join(out, 'compare'))
