"""Training batches, and the task or mixture that they are of."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from robust_t5x.models.protocol import SpecialIds, Vocabulary
from robust_t5x.models.robust import RobustModel
from robust_t5x.runtime import errors
from robust_t5x.training import batches
from seqio_tasks import suites
from seqio_tasks.pipeline import registration
from seqio_tasks.pipeline.phrasings import RankOptions, StackPhrasings
from seqio_tasks.pipeline.tasks import ExamplesTask


class DataIterator(Protocol):
  """Endless batches whose position can be saved."""

  def __next__(self) -> Mapping[str, np.ndarray]:
    """The next batch."""
    ...

  def save(self, path: Any) -> None:
    """Writes the position."""
    ...

  def restore(self, path: Any) -> None:
    """Goes to a position that was saved."""
    ...


def register(
  name: str, register_tasks: Sequence[Callable[..., Iterable[str]]], vocabulary: Vocabulary, in_seqio: bool = True
) -> str:
  """Registers tasks and returns `name`, one of them; gin/t5x/ binds it, since T5X's data take no more than a name.

  Args:
    name: a mixture or task that the calls register.
    register_tasks: calls that register the tasks, each given `vocabulary`.
    vocabulary: the model's.
    in_seqio: see suites.register_all.

  Raises:
    UsageError: if none of them registers `name`; says which name is nearest.
  """
  suites.register_all(register_tasks, vocabulary, in_seqio)
  known = registration.names()
  if name not in known:
    raise errors.UsageError(
      f'MIXTURE_OR_TASK_NAME: no task or mixture {name!r} is registered{errors.nearest(name, known)}'
    )
  return name


def check_trains(name: str) -> None:
  """Raises UsageError if a task or mixture, or a part of it, is there to evaluate: its phrasings are not to be trained on."""
  for task, _ in registration.parts(name):
    if isinstance(task, ExamplesTask) and (task.evaluation is not None or isinstance(task.preprocessor, RankOptions)):
      raise errors.UsageError(
        f'MIXTURE_OR_TASK_NAME: {task.name} is a task to evaluate; name one to train on, such as BENCHMARK_tuning or BENCHMARK_alignment '
        '(`robust-t5x tasks list`)'
      )


def data_iterator(
  model: RobustModel,
  name: str,
  task_feature_lengths: Mapping[str, int],
  batch_size: int,
  seed: int,
  use_cached: bool,
) -> DataIterator:
  """An endless, checkpointable iterator over the training batches.

  Every process reads whole batches, of which it uses its part: so a run does not depend on the number of processes.
  Examples under phrasings come in batches of like length (see batches); all else is read by SeqIO's pipelines.
  """
  check_trains(name)
  found = None if use_cached else phrasing_batches(name, task_feature_lengths, batch_size, seed, model.ids)
  if found is not None:
    return found
  from clu.data import dataset_iterator
  import seqio

  registration.publish()
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


def phrasing_batches(
  name: str,
  task_feature_lengths: Mapping[str, int],
  batch_size: int,
  seed: int,
  ids: SpecialIds,
  one_shape: bool = False,
) -> batches.PhrasingBatches | None:
  """The training batches of a task or mixture; None unless all of it are examples under as many phrasings.

  Args:
    name: of the task or mixture.
    task_feature_lengths: most tokens of 'inputs' and 'targets'.
    batch_size: examples of a batch.
    seed: of all that is drawn.
    ids: the model's special ids.
    one_shape: see batches.PhrasingBatches.
  """
  sources, rates = [], []
  for place, (task, rate) in enumerate(part for part in registration.parts(name) if 'train' in part[0].splits):
    preprocessor = task.preprocessor if isinstance(task, ExamplesTask) else None
    if not isinstance(preprocessor, StackPhrasings):
      return None
    sources.append(batches.Source(task.reader('train', task_feature_lengths), preprocessor, seed, place))
    rates.append(rate)
  if len({source.num_phrasings for source in sources}) != 1:
    return None
  return batches.PhrasingBatches(sources, rates, task_feature_lengths, batch_size, seed, ids, one_shape)
