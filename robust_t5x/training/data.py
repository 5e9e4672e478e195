"""Training batches, and the task or mixture that they are of."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from clu.data import dataset_iterator

from robust_t5x.models.protocol import Vocabulary
from robust_t5x.models.robust import RobustModel
from robust_t5x.runtime import errors
from seqio_tasks import suites


def register(name: str, register_tasks: Sequence[Callable[..., Iterable[str]]], vocabulary: Vocabulary) -> str:
  """Registers tasks and returns `name`, one of them; gin/t5x/ binds it, since T5X's data take no more than a name.

  Args:
    name: a mixture or task that the calls register.
    register_tasks: calls that register the tasks, each given `vocabulary`.
    vocabulary: the model's.

  Raises:
    UsageError: if none of them registers `name`; says which name is nearest.
  """
  import seqio

  suites.register_all(register_tasks, vocabulary)
  known = {*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()}
  if name not in known:
    raise errors.UsageError(
      f'MIXTURE_OR_TASK_NAME: no task or mixture {name!r} is registered{errors.nearest(name, known)}'
    )
  return name


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
