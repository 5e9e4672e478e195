"""Sections of a report that stand where there is something to say: agreement, estimates from sampled cells."""

from collections.abc import Sequence
import dataclasses

from markupsafe import Markup
import numpy as np

from robust_t5x.analysis.agreement import CONSISTENCY, KAPPA
from robust_t5x.analysis.prompteval import estimates
from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports.inputs import Inputs
from robust_t5x.reports.tables import Column, Table
from robust_t5x.results.schema import EXAMPLE


@dataclasses.dataclass(frozen=True)
class Section:
  """A section of a report.

  Attributes:
    id: its anchor.
    title: its heading.
    notes: paragraphs.
    tables: its tables.
    charts: its charts.
  """

  id: str
  title: str
  notes: Sequence[str] = ()
  tables: Sequence[Table] = ()
  charts: Sequence[Markup] = ()


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
  rows = []
  for model in inputs.models:
    for group in inputs.groups:
      found = inputs.of(model).answer_agreement(model, group)
      rows.append((model, group, found[CONSISTENCY], found[KAPPA], inputs.interval(model, group, 'PSS')))
  columns = (
    Column('model'), Column('phrasings'), Column('consistency', 'percent'), Column("Fleiss' κ", 'number'),
    Column('PSS', 'number'),
  )  # fmt: skip
  return Table(
    'agreement', 'Agreement of the answers under different phrasings', columns, rows,
    'Consistency: pairs of phrasings that lead to the same answer. κ: that beyond chance, 1 at best. PSS: mean distance '
    'of the scores of two phrasings, 0 where all phrasings score alike.',
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


def estimated(inputs: Inputs) -> Section | None:
  """The section on estimates for all phrasings, where only a sample of the cells was evaluated."""
  cohort = inputs.cohorts[0]
  if not any(record.get('fingerprint', {}).get('cells') for record in cohort.records.values()):
    return None
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
    '5%, median and 95%: the accuracy below which that share of the phrasings lies.',
  )  # fmt: skip
  return Section('estimates', 'Estimates for all phrasings', tables=[table])
