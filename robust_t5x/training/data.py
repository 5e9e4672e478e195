"""Training batches, and the task or mixture that they are of."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from robust_t5x.models.protocol import SpecialIds, Vocabulary
from robust_t5x.models.robust import RobustModel
from robust_t5x.runtime import errors
from robust_t5x.training import batches
from seqio_tasks import suites


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
) -> DataIterator:
  """An endless, checkpointable iterator over the training batches.

  Every process reads whole batches, of which it uses its part: so a run does not depend on the number of processes.
  Examples under phrasings come in batches of like length (see batches); all else is read by SeqIO's pipelines.
  """
  found = None if use_cached else phrasing_batches(name, task_feature_lengths, batch_size, seed, model.ids)
  if found is not None:
    return found
  from clu.data import dataset_iterator
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
  import seqio

  found = _of_phrasings(seqio.get_mixture_or_task(name), task_feature_lengths, seed)
  return found and batches.PhrasingBatches(*found, task_feature_lengths, batch_size, seed, ids, one_shape)


def _of_phrasings(
  provider: Any, lengths: Mapping[str, int], seed: int
) -> tuple[list[batches.Source], list[float]] | None:
  """What a task or mixture is drawn from, and how much each counts; None unless all of it are
  examples under as many phrasings."""
  import seqio

  from seqio_tasks.pipeline import phrasings, providers

  sources, rates = [], []
  for place, task in enumerate(t for t in seqio.get_subtasks(provider) if 'train' in t.splits):
    preprocessor = task.preprocessor if isinstance(task, providers.ExamplesTask) else None
    if not isinstance(preprocessor, phrasings.StackPhrasings):
      return None
    sources.append(batches.Source(task.reader('train', lengths), preprocessor, seed, place))
    rates.append(provider.get_rate(task) if isinstance(provider, seqio.Mixture) else 1.0)
  return (sources, rates) if len({source.num_phrasings for source in sources}) == 1 else None
