"""The section of a report on perturbed phrasings, each against the same phrasing unperturbed."""

import numpy as np

from robust_t5x.analysis.perturbations import pairs
from robust_t5x.analysis.significance import adjust
from robust_t5x.reports.inputs import Inputs
from robust_t5x.reports.sections import Section
from robust_t5x.reports.tables import Cell, Column, Table


def section(inputs: Inputs) -> Section | None:
  """The section; None where no perturbed phrasings were evaluated with those that they were made of."""
  found = [(model, pair) for model in inputs.models for pair in pairs(inputs.of(model), model)]
  if not found:
    return None
  p_values = adjust([pair.change.p_value() for _, pair in found])
  rows: list[tuple[Cell, ...]] = [
    (model, pair.kind, pair.phrasings, pair.without, pair.with_, pair.change.interval(), None if np.isnan(p) else p)
    for (model, pair), p in zip(found, p_values, strict=True)
  ]
  columns = (
    Column('model'), Column('perturbation'), Column('phrasings', 'count'), Column('without', 'percent'),
    Column('with', 'percent'), Column('change, points', 'points'), Column('p adjusted', 'p'),
  )  # fmt: skip
  about = (
    'Each phrasing with the perturbation against the same phrasing without it, on the same examples; phrasings that there is nothing '
    'to perturb in are on neither side. p: two-sided, by Holm over this table. Typos, case, spacing, punctuation and '
    'separators change how the instruction is written, option_labels and option_order how the options are listed, politeness '
    'and persona what stands before it; none changes what is asked.'
  )
  return Section(
    'perturbations', 'Perturbations', tables=[Table('perturbations', 'What perturbations change', columns, rows, about)]
  )
