"""Sections of a report that stand where there is something to say: agreement, where it stopped, estimates from sampled cells."""

from collections.abc import Sequence
import dataclasses

from markupsafe import Markup
import numpy as np
import pandas as pd

from robust_t5x.analysis import sensitivity as measures
from robust_t5x.analysis.agreement import CONSISTENCY, KAPPA
from robust_t5x.analysis.prompteval import estimates
from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports.charts import Lines
from robust_t5x.reports.inputs import Inputs
from robust_t5x.reports.tables import Cell, Column, Table
from robust_t5x.reports.words import without_datasets
from robust_t5x.results.schema import EXAMPLE, OBSERVED, UNOBSERVED, Valid, sample_of


@dataclasses.dataclass(frozen=True)
class Section:
  """A section of a report.

  Attributes:
    id: its anchor.
    title: its heading.
    notes: paragraphs.
    tables: its tables.
    charts: its charts, drawn or as lines.
  """

  id: str
  title: str
  notes: Sequence[str] = ()
  tables: Sequence[Table] = ()
  charts: Sequence[Markup | Lines] = ()


def agreement(inputs: Inputs) -> Section:
  """Agreement of answers over phrasings, and of models about phrasings."""
  tables = [_of_models(inputs)]
  notes = []
  if inputs.grain == EXAMPLE:
    tables.insert(0, _of_answers(inputs))
  else:
    notes.append('Consistency, κ and PSS need the answers to every example; these inputs have accuracies per phrasing.')
  return Section('agreement', 'Agreement', notes, [table for table in tables if table is not None])


def _of_answers(inputs: Inputs) -> Table:
  rows: list[tuple[Cell, ...]] = []
  first = inputs.cohorts[0]
  for model in inputs.models:
    for group in inputs.groups:
      found = inputs.of(model).answer_agreement(model, group)
      row: list[Cell] = [model, group, found[CONSISTENCY], found[KAPPA], inputs.interval(model, group, 'PSS')]
      if inputs.paired:
        is_paired = model in inputs.paired and group in first.groups
        row.append(first.answer_agreement_change(model, group)[CONSISTENCY] if is_paired else None)
      rows.append(tuple(row))
  columns = [
    Column('model'), Column('phrasings'), Column('consistency', 'percent'), Column("Fleiss' κ", 'number'),
    Column('PSS', 'number'),
  ]  # fmt: skip
  if inputs.paired:
    columns.append(Column('change of consistency, points', 'points'))
  return Table(
    'agreement', 'Agreement of the answers under different phrasings', tuple(columns), rows,
    'Consistency: pairs of phrasings that lead to the same answer; where they ask in several forms, to the same option, or of decoded '
    'answers those of the commonest form. κ: that beyond chance, 1 at best. PSS: mean distance '
    'of the scores of two phrasings, 0 where all phrasings score alike.'
    + (f' Change: against {inputs.models[0]}, paired over examples, under these very phrasings.' if inputs.paired else '')
    + f' {without_datasets(inputs, (CONSISTENCY, KAPPA, "PSS"))}'.rstrip(),
  )  # fmt: skip


def _of_models(inputs: Inputs) -> Table | None:
  rows = [
    (dataset, group, len(cohort.models), value)
    for cohort in inputs.cohorts
    if len(cohort.models) > 2
    for group in cohort.groups
    for dataset, value in cohort.kendalls_w(group).items()
    if not np.isnan(value)
  ]
  if not rows:
    return None
  return Table(
    'kendalls_w', 'Agreement of the models on which phrasings are hard',
    (Column('dataset'), Column('phrasings'), Column('models', 'count'), Column("Kendall's W", 'number')), rows,
    'W is 1 where all models rank the phrasings alike; m models whose rankings have nothing in common have 1/m on average.',
  )  # fmt: skip


def sensitivity(inputs: Inputs, epsilon: float, delta: float) -> Section:
  """The section on what wording costs: drop rate, POSIX, and how many phrasings a mean needs.

  Args:
    inputs: of the report.
    epsilon: how far a mean over fewer phrasings may be from that over all, as a share.
    delta: probability with which it may be further.
  """
  reference = next((g for g in (OBSERVED, UNOBSERVED, 'correct') if g in inputs.groups), inputs.groups[0])
  rows: list[tuple[Cell, ...]] = []
  left_out = 0
  for model in inputs.models:
    cohort = inputs.of(model)
    for group in (g for g in inputs.groups if g in cohort.groups):
      drop = None if group == reference else measures.drop_rate(cohort, model, group, reference)
      needed = list(measures.phrasings_needed(cohort, model, group, epsilon, delta).values())
      found = measures.posix(cohort, model, group)
      left_out += found.left_out if found else 0
      rows.append((model, group, drop, f'{np.median(needed):g}, at most {max(needed)}', found.value if found else None))
  columns = (
    Column('model'), Column('phrasings'), Column('drop rate', 'percent'), Column('phrasings needed'),
    Column('POSIX, nats per token', 'number'),
  )  # fmt: skip
  about = (
    f'Drop rate: share of the accuracy under {reference} phrasings that is lost (PromptBench). Phrasings needed: median and '
    f'greatest number over the datasets, of those at hand, whose mean accuracy is within {epsilon:.1%} of that of all with '
    f'probability {1 - delta:.0%}. POSIX: how far the log-likelihood of an answer moves under another phrasing of the same options.'
  )
  if left_out:
    about += (
      f' {left_out:,} examples are not in POSIX: no two of their phrasings have the same options, or they are beyond the first '
      f'{measures.MOST_EXAMPLES:,} of a dataset.'
    )
  return Section(
    'sensitivity', 'What wording costs', tables=[Table('sensitivity', 'Sensitivity to wording', columns, rows, about)]
  )


def extraction(inputs: Inputs) -> Section | None:
  """The section on answers that are right but for their form, where the strict and the lenient score differ."""
  rows: list[tuple[Cell, ...]] = []
  differing = 0
  for model in inputs.models:
    parts = [s.table for s in inputs.of(model).sources if s.label == model and 'extracted_score' in s.table]
    if not parts:
      continue
    table = pd.concat(parts, ignore_index=True)
    table = table[table['extracted_score'].notna() & table['strict_score'].notna()]
    for group, of_group in table.groupby('group', sort=False):
      means = of_group.groupby('dataset')[['strict_score', 'extracted_score']].mean().mean()
      differ = int((of_group['strict_score'] != of_group['extracted_score']).sum())
      rows.append((model, group, means['strict_score'], means['extracted_score'], f'{differ:,} of {len(of_group):,}'))
      differing += differ
  if not differing:
    return None
  columns = (
    Column('model'), Column('phrasings'), Column('strict', 'percent'), Column('extracted', 'percent'),
    Column('outputs on which they differ'),
  )  # fmt: skip
  table = Table(
    'extraction', 'Accuracy by the strict and the lenient reading of the same outputs', columns, rows,
    'Strict: the whole output is the answer. Extracted: the output commits to it, such as by "The answer is B."; refusals and '
    'several candidates are misses. Where the two differ much, phrasings change the form of answers as well as the answers.',
  )  # fmt: skip
  return Section('extraction', 'Right answers in other forms', tables=[table])


def stopped(inputs: Inputs) -> Section | None:
  """The section on where evaluations stopped, with the intervals that hold although these chose their size themselves."""
  rows: list[tuple[Cell, ...]] = []
  for model in inputs.models:
    for source in (s for s in inputs.of(model).sources if s.label == model and 'stopped' in s.record):
      found = source.record['stopped']
      asked = f'±{100 * found["half_width"]:g} points'
      for group, valid in found['groups'].items():
        rows.append((model, group, _evaluated(valid), asked, _interval(valid), None))
      if 'gap' in found:
        rows.append((model, 'gap', _evaluated(found['gap']), '', None, _interval(found['gap'])))
  if not rows:
    return None
  columns = (
    Column('model'), Column('phrasings'), Column('cells evaluated'), Column('asked for'), Column('mean accuracy', 'percent'),
    Column('gap, points', 'points'),
  )  # fmt: skip
  table = Table(
    'stopped', 'Where the evaluation stopped, and what is known of all cells', columns, rows,
    'Cells were evaluated in random order, balanced over datasets and phrasings, until the interval was as narrow as asked. These 95% intervals '
    'are of what an evaluation of all cells, these phrasings and examples, would give, and hold at whatever cell one stops '
    '(a confidence sequence; that of the gap is the difference of two at 97.5%). All other intervals of this report are of phrasings or examples like '
    'these and take the number of cells as given: docs/statistics.md says how far that matters.',
  )  # fmt: skip
  return Section('stopped', 'Stopped early', tables=[table])


def _evaluated(valid: Valid) -> str:
  return f'{valid["evaluated"]:,} of {valid["cells"]:,} ({valid["evaluated"] / valid["cells"]:.0%})'


def _interval(valid: Valid) -> Interval:
  return Interval(valid['estimate'], valid['low'], valid['high'])


def estimated(inputs: Inputs) -> Section | None:
  """The section on estimates for all phrasings, where only a sample of the cells was evaluated."""
  cohort = inputs.cohorts[0]
  if not any(sample_of(record) for record in cohort.records.values()):
    return None
  told = ['examples' in record for record in cohort.records.values() if sample_of(record)]
  names = {'mean': 'mean', 'worst': 'worst', 'p5': '5%', 'p50': 'median', 'p95': '95%', 'best': 'best'}
  rows = [
    (
      row['dataset'], row['model'], row['group'], f'{row["evaluated"]:,} of {row["cells"]:,}',
      *(Interval(row[n], row[f'{n}_low'], row[f'{n}_high']) for n in names),
    )
    for _, row in estimates(cohort).iterrows()
  ]  # fmt: skip
  columns = (
    Column('dataset'), Column('model'), Column('phrasings'), Column('cells evaluated'),
    *(Column(name, 'percent') for name in names.values()),
  )  # fmt: skip
  table = Table(
    'estimates', 'Accuracy over all phrasings, estimated from the sampled cells', columns, rows,
    'PromptEval (Polo et al. 2024): a Rasch model of phrasings and examples fills in the cells that were not evaluated. '
    '5%, median and 95%: the accuracy below which that share of the phrasings lies.'
    + ('' if all(told) else ' Examples that were never asked are not counted: results of before their number was recorded do not tell it.'),
  )  # fmt: skip
  return Section('estimates', 'Estimates for all phrasings', tables=[table])
