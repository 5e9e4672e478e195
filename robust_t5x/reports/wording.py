"""The report's section on what wording does: features of phrasings, and the accuracy that goes with them."""

from collections.abc import Sequence

from robust_t5x.analysis.wording import effects
from robust_t5x.reports.inputs import Inputs
from robust_t5x.reports.sections import Section
from robust_t5x.reports.tables import Cell, Column, Table, points

_ABOUT = (
  'Accuracy of phrasings with a feature less that of others of the same dataset and group, in points (for the length, of ten words more; '
  'for likeness, of a phrasing with the same words less one with no word in common); observed, unobserved and default phrasings together. '
  'Alone, and with all other features held. p: jackknife over phrasings, of the feature alone; adjusted by Holm over the features of '
  'a model. Features go together with others that are not listed: these are no causes.'
)


def section(inputs: Inputs) -> Section | None:
  """The section; None where the words of phrasings are not known, or too few differ."""
  rows: list[Sequence[Cell]] = []
  notes: list[str] = []
  for model in inputs.models:
    found = effects(inputs.of(model), model)
    rows += [
      (model, e.feature, f'{e.differing} of {e.phrasings}', e.alone, e.together, e.p, e.p_adjusted) for e in found
    ]
    told = [f'{e.feature} {points(e.alone)}' for e in found if e.p_adjusted < 0.05]
    if found:
      notes.append(
        f'{model}: {"; ".join(told) if told else f"none of {len(found)} features of phrasings goes with accuracy for sure"}.'
      )
  if not rows:
    return None
  columns = (
    Column('model'), Column('feature'), Column('phrasings where it differs'), Column('alone, points', 'points'),
    Column('together, points', 'points'), Column('p', 'p'), Column('p adjusted', 'p'),
  )  # fmt: skip
  return Section(
    'wording',
    'What wording does',
    notes[:4],
    [Table('wording', 'Features of phrasings and accuracy', columns, rows, _ABOUT)],
  )
