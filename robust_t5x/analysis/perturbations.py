"""What a perturbation does: accuracy under perturbed phrasings less that under the same phrasings unperturbed, paired."""

import dataclasses

import numpy as np

from robust_t5x.analysis import crossed
from robust_t5x.analysis.comparison import Comparison
from seqio_tasks.bank.instruction import PERTURBATIONS
from seqio_tasks.bank.perturbations import unperturbed


@dataclasses.dataclass(frozen=True)
class Pair:
  """A perturbation of phrasings, and these.

  Attributes:
    kind: one of `PERTURBATIONS`.
    phrasings: over the datasets, that were evaluated with and without it.
    without: accuracy without it, mean over the datasets.
    with_: accuracy with it.
    change: `with_` less `without`, paired, for examples, phrasings and seeds like these.
  """

  kind: str
  phrasings: int
  without: float
  with_: float
  change: crossed.Estimate


def pairs(comparison: Comparison, model: str) -> list[Pair]:
  """Every perturbation of the results whose unperturbed phrasings they have as well, in any other group."""
  found = (_pair(comparison, model, kind) for kind in PERTURBATIONS if kind in comparison.groups)
  return [pair for pair in found if pair is not None]


def _pair(comparison: Comparison, model: str, kind: str) -> Pair | None:
  scores, names = [], []
  runs = comparison.runs_of(model)
  for dataset, groups in comparison.datasets.items():
    places = {
      id_: (group, i) for group in groups for i, id_ in enumerate(comparison.names[dataset, group]) if group != kind
    }
    ids = comparison.names.get((dataset, kind), ())
    both = {i: (base, *places[base]) for i, id_ in enumerate(ids) if (base := unperturbed(id_, kind)) in places}
    if both:
      after = groups[kind][runs][..., list(both)]
      before = np.stack([groups[group][runs][..., i] for _, group, i in both.values()], axis=-1)
      # One after the other on the axis of runs, as two models on the same cells.
      scores.append({kind: np.concatenate([before, after])})
      names.append({kind: tuple(base for base, _, _ in both.values())})
  if not scores:
    return None
  seeds = runs.stop - runs.start
  sides = slice(0, seeds), slice(seeds, 2 * seeds)
  without, with_ = (crossed.contrast(scores, names, {kind: 1.0}, [(side, 1.0)]).value for side in sides)
  change = crossed.contrast(scores, names, {kind: 1.0}, [(sides[1], 1.0), (sides[0], -1.0)])
  return Pair(kind, len({name for called in names for name in called[kind]}), without, with_, change)
