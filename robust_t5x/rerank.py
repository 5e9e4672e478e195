"""Ranks the options of a finished evaluation anew, by other readings of the same scores; no model runs.

`robust-t5x rerank out/before --by calibrated --content-free out/without_questions --out out/calibrated`
"""

from collections.abc import Sequence
import os
from typing import TYPE_CHECKING

from robust_t5x.runtime import errors, launcher, locks, quiet

if TYPE_CHECKING:
  import pandas as pd

  from robust_t5x.results.schema import Record

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
  try:
    return _rerank(args.source, args.by, args.content_free, args.out)
  except Exception as e:
    return errors.report_error(e)


def _rerank(source: str, by: str, content_free: str | None, out: str) -> int:
  from robust_t5x.analysis import remedies
  from robust_t5x.results import schema
  from robust_t5x.results.reading import read
  from robust_t5x.results.runs import Run

  table, record = read(source)
  if schema.grain(table) != schema.EXAMPLE:
    raise schema.ResultsError(
      f'{source} holds accuracies of phrasings; give results that hold the log-likelihood of every option'
    )
  fingerprint: schema.Fingerprint = {**record.get('fingerprint', {}), 'ranked_by': by}
  if content_free is None:
    ranked = remedies.READINGS[by](table)
  else:
    free, free_record = read(content_free)
    _check_free(source, record, content_free, free_record)
    fingerprint['content_free'] = free_record.get('fingerprint', {}).get('tasks', [])
    ranked = remedies.calibrated(table, free)
  label = f'{record["label"]}, {BY[by]}'
  with locks.held(out, '--out'):
    run = Run.open(out, label, fingerprint)
    if run.finished:
      print(f'{out} holds this already; nothing to do')
      return 0
    metadata: Record = {
      'model': record.get('model', {}), 'command': launcher.command_line(), 'sources': [source, *([content_free] if content_free else [])],
    }  # fmt: skip
    run.finish(record['instructions'], metadata, ranked.assign(model=label))
  before, after = _accuracies(table), _accuracies(ranked)
  for group in before:
    print(f'{group}: {100 * before[group]:.1f}% before, {100 * after[group]:.1f}% {BY[by]}')
  print(f'wrote {len(ranked)} rows to {os.path.join(out, "results.parquet")}')
  return 0


def _check_free(source: str, record: 'Record', content_free: str, free_record: 'Record') -> None:
  """Raises ResultsError for evaluations of two models, or two that both have their questions."""
  from robust_t5x.results.schema import ResultsError

  one, other = (r.get('fingerprint', {}) for r in (record, free_record))
  differing = [name for name in ('backbone', 'adapter', 'dtype', 'scorer', 'split') if one.get(name) != other.get(name)]
  if differing:
    raise ResultsError(
      f'{source} and {content_free} differ in {", ".join(differing)}; evaluate the same model in the same way, with CONTENT_FREE alone set'
    )
  if isinstance(one.get('tasks'), dict) and one.get('tasks') == other.get('tasks'):
    raise ResultsError(
      f"{content_free} has the same questions as {source}; evaluate it with CONTENT_FREE='N/A', in a directory of its own"
    )


def _accuracies(table: 'pd.DataFrame') -> dict[str, float]:
  """Of each group of phrasings, the mean over datasets."""
  return dict(table.groupby(['group', 'dataset'], sort=False)['score'].mean().groupby('group', sort=False).mean())
