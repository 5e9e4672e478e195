"""Soft prompts outside the network: how they start, the files that hold them, and whether they fit a model.

What they are is in soft_prompt.py.
"""

import hashlib
import json
import os
import re
from typing import Any

import numpy as np

from robust_t5x.soft_prompt import PROJECTIONS, STACKS, PromptConfig, PromptError, parameters


def initialise(
  prompt: dict[str, np.ndarray], method: str, embedding: np.ndarray, vocabulary: Any, seed: int
) -> dict[str, np.ndarray]:
  """Sets the input prompt as asked; all else keeps the network's initialisation.

  Args:
    prompt: the prompt's parameters as the network initialised them; `embedding` is [P, D].
    method: 'uniform' (as the network initialised it), 'vocabulary' (rows of the embedding table of sampled pieces),
      'text:SOME TEXT' (the text's pieces, repeated or cut to P), 'labels:a,b,c' (the mean embedding of each label's
      pieces, then sampled pieces), or a path ending in .npy (array [P, D]).
    embedding: the backbone's embedding table [V, D].
    vocabulary: a seqio vocabulary, used by 'vocabulary', 'text' and 'labels'.
    seed: for the sampled pieces.

  Returns:
    The parameters with `embedding` replaced.

  Raises:
    PromptError: for an unknown method, a text without pieces, or an array of the wrong shape.
  """
  if method == 'uniform' or 'embedding' not in prompt:
    return dict(prompt)
  length, width = prompt['embedding'].shape
  rng = np.random.default_rng(seed)
  kind, _, argument = method.partition(':')
  # The first ids are control pieces (padding, end, unknown); sentinels come after the base vocabulary.
  pieces = 3 + rng.choice(vocabulary.vocab_size - vocabulary.extra_ids - 3, size=length, replace=False)
  if method == 'vocabulary':
    vectors = embedding[pieces]
  elif kind == 'text':
    ids = vocabulary.encode(argument)
    if not ids:
      raise PromptError("PROMPT_INIT: 'text:' needs a text after the colon, such as 'text:Answer the question'")
    vectors = embedding[np.resize(np.asarray(ids), length)]
  elif kind == 'labels':
    labels = [label.strip() for label in argument.split(',') if label.strip()]
    if not labels or len(labels) > length:
      raise PromptError(
        f"PROMPT_INIT: 'labels:' needs 1 to {length} labels separated by commas (the prompt's length), got {len(labels)}"
      )
    means = [embedding[np.asarray(vocabulary.encode(label))].mean(axis=0) for label in labels]
    vectors = np.concatenate([np.stack(means), embedding[pieces[len(labels) :]]])
  elif method.endswith('.npy'):
    if not os.path.exists(method):
      raise PromptError(f'PROMPT_INIT: no file {method}; give the path of a .npy array [{length}, {width}]')
    vectors = np.load(method, allow_pickle=False)
    if vectors.shape != (length, width):
      raise PromptError(
        f'PROMPT_INIT: {method} holds an array {list(vectors.shape)}, the model needs [{length}, {width}]; '
        'set PROMPT_LENGTH to its first axis and check that it belongs to this model'
      )
  else:
    raise PromptError(
      f'PROMPT_INIT: unknown method {method!r}; use uniform, vocabulary, text:..., labels:a,b,c or a path ending in .npy'
    )
  return {**prompt, 'embedding': np.asarray(vectors, np.float32)}


def save(path: str, prompt: dict[str, Any], metadata: dict[str, Any]) -> str:
  """Writes a prompt as one safetensors file, atomically.

  Args:
    path: the file to write; '.safetensors' is the usual ending.
    prompt: the parameters under `prompt`, name -> array.
    metadata: JSON values kept in the file's header; `backbone` should hold the hash of the backbone's weights.

  Returns:
    The SHA-256 of the file, hexadecimal.
  """
  from safetensors import numpy as safetensors

  from robust_t5x import results

  arrays = {name: np.ascontiguousarray(np.asarray(x, np.float32)) for name, x in prompt.items()}
  data = safetensors.save(arrays, {'robust_t5x': json.dumps(metadata, sort_keys=True)})
  if '://' not in path:
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
  results.write_atomically(path, data)
  return hashlib.sha256(data).hexdigest()


def load(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """Reads a prompt file.

  Returns:
    (parameters name -> array, metadata).

  Raises:
    PromptError: if the file is missing or is not a prompt.
  """
  import safetensors

  if not os.path.isfile(path):
    raise PromptError(f"PROMPT: no file {path}; give 'none', 'bundled' or the path of a prompt.safetensors")
  try:
    with safetensors.safe_open(path, framework='numpy') as f:
      header = f.metadata() or {}
      arrays = {name: f.get_tensor(name) for name in f.keys()}
  except safetensors.SafetensorError as e:
    raise PromptError(f'PROMPT: {path} is not a safetensors file ({e})') from e
  if 'robust_t5x' not in header:
    raise PromptError(f'PROMPT: {path} has no robust_t5x metadata; it is not a prompt that this library saved')
  return arrays, json.loads(header['robust_t5x'])


def read_any(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """Reads a prompt in any format: our file, .npy, PEFT's directory of a prompt tuning, a T5X checkpoint with a prompt.

  Returns:
    (parameters name -> array, metadata; empty where the format has none).

  Raises:
    PromptError: if there is no prompt.
  """
  if path.endswith('.npy'):
    if not os.path.isfile(path):
      raise PromptError(f'no file {path}')
    array = np.load(path, allow_pickle=False)
    if array.ndim != 2:
      raise PromptError(f'{path}: holds an array {list(array.shape)}; an input prompt is [P, D]')
    return {'embedding': np.asarray(array, np.float32)}, {}
  if os.path.isfile(os.path.join(path, _PEFT_CONFIG)):
    return {'embedding': _read_peft(path)}, {}
  if os.path.isdir(path):
    from robust_t5x import checkpoints

    source = checkpoints.open_backbone(path)
    names = [name for name in source.shapes if name.startswith('prompt/')]
    if not names:
      raise PromptError(f'{path}: is a checkpoint without a prompt; give one that was trained with a prompt')
    arrays = {name.removeprefix('prompt/'): np.asarray(source.read(name), np.float32) for name in names}
    return arrays, {'backbone': {'path': path, 'sha256': checkpoints.backbone_hash(path)}}
  return load(path)


_PEFT_CONFIG = 'adapter_config.json'
_PEFT_WEIGHTS = 'adapter_model.safetensors'


def _read_peft(directory: str) -> np.ndarray:
  """The input prompt [P, D] of PEFT's prompt tuning, for the encoder."""
  from robust_t5x import tensorfile

  with open(os.path.join(directory, _PEFT_CONFIG), encoding='utf-8') as f:
    config = json.load(f)
  if config.get('peft_type') != 'PROMPT_TUNING':
    raise PromptError(f'{directory}: peft_type is {config.get("peft_type")!r}; only PROMPT_TUNING is supported')
  path = os.path.join(directory, _PEFT_WEIGHTS)
  if not os.path.isfile(path):
    raise PromptError(f'{directory}: no {_PEFT_WEIGHTS}; save it with safe_serialization=True')
  array = tensorfile.TensorFile(path).read('prompt_embeddings').astype(np.float32)
  if len(array) != config['num_virtual_tokens']:
    raise PromptError(
      f'{directory}: holds {len(array)} vectors for {config["num_virtual_tokens"]} virtual tokens, a prompt for the '
      'decoder besides; train it with num_transformer_submodules=1'
    )
  return array


def save_peft(directory: str, embedding: np.ndarray, metadata: dict[str, Any]) -> None:
  """Writes an input prompt [P, D] as PEFT's prompt tuning of an encoder-decoder, before the encoder's input alone."""
  from safetensors import numpy as safetensors

  length, width = embedding.shape
  config = {
    'peft_type': 'PROMPT_TUNING',
    'task_type': 'SEQ_2_SEQ_LM',
    'base_model_name_or_path': (metadata.get('backbone') or {}).get('path'),
    'inference_mode': True,
    'num_virtual_tokens': length,
    'token_dim': width,
    'num_transformer_submodules': 1,
    'prompt_tuning_init': 'RANDOM',
  }
  os.makedirs(directory)
  weights = safetensors.save({'prompt_embeddings': np.ascontiguousarray(embedding, np.float32)}, {'format': 'pt'})
  for name, data in ((_PEFT_WEIGHTS, weights), (_PEFT_CONFIG, (json.dumps(config, indent=2) + '\n').encode())):
    with open(os.path.join(directory, name), 'wb') as f:
      f.write(data)


_LOW_RANK = re.compile(f'({"|".join(STACKS)})_lora_({"|".join(PROJECTIONS)})(_[01])?_down')


def config_of(prompt: dict[str, np.ndarray]) -> PromptConfig:
  """The configuration that a prompt's arrays imply."""

  def size(name, axis):
    return prompt[name].shape[axis] if name in prompt else 0

  prefixes = {f'{stack}_prefix_length': size(f'{stack}_key', 1) for stack in STACKS}
  # 'encoder_lora_wi_0_down' is an addition to a projection of the kind 'wi'.
  low_rank = {name.split('_')[2]: array.shape[-1] for name, array in prompt.items() if _LOW_RANK.fullmatch(name)}
  return PromptConfig(
    size('embedding', 0),
    **prefixes,
    lora_rank=max(low_rank.values(), default=0),
    lora_projections=tuple(p for p in PROJECTIONS if p in low_rank) or PromptConfig.lora_projections,
    generator_dim=size('generator_down', 1),
  )


def check_fits(prompt: dict[str, np.ndarray], network: Any, path: str) -> None:
  """Raises PromptError unless a prompt's arrays are those that a network needs."""
  needed = {name: p.shape for name, p in parameters(config_of(prompt), network).items()}
  unknown, missing = sorted(set(prompt) - set(needed)), sorted(set(needed) - set(prompt))
  if unknown or missing:
    raise PromptError(
      f'PROMPT: {path}: {f"holds {unknown[0]}, which no prompt has" if unknown else f"lacks {missing[0]}"}; '
      'train or convert it anew'
    )
  for name, array in prompt.items():
    if array.shape != needed[name]:
      raise PromptError(
        f'PROMPT: {path}: {name} has shape {list(array.shape)}, which does not fit this model '
        f'({list(needed[name])}); use a prompt trained on this backbone'
      )
