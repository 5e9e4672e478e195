"""Soft prompts: what is trained while the backbone is frozen.

Places for trainable values, usable together:
- an input prompt, P vectors of the model's width before the encoder's embedded tokens (Lester et al. 2021);
- a per-layer prefix, P key-value pairs per attention layer (Li & Liang 2021), attended to in a softmax of its own and
  added through a gate that starts at zero (Zhang et al. 2023), so that an untrained prefix changes nothing;
- low-rank additions to the query and value projections of every attention (LoRA, Hu et al. 2021), whose second factor
  starts at zero.

Shape letters: N rows, P prompt length, T input tokens, Q queries, D model width, H heads, F head width, R rank.
"""

from collections.abc import Callable
import dataclasses
import hashlib
import json
import os
from typing import Any, NamedTuple

from flax import linen as nn
from flax.linen import partitioning
import jax
import jax.numpy as jnp
import numpy as np


class Prefix(NamedTuple):
  """Trainable key-value pairs of one layer, or stacked for all layers with a leading axis."""

  key: jax.Array  # [P, H, F]
  value: jax.Array  # [P, H, F]
  gate: jax.Array  # [H]


class LowRank(NamedTuple):
  """A low-rank addition to a projection from D to H heads of F; of one layer, or stacked as above."""

  down: jax.Array  # [D, R]
  up: jax.Array  # [R, H, F]


class AttentionPrompt(NamedTuple):
  """What is added to an attention; of one layer, or stacked for all layers with a leading axis."""

  prefix: Prefix | None = None
  query: LowRank | None = None
  value: LowRank | None = None


NO_ADDITION = AttentionPrompt()


class PromptError(ValueError):
  """A prompt that cannot be built, read or used with this model."""


@dataclasses.dataclass(frozen=True)
class PromptConfig:
  """Where trainable values sit.

  Attributes:
    length: vectors P before the encoder's input; 0 for none.
    encoder_prefix_length: key-value pairs per encoder layer; 0 for none.
    decoder_prefix_length: key-value pairs per decoder self-attention layer; 0 for none.
    cross_prefix_length: key-value pairs per attention of the decoder to the encoding; 0 for none.
    lora_rank: rank R of the additions to the query and value projections of all attentions; 0 for none. They are not
      scaled: α of the source is R.
    init_range: the random initialisation of vectors, keys and values is uniform in [-init_range, init_range].
  """

  length: int = 0
  encoder_prefix_length: int = 0
  decoder_prefix_length: int = 0
  cross_prefix_length: int = 0
  lora_rank: int = 0
  init_range: float = 0.5

  @property
  def is_empty(self) -> bool:
    return not (self.length or self.lora_rank or any(self.prefix_lengths.values()))

  @property
  def prefix_lengths(self) -> dict[str, int]:
    """Length of each stack's prefix."""
    return {stack: getattr(self, f'{stack}_prefix_length') for stack in STACKS}


# The attentions of a network: the encoder's, the decoder's to itself, and the decoder's to the encoding.
STACKS = ('encoder', 'decoder', 'cross')


class Parameter(NamedTuple):
  """One array of a prompt."""

  shape: tuple[int, ...]
  axes: tuple[str, ...]  # logical
  init: Callable[..., jax.Array]


def parameters(config: PromptConfig, network: Any) -> dict[str, Parameter]:
  """All arrays of a prompt by name: what the network makes, a file holds and a model must fit.

  They are `embedding`, `{encoder,decoder,cross}_{key,value,gate}` and
  `{encoder,decoder,cross}_lora_{query,value}_{down,up}`.

  Args:
    config: where trainable values sit.
    network: a network.T5Config; untyped, since network.py imports this module.
  """
  net, random = network, _uniform(config.init_range)
  made = {}
  if config.length:
    made['embedding'] = Parameter((config.length, net.emb_dim), ('prompt', 'embed'), random)
  layers = {'encoder': net.num_encoder_layers, 'decoder': net.num_decoder_layers, 'cross': net.num_decoder_layers}
  heads = (net.num_heads, net.head_dim)
  for stack, length in config.prefix_lengths.items():
    if length:
      for name in ('key', 'value'):
        axes = ('layers', 'prompt', 'heads', 'kv')
        made[f'{stack}_{name}'] = Parameter((layers[stack], length, *heads), axes, random)
      made[f'{stack}_gate'] = Parameter((layers[stack], net.num_heads), ('layers', 'heads'), nn.initializers.zeros)
  if config.lora_rank:
    narrow = nn.initializers.normal(net.emb_dim**-0.5)
    for stack in STACKS:
      for name in ('query', 'value'):
        lora = f'{stack}_lora_{name}'
        made[f'{lora}_down'] = Parameter(
          (layers[stack], net.emb_dim, config.lora_rank), ('layers', 'embed', 'prompt'), narrow
        )
        made[f'{lora}_up'] = Parameter(
          (layers[stack], config.lora_rank, *heads), ('layers', 'prompt', 'heads', 'kv'), nn.initializers.zeros
        )
  return made


class SoftPrompt(nn.Module):
  """The prompt's parameters, see `parameters`."""

  config: PromptConfig
  network: Any  # network.T5Config

  def setup(self):
    self.arrays = {
      name: partitioning.param_with_axes(name, p.init, p.shape, jnp.float32, axes=p.axes)
      for name, p in parameters(self.config, self.network).items()
    }

  def prepend(self, embedded: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Puts the input prompt before the embedded tokens.

    Args:
      embedded: [N, T, D].
      mask: int [N, T].

    Returns:
      ([N, P + T, D], int [N, P + T]); every row may attend to the prompt, whatever its padding.
    """
    if not self.config.length:
      return embedded, mask
    rows, vectors = embedded.shape[0], self.arrays['embedding']
    prompt = jnp.broadcast_to(vectors.astype(embedded.dtype), (rows, *vectors.shape))
    ones = jnp.ones((rows, self.config.length), mask.dtype)
    return jnp.concatenate([prompt, embedded], axis=1), jnp.concatenate([ones, mask], axis=1)

  def attention(self, stack: str) -> AttentionPrompt:
    """What is added to the attentions of one of STACKS, all layers stacked on axis 0."""

    def collect(kind, prefix, names):
      made = [self.arrays.get(f'{prefix}_{name}') for name in names]
      return None if made[0] is None else kind(*made)

    return AttentionPrompt(
      collect(Prefix, stack, Prefix._fields),
      collect(LowRank, f'{stack}_lora_query', LowRank._fields),
      collect(LowRank, f'{stack}_lora_value', LowRank._fields),
    )


def layer(stacked: AttentionPrompt, index: int) -> AttentionPrompt:
  """What is added to the attention of one layer, out of the stacked ones."""
  return jax.tree.map(lambda x: x[index], stacked)


def add_low_rank(projected: jax.Array, inputs: jax.Array, addition: LowRank | None) -> jax.Array:
  """Adds inputs · down · up to a projection [N, Q, H, F] of inputs [N, Q, D]."""
  if addition is None:
    return projected
  narrow = jnp.einsum('nqd,dr->nqr', inputs, addition.down.astype(inputs.dtype))
  return projected + jnp.einsum('nqr,rhf->nqhf', narrow, addition.up.astype(inputs.dtype))


def attend_to_prefix(query: jax.Array, prefix: Prefix) -> jax.Array:
  """Gated attention of every query to the prefix alone.

  Args:
    query: [N, Q, H, F].
    prefix: the layer's key-value pairs.

  Returns:
    [N, Q, H, F], zero where the gate is zero.
  """
  logits = jnp.einsum('nqhf,phf->nhqp', query, prefix.key.astype(query.dtype))
  probabilities = jax.nn.softmax(logits.astype(jnp.float32), axis=-1).astype(query.dtype)
  out = jnp.einsum('nhqp,phf->nqhf', probabilities, prefix.value.astype(query.dtype))
  return out * jnp.tanh(prefix.gate).astype(query.dtype)[:, None]


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


def config_of(prompt: dict[str, np.ndarray]) -> PromptConfig:
  """The configuration that a prompt's arrays imply."""

  def size(name, axis):
    return prompt[name].shape[axis] if name in prompt else 0

  prefixes = {f'{stack}_prefix_length': size(f'{stack}_key', 1) for stack in STACKS}
  return PromptConfig(size('embedding', 0), **prefixes, lora_rank=size('encoder_lora_query_down', 2))


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


def _uniform(scale: float):
  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -scale, scale)

  return init
