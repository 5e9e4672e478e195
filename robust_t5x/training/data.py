"""Training batches."""

from collections.abc import Mapping

from clu.data import dataset_iterator

from robust_t5x.models.robust import RobustModel
from robust_t5x.runtime import errors


def data_iterator(
  model: RobustModel,
  name: str,
  task_feature_lengths: Mapping[str, int],
  batch_size: int,
  seed: int,
  use_cached: bool,
) -> dataset_iterator.DatasetIterator:
  """An endless, checkpointable iterator over the training batches.

  Every process reads whole batches, of which it uses its part: so a run does not depend on the number of processes.
  """
  import seqio

  known = set(seqio.TaskRegistry.names()) | set(seqio.MixtureRegistry.names())
  if name not in known:
    raise errors.UsageError(
      f'MIXTURE_OR_TASK_NAME: no task or mixture {name!r} is registered{errors.nearest(name, known)}'
    )
  converter = model.FEATURE_CONVERTER_CLS(pack=False)
  converter.keep_truncated = True
  ds = seqio.get_dataset(
    name,
    task_feature_lengths=dict(task_feature_lengths),
    dataset_split='train',
    shuffle=True,
    num_epochs=None,
    feature_converter=converter,
    seed=seed,
    use_cached=use_cached,
  )
  ds = ds.batch(batch_size, drop_remainder=True).prefetch(4)
  return dataset_iterator.TfDatasetIterator(ds, checkpoint=True)
