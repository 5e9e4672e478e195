"""What trains: the one place that says it.

Everything else derives from it: what is differentiated, what the optimiser holds, what a checkpoint stores, what a
restore may leave fresh and what the log prints.
"""

from collections.abc import Mapping, Sequence
import re
from typing import Any

from flax import traverse_util

from robust_t5x.models.protocol import ADAPTER, Params
from seqio_tasks.errors import UserError


class TrainableError(UserError):
  """Rules that do not cover every parameter exactly once."""


class Trainable:
  """Two lists of patterns over parameter paths such as 'encoder/layers_0/mlp/wi_0/kernel'.

  Attributes:
    train: regular expressions; a parameter whose whole path matches one of them trains.
    freeze: regular expressions; a parameter whose whole path matches one of them keeps its value.
  """

  def __init__(self, train: Sequence[str] = (f'{ADAPTER}/.*',), freeze: Sequence[str] = (f'(?!{ADAPTER}/).*',)):
    self.train = tuple(train)
    self.freeze = tuple(freeze)

  def is_trained(self, path: str) -> bool:
    """Whether the parameter at this path trains.

    Raises:
      TrainableError: if the rules cover the path twice or not at all.
    """
    train = [p for p in self.train if re.fullmatch(p, path)]
    freeze = [p for p in self.freeze if re.fullmatch(p, path)]
    if bool(train) == bool(freeze):
      problem = f'both trains ({train[0]}) and is frozen ({freeze[0]})' if train else 'is in neither list'
      raise TrainableError(
        f'parameter {path} {problem}; Trainable.train and Trainable.freeze must cover every parameter exactly once'
      )
    return bool(train)

  def split(self, params: Params) -> tuple[dict[str, Any], dict[str, Any]]:
    """Nested parameters -> (those that train, those that are frozen), both nested.

    Raises:
      TrainableError: if a parameter is covered twice or not at all, or if nothing trains.
    """
    flat = flatten(params)
    parts: tuple[dict, dict] = ({}, {})
    for path, value in flat.items():
      parts[0 if self.is_trained(path) else 1][path] = value
    if not parts[0]:
      raise TrainableError(
        f'no parameter trains: Trainable.train is {list(self.train)}; give a file of gin/adapters/, with ADAPTER_LENGTH above 0'
      )
    return unflatten(parts[0]), unflatten(parts[1])

  def trains_backbone(self, params: Params) -> bool:
    """Whether more than the adapter trains."""
    return bool(set(self.split(params)[0]) - {ADAPTER})

  def describe(self, params: Params) -> str:
    """One line that says what trains."""
    moving, frozen = map(flatten, self.split(params))
    count, rest = (sum(x.size for x in part.values()) for part in (moving, frozen))
    names = ', '.join(list(moving)[:6]) + (', ...' if len(moving) > 6 else '')
    return f'training {count:,} of {count + rest:,} parameters: {names}'


def merge(*parts: Mapping[str, Any]) -> dict[str, Any]:
  """Puts split parameters together again."""
  flat: dict[str, Any] = {}
  for part in parts:
    flat.update(flatten(part))
  return unflatten(flat)


def flatten(params: Mapping[str, Any]) -> dict[str, Any]:
  """Nested parameters -> path -> parameter."""
  return traverse_util.flatten_dict(dict(params), sep='/')


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
  """Path -> parameter, to nested parameters."""
  return traverse_util.unflatten_dict(dict(flat), sep='/')
