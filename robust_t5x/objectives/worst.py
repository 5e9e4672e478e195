"""Objectives that weigh an example's phrasings by how badly they do.

The groups of distributionally robust optimisation are here the K phrasings of an example. Paraphrases are drawn anew
for each example and step, so that phrasing i of one is not phrasing i of another: there are no weights to carry from
step to step, and nothing to exchange between devices.

L_i is the mean cross-entropy, in nats per target token, of an example under its phrasing i.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from robust_t5x.objectives.branches import EPSILON, Branches, example_mean
from robust_t5x.objectives.divergences import target_logits
from seqio_tasks.errors import UserError


def group_dro(branches: Branches, step_size: float = 1.0) -> Float[jax.Array, '']:
  """Mean over examples of (1/η) log 1/K Σ_i exp(η L_i), in nats per target token.

  Its gradient is Σ_i q_i ∇L_i with q_i ∝ exp(η L_i): one step of group-DRO's weights from uniform ones, taken anew for
  each example (see the module). It is also max over q of Σ_i q_i L_i − KL(q ‖ uniform) / η. Between the mean, for
  η → 0, and the worst phrasing, for η → ∞.

  Args:
    branches: the batch.
    step_size: η, above 0.

  Returns:
    Scalar share.

  Source: Sagawa et al. 2020 (arXiv 1911.08731), algorithm 1; the closed form is Li et al. 2021 (arXiv 2007.01162).

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> logits = jnp.log(jnp.array([[[[0.5, 0.5]], [[0.25, 0.75]]]]))  # 1 example, K = 2, 1 token, 2 words
    >>> branches = objectives.Branches(
    ...   logits, targets=jnp.array([[0]]), weights=weights, encoded=None, encoded_mask=None, decoded=None,
    ...   normalizers=objectives.normalizers(weights)
    ... )
    >>> print(round(float(objectives.group_dro(branches)), 4))  # L is log 2 and log 4: log((2 + 4) / 2)
    1.0986
  """
  if step_size <= 0:
    raise UserError(f'group_dro.step_size is {step_size}; it must be above 0')
  losses = _example_losses(branches)
  soft = jax.nn.logsumexp(step_size * losses, axis=1) - jnp.log(losses.shape[1])
  return example_mean(soft / step_size, branches)


def cvar(branches: Branches, alpha: float = 0.5) -> Float[jax.Array, '']:
  """Mean over examples of the mean of L over the worst share α of the phrasings (CVaR), in nats per target token.

  Where α K is not whole, the last phrasing counts in part.

  Args:
    branches: the batch.
    alpha: α; 1 is the mean of all, 1/K or less the worst alone.

  Returns:
    Scalar share.

  Source: Rockafellar & Uryasev 2000, Journal of Risk 2(3); over groups as in Levy et al. 2020 (arXiv 2010.05893).

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> logits = jnp.log(jnp.array([[[[0.5, 0.5]], [[0.25, 0.75]]]]))  # 1 example, K = 2, 1 token, 2 words
    >>> branches = objectives.Branches(
    ...   logits, targets=jnp.array([[0]]), weights=weights, encoded=None, encoded_mask=None, decoded=None,
    ...   normalizers=objectives.normalizers(weights)
    ... )
    >>> print(round(float(objectives.cvar(branches, alpha=0.5)), 4))  # L is log 2 and log 4; half of two is the worst
    1.3863
    >>> print(round(float(objectives.cvar(branches, alpha=0.75)), 4))  # the worst, and half of the other: (log 4 + log 2 / 2) / 1.5
    1.1552
  """
  if not 0 < alpha <= 1:
    raise UserError(f'cvar.alpha is {alpha}; it must be above 0 and at most 1')
  losses = _example_losses(branches)
  count = max(alpha * losses.shape[1], 1.0)
  counted = jnp.clip(count - jnp.arange(losses.shape[1]), 0.0, 1.0) / count
  return example_mean((jnp.sort(losses, axis=1, descending=True) * counted).sum(axis=1), branches)


def worst_phrasing(branches: Branches) -> Float[jax.Array, '']:
  """Mean over examples of max_i L_i, in nats per target token; scalar share.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> logits = jnp.log(jnp.array([[[[0.5, 0.5]], [[0.25, 0.75]]]]))  # 1 example, K = 2, 1 token, 2 words
    >>> branches = objectives.Branches(
    ...   logits, targets=jnp.array([[0]]), weights=weights, encoded=None, encoded_mask=None, decoded=None,
    ...   normalizers=objectives.normalizers(weights)
    ... )
    >>> print(round(float(objectives.worst_phrasing(branches)), 4))  # the greater of log 2 and log 4
    1.3863
  """
  return example_mean(_example_losses(branches).max(axis=1), branches)


def _example_losses(branches: Branches) -> Float[jax.Array, 'B K']:
  """L, [B, K]; 0 for an example that is padding."""
  weights = branches.weights[:, None]
  loss = jax.nn.logsumexp(branches.logits, axis=-1) - target_logits(branches)
  return (loss * weights).sum(axis=-1) / jnp.maximum(weights.sum(axis=-1), EPSILON)
