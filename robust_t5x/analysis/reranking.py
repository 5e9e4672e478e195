"""An evaluation whose options are ranked anew, kept as an evaluation of its own."""

import hashlib
import os
from typing import Any

import pandas as pd

from robust_t5x.analysis import remedies
from robust_t5x.results.reading import read
from robust_t5x.results.runs import Run
from robust_t5x.results.schema import Fingerprint, Record, ResultsError, check_ranked, sample_of
from robust_t5x.runtime import launcher, locks

# What is as true of the options ranked anew.
_KEPT = ('examples', 'data', 'left_out', 'taken')
# Readings that are means over several cells -> what these are within, what they differ in, and what they are called.
_OVER = {
  'ensemble': (['group', 'example_id'], 'instruction_id', 'phrasings of an example'),
  'batch_calibrated': (['instruction_id'], 'example_id', 'examples of a phrasing'),
}


def rerank(source: str, by: str, words: str, content_free: str | None, out: str) -> None:
  """Writes the evaluation and prints what it changes; one that is there is found.

  Args:
    source: a finished evaluation that ranked options.
    by: name of one of remedies.READINGS; of no account with `content_free`, which calibrates.
    words: what the model's label and the output say of it.
    content_free: the same evaluation without questions, or None.
    out: directory for the results.

  Raises:
    ResultsError: if results cannot be read or ranked so, or do not go together.
  """
  table, record = read(source)
  check_ranked(source, table)
  hashes = {'options': _hash(table)}
  fingerprint: Fingerprint = {**record.get('fingerprint', {}), 'ranked_by': by, 'ranked_from': hashes}
  if sample_of(record) is None:  # one that could have stopped early and did not
    fingerprint.pop('cells', None)
  if content_free is None:
    _check_sample(source, record, table, by)
    ranked = remedies.READINGS[by](table)
  else:
    free, free_record = read(content_free)
    check_ranked(content_free, free)
    _check_free(source, record, content_free, free_record)
    fingerprint['content_free'] = free_record.get('fingerprint', {}).get('tasks', [])
    hashes['content_free'] = _hash(free)
    ranked = remedies.calibrated(table, free)
  label = f'{record["label"]}, {words}'
  with locks.held(out, '--out'):
    run = Run.open(out, label, fingerprint)
    if run.finished:
      print(f'{out} holds this already; nothing to do')
      return
    metadata: Record = {
      'model': record.get('model', {}),
      'command': launcher.command_line(),
      'sources': [path for path in (source, content_free) if path is not None],
    }
    kept: Any = {name: told for name, told in record.items() if name in _KEPT}
    run.finish(record['instructions'], {**kept, **metadata}, ranked.assign(model=label))
  before, after = _accuracies(table), _accuracies(ranked)
  for group in before:
    print(f'{group}: {100 * before[group]:.1f}% before, {100 * after[group]:.1f}% {words}')
  print(f'wrote {len(ranked)} rows to {os.path.join(out, "results.parquet")}')


def _check_sample(source: str, record: Record, table: pd.DataFrame, by: str) -> None:
  """Says how much of a sample of the cells a reading over several has; raises ResultsError where it has one cell."""
  if sample_of(record) is None or by not in _OVER:
    return
  within, over, words = _OVER[by]
  cells = table.groupby(['dataset', *within], sort=False)[over].nunique()
  if cells.min() < 2:
    raise ResultsError(
      f'{source}: of a sample of the cells (CELL_BUDGET, STOP_WIDTH) {cells.idxmin()[0]} has one of the {words}, and --by {by} '
      'takes a mean over them; evaluate all cells, or more of them'
    )
  print(f'of a sample of the cells: {cells.min()} to {cells.max()} {words}')


def _hash(table: pd.DataFrame) -> str:
  """Of all that a table holds; the fingerprints of results of others tell scorers and datasets alone."""
  # Tables that lack `also_right` have the hash that they had before there was such a column.
  told = table if (table['also_right'] != '').any() else table.drop(columns='also_right')
  return hashlib.sha256(told.to_csv(index=False).encode('utf-8')).hexdigest()


def _check_free(source: str, record: Record, content_free: str, free_record: Record) -> None:
  """Raises ResultsError for evaluations of two models, or two that both have their questions."""
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


def _accuracies(table: pd.DataFrame) -> dict[str, float]:
  """Of each group of phrasings, the mean over datasets."""
  return dict(table.groupby(['group', 'dataset'], sort=False)['score'].mean().groupby('group', sort=False).mean())
