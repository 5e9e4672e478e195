"""The report's section on whether a model is robust enough: gaps, changes and spreads against a stated margin."""

from collections.abc import Sequence

from robust_t5x.analysis import decisions
from robust_t5x.reports.inputs import Inputs
from robust_t5x.reports.sections import Section
from robust_t5x.reports.summary import GAP, GAP_CHANGE, Summary
from robust_t5x.reports.tables import Cell, Column, Table
from robust_t5x.reports.words import without_datasets

_ABOUT = (
  'p: two-sided, that the difference is zero. Equivalent: the greater p of two one-sided tests, that it is the margin or more below '
  'zero, and above. Not worse: that it is the margin or more below zero. Each at 5%, as they stand: there are {count} differences.'
)
_ABOUT_SPREAD = (
  'Spread: best less worst of these very phrasings, mean over datasets. Below: p that it is the margin or more, by draws of the true '
  'accuracies on all examples like these, and with several runs by seeds like these; the middle of the interval may lie below the measured spread, which noise makes too wide.'
)


def section(inputs: Inputs, summary: Summary, spread_margin: float) -> Section | None:
  """The section; None where nothing can be tested.

  Args:
    inputs: of the report.
    summary: its numbers, with the decisions about gaps and changes.
    spread_margin: below which a spread is small, as a share.
  """
  tables = [t for t in (_differences(inputs, summary), _spreads(inputs, spread_margin)) if t is not None]
  return Section('robust', 'Robust enough', tables=tables) if tables else None


def _differences(inputs: Inputs, summary: Summary) -> Table | None:
  known = {place: d for place, d in summary.decisions.items() if d.words}
  if not known:
    return None
  first = inputs.models[0]
  named = {GAP: 'gap', GAP_CHANGE: f'gap, against {first}'}
  rows: list[Sequence[Cell]] = [
    (
      model,
      named.get(what, f'{what}, against {first}'),
      d.value,
      d.p_values.different,
      d.p_values.equivalent,
      d.p_values.not_worse,
      d.words,
    )
    for (model, what), d in known.items()
  ]
  margin = next(iter(known.values())).margin
  columns = (
    Column('model'), Column('difference'), Column('points', 'points'), Column('p', 'p'), Column('p equivalent', 'p'),
    Column('p not worse', 'p'), Column('so it is'),
  )  # fmt: skip
  return Table(
    'robust', f'Differences against a margin of {100 * margin:g} points', columns, rows, _ABOUT.format(count=len(rows))
  )


def _spreads(inputs: Inputs, margin: float) -> Table | None:
  rows: list[Sequence[Cell]] = []
  for model in inputs.models:
    cohort = inputs.of(model)
    for group in (g for g in inputs.groups if g in cohort.groups):
      found = decisions.of_spread(cohort, model, group, margin)
      if found.words:
        rows.append((model, group, found.value, found.below, found.words))
  if not rows:
    return None
  columns = (
    Column('model'),
    Column('phrasings'),
    Column('spread', 'percent'),
    Column('p below', 'p'),
    Column('so it is'),
  )
  about = f'{_ABOUT_SPREAD} {without_datasets(inputs, ("spread",))}'.rstrip()
  return Table('robust_spread', f'Spreads against a margin of {100 * margin:g} points', columns, rows, about)
