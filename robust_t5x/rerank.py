"""Ranks the options of a finished evaluation anew, by other readings of the same scores; no model runs.

`robust-t5x rerank out/before --by calibrated --content-free out/without_questions --out out/calibrated`
"""

from collections.abc import Sequence

from robust_t5x.runtime import errors, quiet

CALIBRATED = 'calibrated'
# How options may be ranked -> what the model's label says of it.
BY = {
  CALIBRATED: 'calibrated', 'batch_calibrated': 'calibrated by batch', 'per_token': 'per token', 'ensemble': 'ensemble of phrasings',
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  quiet.set_up()
  parser = errors.Parser(prog='robust-t5x rerank', description=__doc__.splitlines()[0])
  parser.add_argument('source', metavar='DIR', help='OUTPUT_DIR of a finished evaluation that ranked options')
  parser.add_argument('--by', required=True, choices=list(BY), help='see "Without training" in docs/results_table.md')
  parser.add_argument(
    '--content-free', metavar='DIR', help='OUTPUT_DIR of the same evaluation with CONTENT_FREE, for --by calibrated'
  )
  parser.add_argument('--out', required=True, help='directory for the results, which all verbs read as an evaluation')
  args = parser.parse_args(argv)
  if (args.by == CALIBRATED) != (args.content_free is not None):
    parser.error('--by calibrated and --content-free go together')
  from robust_t5x.analysis.reranking import rerank

  try:
    rerank(args.source, args.by, BY[args.by], args.content_free, args.out)
  except Exception as e:
    return errors.report_error(e)
  return 0
