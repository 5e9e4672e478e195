"""What a run starts from."""

from typing import Any

from robust_t5x.runtime import errors, progress


def initial_params(
  model: Any,
  initial_checkpoint_path: str | None,
  prompt_init: str,
  seed: int,
  placed: Any,
  trainable: Any,
  backbone_dtype: str = 'float32',
) -> dict[str, Any]:
  """Parameters that a run starts from, on the devices; what trains in float32.

  Args:
    model: the model.
    initial_checkpoint_path: backbone directory, 'bundled', or None for random weights.
    prompt_init: see adapters.initialise.
    seed: of the random initialisation.
    placed: the parameters' shapes, with the sharding that each is to have.
    trainable: what trains.
    backbone_dtype: storage dtype of what does not.
  """
  import jax

  from robust_t5x.checkpoints import backbones
  from robust_t5x.models import trainable as trainable_lib
  from robust_t5x.runtime import partitioning

  moving, frozen = trainable.split(placed)
  like = trainable_lib.merge(moving, partitioning.cast(frozen, backbone_dtype))
  if initial_checkpoint_path is None:
    variables = jax.jit(model.initial_variables)(jax.random.key(seed))
    params = jax.tree.map(lambda x, to: jax.device_put(x.astype(to.dtype), to.sharding), variables['params'], like)
  else:
    params, report = backbones.load_backbone(initial_checkpoint_path, like)
    progress.log(f'backbone {backbones.resolve(initial_checkpoint_path)}: {report}')
  if 'adapter' in placed:
    adapter = initial_adapter(model, initial_checkpoint_path, prompt_init, seed)
    params['adapter'] = {
      name: jax.device_put(value, placed['adapter'][name].sharding) for name, value in adapter.items()
    }
  return params


def initial_adapter(model: Any, checkpoint: str | None, method: str, seed: int) -> dict[str, Any]:
  """The adapter's parameters that a run starts from, as numpy arrays; the same under both launchers.

  Args:
    model: the model.
    checkpoint: backbone that words are embedded by; None is enough for 'uniform'.
    method: see adapters.initialise.
    seed: of the random initialisation.
  """
  import jax
  import numpy as np

  from robust_t5x.adapters import initial
  from robust_t5x.checkpoints import backbones

  # XLA drops the backbone's initialisation, which nothing depends on.
  fresh = jax.jit(lambda key: model.initial_variables(key)['params']['adapter'])(jax.random.key(seed))
  fresh = {name: np.asarray(value) for name, value in fresh.items()}
  if 'embedding' not in fresh or method == 'uniform':
    return fresh
  if checkpoint is None:
    raise errors.UsageError(
      f"PROMPT_INIT: {method!r} needs a model whose words mean something; set INITIAL_CHECKPOINT_PATH, or 'uniform'"
    )
  embedding = backbones.open_backbone(checkpoint).read('token_embedder/embedding').astype(np.float32)
  return initial.initialise(fresh, method, embedding, model.input_vocabulary, seed)
