"""The report's section on which phrasing to use, and what choosing one is worth."""

from collections.abc import Sequence

from robust_t5x.analysis.choice import TOP, Worth, recommend, worth
from robust_t5x.reports.inputs import Inputs, focus_of
from robust_t5x.reports.sections import Section
from robust_t5x.reports.tables import Cell, Column, Table, text

_ABOUT = (
  'measured: accuracy on the examples at hand; the best of several is too good by their luck. expected: what it may be expected to '
  'score on other examples like these, with its 95% interval. best three: probability that it is one of them. against the mean, and the '
  'default wording: of the expected accuracy; where the interval holds 0, another phrasing may do as well.'
)
_ABOUT_WORTH = (
  'Cross-fitted: a phrasing is chosen on so many of the examples and scored on the others, 200 times; mean over the datasets that have '
  'twice as many examples. gain: over the mean phrasing, in points. seeming: the same on the examples that it was chosen on.'
)


def section(inputs: Inputs) -> Section | None:
  """The section; None where no phrasing can be chosen."""
  rows: list[Sequence[Cell]] = []
  gains: list[Sequence[Cell]] = []
  notes: list[str] = []
  for model in inputs.models:
    cohort = inputs.of(model)
    group = focus_of([g for g in inputs.groups if g in cohort.groups])
    rows += [
      (model, c.dataset, c.instruction_id, c.measured, c.expected, c.top, c.gain, c.over_default)
      for c in recommend(cohort, model, group)
    ]
    found = worth(cohort, model, group)
    gains += [(model, w.examples, w.datasets, w.gain, w.seeming) for w in found]
    if found:
      notes.append(_in_words(model, group, found[-1]))
  if not rows:
    return None
  columns: tuple[Column, ...] = (
    Column('model'), Column('dataset'), Column('best phrasing'), Column('measured', 'percent'), Column('expected', 'percent'),
    Column(f'among the best {TOP}', 'percent'), Column('against the mean, points', 'points'), Column('against the default, points', 'points'),
  )  # fmt: skip
  if all(row[-1] is None for row in rows):
    rows, columns = [row[:-1] for row in rows], columns[:-1]
  tables = [Table('choice', 'The phrasing that measured best, by dataset', columns, rows, _ABOUT)]
  if gains:
    columns = (
      Column('model'), Column('examples to choose on', 'count'), Column('datasets', 'count'), Column('gain', 'points'),
      Column('seeming', 'points'),
    )  # fmt: skip
    tables.append(
      Table('choice_worth', 'What choosing the phrasing on some examples is worth', columns, gains, _ABOUT_WORTH)
    )
  return Section('choice', 'Which phrasing', notes[:4], tables)


def _in_words(model: str, group: str, found: Worth) -> str:
  real, seeming = (text(v, 'points') for v in (found.gain, found.seeming))
  return (
    f'{model}: the {group} phrasing that is best on {found.examples:,} examples scores {real} points on others against the mean phrasing, '
    f'where it seemed to score {seeming}.'
  )
