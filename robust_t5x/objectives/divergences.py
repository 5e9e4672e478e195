"""Objectives over output distributions: likelihood, and divergences between phrasings or from the frozen model."""

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float

from robust_t5x.objectives.branches import Branches, needs, token_mean
from seqio_tasks.errors import UserError


def cross_entropy(branches: Branches, label_smoothing: float = 0.0, z_loss: float = 0.0) -> Float[jax.Array, '']:
  """Mean cross-entropy of the target under all K phrasings, in nats per target token.

  Args:
    branches: the batch.
    label_smoothing: probability mass spread evenly over the vocabulary; the constant that makes a perfect fit 0 is
      subtracted.
    z_loss: weight of log(Z)², which keeps the softmax normaliser near 1.

  Returns:
    Scalar share.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> logits = jnp.log(jnp.array([[[[0.5, 0.5]], [[0.25, 0.75]]]]))  # 1 example, K = 2, 1 token, 2 words
    >>> branches = objectives.Branches(
    ...   logits, targets=jnp.array([[0]]), weights=weights, encoded=None, encoded_mask=None, decoded=None,
    ...   normalizers=objectives.normalizers(weights)
    ... )
    >>> print(round(float(objectives.cross_entropy(branches)), 4))  # (log 2 + log 4) / 2
    1.0397
  """
  log_z = jax.nn.logsumexp(branches.logits, axis=-1)  # [B, K, L]
  loss = log_z - target_logits(branches)
  if label_smoothing:
    classes = branches.logits.shape[-1]
    low = label_smoothing / (classes - 1)
    high = 1.0 - label_smoothing
    mean_loss = log_z * classes - branches.logits.sum(axis=-1)  # sum over classes of -log p
    loss = high * loss + low * (mean_loss - loss)
    loss += high * jnp.log(high) + (classes - 1) * low * jnp.log(low + 1e-20)
  loss += z_loss * jnp.square(log_z)
  return token_mean(loss.mean(axis=1), branches)


def target_logits(branches: Branches) -> Float[jax.Array, 'B K L']:
  """The targets' logits under each phrasing, [B, K, L]."""
  targets = branches.targets[:, None, :, None]
  return jnp.take_along_axis(branches.logits, targets, axis=-1)[..., 0]


def kl_to_canonical(
  branches: Branches, direction: str = 'from_canonical', stop_gradient: bool = True
) -> Float[jax.Array, '']:
  """Mean KL divergence between the canonical phrasing r and each other phrasing i, in nats per target token.

  Args:
    branches: the batch; K of at least 2.
    direction: 'from_canonical' is KL(p_r ‖ p_i), 'to_canonical' is KL(p_i ‖ p_r).
    stop_gradient: treat p_r as a constant, so that the others move towards it and not it towards them.

  Returns:
    Scalar share, averaged over the K − 1 other phrasings and the target tokens.

  Source: Sun, Shaib & Wallace 2024 (arXiv 2306.11270), section 5.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> logits = jnp.log(jnp.array([[[[0.5, 0.5]], [[0.25, 0.75]]]]))  # 1 example, K = 2, 1 token, 2 words
    >>> branches = objectives.Branches(
    ...   logits, targets=jnp.array([[0]]), weights=weights, encoded=None, encoded_mask=None, decoded=None,
    ...   normalizers=objectives.normalizers(weights)
    ... )
    >>> print(round(float(objectives.kl_to_canonical(branches)), 4))  # (log 2 + log 2/3) / 2
    0.1438
    >>> print(round(float(objectives.kl_to_canonical(branches, direction='to_canonical')), 4))  # 1/4 log 1/2 + 3/4 log 3/2
    0.1308
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
    raise UserError(f"kl_to_canonical.direction is {direction!r}; use 'from_canonical' or 'to_canonical'")
  return token_mean(divergence.mean(axis=1), branches)


def symmetric_kl(branches: Branches) -> Float[jax.Array, '']:
  """Mean of (KL(p_r ‖ p_i) + KL(p_i ‖ p_r)) / 2 between the canonical phrasing r and each other one, in nats per token.

  Both move, as in the source.

  Args:
    branches: the batch; K of at least 2.

  Returns:
    Scalar share, averaged over the K − 1 other phrasings and the target tokens.

  Source: R-Drop (Liang et al. 2021, arXiv 2106.14448), with phrasings in the place of dropout masks.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> logits = jnp.log(jnp.array([[[[0.5, 0.5]], [[0.25, 0.75]]]]))  # 1 example, K = 2, 1 token, 2 words
    >>> branches = objectives.Branches(
    ...   logits, targets=jnp.array([[0]]), weights=weights, encoded=None, encoded_mask=None, decoded=None,
    ...   normalizers=objectives.normalizers(weights)
    ... )
    >>> print(round(float(objectives.symmetric_kl(branches)), 4))  # (0.1438 + 0.1308) / 2, see kl_to_canonical
    0.1373
  """
  log_p = jax.nn.log_softmax(branches.logits, axis=-1)
  canonical, others = log_p[:, :1], log_p[:, 1:]
  # KL(p ‖ q) + KL(q ‖ p) = Σ (p − q)(log p − log q)
  divergence = ((jnp.exp(canonical) - jnp.exp(others)) * (canonical - others)).sum(axis=-1) / 2
  return token_mean(divergence.mean(axis=1), branches)


def jensen_shannon(branches: Branches) -> Float[jax.Array, '']:
  """Mean KL divergence from each phrasing's distribution to the mean of all K, in nats per target token.

  The generalised Jensen–Shannon divergence with equal weights (Lin 1991); between 0 and log K.

  Args:
    branches: the batch; K of at least 2.

  Returns:
    Scalar share.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> logits = jnp.log(jnp.array([[[[0.75, 0.25]], [[0.25, 0.75]]]]))  # 1 example, K = 2, 1 token, 2 words
    >>> branches = objectives.Branches(
    ...   logits, targets=jnp.array([[0]]), weights=weights, encoded=None, encoded_mask=None, decoded=None,
    ...   normalizers=objectives.normalizers(weights)
    ... )
    >>> print(round(float(objectives.jensen_shannon(branches)), 4))  # the mean is even: 3/4 log 3/2 + 1/4 log 1/2
    0.1308
  """
  log_p = jax.nn.log_softmax(branches.logits, axis=-1)
  return token_mean(_kl(log_p, _log_mean(log_p)).mean(axis=1), branches)


def consensus(branches: Branches) -> Float[jax.Array, '']:
  """Mean KL(sg m ‖ p_i) from the phrasings' mean distribution m = 1/K Σ p_i, a constant, in nats per target token.

  Each phrasing is taught by what the K agree on; no phrasing is canonical. Over the whole vocabulary at each target
  token, since training batches carry the answer and not its alternatives, and most tasks have none; the source takes
  the distribution over a task's answer options, and a phrasing drawn at random as the teacher.

  Args:
    branches: the batch; K of at least 2.

  Returns:
    Scalar share, averaged over the K phrasings and the target tokens; 0 where they agree.

  Source: swarm distillation (Zhou et al. 2022, arXiv 2205.00049).

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> logits = jnp.log(jnp.array([[[[0.75, 0.25]], [[0.25, 0.75]]]]))  # 1 example, K = 2, 1 token, 2 words
    >>> branches = objectives.Branches(
    ...   logits, targets=jnp.array([[0]]), weights=weights, encoded=None, encoded_mask=None, decoded=None,
    ...   normalizers=objectives.normalizers(weights)
    ... )
    >>> print(round(float(objectives.consensus(branches)), 4))  # the mean is even: (log 2/3 + log 2) / 2
    0.1438
  """
  return _taught(_log_mean(jax.nn.log_softmax(branches.logits, axis=-1)), branches)


@needs('reference')
def distil_reference(branches: Branches) -> Float[jax.Array, '']:
  """Mean KL(p_0 ‖ p_i) from the frozen model's answer to the canonical phrasing, in nats per target token.

  p_0 is the frozen model's distribution under the canonical phrasing, without the adapter; i runs over all K phrasings
  with it, the canonical one included. So the paraphrases are drawn to what the model answers where it knows the
  instruction, and the adapter is held to change nothing there. Teacher-forced on the batch's targets; with
  ALIGNMENT_WEIGHT = 1 their likelihood plays no part.

  Args:
    branches: the batch, with `reference`.

  Returns:
    Scalar share, averaged over the K phrasings and the target tokens.

  Source: knowledge distillation (Hinton, Vinyals & Dean 2015, arXiv 1503.02531), from the model to itself.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> logits = jnp.log(jnp.array([[[[0.5, 0.5]], [[0.25, 0.75]]]]))  # 1 example, K = 2, 1 token, 2 words
    >>> branches = objectives.Branches(
    ...   logits, targets=jnp.array([[0]]), weights=weights, encoded=None, encoded_mask=None, decoded=None,
    ...   normalizers=objectives.normalizers(weights), reference=jnp.log(jnp.array([[[0.5, 0.5]]]))
    ... )
    >>> print(round(float(objectives.distil_reference(branches)), 4))  # nothing for the first, 0.1438 for the second
    0.0719
  """
  return _taught(_log_reference(branches)[:, None], branches)


@needs('references')
def distil_ensemble(branches: Branches) -> Float[jax.Array, '']:
  """Mean KL(m_0 ‖ p_i) from the frozen model's mean distribution over the phrasings, in nats per target token.

  m_0 = 1/K Σ p_0i is what the frozen model says under all K phrasings taken together, without the adapter; each phrasing is taught
  to say it alone. So the student has for one pass what the ensemble has for K, its baseline (analysis.remedies.ensemble). Over the
  whole vocabulary at each target token, as `consensus`, whose teacher moves with the student.

  Args:
    branches: the batch, with `references`; K of at least 2.

  Returns:
    Scalar share, averaged over the K phrasings and the target tokens.

  Source: ensemble distillation (Hinton, Vinyals & Dean 2015, arXiv 1503.02531), over phrasings instead of models.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> logits = jnp.log(jnp.array([[[[0.5, 0.5]], [[0.25, 0.75]]]]))  # 1 example, K = 2, 1 token, 2 words
    >>> branches = objectives.Branches(
    ...   logits, targets=jnp.array([[0]]), weights=weights, encoded=None, encoded_mask=None, decoded=None,
    ...   normalizers=objectives.normalizers(weights),
    ...   references=jnp.log(jnp.array([[[[0.75, 0.25]], [[0.25, 0.75]]]])),
    ... )
    >>> print(round(float(objectives.distil_ensemble(branches)), 4))  # the mean is even: (0 + (log 2 + log 2/3) / 2) / 2
    0.0719
  """
  assert branches.references is not None  # as it says that it needs
  return _taught(_log_mean(jax.nn.log_softmax(branches.references, axis=-1)), branches)


@needs('reference')
def anchor_to_reference(branches: Branches) -> Float[jax.Array, '']:
  """Mean KL(p_0 ‖ p_r) on the canonical phrasing alone, in nats per target token: what the adapter changes there.

  The term of `distil_reference` for the canonical phrasing; for `weighted_sum`, beside an objective that moves the
  paraphrases.

  Args:
    branches: the batch, with `reference`.

  Returns:
    Scalar share.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> logits = jnp.log(jnp.array([[[[0.25, 0.75]], [[0.5, 0.5]]]]))  # 1 example, K = 2, 1 token, 2 words
    >>> branches = objectives.Branches(
    ...   logits, targets=jnp.array([[0]]), weights=weights, encoded=None, encoded_mask=None, decoded=None,
    ...   normalizers=objectives.normalizers(weights), reference=jnp.log(jnp.array([[[0.5, 0.5]]]))
    ... )
    >>> print(round(float(objectives.anchor_to_reference(branches)), 4))  # (log 2 + log 2/3) / 2, of the first alone
    0.1438
  """
  log_p = jax.nn.log_softmax(branches.logits[:, 0], axis=-1)
  return token_mean(_kl(_log_reference(branches), log_p), branches)


def _taught(log_teacher: Float[jax.Array, 'B 1 L V'], branches: Branches) -> Float[jax.Array, '']:
  """Share of the mean KL of every phrasing from a teacher, which is held still."""
  log_p = jax.nn.log_softmax(branches.logits, axis=-1)
  return token_mean(_kl(lax.stop_gradient(log_teacher), log_p).mean(axis=1), branches)


def _log_reference(branches: Branches) -> Float[jax.Array, 'B L V']:
  """log p_0 [B, L, V], a constant."""
  assert branches.reference is not None  # as those who ask say that they need
  return lax.stop_gradient(jax.nn.log_softmax(branches.reference, axis=-1))


def _log_mean(log_p: Float[jax.Array, 'B K L V']) -> Float[jax.Array, 'B 1 L V']:
  """log of the phrasings' mean distribution."""
  return jax.nn.logsumexp(log_p, axis=1, keepdims=True) - jnp.log(log_p.shape[1])


def _kl(log_p: jax.Array, log_q: jax.Array) -> jax.Array:
  """KL(p ‖ q) over the last axis, from log probabilities."""
  return (jnp.exp(log_p) * (log_p - log_q)).sum(axis=-1)
