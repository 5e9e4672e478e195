"""Model A against model B on the same cells: differences, effect sizes and adjusted p-values, or why not.

`robust-t5x compare out/before out/after [--out out/compared]`
"""

from collections.abc import Sequence
import os

from robust_t5x.runtime import errors, quiet


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  quiet.set_up()
  parser = errors.Parser(prog='robust-t5x compare', description=__doc__.splitlines()[0])
  parser.add_argument(
    'first', metavar='A', help='OUTPUT_DIR of a finished evaluation, or a table of results: the baseline'
  )
  parser.add_argument('second', metavar='B', help='the same, of what is compared with it')
  parser.add_argument('--out', help='directory for tables and a plot')
  parser.add_argument(
    '--margin', type=float, default=2.0, metavar='POINTS',
    help='below which a difference does not matter: it is tested whether B is equivalent to A within it, and not worse by it',
  )  # fmt: skip
  args = parser.parse_args(argv)
  if not 0 < args.margin < 100:
    parser.error('--margin lies between 0 and 100 points')
  from robust_t5x.analysis.effects import compare_two, effects
  from robust_t5x.reports.effects import explanations, finding, tables, write

  try:
    comparison = compare_two(args.first, args.second)
    found = effects(comparison, args.margin / 100)
  except Exception as e:
    return errors.report_error(e)
  print(finding(comparison, found))
  for table in tables(comparison, found).values():
    print(f'\n{table.caption}\n{table.plain()}')
  for line in explanations(comparison):
    print(f'\n{line}')
  if args.out:
    write(comparison, found, args.out)
    print(f'\nwrote {os.path.join(args.out, "compare.md")}')
  return 0
