"""Alignment objectives: losses that make equivalent phrasings of an instruction be treated alike.

An objective is a function of `Branches`, what the network gave for K phrasings of the same examples (phrasing 0 is the
canonical one), and returns a scalar. To add one, write one function and name it in gin
(`ALIGNMENT_OBJECTIVE = @objectives.my_objective`).

Every function returns its *share* of the mean over the whole batch: divided by the whole batch's normaliser, not by the
device's or microbatch's own. Shares add up, so the value and gradient on one device, on many (sum over the axis that
the normalisers name) and over microbatches are the same. docs/objectives.md has them all, with what they cost.
"""

from robust_t5x.objectives.branches import (
  Branches,
  Normalizers,
  Objective,
  example_mean,
  needed,
  needs,
  normalizers,
  token_mean,
  weighted_sum,
)
from robust_t5x.objectives.divergences import (
  anchor_to_reference,
  consensus,
  cross_entropy,
  distil_ensemble,
  distil_reference,
  jensen_shannon,
  kl_to_canonical,
  symmetric_kl,
)
from robust_t5x.objectives.representations import (
  decoder_cosine,
  decoder_distance,
  distil_prompt,
  distil_states,
  encoder_cosine,
  encoder_distance,
  info_nce,
)
from robust_t5x.objectives.worst import cvar, group_dro, worst_phrasing

__all__ = [
  'Branches',
  'Normalizers',
  'Objective',
  'anchor_to_reference',
  'consensus',
  'cross_entropy',
  'cvar',
  'decoder_cosine',
  'decoder_distance',
  'distil_ensemble',
  'distil_prompt',
  'distil_reference',
  'distil_states',
  'encoder_cosine',
  'encoder_distance',
  'example_mean',
  'group_dro',
  'info_nce',
  'jensen_shannon',
  'kl_to_canonical',
  'needed',
  'needs',
  'normalizers',
  'symmetric_kl',
  'token_mean',
  'weighted_sum',
  'worst_phrasing',
]
