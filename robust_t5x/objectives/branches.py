"""What objectives are made of: the network's outputs for all phrasings, shares of means, and sums of objectives.

Shape letters: B batch, K phrasings, L target tokens, S positions of the input, D model width, V vocabulary.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float, Int

from seqio_tasks.errors import UserError

EPSILON = 1e-9


@functools.partial(jax.tree_util.register_dataclass, data_fields=['tokens', 'examples'], meta_fields=['axis_name'])
@dataclasses.dataclass(frozen=True)
class Normalizers:
  """Totals over the whole batch that means are taken by.

  Attributes:
    tokens: sum of the target weights, float32.
    examples: examples with any target weight, float32.
    axis_name: mapped axis over whose devices the batch is spread, None where the batch at hand is the whole.
  """

  tokens: Float[jax.Array, '']
  examples: Float[jax.Array, '']
  axis_name: str | None = None


class Branches(NamedTuple):
  """What the network gave for K phrasings of B examples, teacher-forced on the shared target.

  What may be None is there only for an objective that `needs` it: 'reference', 'references' or 'tail'.
  """

  logits: Float[jax.Array, 'B K L V']
  targets: Int[jax.Array, 'B L']
  weights: Float[jax.Array, 'B L']  # 0 on padding
  encoded: Float[jax.Array, 'B K S D']  # the states that the input was read to
  encoded_mask: Int[jax.Array, 'B K S']
  decoded: Float[jax.Array, 'B K L D']  # the answer's states before the output layer
  normalizers: Normalizers
  # The backbone's logits under the canonical phrasing, without adapter, and its states likewise.
  reference: Float[jax.Array, 'B L V'] | None = None
  reference_decoded: Float[jax.Array, 'B L D'] | None = None
  # The backbone's logits under every phrasing.
  references: Float[jax.Array, 'B K L V'] | None = None
  # Behind each layer, the states of the tokens that stand behind the text of every input, and those of the backbone under the
  # canonical phrasing.
  tail: Float[jax.Array, 'B K layers tail D'] | None = None
  reference_tail: Float[jax.Array, 'B layers tail D'] | None = None


Objective = Callable[[Branches], Float[jax.Array, '']]


def needs(*fields: str) -> Callable[[Objective], Objective]:
  """Decorator: what an objective reads of Branches that is computed for those that ask only: 'reference', 'references', 'tail'.

  Examples:
    >>> from robust_t5x import objectives
    >>> @objectives.needs('reference')
    ... def agreement(branches):
    ...   return -(branches.logits.argmax(-1) == branches.reference.argmax(-1)[:, None]).mean()
    >>> objectives.needed(agreement)
    frozenset({'reference'})
  """

  def mark(objective):
    objective.needs = frozenset(fields)
    return objective

  return mark


def needed(objective: Any) -> frozenset[str]:
  """What an objective, or None, asks for by `needs`.

  Examples:
    >>> from robust_t5x import objectives
    >>> objectives.needed(objectives.distil_states), objectives.needed(objectives.kl_to_canonical)
    (frozenset({'reference'}), frozenset())
  """
  while isinstance(objective, functools.partial):
    objective = objective.func
  return getattr(objective, 'needs', frozenset())


def normalizers(weights: Float[jax.Array, 'B L'], axis_name: str | None = None) -> Normalizers:
  """Totals of a batch's target weights [B, L], summed over the devices of `axis_name` if given.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> totals = objectives.normalizers(jnp.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]]))  # the last is padding
    >>> print(totals.tokens, totals.examples)
    3.0 2.0
  """
  weights = weights.astype(jnp.float32)
  tokens, examples = weights.sum(), (weights.sum(axis=-1) > 0).sum().astype(jnp.float32)
  if axis_name is not None:
    tokens, examples = lax.psum((tokens, examples), axis_name)
  return Normalizers(jnp.maximum(tokens, EPSILON), jnp.maximum(examples, EPSILON), axis_name)


def token_mean(values: Float[jax.Array, 'B L'], branches: Branches) -> Float[jax.Array, '']:
  """Share of the mean over target tokens; values [B, L].

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.array([[1.0, 1.0], [1.0, 0.0]])
    >>> branches = objectives.Branches(*[None] * 7)._replace(weights=weights, normalizers=objectives.normalizers(weights))
    >>> print(objectives.token_mean(jnp.array([[1.0, 2.0], [6.0, 9.0]]), branches))  # (1 + 2 + 6) / 3
    3.0
  """
  return (values * branches.weights).sum() / branches.normalizers.tokens


def example_mean(values: Float[jax.Array, ' B'], branches: Branches) -> Float[jax.Array, '']:
  """Share of the mean over examples; values [B].

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.array([[1.0, 1.0], [1.0, 0.0]])
    >>> branches = objectives.Branches(*[None] * 7)._replace(weights=weights, normalizers=objectives.normalizers(weights))
    >>> print(objectives.example_mean(jnp.array([1.0, 2.0]), branches))
    1.5
  """
  return (values * is_real(branches)).sum() / branches.normalizers.examples


def is_real(branches: Branches) -> Float[jax.Array, ' B']:
  """Examples that are not padding, float [B]."""
  return (branches.weights.sum(axis=-1) > 0).astype(branches.weights.dtype)


def weighted_sum(terms: Sequence[Objective], weights: Sequence[float]) -> Objective:
  """An objective that adds up others, each times its weight.

  Raises:
    ValueError: unless there is one weight for each objective, and at least one.

  Examples:
    >>> import jax.numpy as jnp
    >>> from robust_t5x import objectives
    >>> weights = jnp.ones([1, 1])
    >>> logits = jnp.log(jnp.array([[[[0.5, 0.5]], [[0.25, 0.75]]]]))  # 1 example, K = 2, 1 token, 2 words
    >>> branches = objectives.Branches(
    ...   logits, targets=jnp.array([[0]]), weights=weights, encoded=None, encoded_mask=None, decoded=None,
    ...   normalizers=objectives.normalizers(weights)
    ... )
    >>> total = objectives.weighted_sum([objectives.kl_to_canonical, objectives.cross_entropy], [2.0, 0.5])
    >>> print(round(float(total(branches)), 4))  # 2 · 0.1438 + 0.5 · 1.0397
    0.8075
  """
  if not terms or len(terms) != len(weights):
    raise UserError(f'weighted_sum: {len(terms)} terms and {len(weights)} weights; give a weight for each')

  @needs(*frozenset().union(*(needed(term) for term in terms)))
  def total(branches):
    return sum(weight * term(branches) for weight, term in zip(weights, terms, strict=True))

  return total
