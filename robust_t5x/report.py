"""Reports: what one or more evaluations say, as a page, as Markdown and as tables, or in another program's schema.

`robust-t5x report out/before out/after --out out/report`
"""

from collections.abc import Sequence
import os

from robust_t5x.runtime import errors, quiet

RELATIONSHIPS = ('first_party', 'third_party', 'collaborative', 'other')


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
  parser.add_argument(
    '--to', choices=['every_eval_ever'], help="writes the results in this program's schema instead of a report"
  )
  parser.add_argument('--organisation', metavar='NAME', help='of --to: who provides the results')
  parser.add_argument('--relationship', choices=RELATIONSHIPS, help='of --to: of who evaluated to who made the model')
  parser.add_argument(
    '--models', nargs='+', default=[], metavar='NAME',
    help='of --to: ORGANISATION/MODEL for each model, where their labels are not such names',
  )  # fmt: skip
  args = parser.parse_args(argv)
  told = {'--organisation': args.organisation, '--relationship': args.relationship}
  if args.to is None and (args.models or any(told.values())):
    parser.error('--organisation, --relationship and --models go with --to every_eval_ever')
  if args.to is not None:
    lacking = [name for name, value in told.items() if not value]
    if lacking or args.represent:
      parser.error(
        f'--to {args.to} needs {" and ".join(lacking)}' if lacking else f'--represent does not go with --to {args.to}'
      )
    return _export(args.directories, args.out, args.organisation, args.relationship, args.models)
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


def _export(paths: Sequence[str], out: str, organisation: str, relationship: str, models: Sequence[str]) -> int:
  """Writes every_eval_ever's files; returns the exit status."""
  from robust_t5x.reports import every_eval_ever

  try:
    written = every_eval_ever.write(paths, out, every_eval_ever.Publisher(organisation, relationship), models)
  except Exception as e:
    return errors.report_error(e)
  for path in written:
    print(path)
  return 0
