"""Registers the tasks that a dataset is trained on: instruction tuning, alignment, and resampling, its baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import hashlib
import logging
from typing import TYPE_CHECKING

from seqio_tasks.bank.instruction import Instruction
from seqio_tasks.bank.layouts import Answer
from seqio_tasks.datasets.sources import Dataset
from seqio_tasks.pipeline import phrasings, registration
from seqio_tasks.suites.groups import Served
from seqio_tasks.suites.splits import trained_on

if TYPE_CHECKING:
  import seqio

KINDS = ('tuning', 'alignment', 'resampling')
_logger = logging.getLogger(__name__)


def register(
  dataset: Dataset, served: Served, vocabulary: seqio.Vocabulary, num_examples: int | None, num_paraphrases: int
) -> list[tuple[str, str]]:
  """Registers them.

  Args:
    dataset: to train on.
    served: its phrasings.
    vocabulary: of inputs and targets.
    num_examples: of each split, the first ones; by default all.
    num_paraphrases: beside the canonical phrasing in the alignment tasks: K - 1.

  Returns:
    (one of `KINDS`, name) of each task.
  """
  splits = trained_on(dataset, vocabulary, num_examples)
  if splits is None:
    _logger.info('%s has no split to train on, only %s', dataset.name, ', '.join(dataset.splits))
    return []

  def add(kind: str, suffix: str, preprocessor: phrasings.StackPhrasings) -> tuple[str, str]:
    name = f'{dataset.name}_{kind}{suffix}'
    return kind, registration.register_examples_task(name, splits.readers, vocabulary, preprocessor, splits.sizes)

  made = []
  if served.canonical:
    made.append(add('tuning', '', phrasings.stack_phrasings(1, served.canonical)))
  canonical, paraphrases = _to_align(dataset, served)
  for suffix, firsts, members in _forms(dataset, canonical, paraphrases):
    if len(members) < num_paraphrases and dataset.own is None:
      _logger.info(
        '%s: %d paraphrases ask for the answer as %s, too few to align', dataset.name, len(members), suffix[1:]
      )
      continue
    made.append(add('alignment', suffix, phrasings.stack_phrasings(1 + num_paraphrases, firsts, members)))
    if dataset.alignment == 'paraphrases':
      made.append(add('resampling', suffix, phrasings.stack_phrasings(1, (*firsts, *members))))
  if paraphrases and not any(kind == 'alignment' for kind, _ in made):
    _logger.warning(
      '%s has no alignment task: fewer than NUM_PARAPHRASES=%d paraphrases ask for the answer in one form; lower it, or '
      'add paraphrases',
      dataset.name,
      num_paraphrases,
    )
  return made


def _to_align(dataset: Dataset, served: Served) -> tuple[Sequence[Instruction], Sequence[Instruction]]:
  """The phrasings that come first, and those that are aligned with them."""
  if dataset.alignment == 'held':
    half = len(served.canonical) // 2
    return served.canonical[:half], served.canonical[half:]
  return served.canonical, served.paraphrases if dataset.alignment == 'paraphrases' else ()


def _forms(
  dataset: Dataset, canonical: Sequence[Instruction], paraphrases: Sequence[Instruction]
) -> Iterable[tuple[str, Sequence[Instruction], Sequence[Instruction]]]:
  """(what names end in, first phrasings, their paraphrases) for each form in which paraphrases ask for the answer."""
  if dataset.own is not None:
    if paraphrases:
      yield '', canonical, paraphrases
    return
  by_form: dict[str, list[Instruction]] = {}
  for instruction in paraphrases:
    by_form.setdefault(form_of(instruction), []).append(instruction)
  for form, members in by_form.items():
    firsts = [i for i in canonical if form_of(i) == form]
    if not firsts:
      # No observed phrasing asks for the answer in this form: the first paraphrase stands in for it.
      firsts, members = members[:1], members[1:]
    yield f'_{form}', firsts, members


def form_of(instruction: Instruction) -> str:
  """A name for the form in which a phrasing asks for the answer; equal for equal forms only."""
  answer = instruction.layout.default_answer
  if answer == Answer():
    return 'text'
  if answer == Answer('{label}', answer.labels):
    return answer.labels
  return 'form_' + hashlib.sha256(repr(answer).encode()).hexdigest()[:8]
