"""Objectives over representations.

Distances to the canonical phrasing's state, with the adapter or in the frozen model, and a contrast with other examples'.
"""

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float

from robust_t5x.objectives.branches import EPSILON, Branches, example_mean, is_real, needs, token_mean
from seqio_tasks.errors import UserError

# Logit of a state that is no negative; finite, so that an example without negatives has a gradient.
_LEFT_OUT = -1e30


def encoder_cosine(branches: Branches, stop_gradient: bool = True) -> Float[jax.Array, '']:
  """Mean of 1 − cos between the mean encoder state under the canonical phrasing and under each other one.

  Args:
    branches: the batch; K of at least 2.
    stop_gradient: treat the canonical representation as a constant.

  Returns:
    Scalar share, averaged over the K − 1 other phrasings and the examples; between 0 and 2.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> branches = objectives.Branches(
    ...   logits=None, targets=None, weights=weights, decoded=None, normalizers=objectives.normalizers(weights),
    ...   encoded=jnp.array([[[[1.0, 0.0]], [[0.0, 2.0]]]]),  # 1 example, K = 2, 1 position, width 2
    ...   encoded_mask=jnp.ones([1, 2, 1], int),
    ... )
    >>> print(round(float(objectives.encoder_cosine(branches)), 4))  # at right angles
    1.0
  """
  return _cosine(_mean_encoded(branches), branches, stop_gradient)


def encoder_distance(branches: Branches, stop_gradient: bool = True) -> Float[jax.Array, '']:
  """As encoder_cosine, with the squared distance ‖h_i − h_r‖² / D, which sees lengths too; 0 or more.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> branches = objectives.Branches(
    ...   logits=None, targets=None, weights=weights, decoded=None, normalizers=objectives.normalizers(weights),
    ...   encoded=jnp.array([[[[1.0, 0.0]], [[1.0, 2.0]]]]),  # 1 example, K = 2, 1 position, width 2
    ...   encoded_mask=jnp.ones([1, 2, 1], int),
    ... )
    >>> print(round(float(objectives.encoder_distance(branches)), 4))  # 2² / 2
    2.0
  """
  return _distance(_mean_encoded(branches), branches, stop_gradient)


def decoder_cosine(branches: Branches, stop_gradient: bool = True) -> Float[jax.Array, '']:
  """As encoder_cosine, on the decoder's last state at the first step, from which the answer's first token is read.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> branches = objectives.Branches(
    ...   logits=None, targets=None, weights=weights, encoded=None, encoded_mask=None,
    ...   decoded=jnp.array([[[[1.0, 0.0]], [[-2.0, 0.0]]]]),  # 1 example, K = 2, 1 token, width 2
    ...   normalizers=objectives.normalizers(weights),
    ... )
    >>> print(round(float(objectives.decoder_cosine(branches)), 4))  # opposite
    2.0
  """
  return _cosine(_decoded(branches), branches, stop_gradient)


def decoder_distance(branches: Branches, stop_gradient: bool = True) -> Float[jax.Array, '']:
  """As encoder_distance, on the decoder's last state at the first step.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> branches = objectives.Branches(
    ...   logits=None, targets=None, weights=weights, encoded=None, encoded_mask=None,
    ...   decoded=jnp.array([[[[1.0, 0.0]], [[1.0, 2.0]]]]),  # 1 example, K = 2, 1 token, width 2
    ...   normalizers=objectives.normalizers(weights),
    ... )
    >>> print(round(float(objectives.decoder_distance(branches)), 4))  # 2² / 2
    2.0
  """
  return _distance(_decoded(branches), branches, stop_gradient)


@needs('reference')
def distil_states(branches: Branches) -> Float[jax.Array, '']:
  """Mean of ‖h_i − h_0‖² / ‖h_0‖² from the frozen model's decoder states under the canonical phrasing.

  h are the decoder's states at the target's tokens, before the output layer; h_0 are those without the adapter, constant;
  i runs over all K phrasings with it, the canonical one included. As distil_reference, but it has a gradient in every
  direction of the state, also where the output distributions are close to one-hot and agree.

  Args:
    branches: the batch, with the reference.

  Returns:
    Scalar share, averaged over the K phrasings and the target tokens; 0 where nothing differs.

  Source: hints (Romero et al. 2015, arXiv 1412.6550), from the model to itself, on the last layer.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> branches = objectives.Branches(
    ...   logits=None, targets=None, weights=weights, encoded=None, encoded_mask=None,
    ...   decoded=jnp.array([[[[3.0, 4.0]], [[0.0, 4.0]]]]),  # 1 example, K = 2, 1 token, width 2
    ...   normalizers=objectives.normalizers(weights),
    ...   reference_decoded=jnp.array([[[3.0, 4.0]]]),
    ... )
    >>> print(round(float(objectives.distil_states(branches)), 4))  # nothing for the first, 3² / 5² for the second
    0.18
  """
  assert branches.decoded is not None and branches.reference_decoded is not None  # as it says that it needs
  return token_mean(_from_reference(branches.decoded, branches.reference_decoded).mean(axis=1), branches)


@needs('tail')
def distil_prompt(branches: Branches) -> Float[jax.Array, '']:
  """Mean of ‖h_i − h_0‖² / ‖h_0‖² over the prompt's shared tokens, layer by layer, h_0 of the frozen model, canonical phrasing.

  The shared tokens are those behind the text of every input: the end of a chat template, such as the assistant's header, or a T5's
  end token. There the model has read the whole instruction and said nothing yet. i runs over all K phrasings with the adapter, the
  canonical one included; layers and tokens count alike.

  Args:
    branches: the batch, with the tail.

  Returns:
    Scalar share, averaged over the K phrasings, layers, tokens and examples; 0 where nothing differs.

  Source: activation consistency training (Irpan et al. 2025, arXiv 2510.27062), here relative to the state's length, so that late
    layers, whose states are long, do not decide alone.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> branches = objectives.Branches(
    ...   logits=None, targets=None, weights=weights, encoded=None, encoded_mask=None, decoded=None,
    ...   normalizers=objectives.normalizers(weights),
    ...   tail=jnp.array([[[[[3.0, 4.0]]], [[[0.0, 4.0]]]]]),  # 1 example, K = 2, 1 layer, 1 token, width 2
    ...   reference_tail=jnp.array([[[[3.0, 4.0]]]]),
    ... )
    >>> print(round(float(objectives.distil_prompt(branches)), 4))  # nothing for the first, 3² / 5² for the second
    0.18
  """
  assert branches.tail is not None and branches.reference_tail is not None  # as it says that it needs
  return example_mean(_from_reference(branches.tail, branches.reference_tail).mean(axis=(1, 2, 3)), branches)


def info_nce(branches: Branches, temperature: float = 0.1) -> Float[jax.Array, '']:
  """InfoNCE: a phrasing's mean encoder state is told from other examples' by that of another phrasing, in nats.

  For example b and ordered phrasings i ≠ j, with S = cos / τ:
    −log exp S(h_bi, h_bj) / (exp S(h_bi, h_bj) + Σ_{c ≠ b, l} exp S(h_bi, h_cl)).
  Negatives are all phrasings of the other examples, on every device of the batch's axis; padding is none. Of a batch
  that is split into microbatches, the negatives are those of the same microbatch.

  Args:
    branches: the batch; K of at least 2.
    temperature: τ, above 0.

  Returns:
    Scalar share, averaged over the K (K − 1) ordered pairs, so that it is symmetric, and the examples.

  Source: van den Oord, Li & Vinyals 2018 (arXiv 1807.03748); the symmetric form and τ as in SimCLR
    (Chen et al. 2020, arXiv 2002.05709).

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([2, 1])
    >>> first, second = [[1.0, 0.0]], [[0.0, 1.0]]  # 1 position, width 2
    >>> branches = objectives.Branches(
    ...   logits=None, targets=None, weights=weights, decoded=None, normalizers=objectives.normalizers(weights),
    ...   encoded=jnp.array([[first, first], [second, second]]),  # 2 examples, K = 2
    ...   encoded_mask=jnp.ones([2, 2, 1], int),
    ... )
    >>> print(round(float(objectives.info_nce(branches, temperature=1.0)), 4))  # log(1 + 2 / e): two negatives at right angles
    0.5514
  """
  if temperature <= 0:
    raise UserError(f'info_nce.temperature is {temperature}; it must be above 0')
  unit = _unit(_mean_encoded(branches))
  examples, phrasings, _ = unit.shape
  everyone, real = unit, is_real(branches)
  first: int | jax.Array = 0
  axis = branches.normalizers.axis_name
  if axis is not None:
    everyone, real = lax.all_gather((unit, real), axis, tiled=True)
    first = lax.axis_index(axis) * examples
  others = jnp.arange(everyone.shape[0]) != first + jnp.arange(examples)[:, None]
  negative = others & (real > 0)  # [B, all examples]
  similarity = jnp.einsum('bid,cld->bicl', unit, everyone) / temperature
  similarity = jnp.where(negative[:, None, :, None], similarity, _LEFT_OUT)
  against = jax.nn.logsumexp(similarity, axis=(2, 3))  # [B, K]
  positive = jnp.einsum('bid,bjd->bij', unit, unit) / temperature
  loss = jax.nn.softplus(against[:, :, None] - positive)  # −log of the softmax over one positive and the negatives
  pairs = ~jnp.eye(phrasings, dtype=bool)
  return example_mean((loss * pairs).sum(axis=(1, 2)) / pairs.sum(), branches)


def _mean_encoded(branches: Branches) -> Float[jax.Array, 'B K D']:
  """Mean of the encoder's states over the positions that count, [B, K, D]."""
  dtype = jnp.promote_types(branches.encoded.dtype, jnp.float32)
  mask = branches.encoded_mask[..., None].astype(dtype)
  return (branches.encoded.astype(dtype) * mask).sum(axis=2) / jnp.maximum(mask.sum(axis=2), 1.0)


def _decoded(branches: Branches) -> Float[jax.Array, 'B K D']:
  """The decoder's first state, [B, K, D], in float32 or better."""
  return branches.decoded[:, :, 0].astype(jnp.promote_types(branches.decoded.dtype, jnp.float32))


def _from_reference(
  states: Float[jax.Array, 'B K *p D'], reference: Float[jax.Array, 'B *p D']
) -> Float[jax.Array, 'B K *p']:
  """‖h_i − h_0‖² / ‖h_0‖² of states from the frozen model's, which are held still."""
  dtype = jnp.promote_types(states.dtype, jnp.float32)
  reference = lax.stop_gradient(reference).astype(dtype)[:, None]
  square = jnp.square(states.astype(dtype) - reference).sum(axis=-1)
  return square / (jnp.square(reference).sum(axis=-1) + EPSILON)


def _unit(states: Float[jax.Array, '*b D']) -> Float[jax.Array, '*b D']:
  """States of length 1."""
  return states * lax.rsqrt(jnp.square(states).sum(axis=-1, keepdims=True) + EPSILON)


def _cosine(states: jax.Array, branches: Branches, stop_gradient: bool) -> jax.Array:
  """Share of the mean of 1 − cos to the canonical phrasing; states [B, K, D]."""
  canonical, others = _apart(_unit(states), stop_gradient)
  return example_mean((1.0 - (canonical * others).sum(axis=-1)).mean(axis=1), branches)


def _distance(states: jax.Array, branches: Branches, stop_gradient: bool) -> jax.Array:
  """Share of the mean of ‖h_i − h_r‖² / D; states [B, K, D]."""
  canonical, others = _apart(states, stop_gradient)
  return example_mean(jnp.square(others - canonical).mean(axis=(1, 2)), branches)


def _apart(states: jax.Array, stop_gradient: bool) -> tuple[jax.Array, jax.Array]:
  """[B, K, D] -> (the canonical phrasing's [B, 1, D], the others' [B, K - 1, D])."""
  canonical = states[:, :1]
  return lax.stop_gradient(canonical) if stop_gradient else canonical, states[:, 1:]
