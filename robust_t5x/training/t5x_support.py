"""What T5X's launcher needs beyond the model; gin/t5x/ binds it.

T5X is imported by a function that needs it, when it is called.
"""

from collections.abc import Callable, Mapping
from typing import Any

from clu.data import dataset_iterator
from etils import epath
import jax
import numpy as np
import optax

from robust_t5x.checkpoints import backbones, t5x_format
from robust_t5x.models.robust import RobustModel
from robust_t5x.models.trainable import Trainable
from robust_t5x.training import batches, data, start


def frozen_optimizer(optimizer: optax.GradientTransformation, trainable: Trainable) -> Any:
  """An optax optimiser as T5X's optimizer definition; it holds slots for what trains and leaves all else as it is.

  Args:
    optimizer: for what trains.
    trainable: what trains.
  """
  from t5x import optimizers

  def mask(trained: bool) -> Callable[[Any], Any]:
    def is_of_this_kind(path, _):
      return trainable.is_trained('/'.join(key.key for key in path)) == trained

    return lambda params: jax.tree_util.tree_map_with_path(is_of_this_kind, params)

  transformation = optax.chain(optax.masked(optimizer, mask(True)), optax.masked(optax.set_to_zero(), mask(False)))
  return optimizers.OptaxWrapper(transformation)


def initial_adapter(checkpoint: str | None, method: str, seed: int) -> Callable[[Any], Mapping[str, np.ndarray]]:
  """The adapter that our own runtime would start from with the same settings; see start.initial_adapter."""
  return lambda model: start.initial_adapter(model, checkpoint, method, seed)


def record(model_dir: str, summary_writer: Any, step: int, model: RobustModel, checkpoint: str | None) -> None:
  """Writes what T5X records of a run, and above its checkpoints what their arrays do not tell, by which other verbs read them.

  Args:
    model_dir: the run's directory.
    summary_writer: T5X's.
    step: that the run begins with.
    model: what trains.
    checkpoint: backbone that it began with, if any.
  """
  from t5x import gin_utils

  if jax.process_index() == 0:
    notes = {} if checkpoint is None else backbones.open_backbone(checkpoint).notes
    adapter = model.module.adapter
    position = (adapter.prompt_position or 0) if adapter is not None and adapter.length else None
    epath.Path(model_dir).mkdir(parents=True, exist_ok=True)
    t5x_format.write_beside(model_dir.rstrip('/'), model.module.config, notes, 'float32', position)
  gin_utils.summarize_gin_config(model_dir, summary_writer, step)


def training_data(config: Any, shard: int, num_shards: int, converter: Any) -> Any:
  """What T5X trains on: our own runtime's batches, where the data are examples under phrasings, else what SeqIO makes.

  Args:
    config: a DatasetConfig of T5X.
    shard: which part of each batch.
    num_shards: of how many.
    converter: the model's feature converter; see models.features.
  """
  data.check_trains(config.mixture_or_task_name)
  lengths = config.task_feature_lengths
  found = None
  if not config.use_cached:
    found = data.phrasing_batches(
      config.mixture_or_task_name, lengths, config.batch_size, config.seed, converter.ids, one_shape=True
    )
  if found is not None:
    return ShardOfBatches(found, shard, num_shards)
  from t5x import utils

  return utils.get_dataset(config, shard, num_shards, converter)


class ShardOfBatches(dataset_iterator.DatasetIterator):
  """Rows of every batch, as T5X reads and saves them; every process draws the whole batches."""

  def __init__(self, whole: batches.PhrasingBatches, shard: int, num_shards: int):
    """Prepares.

    Args:
      whole: batches of one shape.
      shard: which rows.
      num_shards: into how many parts a batch is cut.
    """
    self._whole, self._shard, self._num_shards = whole, shard, num_shards

  @property
  def element_spec(self) -> dict[str, dataset_iterator.ArraySpec]:
    """Feature -> shape and dtype."""
    return {
      name: dataset_iterator.ArraySpec(np.int32, (batch // self._num_shards, *rest))
      for name, (batch, *rest) in self._whole.batch_shapes().items()
    }

  def __next__(self) -> dict[str, np.ndarray]:
    """The rows of the next batch."""
    batch = next(self._whole)
    rows = len(batch['encoder_input_tokens']) // self._num_shards
    return {name: batch[name][self._shard * rows : (self._shard + 1) * rows] for name in self._whole.batch_shapes()}

  def save(self, filename: Any) -> None:
    """Writes the position to a file."""
    self._whole.save(str(filename))

  def restore(self, filename: Any) -> None:
    """Goes to a position that was saved; see batches.PhrasingBatches for the errors."""
    self._whole.restore(str(filename))
