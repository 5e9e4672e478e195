"""Alignment objectives: losses that make equivalent phrasings of an instruction be treated alike.

An objective is a function of `Branches`, what the network gave for K phrasings of the same examples (phrasing 0 is the
canonical one), and returns a scalar. To add one, write one function here and name it in gin
(`ALIGNMENT_OBJECTIVE = @my_objective`).

Every function returns its *share* of the mean over the whole batch: divided by the whole batch's normaliser, not by the
device's or microbatch's own. Shares add up, so the value and gradient on one device, on many (sum over `axis_name`)
and over microbatches are the same.

Shape letters: B batch, K phrasings, L target tokens, S encoder positions, D model width, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

EPSILON = 1e-9


class Normalizers(NamedTuple):
  """Totals over the whole batch that means are taken by, float32 scalars."""

  tokens: jax.Array  # sum of the target weights
  examples: jax.Array  # examples with any target weight


class Branches(NamedTuple):
  """What the network gave for K phrasings of B examples, teacher-forced on the shared target."""

  logits: jax.Array  # [B, K, L, V]
  targets: jax.Array  # int [B, L]
  weights: jax.Array  # float [B, L], 0 on padding
  encoded: jax.Array  # [B, K, S, D]
  encoded_mask: jax.Array  # int [B, K, S]
  normalizers: Normalizers
  reference: jax.Array | None = None  # [B, L, V], see needs_reference; no gradient flows through it


Objective = Callable[[Branches], jax.Array]


def normalizers(weights: jax.Array, axis_name: str | None = None) -> Normalizers:
  """Totals of a batch's target weights [B, L], summed over the devices of `axis_name` if given."""
  weights = weights.astype(jnp.float32)
  totals = Normalizers(weights.sum(), (weights.sum(axis=-1) > 0).sum().astype(jnp.float32))
  if axis_name is not None:
    totals = lax.psum(totals, axis_name)
  return Normalizers(*(jnp.maximum(x, EPSILON) for x in totals))


def token_mean(values: jax.Array, branches: Branches) -> jax.Array:
  """Share of the mean over target tokens; values [B, L]."""
  return (values * branches.weights).sum() / branches.normalizers.tokens


def example_mean(values: jax.Array, branches: Branches) -> jax.Array:
  """Share of the mean over examples; values [B]."""
  real = (branches.weights.sum(axis=-1) > 0).astype(values.dtype)
  return (values * real).sum() / branches.normalizers.examples


def cross_entropy(branches: Branches, label_smoothing: float = 0.0, z_loss: float = 0.0) -> jax.Array:
  """Mean cross-entropy of the target under all K phrasings, in nats per target token.

  Args:
    branches: the batch.
    label_smoothing: probability mass spread evenly over the vocabulary; the constant that makes a perfect fit 0 is
      subtracted.
    z_loss: weight of log(Z)², which keeps the softmax normaliser near 1.

  Returns:
    Scalar share.
  """
  log_z = jax.nn.logsumexp(branches.logits, axis=-1)  # [B, K, L]
  targets = branches.targets[:, None, :, None]
  chosen = jnp.take_along_axis(branches.logits, targets, axis=-1)[..., 0]
  loss = log_z - chosen
  if label_smoothing:
    classes = branches.logits.shape[-1]
    low = label_smoothing / (classes - 1)
    high = 1.0 - label_smoothing
    mean_loss = log_z * classes - branches.logits.sum(axis=-1)  # sum over classes of -log p
    loss = high * loss + low * (mean_loss - loss)
    loss += high * jnp.log(high) + (classes - 1) * low * jnp.log(low + 1e-20)
  loss += z_loss * jnp.square(log_z)
  return token_mean(loss.mean(axis=1), branches)


def kl_to_canonical(branches: Branches, direction: str = 'from_canonical', stop_gradient: bool = True) -> jax.Array:
  """Mean KL divergence between the canonical phrasing r and each other phrasing i, in nats per target token.

  Args:
    branches: the batch; K of at least 2.
    direction: 'from_canonical' is KL(p_r ‖ p_i), 'to_canonical' is KL(p_i ‖ p_r).
    stop_gradient: treat p_r as a constant, so that the others move towards it and not it towards them.

  Returns:
    Scalar share, averaged over the K − 1 other phrasings and the target tokens.

  Source: Sun, Shaib & Wallace 2024 (arXiv 2306.11270), section 5.
  """
  log_p = jax.nn.log_softmax(branches.logits, axis=-1)
  canonical = log_p[:, :1]
  if stop_gradient:
    canonical = lax.stop_gradient(canonical)
  others = log_p[:, 1:]
  if direction == 'from_canonical':
    divergence = _kl(canonical, others)
  elif direction == 'to_canonical':
    divergence = _kl(others, canonical)
  else:
    raise ValueError(f"kl_to_canonical.direction is {direction!r}; use 'from_canonical' or 'to_canonical'")
  return token_mean(divergence.mean(axis=1), branches)


def jensen_shannon(branches: Branches) -> jax.Array:
  """Mean KL divergence from each phrasing's distribution to the mean of all K, in nats per target token.

  The generalised Jensen–Shannon divergence with equal weights (Lin 1991); between 0 and log K.

  Args:
    branches: the batch; K of at least 2.

  Returns:
    Scalar share.
  """
  log_p = jax.nn.log_softmax(branches.logits, axis=-1)
  log_mean = jax.nn.logsumexp(log_p, axis=1, keepdims=True) - jnp.log(log_p.shape[1])
  return token_mean(_kl(log_p, log_mean).mean(axis=1), branches)


def encoder_cosine(branches: Branches, stop_gradient: bool = True) -> jax.Array:
  """Mean of 1 − cos between the mean encoder state under the canonical phrasing and under each other one.

  Args:
    branches: the batch; K of at least 2.
    stop_gradient: treat the canonical representation as a constant.

  Returns:
    Scalar share, averaged over the K − 1 other phrasings and the examples; between 0 and 2.
  """
  dtype = jnp.promote_types(branches.encoded.dtype, jnp.float32)
  mask = branches.encoded_mask[..., None].astype(dtype)
  states = branches.encoded.astype(dtype)
  mean = (states * mask).sum(axis=2) / jnp.maximum(mask.sum(axis=2), 1.0)  # [B, K, D]
  unit = mean * lax.rsqrt(jnp.square(mean).sum(axis=-1, keepdims=True) + EPSILON)
  canonical = lax.stop_gradient(unit[:, :1]) if stop_gradient else unit[:, :1]
  distance = 1.0 - (canonical * unit[:, 1:]).sum(axis=-1)  # [B, K - 1]
  return example_mean(distance.mean(axis=1), branches)


def needs(*fields: str) -> Callable[[Objective], Objective]:
  """Decorator: the fields of Branches that an objective reads and that are computed for those that ask only."""

  def mark(objective):
    objective.needs = fields
    return objective

  return mark


def needs_reference(objective: Any) -> bool:
  """Whether an objective compares with the frozen model, without a prompt, on the canonical phrasing."""
  return 'reference' in getattr(objective, 'needs', ())


@needs('reference')
def distil_reference(branches: Branches) -> jax.Array:
  """Mean KL(p_0 ‖ p_i) from the frozen model's answer to the canonical phrasing, in nats per target token.

  p_0 is the frozen model's distribution under the canonical phrasing, without the prompt; i runs over all K phrasings
  with it, the canonical one included. So the paraphrases are drawn to what the model answers where it knows the
  instruction, and the prompt is held to change nothing there. Teacher-forced on the batch's targets; with
  ALIGNMENT_WEIGHT = 1 their likelihood plays no part.

  Args:
    branches: the batch, with `reference`.

  Returns:
    Scalar share, averaged over the K phrasings and the target tokens.

  Source: knowledge distillation (Hinton, Vinyals & Dean 2015, arXiv 1503.02531), from the model to itself.
  """
  log_p = jax.nn.log_softmax(branches.logits, axis=-1)
  return token_mean(_kl(_log_reference(branches)[:, None], log_p).mean(axis=1), branches)


@needs('reference')
def anchor_to_reference(branches: Branches) -> jax.Array:
  """Mean KL(p_0 ‖ p_r) on the canonical phrasing alone, in nats per target token: what the prompt changes there.

  The term of `distil_reference` for the canonical phrasing; for `weighted_sum`, beside an objective that moves the
  paraphrases.

  Args:
    branches: the batch, with `reference`.

  Returns:
    Scalar share.
  """
  log_p = jax.nn.log_softmax(branches.logits[:, 0], axis=-1)
  return token_mean(_kl(_log_reference(branches), log_p), branches)


def weighted_sum(terms: Sequence[Objective], weights: Sequence[float]) -> Objective:
  """An objective that adds up others, each times its weight.

  Raises:
    ValueError: unless there is one weight for each objective, and at least one.
  """
  if not terms or len(terms) != len(weights):
    raise ValueError(f'weighted_sum: {len(terms)} terms and {len(weights)} weights; give a weight for each')

  def total(branches):
    return sum(weight * term(branches) for weight, term in zip(weights, terms, strict=True))

  return needs(*{field for term in terms for field in getattr(term, 'needs', ())})(total)


def _log_reference(branches: Branches) -> jax.Array:
  """log p_0 [B, L, V], a constant."""
  if branches.reference is None:
    raise ValueError('the batch has no reference distribution; mark the objective with needs("reference")')
  return lax.stop_gradient(jax.nn.log_softmax(branches.reference, axis=-1))


def _kl(log_p: jax.Array, log_q: jax.Array) -> jax.Array:
  """KL(p ‖ q) over the last axis, from log probabilities."""
  return (jnp.exp(log_p) * (log_p - log_q)).sum(axis=-1)
