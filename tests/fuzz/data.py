"""Damaged data of the benchmarks and of one's own: each made from a few examples in the layout that its reader reads."""

from collections.abc import Callable, Iterable
import contextlib
import csv
import io
import json
import pathlib
import shutil

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from seqio_tasks import datasets
from seqio_tasks.bank.layouts import LayoutError
from seqio_tasks.datasets import lmentry_phrasings
from seqio_tasks.pipeline.evaluation import content_hash

from . import damage
from .running import Reading, Wrong

Writer = Callable[[np.random.Generator, pathlib.Path], Callable[[], object]]

_HUGGING_FACE = pathlib.Path(__file__).parents[1] / 'data' / 'hf_datasets'
_MMLU = [
  ('Which is a fruit?', 'chair', 'plum', 'dog', 'bus', 'B'),
  ('Say "no", then 2 + 2', '1', '2', '3', '4', 'D'),
  ('Which\nis red?', 'blood', 'snow', 'coal', 'grass', 'A'),
]
_BIGBENCH = {
  'name': 'own',
  'task_prefix': 'Choose.',
  'examples': [
    {'input': 'Is a dog an animal?', 'target_scores': {'yes': 1, 'no': 0}},
    {'input': 'Is a chair an animal?', 'target_scores': {'yes': 0.25, 'no': 0.5, 'nope': 0.5}},
    {'input': 'Name a fruit.', 'target': ['plum', 'pear']},
  ],
}
_BBH = {
  'more_info': {'key_names': ['question', 'options']},
  'examples': {
    '1': {'question': 'Which is red?', 'options': ['(A) blood', '(B) snow'], 'gold': 'A'},
    '2': {'question': 'Which is white?', 'options': ['(A) blood', '(B) snow'], 'gold': 'B'},
  },
}
_LMENTRY = {
  'benchmark': 'LMentry',
  'task': 'any_words_from_category',
  'more_info': {'input_templates': ['Is any of {words} of the kind {category}?']},
  'examples': {
    '1': {'words': ['dog', 'cat', 'bus'], 'category': 'animals', 'gold': 'yes', 'more_info': {}},
    '2': {'words': ['bed', 'cup', 'bus'], 'category': 'animals', 'gold': 'no', 'more_info': {}},
  },
}
_PHRASINGS = (
  'prompt idx,method,prompt template,correct\n1,default,"Is any of [{words}] one of {category}?",1\n'
  '2,rephrase,"{category}: {words}?",0\n'
)
_ROWS = [
  {'question': f'Is {name} an animal?', 'first': 'yes', 'second': 'no', 'list': ['yes', 'no'], 'answer': answer, 'part': 'test'}
  for name, answer in (('a dog', 'yes'), ('a bus', 'no'), ('a "cat"', 'yes'))
]  # fmt: skip


def _write(path: pathlib.Path, data: bytes) -> pathlib.Path:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(data)
  return path


def _json(rng: np.random.Generator, value: object) -> bytes:
  how = int(rng.integers(3))
  try:
    text = json.dumps(damage.tree(rng, value) if how else value)
  except ValueError:  # numbers of thousands of digits
    text = '9' * 5000
  return damage.text(rng, text) if how != 1 else text.encode()


def _csv(rows: Iterable[Iterable[str]]) -> str:
  buffer = io.StringIO()
  csv.writer(buffer, lineterminator='\n').writerows(rows)
  return buffer.getvalue()


def _check(found: list[datasets.Dataset]) -> None:
  """Reads all examples: ids are distinct, every text has something in it, and what is right is an option."""
  for dataset in found:
    for examples in (reader() for reader in dataset.splits.values()):
      ids = [example['example_id'] for example in examples]
      if len({*ids}) < len(ids):
        raise Wrong(f'{dataset.name}: an id stands twice')
      for example in examples:
        item, options = datasets.item_of(example), example['options']
        if not all(isinstance(text, str) for text in example['fields'].values()):
          raise Wrong(f'{dataset.name}: a field is no text')
        if not item['answer'].strip() or options and str(example['gold']) not in options:
          raise Wrong(f'{dataset.name}: {example["gold"]!r} is no answer of {options}')
      content_hash((), (), examples)


def _files(names: tuple[str, ...], directory: pathlib.Path, made: Callable[[], list[datasets.Dataset]]) -> Reading:
  # Rows that are left out are warned of by file and line; where none is left, the directory is named.
  return Reading(lambda: _check(made()), (*names, directory.name))


def _mmlu(rng: np.random.Generator, directory: pathlib.Path) -> Reading:
  for split in ('test', 'dev', 'auxiliary_train'):
    name = 'some_subject' if split != 'auxiliary_train' else 'race'
    _write(directory / split / f'{name}_{split}.csv', damage.text(rng, _csv(_MMLU)))
  strict = bool(rng.random() < 0.3)
  return _files(('some_subject', 'race'), directory, lambda: datasets.mmlu(directory, strict=strict))


def _bigbench(rng: np.random.Generator, directory: pathlib.Path) -> Reading:
  place = damage.pick(rng, ('own/task.json', 'own/sub/task.json'))
  _write(directory / place, _json(rng, _BIGBENCH))
  strict, percent = bool(rng.random() < 0.3), int(damage.pick(rng, (0, 50)))
  return _files(('task.json',), directory, lambda: datasets.bigbench(directory, None, percent, strict))


def _bbh(rng: np.random.Generator, directory: pathlib.Path) -> Reading:
  _write(directory / 'own.json', _json(rng, _BBH))
  strict = bool(rng.random() < 0.3)
  return _files(('own.json',), directory, lambda: datasets.bbh(directory, strict=strict))


def _lmentry(rng: np.random.Generator, directory: pathlib.Path) -> Reading:
  task = str(_LMENTRY['task'])
  of_instances = rng.random() < 0.6
  instances = _json(rng, _LMENTRY) if of_instances else json.dumps(_LMENTRY).encode()
  _write(directory / 'instances' / f'{task}.json', instances)
  _write(
    directory / 'paraphrases' / f'{task}.csv', _PHRASINGS.encode() if of_instances else damage.text(rng, _PHRASINGS)
  )

  def call() -> None:
    found = datasets.lmentry(directory, phrasings='published')
    _check(found)
    item = datasets.item_of(found[0].splits['test']()[0])
    for phrasing in lmentry_phrasings.read_phrasings(directory, task):
      try:
        if not phrasing.problem:
          phrasing.instruction.layout.render(item)
      except LayoutError:
        continue

  return Reading(call, (f'{task}.json', f'{task}.csv', task, directory.name))


def _table(rng: np.random.Generator, path: pathlib.Path, directory: pathlib.Path) -> Reading:
  """A table of one's own, read with some of the settings that a user gives."""
  options = damage.pick(rng, ('list', ['first', 'second'], None))
  split, strict = damage.pick(rng, (None, 'part')), bool(rng.random() < 0.3)
  return _files(
    (path.name,),
    directory,
    lambda: datasets.table(path, 'mine', ['yes_no'], options=options, split=split, strict=strict),
  )


def _own(kind: str) -> Writer:
  def write(rng: np.random.Generator, directory: pathlib.Path) -> Reading:
    path = directory / f'mine.{kind}'
    if kind == 'csv':
      rows = [list(_ROWS[0]), *([*row.values()] for row in _ROWS)]
      _write(path, damage.text(rng, _csv([['|'.join(c) if isinstance(c, list) else c for c in row] for row in rows])))
    elif rng.random() < 0.5:
      _write(path, damage.text(rng, ''.join(json.dumps(row) + '\n' for row in _ROWS)))
    else:
      damaged = damage.tree(rng, _ROWS)
      lines = damaged if isinstance(damaged, list) else [damaged]
      try:
        _write(path, ''.join(json.dumps(line) + '\n' for line in lines).encode())
      except ValueError:
        _write(path, b'9' * 5000)
    return _table(rng, path, directory)

  return write


def _arrow(rows: object, kind: str) -> bytes:
  """Rows as a Parquet file, or as Arrow's file or stream; pa.ArrowException for what no table holds."""
  table = pa.Table.from_pylist(rows if isinstance(rows, list) else [rows])
  sink = pa.BufferOutputStream()
  if kind == 'parquet':
    parquet.write_table(table, sink)
  else:
    with (pa.ipc.new_file if kind == 'file' else pa.ipc.new_stream)(sink, table.schema) as writer:
      writer.write_table(table)
  return sink.getvalue().to_pybytes()


def _own_arrow(suffix: str) -> Writer:
  """Half of the tables are whole files of odd values, half are damaged in their bytes."""

  def write(rng: np.random.Generator, directory: pathlib.Path) -> Reading:
    kind = 'parquet' if suffix == 'parquet' else damage.pick(rng, ('file', 'stream'))
    data = _arrow(_ROWS, kind)
    if rng.random() < 0.5:
      with contextlib.suppress(pa.ArrowException, OverflowError, TypeError, ValueError, AttributeError):
        data = _arrow(damage.tree(rng, _ROWS), kind)
    else:
      data = damage.binary(rng, data)
    path = _write(directory / f'mine.{suffix}', data)
    return _table(rng, path, directory)

  return write


def _hugging_face(rng: np.random.Generator, directory: pathlib.Path) -> Reading:
  """A directory that Hugging Face's library wrote, with one of its files damaged or gone."""
  layout = damage.pick(rng, ('saved', 'hub'))
  place = pathlib.Path(shutil.copytree(_HUGGING_FACE / layout, directory / layout))
  file = damage.pick(rng, sorted(path for path in place.rglob('*') if path.is_file()))
  if rng.random() < 0.1:
    file.unlink()
  else:
    file.write_bytes(damage.binary(rng, file.read_bytes()))
  return _files(
    (file.name, layout),
    directory,
    lambda: datasets.table(place, 'hf', ['multiple_choice'], options='choices.text', answer_is='letter', split='split'),
  )


def _summary(rng: np.random.Generator, directory: pathlib.Path) -> Reading:
  """Rows that are left out are counted, each once."""
  path = _write(
    directory / 'mine.csv', damage.text(rng, _csv([('question', 'answer'), *(('Is it?', 'yes') for _ in range(9))]))
  )

  def call() -> None:
    rows = datasets.table(path, 'mine', ['yes_no'])[0].splits['test']()
    found = datasets.readings()[str(path)]
    left_out = sum(reason['rows'] for reason in found['left_out'].values())
    if found['used'] != len(rows) or left_out + found['used'] > path.read_text(errors='replace').count('\n') + 1:
      raise Wrong(f'{left_out} rows are said to be left out and {found["used"]} used, of {len(rows)}')

  return Reading(call, (path.name,))


READERS: dict[str, Writer] = {
  'MMLU': _mmlu,
  'BIG-bench': _bigbench,
  'BIG-Bench Hard': _bbh,
  'LMentry': _lmentry,
  'own CSV': _own('csv'),
  'own JSON Lines': _own('jsonl'),
  'own Parquet': _own_arrow('parquet'),
  'own Arrow': _own_arrow('arrow'),
  'Hugging Face datasets': _hugging_face,
  'counts of rows': _summary,
}
