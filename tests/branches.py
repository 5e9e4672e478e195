"""All objectives, and outputs of a network to try them on."""

import functools
import math

import jax.numpy as jnp
import numpy as np

from robust_t5x import objectives

ALL = {
  'cross_entropy': objectives.cross_entropy,
  'cross_entropy_smoothed': functools.partial(objectives.cross_entropy, label_smoothing=0.1, z_loss=1e-2),
  'kl_from_canonical': functools.partial(objectives.kl_to_canonical, stop_gradient=False),
  'kl_to_canonical': functools.partial(objectives.kl_to_canonical, direction='to_canonical', stop_gradient=False),
  'jensen_shannon': objectives.jensen_shannon,
  'symmetric_kl': objectives.symmetric_kl,
  'encoder_cosine': functools.partial(objectives.encoder_cosine, stop_gradient=False),
  'encoder_distance': functools.partial(objectives.encoder_distance, stop_gradient=False),
  'decoder_cosine': functools.partial(objectives.decoder_cosine, stop_gradient=False),
  'decoder_distance': functools.partial(objectives.decoder_distance, stop_gradient=False),
  'info_nce': functools.partial(objectives.info_nce, temperature=0.5),
  'group_dro': functools.partial(objectives.group_dro, step_size=0.8),
  'cvar': functools.partial(objectives.cvar, alpha=0.5),  # 1.5 of 3 phrasings
  'worst_phrasing': objectives.worst_phrasing,
  'distil_prompt': objectives.distil_prompt,
  'distil_reference': objectives.distil_reference,
  'distil_ensemble': objectives.distil_ensemble,
  'distil_states': objectives.distil_states,
  'anchor_to_reference': objectives.anchor_to_reference,
  'kl_anchored': objectives.weighted_sum(
    [functools.partial(objectives.kl_to_canonical, stop_gradient=False), objectives.anchor_to_reference], [0.7, 2.0]
  ),
}
# Consensus holds a mean still, so that its gradient is not that of its value.
EVERY = {**ALL, 'consensus': objectives.consensus}
REFERENCE = (0.5, 0.375, 0.125)
P, Q = (0.5, 0.25, 0.25), (0.25, 0.25, 0.5)
KL_PQ = 0.5 * math.log(2) + 0.25 * math.log(0.5)  # also KL(q, p), by symmetry
KL_REFERENCE = [sum(r * math.log(r / x) for r, x in zip(REFERENCE, d, strict=True)) for d in (P, Q)]
MOVING = ('logits', 'encoded', 'decoded', 'tail')


def random_branches(seed=0, batch=8, phrasings=3, length=4, classes=5):
  """Random outputs, with padding and an example that is nothing else."""
  rng = np.random.default_rng(seed)
  weights = (rng.random((batch, length)) < 0.7).astype(np.float32)
  weights[1] = 0  # an example that is all padding
  mask = (rng.random((batch, phrasings, 6)) < 0.8).astype(np.int32)
  return objectives.Branches(
    logits=jnp.asarray(rng.normal(size=(batch, phrasings, length, classes)), jnp.float32),
    targets=jnp.asarray(rng.integers(0, classes, (batch, length))),
    weights=jnp.asarray(weights),
    encoded=jnp.asarray(rng.normal(size=(batch, phrasings, 6, 7)), jnp.float32),
    encoded_mask=jnp.asarray(mask),
    normalizers=objectives.normalizers(jnp.asarray(weights)),
    decoded=jnp.asarray(rng.normal(size=(batch, phrasings, length, 7)), jnp.float32),
    reference=jnp.asarray(rng.normal(size=(batch, length, classes)), jnp.float32),
    reference_decoded=jnp.asarray(rng.normal(size=(batch, length, 7)), jnp.float32),
    references=jnp.asarray(rng.normal(size=(batch, phrasings, length, classes)), jnp.float32),
    tail=jnp.asarray(rng.normal(size=(batch, phrasings, 3, 2, 7)), jnp.float32),
    reference_tail=jnp.asarray(rng.normal(size=(batch, 3, 2, 7)), jnp.float32),
  )


def two_phrasings(p, q, target=0):
  """One example with one target token, distributions p (canonical) and q."""
  logits = jnp.log(jnp.asarray([[[p], [q]]], jnp.float32))
  weights = jnp.ones((1, 1))
  encoded = jnp.asarray([[[[1.0, 0.0]], [[1.0, 1.0]]]])
  return objectives.Branches(
    logits,
    jnp.asarray([[target]]),
    weights,
    encoded,
    jnp.ones((1, 2, 1), jnp.int32),
    jnp.asarray([[[[0.0, 2.0]], [[0.0, -1.0]]]]),
    objectives.normalizers(weights),
    jnp.log(jnp.asarray([[REFERENCE]])),
    jnp.asarray([[[1.0, 2.0]]]),
    jnp.log(jnp.asarray([[[REFERENCE], [Q]]])),
  )


def agreeing(branches):
  """The branches with the first phrasing's outputs for all three."""
  return branches._replace(
    logits=jnp.repeat(branches.logits[:, :1], 3, axis=1),
    encoded=jnp.repeat(branches.encoded[:, :1], 3, axis=1),
    encoded_mask=jnp.repeat(branches.encoded_mask[:, :1], 3, axis=1),
    decoded=jnp.repeat(branches.decoded[:, :1], 3, axis=1),
  )
