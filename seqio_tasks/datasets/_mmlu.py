"""MMLU in its published CSV layout: a dataset for each subject, and one for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
import os
import pathlib
import re

from seqio_tasks import tables
from seqio_tasks.datasets.sources import Dataset, DatasetError, Example, Report, leave_out_file

_MMLU_COLUMNS = ('question', 'A', 'B', 'C', 'D', 'answer')
_MMLU_FIELDS = ('question', 'subject', 'domain')
_SUBJECT = re.compile('[A-Za-z0-9_]+')
_MMLU_SPLITS = ('auxiliary_train', 'dev', 'val', 'test')


def mmlu(
  directory: str | os.PathLike[str],
  subjects: Sequence[str] | None = None,
  all_subjects: bool = True,
  strict: bool = False,
) -> list[Dataset]:
  """MMLU (Hendrycks et al. 2021) in its published CSV layout.

  Args:
    directory: that holds test/<subject>_test.csv, and dev/, val/ and auxiliary_train/ where there are such. Hidden files
      are none of it; a file with another name, and a subject without a row that can be used, are left out and counted.
    subjects: by default all that there are.
    all_subjects: whether there is also the dataset "mmlu_all" of all subjects together. Its split train has the files
      of auxiliary_train/ (arc_easy.csv, race.csv and so on, which belong to no subject), whose subject is the file's name.
    strict: see `datasets`.

  Returns:
    mmlu_<subject> for each subject, and mmlu_all. Fields are question and subject ("college biology").

  Raises:
    DatasetError: if the directory holds no such files, or a subject is unknown.
  """
  root = pathlib.Path(directory)
  files: dict[str, dict[str, str]] = {}
  for split in _MMLU_SPLITS:
    for path in tables.entries(root / split):
      if path.suffix != '.csv':
        leave_out_file(path, 'is no .csv file')
        continue
      subject = path.stem.removesuffix(f'_{split}')
      # Files of auxiliary_train/ need no ending: they belong to no subject.
      ends = path.stem != subject or split == 'auxiliary_train'
      if ends and _SUBJECT.fullmatch(subject) and path.is_file():
        files.setdefault(subject, {})[split] = str(path)
      else:
        leave_out_file(path, f'is not called <subject>_{split}.csv, with letters, digits and _ in the subject')
  tested = {s: f for s, f in sorted(files.items()) if 'test' in f or 'val' in f}
  # What is published to train on belongs to no subject that is tested: arc_easy.csv, race.csv and the like.
  auxiliary = {s: f['auxiliary_train'] for s, f in sorted(files.items()) if s not in tested and 'auxiliary_train' in f}
  for subject, splits_of in files.items():
    if subject not in tested and 'dev' in splits_of:
      leave_out_file(splits_of['dev'], f'there is no test/{subject}_test.csv')
  if not tested:
    raise DatasetError(
      f"{root}: holds no test/*.csv; name the directory of MMLU's data, with the folders dev, val, test"
    )
  unknown = [s for s in subjects or () if s not in tested]
  if unknown:
    raise DatasetError(f'{root}: has no subjects {unknown}; there are {", ".join(tested)}')
  made = []
  readers: dict[str, list[Callable[[], Sequence[Example]]]] = {}
  for subject in subjects or tested:
    splits = {
      _split_name(split): functools.partial(_read_mmlu, path, subject, strict) for split, path in files[subject].items()
    }
    # Training data may be long, and nothing is evaluated on them.
    for split in [s for s in splits if s != 'train' and not splits[s]()]:
      leave_out_file(files[subject][{'validation': 'val'}.get(split, split)], 'has no row that can be used')
      del splits[split]
    if not {'test', 'validation'} & set(splits):
      continue
    for split, reader in splits.items():
      readers.setdefault(split, []).append(reader)
    tasks = (f'mmlu_{subject}', 'MMLU_General', 'MMLU_Specific', 'multiple_choice')
    made.append(Dataset(f'mmlu_{subject}', 'mmlu', tasks, splits, fields=_MMLU_FIELDS))
  if not made:
    raise DatasetError(f'{root}: no subject has a row that can be used; mend what the warnings name')
  for name, file in auxiliary.items():
    readers.setdefault('train', []).append(functools.partial(_read_mmlu, file, name, strict))
  if all_subjects:
    splits = {split: functools.partial(_read_all, tuple(r)) for split, r in readers.items()}
    made.append(
      Dataset('mmlu_all', 'mmlu_all', ('MMLU_General', 'MMLU_Specific', 'multiple_choice'), splits, parts=True)
    )
  return made


def _split_name(split: str) -> str:
  return {'val': 'validation', 'auxiliary_train': 'train'}.get(split, split)


@functools.lru_cache(maxsize=256)
def _read_mmlu(path: str, subject: str, strict: bool) -> tuple[Example, ...]:
  report = Report(strict)
  try:
    _, rows = tables.read_csv(path, columns=_MMLU_COLUMNS, bad_row=report)
  except tables.TableError as e:
    raise DatasetError(str(e)) from e
  examples = []
  for line, row in rows:
    options = [row[c] for c in 'ABCD']
    if row['answer'] not in tuple('ABCD'):
      fault = f'the answer is {row["answer"]!r}; it must be A, B, C or D'
      report(f'{path}: line {line}: {fault}', 'the answer is no option')
      continue
    blank = [c for c in _MMLU_COLUMNS if not row[c].strip()]
    if blank:
      report(f'{path}: line {line}: the cells {blank} are blank', 'a blank cell')
      continue
    index = 'ABCD'.index(row['answer'])
    examples.append(
      {
        'example_id': f'{subject}/{line}',
        'fields': {
          'question': row['question'],
          'subject': subject.replace('_', ' '),
          'domain': subject.replace('_', ' '),
        },
        'gold': options[index],
        'gold_index': index,
        'options': options,
      }
    )
  report.done(path, len(examples))
  return tuple(examples)


def _read_all(readers: Sequence[Callable[[], Sequence[Example]]]) -> tuple[Example, ...]:
  return tuple(example for reader in readers for example in reader())
