"""Accuracy against the size of the model, where models of one family were evaluated in several sizes."""

from collections.abc import Mapping, Sequence
import dataclasses
import re

from robust_t5x.reports.inputs import GAP_GROUPS, Inputs
from robust_t5x.reports.tables import Cell, Column, Table
from robust_t5x.results.schema import OBSERVED, UNOBSERVED


@dataclasses.dataclass(frozen=True)
class Member:
  """A model of a family: its name, its parameters, its accuracy under each group, and its gap over the datasets with both.

  The gap is None where there is none.
  """

  model: str
  parameters: float
  values: Mapping[str, float]
  gap: float | None


@dataclasses.dataclass(frozen=True)
class Family:
  """Models that differ in size alone, smallest first."""

  name: str
  members: tuple[Member, ...]


def find_families(inputs: Inputs) -> list[Family]:
  """Models of one family in at least two sizes, told by their names: flan-t5-small, Flan-T5-XL, T0-3B."""
  frame = inputs.phrasings
  found: dict[str, list[Member]] = {}
  for model in inputs.models:
    read = family_and_size(model)
    if read is None:
      continue
    means = frame.groupby(['dataset', 'group'])[model].mean().unstack('group')
    apart = means[UNOBSERVED] - means[OBSERVED] if set(GAP_GROUPS) <= set(means) else means.iloc[:0, 0]
    gap = float(apart.mean()) if apart.notna().any() else None
    found.setdefault(read[0], []).append(Member(model, read[1], means.mean().dropna().to_dict(), gap))
  return [
    Family(name, tuple(sorted(members, key=lambda m: m.parameters)))
    for name, members in found.items()
    if len({m.parameters for m in members}) > 1
  ]


def family_and_size(name: str) -> tuple[str, float] | None:
  """Family and parameters that a model's name tells, or None: ('flan-t5', 3e9) of 'flan-t5-xl'.

  Sizes in words are those of T5: a base or large model of another network has another size.
  """
  match = re.search(r'(?i)[-_ ](small|base|large|xxl|xl|(\d+(?:\.\d+)?)([bm]))(?![a-z0-9])', name)
  if match is None:
    return None
  family = (name[: match.start()] + name[match.end() :]).strip('-_ ').lower()
  if match[2]:
    return family, float(match[2]) * (1e9 if match[3].lower() == 'b' else 1e6)
  if not re.search(r'(?<![a-z])(?:t5|tk-instruct)', family):
    return None
  return family, parameters('t5_1_0' if family == 't5' else 't5_1_1', match[1].lower())


def parameters(family: str, size: str) -> float:
  """Weights of a published T5: embedding, output layer where it is not tied, attention and MLP."""
  from robust_t5x.models.families import t5_config  # the networks, and so JAX and flax

  network = t5_config(family, size)
  attention = 4 * network.emb_dim * network.num_heads * network.head_dim
  mlp = (len(network.mlp_activations) + 1) * network.emb_dim * network.mlp_dim
  stacks = network.num_encoder_layers * (attention + mlp) + network.num_decoder_layers * (2 * attention + mlp)
  return float(stacks + (1 if network.logits_via_embedding else 2) * network.vocab_size * network.emb_dim)


def scaling_table(found: Sequence[Family], groups: Sequence[str]) -> Table | None:
  """A row for each model of a family."""
  if not found:
    return None
  groups = [g for g in groups if any(g in m.values for f in found for m in f.members)]
  both = set(GAP_GROUPS) <= set(groups)
  rows = []
  for family in found:
    for member in family.members:
      row: list[Cell] = [family.name, member.model, member.parameters / 1e6, *(member.values.get(g) for g in groups)]
      if both:
        row.append(member.gap)
      rows.append(tuple(row))
  columns = [Column('family'), Column('model'), Column('million parameters', 'count')]
  columns += [Column(g, 'percent') for g in groups] + ([Column('gap, points', 'points')] if both else [])
  return Table('scaling', 'Accuracy by size of the model', tuple(columns), rows)
