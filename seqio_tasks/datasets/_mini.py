"""The mini suite as datasets: examples made by a seeded generator, under the phrasings that the package has for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import functools
from typing import TYPE_CHECKING, Literal

from seqio_tasks.bank import reading
from seqio_tasks.datasets.sources import Dataset, DatasetError, Example, OwnPhrasings, Reader
from seqio_tasks.mini import suite, vocabulary

if TYPE_CHECKING:
  import seqio

# Roles tell the suite's other phrasings apart: those of another collection with the role "evaluation" are unobserved.
OBSERVED = ('mini_tuning',)
# The unobserved ones have been looked at while methods were designed. These have not: they are for what is reported last.
_GROUPS = {'mini_reported': 'reported'}


def mini(
  tasks: Sequence[str] | None = None,
  num_train_examples: int = 20_000,
  num_eval_examples: int = 100,
  seed: int = 0,
  vocabulary_words: bool = False,
  alignment_tasks: Sequence[str] | None = None,
  held_tasks: Sequence[str] = (),
  tuning_rates: Mapping[str, float] | None = None,
) -> list[Dataset]:
  """The mini suite, elementary tasks that need no data; see `seqio_tasks.mini.suite`.

  Args:
    tasks: by default all, `suite.TASKS`.
    num_train_examples: of each task's split "train".
    num_eval_examples: of each task's splits "validation" and "test".
    seed: of the generated examples.
    vocabulary_words: make training examples of all words of the vocabulary, not of the suite's own lists alone.
    alignment_tasks: tasks that are aligned; None for all. The others are tasks that alignment never sees.
    held_tasks: of these others, tasks that are in the mixture mini_alignment under observed phrasings alone, half of which
      are paraphrases of the other half: for an objective that holds the model to what it knew.
    tuning_rates: task -> how much it counts in the mixture mini_tuning; 1 for those not named.

  Returns:
    mini_<task>, with the package's phrasings of the family "mini".

  Raises:
    DatasetError: if a task is unknown, or is to be aligned and held.
  """
  tasks = suite.TASKS if tasks is None else tasks
  aligned = tasks if alignment_tasks is None else alignment_tasks
  rates = tuning_rates or {}
  _check_names('tasks', tasks, suite.TASKS)
  for argument, named in (('alignment_tasks', aligned), ('held_tasks', held_tasks), ('tuning_rates', rates)):
    _check_names(argument, named, tasks)
  both = sorted(set(aligned) & set(held_tasks))
  if both:
    raise DatasetError(
      f'held_tasks: {", ".join(both)} {"is" if len(both) == 1 else "are"} aligned too; name the tasks to align in '
      'alignment_tasks, without those to hold'
    )
  sizes = {'train': num_train_examples, 'validation': num_eval_examples, 'test': num_eval_examples}
  own, whole_words = OwnPhrasings(_phrasings, OBSERVED, _GROUPS), _WholeWords()
  made = []
  for task in tasks:
    splits = {split: functools.partial(_examples, task, split, n, seed) for split, n in sizes.items()}
    alignment: Literal['paraphrases', 'held', 'none'] = 'paraphrases' if task in aligned else 'none'
    made.append(
      Dataset(
        f'mini_{task}',
        'mini',
        (task,),
        splits,
        fields=suite.FIELDS[task],
        sizes=sizes,
        splits_for=functools.partial(_of_all_words, splits['train'], whole_words) if vocabulary_words else None,
        own=own,
        alignment='held' if task in held_tasks else alignment,
        tuning_rate=rates.get(task, 1.0),
      )
    )
  return made


def _check_names(argument: str, named: Iterable[str], known: Sequence[str]) -> None:
  unknown = sorted(set(named) - set(known))
  if unknown:
    raise DatasetError(f'{argument}: the mini suite has no task {", ".join(unknown)}; choose among {", ".join(known)}')


@functools.lru_cache(maxsize=64)
def _examples(
  task: str, split: str, num_examples: int, seed: int, more_words: tuple[str, ...] = ()
) -> tuple[Example, ...]:
  """As `suite.generate`; made once, since a run both hashes and reads them."""
  return tuple(suite.generate(task, split, num_examples, seed, more_words))


@functools.cache
def _phrasings() -> reading.Bank:
  return reading.Bank.from_package('mini')


class _WholeWords:
  """`vocabulary.whole_words`, of the vocabulary that was asked for last without looking again: every task asks."""

  def __init__(self) -> None:
    self._last: tuple[seqio.Vocabulary, tuple[str, ...]] | None = None

  def __call__(self, words: seqio.Vocabulary) -> tuple[str, ...]:
    if self._last is None or self._last[0] is not words:
      self._last = words, vocabulary.whole_words(words)
    return self._last[1]


def _of_all_words(train: functools.partial, whole_words: _WholeWords, words: seqio.Vocabulary) -> dict[str, Reader]:
  """The split "train", made of all words of a vocabulary; as it is for one of bytes, as which a served model's texts go."""
  if not vocabulary.has_pieces(words):
    return {}
  return {'train': functools.partial(train, more_words=whole_words(words))}
