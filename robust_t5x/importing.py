"""Imports published instruction sets as bank files, from your own copy of them.

`robust-t5x import instructioneval --repo DIR --out DIR`
"""

import argparse
from collections.abc import Iterator, Sequence
import pathlib
import sys
from typing import Any

from robust_t5x.runtime import errors

_SOURCES = {
  'instructioneval': 'the instructions of Sun et al. (2024), from a clone of jiudingsun01/InstructionEval',
  'flan': "FLAN's templates, from a clone of google-research/FLAN",
  'multiprompt': 'the phrasings of Mizrahi et al. (2024), from their CSV files',
  'promptsource': "T0's templates, from promptsource's directory of templates",
  'csv': 'phrasings of your own, from a CSV file',
}
_NAMED = 10  # datasets that are named


def _parser() -> argparse.ArgumentParser:
  parser = errors.Parser(prog='robust-t5x import', description=__doc__.splitlines()[0], allow_abbrev=False)
  sources = parser.add_subparsers(dest='source', required=True, metavar='SOURCE')
  for name, about in _SOURCES.items():
    sub = sources.add_parser(name, help=about, description=about, allow_abbrev=False)
    sub.add_argument('--out', required=True, metavar='DIR', help='where the bank files go')
    if name in ('instructioneval', 'flan'):
      sub.add_argument('--repo', required=True, metavar='DIR', help='the clone')
    if name == 'instructioneval':
      sub.add_argument('--data', metavar='DIR', help='BIG-bench tasks, for descriptions that the clone lacks')
    if name in ('multiprompt', 'promptsource'):
      sub.add_argument('--dir', required=True, metavar='DIR', help='where the files are')
    if name == 'multiprompt':
      sub.add_argument('--benchmark', required=True, choices=('lmentry', 'bbh'), help='whose phrasings they are')
    if name == 'csv':
      sub.add_argument('--file', required=True, metavar='FILE', help='with the column template')
      sub.add_argument('--collection', required=True, metavar='NAME', help='of the phrasings')
      sub.add_argument('--task', metavar='NAME', help='of the phrasings, where there is no column task')
      sub.add_argument('--role', default='evaluation', metavar='ROLE', help='where there is no column role')
  return parser


def _parts(arguments: argparse.Namespace) -> tuple[Iterator[Any], int | None]:
  """The source's parts, and how many there are, if known."""
  from seqio_tasks.importers import flan, instructioneval, multiprompt, promptsource, table

  match arguments.source:
    case 'instructioneval':
      data = pathlib.Path(arguments.data) if arguments.data else None
      return instructioneval.read(pathlib.Path(arguments.repo), data), None
    case 'flan':
      return flan.read(pathlib.Path(arguments.repo)), None
    case 'multiprompt':
      return multiprompt.read(pathlib.Path(arguments.dir), arguments.benchmark), None
    case 'promptsource':
      return promptsource.read(pathlib.Path(arguments.dir)), None
  table_part = table.read(pathlib.Path(arguments.file), arguments.collection, arguments.task, arguments.role)
  return iter([table_part]), 1


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  arguments = _parser().parse_args(sys.argv[1:] if argv is None else argv)
  from robust_t5x.runtime import files, progress
  from seqio_tasks import importers

  try:
    importers.check_free(pathlib.Path(arguments.out))
    parts, total = _parts(arguments)
    with (
      progress.Progress(f'importing {arguments.source}', total) as bar,
      files.made_beside(arguments.out, progress.log) as out,
    ):

      def counted():
        for part in parts:
          bar.advance(1, part.name)
          yield part

      counts = importers.write(arguments.source, counted(), pathlib.Path(out))
  except Exception as e:
    return errors.report_error(e)
  print(
    f'wrote {counts["instructions"]} instructions ({counts["few_shot"]} with a few-shot form) to {counts["files"]} files '
    f'in {arguments.out}'
  )
  if counts['left_out']:
    print(f'{counts["left_out"]} are left out; {arguments.out}/{importers.REPORT} says which and why')
  if counts['whole']:
    names = ', '.join(counts['whole'][:_NAMED])
    print(f'{len(counts["whole"])} datasets could not be read: {names}{", …" if len(counts["whole"]) > _NAMED else ""}')
  return 0
