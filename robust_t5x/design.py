"""How many phrasings and examples show a gap or a difference of some points, from results at hand, and what that costs.

`robust-t5x design out/pilot --margin 2 --power 0.8 [--out out/design]`
"""

from collections.abc import Sequence
import os

from robust_t5x.runtime import errors, quiet

KINDS = ('mean', 'gap', 'change', 'gap-change')


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  quiet.set_up()
  parser = errors.Parser(prog='robust-t5x design', description=__doc__.splitlines()[0])
  parser.add_argument(
    'results', nargs='+', metavar='RESULTS',
    help='OUTPUT_DIR of a finished evaluation or a table of results: of one model, or of two that are compared, baseline first',
  )  # fmt: skip
  parser.add_argument(
    '--of', choices=KINDS,
    help='what is to be shown: of one model its gap (where there are observed and unobserved phrasings) or mean accuracy, of two '
    'models the change of the mean or of the gap',
  )  # fmt: skip
  parser.add_argument('--group', help='phrasings that a mean or a change is of; unobserved ones where there are such')
  parser.add_argument(
    '--margin',
    type=float,
    default=2.0,
    metavar='POINTS',
    help='difference that is to be shown; of a mean, half of its interval',
  )
  parser.add_argument('--power', type=float, default=0.8, help='probability with which it is to be shown')
  parser.add_argument('--seeds', type=int, help='of each model; as in the results where this is absent')
  parser.add_argument('--seconds-per-row', type=float, metavar='S', help='such as from `robust-t5x plan`; gives hours')
  parser.add_argument('--tokens-per-row', type=float, metavar='T', help='read and written; gives tokens')
  parser.add_argument('--price', type=float, metavar='P', help='of a million tokens; with --tokens-per-row gives money')
  parser.add_argument('--out', help='directory for a table and a picture of the frontier')
  args = parser.parse_args(argv)
  if not 0 < args.margin < 100 or not 0.05 < args.power < 1:
    parser.error('--margin lies between 0 and 100 points, --power between 0.05 and 1')
  if args.seeds is not None and args.seeds < 1:
    parser.error('--seeds is a number from 1')
  if any(p is not None and not 0 < p < 1e12 for p in (args.seconds_per_row, args.tokens_per_row, args.price)):
    parser.error('--seconds-per-row, --tokens-per-row and --price are numbers above 0')
  from robust_t5x.analysis.comparison import compare
  from robust_t5x.analysis.crossed import SEEDS
  from robust_t5x.analysis.design import variances_of
  from robust_t5x.reports.design import Price, answer, question_of, sentences, table, write

  try:
    comparison = compare(args.results)
    what, question = question_of(comparison, args.of, args.group)
    variances = variances_of(comparison, question)
    seeds = args.seeds or round(variances.sizes[SEEDS])
    price = Price(args.seconds_per_row, args.tokens_per_row, args.price)
    found = answer(what, question, variances, args.margin / 100, args.power, seeds, price)
    if args.out:
      write(found, args.out)
  except Exception as e:
    return errors.report_error(e)
  print('\n'.join(sentences(found)))
  shown = table(found)
  print(f'\n{shown.caption}\n{shown.plain()}\n\n{shown.note}')
  if args.out:
    print(f'\nwrote {os.path.join(args.out, "design.md")}')
  return 0
