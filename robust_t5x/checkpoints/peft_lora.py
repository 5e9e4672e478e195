"""LoRA in PEFT's layout: `lora_A` [R, inputs] and `lora_B` [outputs, R] of each linear map, scaled by α / R.

Ours has no scale, so α / R goes into the second factor, and one rank for all: factors of a smaller rank are filled up with zeros,
and so are projections and layers without an addition. The product is the same.
"""

from collections.abc import Collection, Mapping
import math
import re
from typing import Any, Required, TypedDict

import numpy as np

from robust_t5x.adapters import AdapterConfig, AdapterError, config_of, parameters
from robust_t5x.checkpoints import lora_weights
from robust_t5x.models.protocol import NetworkConfig
from robust_t5x.runtime import records
from seqio_tasks.errors import shorten

_PREFIX = 'base_model.model.'


class _Fields(TypedDict, total=False):
  r: Required[int]
  lora_alpha: Required[int | float]
  use_rslora: bool | None
  rank_pattern: dict[str, int] | None
  alpha_pattern: dict[str, int | float] | None


# What says how a LoRA was made and trained, and changes nothing of what its factors add.
HARMLESS = frozenset(
  (
    *_Fields.__annotations__, 'target_modules', 'exclude_modules', 'lora_dropout', 'layers_to_transform', 'layers_pattern',
    'megatron_core', 'loftq_config', 'eva_config', 'qalora_group_size', 'runtime_config', 'ensure_weight_tying',
  )
)  # fmt: skip
# Initial values that leave the model's own weights as they are; the others take the first values out of them.
_STARTS = (True, False, None, 'gaussian', 'eva', 'orthogonal')


def read(path: str, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], network: NetworkConfig):
  """The adapter's arrays.

  Args:
    path: of the directory, for errors.
    config: adapter_config.json.
    tensors: those of PEFT, by name.
    network: that of the model.

  Raises:
    AdapterError: if the additions are not those of a LoRA to this network's attentions and MLPs.
  """
  fault = records.fault(dict(config), _Fields)
  if fault:
    raise AdapterError(f'{path}/adapter_config.json: {fault}; save the adapter with save_pretrained')
  start = config.get('init_lora_weights', True)
  if not any(start is known or isinstance(start, str) and start == known for known in _STARTS):
    raise AdapterError(
      f'{path}/adapter_config.json: init_lora_weights is {shorten(repr(start))}, which changes the weights of the model itself; '
      'save the adapter with path_initial_model_for_weight_conversion, which makes a plain LoRA of it'
    )
  places = {weight.theirs: weight for weight in lora_weights.weights(network)}
  factors: dict[str, dict[str, np.ndarray]] = {}
  for name, array in tensors.items():
    found = re.fullmatch(rf'{re.escape(_PREFIX)}(.+)\.lora_(A|B)\.weight', name)
    if found is None or found[1] not in places:
      raise AdapterError(
        f'{path}: holds {shorten(name)}, which adds to no attention or MLP of this model; LoRA in linear maps of these is supported'
      )
    factors.setdefault(found[1], {})[found[2]] = array
  made = {module: _factors(path, config, places[module], pair) for module, pair in factors.items()}
  if not made:
    raise AdapterError(f'{path}: holds no LoRA; save the adapter with save_pretrained')
  _check_complete(path, config, places, made)
  kinds = {places[module].name.split('_lora_')[1].partition('_')[0] for module in made}
  rank = max(len(up) for _, up in made.values())
  needed = parameters(AdapterConfig(lora_rank=rank, lora_projections=sorted(kinds)), network)
  arrays = {name: np.zeros(p.shape, np.float32) for name, p in needed.items()}
  for module, (down, up) in made.items():
    weight, own = places[module], len(up)
    stacked = arrays[f'{weight.name}_down'][weight.layer], arrays[f'{weight.name}_up'][weight.layer]
    stacked[0][..., :own] = down.reshape(*stacked[0].shape[:-1], own)
    stacked[1][:own] = up.reshape(own, *stacked[1].shape[1:])
  return arrays


def _check_complete(path: str, config: Mapping[str, Any], places: Collection[str], made: Collection[str]) -> None:
  """AdapterError if a linear map that the configuration names has no factors, which would be read as an addition of nothing."""
  targets = config.get('target_modules')
  # Which layers and modules are left out has rules of its own.
  if not isinstance(targets, list) or config.get('layers_to_transform') is not None or config.get('exclude_modules'):
    return
  missing = [p for p in places if p not in made and any(p == t or p.endswith(f'.{t}') for t in targets)]
  if missing:
    raise AdapterError(
      f'{path}: has no LoRA for {shorten(missing[0])} and {len(missing) - 1} more that target_modules of adapter_config.json names; '
      'copy adapter_model.safetensors again'
    )


def _factors(
  path: str, config: Mapping[str, Any], weight: lora_weights.Weight, pair: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
  """(down [inputs, R], up [R, outputs]) of one linear map, the scale within."""
  inputs, outputs = weight.shape
  rank = _by_pattern(path, config, 'rank_pattern', weight.theirs, config['r'])
  expected = {'A': (rank, inputs), 'B': (outputs, rank)}
  shapes = {name: array.shape for name, array in pair.items()}
  if rank < 1 or shapes != expected:
    said = ' and '.join(f'lora_{name} {list(shape)}' for name, shape in sorted(shapes.items()))
    raise AdapterError(
      f'{path}: {weight.theirs} has {said}; by adapter_config.json and the model they are A {list(expected["A"])} and '
      f'B {list(expected["B"])}; use the model that it was trained on, and files of one adapter'
    )
  alpha = _by_pattern(path, config, 'alpha_pattern', weight.theirs, config['lora_alpha'])
  try:
    up = pair['B'].T * np.float32(alpha / (math.sqrt(rank) if config.get('use_rslora') else rank))
  except OverflowError:
    up = np.full(1, np.inf)
  if not np.isfinite(up).all():
    raise AdapterError(
      f'{path}/adapter_config.json: {weight.theirs} is scaled by {shorten(alpha)}, too much for float32'
    )
  return pair['A'].T, up


def _by_pattern(path: str, config: Mapping[str, Any], field: str, module: str, otherwise: Any) -> Any:
  """What a table of patterns says of a linear map: the first that matches the end of its name, as PEFT reads them."""
  for pattern, value in (config.get(field) or {}).items():
    try:
      if re.match(rf'(.*\.)?({pattern})$', module):
        return value
    except re.error as e:
      raise AdapterError(f'{path}/adapter_config.json: {field} has {shorten(repr(pattern))}, no pattern ({e})') from e
  return otherwise


def write(arrays: Mapping[str, np.ndarray], network: NetworkConfig) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """PEFT's fields and tensors of an adapter of LoRA alone."""
  rank = config_of(arrays).lora_rank
  tensors, modules = {}, set()
  for weight in lora_weights.weights(network):
    if f'{weight.name}_down' in arrays:
      down, up = (arrays[f'{weight.name}_{part}'][weight.layer] for part in ('down', 'up'))
      tensors[f'{_PREFIX}{weight.theirs}.lora_A.weight'] = down.reshape(-1, rank).T
      tensors[f'{_PREFIX}{weight.theirs}.lora_B.weight'] = up.reshape(rank, -1).T
      modules.add(weight.theirs.rpartition('.')[2])
  fields = {
    'peft_type': 'LORA', 'r': rank, 'lora_alpha': rank, 'lora_dropout': 0.0, 'bias': 'none', 'fan_in_fan_out': False,
    'init_lora_weights': True, 'use_rslora': False, 'use_dora': False, 'modules_to_save': None, 'target_modules': sorted(modules),
  }  # fmt: skip
  return fields, tensors
