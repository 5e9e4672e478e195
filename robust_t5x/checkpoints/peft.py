"""PEFT's directory of an adapter: `adapter_config.json` and `adapter_model.safetensors`.

It holds one of a LoRA, a prefix tuning and a prompt tuning. Every setting that changes what is computed is used or refused by name.
"""

from collections.abc import Mapping
import json
import os
from typing import Any

import numpy as np

from robust_t5x import adapters
from robust_t5x.adapters import AdapterError
from robust_t5x.checkpoints import peft_lora, peft_prompts
from robust_t5x.models.llama import SITE
from robust_t5x.models.protocol import NetworkConfig
from robust_t5x.models.t5 import T5Config
from robust_t5x.runtime import progress, records
from robust_t5x.runtime.files import made_beside, write_atomically
from seqio_tasks.errors import shorten

CONFIG, WEIGHTS = 'adapter_config.json', 'adapter_model.safetensors'
KINDS = ('LORA', 'PREFIX_TUNING', 'PROMPT_TUNING')
_ANYONE = frozenset(
  ('peft_type', 'task_type', 'base_model_name_or_path', 'revision', 'inference_mode', 'auto_mapping', 'peft_version')
)
# Besides what is not set: the value of a setting that changes nothing.
_PLAIN = {'bias': 'none', 'init_lora_weights': None}


def is_peft(directory: str) -> bool:
  """Whether a directory has one of PEFT's files."""
  return any(os.path.isfile(os.path.join(directory, name)) for name in (CONFIG, WEIGHTS))


def read_config(directory: str) -> dict[str, Any]:
  """`adapter_config.json`.

  Raises:
    AdapterError: if it cannot be read, is of another kind, or has a setting that we cannot compute with.
  """
  place = os.path.join(directory, CONFIG)
  if not os.path.isfile(place):
    raise AdapterError(f'{directory}: no {CONFIG}; save the adapter with save_pretrained')
  try:
    config = records.read(place, dict[str, Any], 'save the adapter with save_pretrained')
  except records.RecordError as e:
    raise AdapterError(str(e)) from e
  if 'peft_type' not in config:
    raise AdapterError(f'{place}: it has no peft_type; save the adapter with save_pretrained')
  if config['peft_type'] not in KINDS:
    raise AdapterError(f'{place}: peft_type is {shorten(repr(config["peft_type"]))}; supported are {", ".join(KINDS)}')
  known = peft_lora.HARMLESS if config['peft_type'] == 'LORA' else peft_prompts.HARMLESS
  for name, value in config.items():
    if name not in known | _ANYONE and value and value != _PLAIN.get(name) and name != 'init_lora_weights':
      raise AdapterError(
        f'{place}: {shorten(name)} is {shorten(repr(value), 60)}, which is not supported; train without it'
      )
  return config


def read(
  directory: str, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], network: NetworkConfig | None
) -> dict[str, np.ndarray]:
  """The adapter's arrays.

  Args:
    directory: the directory, for errors.
    config: what `read_config` gave.
    tensors: those of `adapter_model.safetensors`, in float32.
    network: that of the model, which a soft prompt can be read without.

  Raises:
    AdapterError: if it does not fit the network, or none is given where one is needed.
  """
  if config['peft_type'] == 'PROMPT_TUNING':
    return peft_prompts.read_prompt(directory, config, tensors)
  if network is None:
    raise AdapterError(f'{directory}: which weights it belongs to depends on the model; add --backbone CHECKPOINT')
  if config['peft_type'] == 'LORA':
    return peft_lora.read(directory, config, tensors, network)
  return peft_prompts.read_prefix(directory, config, tensors, network)


def write(
  directory: str,
  arrays: Mapping[str, np.ndarray],
  network: NetworkConfig,
  model: str | None = None,
  position: int = 0,
  beside: Mapping[str, str] | None = None,
) -> None:
  """Writes an adapter, whole or not at all.

  Args:
    directory: where to; it must not exist.
    arrays: of an adapter that fits the network.
    network: that of the model.
    model: the model's path or name on the hub, for PEFT to find it.
    position: tokens of the input that stand before a soft prompt.
    beside: name -> text of files that go there too.

  Raises:
    AdapterError: if PEFT has no place for the adapter, or for all of it.
  """
  from safetensors import numpy as safetensors

  fields, tensors = _parts(arrays, network, position)
  fields |= {
    'task_type': 'SEQ_2_SEQ_LM' if isinstance(network, T5Config) else 'CAUSAL_LM',
    'base_model_name_or_path': model,
    'inference_mode': True,
  }
  data = safetensors.save({k: np.ascontiguousarray(v, np.float32) for k, v in tensors.items()}, {'format': 'pt'})
  with made_beside(directory, progress.log) as temporary:
    os.makedirs(temporary)
    write_atomically(os.path.join(temporary, WEIGHTS), data)
    write_atomically(os.path.join(temporary, CONFIG), json.dumps(fields, indent=2).encode() + b'\n')
    for name, text in (beside or {}).items():
      write_atomically(os.path.join(temporary, name), text)


def _parts(
  arrays: Mapping[str, np.ndarray], network: NetworkConfig, position: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  config = adapters.config_of(arrays)
  if config.prefix_lengths and config.prefix_gated:
    raise AdapterError(
      "PEFT has no place for a gated prefix, which has a softmax of its own; gin/adapters/joined_prefix.gin is PEFT's prefix tuning"
    )
  parts = {'LoRA': config.lora_rank, 'a prefix': config.prefix_lengths, 'a soft prompt': config.length}
  kinds = [name for name, part in parts.items() if part]
  if len(kinds) != 1:
    raise AdapterError(f"PEFT's directory has a place for one kind of adapter; this one has {' and '.join(kinds)}")
  if config.lora_rank:
    return peft_lora.write(arrays, network)
  if config.length:
    return peft_prompts.write_prompt(arrays, position)
  if set(arrays) != {f'{SITE}_key', f'{SITE}_value'}:
    raise AdapterError(
      f"PEFT has a place for a prefix in a decoder's attention to itself alone; this one has {', '.join(sorted(arrays))}"
    )
  return peft_prompts.write_prefix(arrays, network)
