"""Imports the phrasings of Mizrahi et al. (2024, arXiv 2401.00595) from their CSV files.

A file <task>.csv has the columns "prompt idx", "method", "prompt template" and "correct"; the directory is that of
LMentry or of BIG-Bench Hard. Phrasings judged incorrect get the role "incorrect", the default ones "default".
"""

from __future__ import annotations

from collections.abc import Iterator
import pathlib

from seqio_tasks import tables
from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.bank.layouts import STYLES, Block, Layout
from seqio_tasks.bank.templates import parse_template
from seqio_tasks.datasets.lmentry_phrasings import read_rows, role
from seqio_tasks.errors import UserError, shorten
from seqio_tasks.importers import LeftOut, Part, SourceError, foreign, word

_LISTS = {'words': ('[{words}]', 'listed_words')}


def read(directory: pathlib.Path, benchmark: str) -> Iterator[Part]:
  """Reads every CSV file of a directory.

  Args:
    directory: that holds the CSV files, or a folder "paraphrases" with them.
    benchmark: "lmentry" or "bbh"; tasks are named after it.

  Raises:
    SourceError: if there is no file, or one is malformed.
  """
  directory = pathlib.Path(directory)
  if (directory / 'paraphrases').is_dir():
    directory = directory / 'paraphrases'
  paths = tables.entries(directory, '*.csv')
  if not paths:
    there = shorten(', '.join(sorted(path.name for path in directory.glob('*'))))
    raise SourceError(
      f'{directory}: holds no CSV file{f", only {there}" if there else ""}; name the directory with the phrasings, a CSV file a task'
    )
  for path in paths:
    yield _part(directory, path, benchmark)


def _part(directory: pathlib.Path, path: pathlib.Path, benchmark: str) -> Part:
  task = word(f'{benchmark}_{path.stem}')
  instructions, left_out = [], []
  try:
    foreign.check_file(directory, path)
    rows = read_rows(path, lambda index, fault: left_out.append(LeftOut(task, index, '', fault)))
  except UserError as e:
    return Part(task, (), (LeftOut(task, '', '', shorten(e, 300)),))
  for index, method, text, correct in rows:
    for listed, name in _LISTS.values():
      text = text.replace(listed, f'[{{{name}}}]')
    blocks: dict[str, Block] = {}
    try:
      fields = [name for _, name in parse_template(text)]
    except ValueError as e:
      left_out.append(LeftOut(task, str(index), 'zero-shot', f'cannot be expressed: {e}'))
      continue
    if 'options' in fields:
      blocks['options'] = STYLES['letters_parenthesised']
    instructions.append(
      make_instruction(
        'multiprompt',
        task,
        f'p{index:03}',
        role(method, correct),
        text,
        Layout(text, blocks),
        source=str(index),
        verbatim=True,
      )
    )
  return Part(task, tuple(instructions), tuple(left_out))
