"""Benchmarks that tensorflow-datasets holds: GLUE, SuperGLUE and Super-NaturalInstructions.

Examples are read through tensorflow-datasets when a split is asked for, from the directory that it is told
(`--tfds_data_dir`, TFDS_DATA_DIR); it downloads what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
import os
import re
from typing import Any

from seqio_tasks.datasets.sources import Dataset, DatasetError, Example


@dataclasses.dataclass(frozen=True)
class _Task:
  """How a GLUE or SuperGLUE task becomes fields.

  Attributes:
    text: template of the field text, over the features of the data.
    options: texts of the labels, in the order of the data; or features that hold the options.
    fields: features that are fields themselves.
  """

  text: str
  options: tuple[str, ...]
  fields: tuple[str, ...]
  options_are_features: bool = False


_ENTAILMENT = 'Premise: {premise}\nHypothesis: {hypothesis}'
_SENTENCES = 'Sentence 1: {sentence1}\nSentence 2: {sentence2}'
_TASKS: Mapping[str, _Task] = {
  'glue/cola': _Task('{sentence}', ('unacceptable', 'acceptable'), ('sentence',)),
  'glue/sst2': _Task('{sentence}', ('negative', 'positive'), ('sentence',)),
  'glue/mrpc': _Task(_SENTENCES, ('not equivalent', 'equivalent'), ('sentence1', 'sentence2')),
  'glue/qqp': _Task('Question 1: {question1}\nQuestion 2: {question2}', ('not duplicate', 'duplicate'),
                    ('question1', 'question2')),
  'glue/mnli': _Task(_ENTAILMENT, ('entailment', 'neutral', 'contradiction'), ('premise', 'hypothesis')),
  'glue/qnli': _Task('Question: {question}\nSentence: {sentence}', ('entailment', 'not entailment'),
                     ('question', 'sentence')),
  'glue/rte': _Task(_SENTENCES, ('entailment', 'not entailment'), ('sentence1', 'sentence2')),
  'glue/wnli': _Task(_SENTENCES, ('not entailment', 'entailment'), ('sentence1', 'sentence2')),
  'super_glue/boolq': _Task('Passage: {passage}\nQuestion: {question}', ('no', 'yes'), ('passage', 'question')),
  'super_glue/cb': _Task(_ENTAILMENT, ('entailment', 'contradiction', 'neutral'), ('premise', 'hypothesis')),
  'super_glue/copa': _Task('Premise: {premise}\nQuestion: What is the {question}?', ('choice1', 'choice2'),
                           ('premise', 'question'), options_are_features=True),
  'super_glue/rte': _Task(_ENTAILMENT, ('entailment', 'not entailment'), ('premise', 'hypothesis')),
  'super_glue/wic': _Task(_SENTENCES + '\nWord: {word}', ('no', 'yes'), ('sentence1', 'sentence2', 'word')),
}  # fmt: skip


def glue(tasks: Sequence[str] | None = None, data_dir: str | None = None, version: str = '') -> list[Dataset]:
  """GLUE and SuperGLUE tasks with labels (Wang et al. 2018, 2019).

  Each has the features of the data as fields, and the field "text" with all of them, so that the general phrasings of
  `classification` serve it.

  Args:
    tasks: names such as "glue/rte" or "super_glue/boolq"; by default all that are known here.
    data_dir: of tensorflow-datasets; by default the one that it is told otherwise.
    version: of the data, such as "2.0.0"; by default the newest.

  Returns:
    glue_<task> and super_glue_<task>, with the splits train, validation and test (validation, since the data's test
    labels are withheld).

  Raises:
    DatasetError: if a task is unknown.
  """
  unknown = [t for t in tasks or () if t not in _TASKS]
  if unknown:
    raise DatasetError(f'unknown tasks {unknown}; choose among {", ".join(_TASKS)}')
  made = []
  for name in tasks or _TASKS:
    matched = '_matched' if name == 'glue/mnli' else ''
    reader = functools.partial(_read_glue, name, data_dir, version)
    splits = {
      'train': functools.partial(reader, 'train'),
      'validation': functools.partial(reader, f'validation{matched}'),
      'test': functools.partial(reader, f'validation{matched}'),
    }
    own = name.replace('/', '_')
    fields = tuple(dict.fromkeys((*_TASKS[name].fields, 'text', 'question')))
    made.append(Dataset(own, name.split('/')[0], (own, name.split('/')[1], 'classification'), splits, fields=fields))
  return made


@functools.lru_cache(maxsize=64)
def _read_glue(name: str, data_dir: str | None, version: str, split: str) -> tuple[Example, ...]:
  task = _TASKS[name]
  examples = []
  for number, row in enumerate(_rows(name, data_dir, version, split)):
    options = [row[o] for o in task.options] if task.options_are_features else list(task.options)
    label = int(row['label'])
    if not 0 <= label < len(options):
      raise DatasetError(
        f'{name}:{split}: example {number} has the label {label}; this split has no labels, use validation'
      )
    fields = {name_: row[name_] for name_ in task.fields}
    text = task.text.format_map(fields)
    examples.append(
      {
        'example_id': f'{split}/{row.get("idx", number)}',
        'fields': {**fields, 'text': text, 'question': fields.get('question', text)},
        'gold': options[label],
        'gold_index': label,
        'options': options,
      }
    )
  return tuple(examples)


def super_natural_instructions(
  tasks: Sequence[str], data_dir: str | None = None, version: str = '', test_percent: int = 10
) -> list[Dataset]:
  """Super-NaturalInstructions (Wang et al. 2022): free answers to inputs with a definition of their task.

  Args:
    tasks: names such as "task1344_glue_entailment_classification".
    data_dir: as in `glue`.
    version: as in `glue`.
    test_percent: how many of a hundred examples of a task, its last ones, make the split "test"; the others are "train".

  Returns:
    niv2_<task>; fields are definition and input.

  Raises:
    DatasetError: if no task is named.
  """
  if not tasks:
    raise DatasetError('no task of Super-NaturalInstructions is named; name at least one')
  made = []
  for task in tasks:
    name = 'niv2_' + re.sub(r'\W', '_', task)
    splits = {
      split: functools.partial(_read_niv2, task, data_dir, version, test_percent, split) for split in ('train', 'test')
    }
    made.append(Dataset(name, 'niv2', (name, 'super_natural_instructions'), splits, fields=('definition', 'input')))
  return made


@functools.lru_cache(maxsize=64)
def _read_niv2(task: str, data_dir: str | None, version: str, test_percent: int, split: str) -> tuple[Example, ...]:
  rows = [r for r in _all_niv2(data_dir, version) if r['task_name'] == task]
  if not rows:
    raise DatasetError(f'natural_instructions has no examples of {task!r}; check the name')
  cut = len(rows) - max(1, len(rows) * test_percent // 100)
  return tuple(
    {
      'example_id': row['id'],
      'fields': {'definition': row['definition'], 'input': row['input']},
      'gold': row['output'],
      'options': [],
    }
    for row in (rows[:cut] if split == 'train' else rows[cut:])
  )


@functools.lru_cache(maxsize=1)
def _all_niv2(data_dir: str | None, version: str) -> tuple[Mapping[str, Any], ...]:
  return tuple(_rows('natural_instructions', data_dir, version, 'train'))


def _rows(name: str, data_dir: str | None, version: str, split: str) -> Iterator[dict[str, Any]]:
  """The examples of a split, texts decoded, in the order of the files."""
  import tensorflow_datasets as tfds

  try:
    read: Callable[..., Any] = tfds.load
    data = read(
      f'{name}:{version}' if version else name,
      split=split,
      data_dir=data_dir or os.environ.get('TFDS_DATA_DIR'),
      shuffle_files=False,
      read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )
  except Exception as e:
    raise DatasetError(
      f'tensorflow-datasets cannot read {name}:{split} ({type(e).__name__}: {str(e).splitlines()[0][:200]}); download it '
      'where there is a network, and name its directory with --tfds_data_dir'
    ) from e
  for row in tfds.as_numpy(data):
    yield {k: v.decode('utf-8') if isinstance(v, bytes) else v for k, v in row.items()}
