"""Reports: what one or more evaluations say, as a page, as Markdown and as tables.

`robust-t5x report out/before out/after --out out/report`
"""

from collections.abc import Sequence
import os

from robust_t5x.runtime import errors, quiet


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  quiet.set_up()
  parser = errors.Parser(prog='robust-t5x report', description=__doc__.splitlines()[0])
  parser.add_argument(
    'directories', nargs='+', metavar='DIR', help='OUTPUT_DIR of a finished evaluation, baseline first'
  )
  parser.add_argument('--out', required=True, help='directory that the report is written to')
  parser.add_argument(
    '--represent', metavar='DIR', help='OUTPUT_DIR of `robust-t5x represent`, to take into the report'
  )
  parser.add_argument(
    '--epsilon', type=float, default=2.0, metavar='POINTS',
    help='of "phrasings needed": how far the mean over fewer phrasings may be from that over all',
  )  # fmt: skip
  parser.add_argument('--delta', type=float, default=0.05, help='probability with which it may be further')
  parser.add_argument(
    '--margin', type=float, default=2.0, metavar='POINTS',
    help='below which a gap or a change does not matter: it is tested whether it is equivalent to none within it',
  )  # fmt: skip
  parser.add_argument(
    '--spread-margin', type=float, default=5.0, metavar='POINTS', help='the same of the best phrasing less the worst'
  )
  args = parser.parse_args(argv)
  if not 0 < args.epsilon < 100 or not 0 < args.delta < 1:
    parser.error('--epsilon lies between 0 and 100 points, --delta between 0 and 1')
  if not 0 < args.margin < 100 or not 0 < args.spread_margin < 100:
    parser.error('--margin and --spread-margin lie between 0 and 100 points')
  from robust_t5x.reports.page import write

  try:
    text = write(
      args.directories,
      args.out,
      args.represent,
      args.epsilon / 100,
      args.delta,
      args.margin / 100,
      args.spread_margin / 100,
    )
  except Exception as e:
    return errors.report_error(e)
  print(f'report: {os.path.join(args.out, "report.html")}')
  print(f'finding: {text}')
  return 0
