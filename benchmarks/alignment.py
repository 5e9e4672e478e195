"""What alignment brings the bundled model, and what training on the answers brings it: the main tables of docs/results.md.

`bash benchmarks/alignment.sh OUT [LMENTRY_DIR]` makes the evaluations that this reads; `python benchmarks/alignment.py OUT` then
keeps their scores in benchmarks/results/alignment/, beside those of earlier runs, and writes benchmarks/results/alignment.json and
docs/finding.png from all that is kept. OUT/before is the model as it is, every OUT/METHOD-SEED one with an adapter, OUT/tuning/METHOD the sweep
that its learning rate was chosen by; names of LMentry's evaluations begin with lmentry_. Without OUT the tables are made from what is
kept.
"""

from collections.abc import Iterator, Mapping, Sequence
import pathlib

import pandas as pd
import study

from robust_t5x.analysis.comparison import Comparison
from robust_t5x.results.schema import OBSERVED, Record

RESULTS = pathlib.Path(__file__).parent / 'results/alignment.json'
KEPT = RESULTS.with_suffix('')
PICTURE = pathlib.Path(__file__).parents[1] / 'docs/finding.png'
BEFORE, LMENTRY = 'before', 'lmentry_'
_DRAWN = (BEFORE, 'aligned', 'likelihood')
REPORTED = 'reported'  # the group of phrasings that nothing was chosen by
_GAP = {REPORTED: 1, OBSERVED: -1}
# What is compared with what, beside every method with the model as it is.
_PAIRS = (('aligned', 'likelihood'), ('aligned_5000', 'likelihood_5000'), ('aligned_10000', 'likelihood_10000'))
_HEADS = {
  'methods': ['', 'seeds', 'observed', 'reported', 'gap, points', 'sd over reported', 'worst reported'],
  'changes': ['', 'observed', 'reported', 'gap', 'sd', 'worst'],
  'seeds': ['reported, by seed', 'accuracies'],
  'tasks': ['reported, by task'],
  'lmentry': ['LMentry', 'seeds', 'accuracy', 'sd over phrasings', 'worst phrasing', 'same answer'],
  'lmentry_changes': ['LMentry', 'accuracy', 'sd over phrasings', 'worst phrasing', 'same answer'],
  'tuning': study.TUNING_HEAD,
}
_SPREAD = ('sd', 'worst phrasing')

Tables = Mapping[str, Sequence[pd.DataFrame]]


def methods(tables: Tables, compared: Comparison) -> Iterator[study.Cells]:
  """A row for each model, its seeds together."""
  for name, seeds in tables.items():
    found = [compared.interval(name, group, 'AvgP') for group in (OBSERVED, REPORTED)]
    found += [
      compared.contrast(_GAP, [(name, 1)]).interval(),
      *(compared.interval(name, REPORTED, metric) for metric in _SPREAD),
    ]
    yield [_words(name), str(len(seeds)), *map(study.interval, found)]


def changes(tables: Tables, compared: Comparison) -> Iterator[study.Cells]:
  """A row for each comparison."""
  for name, baseline in _comparisons(tables):
    found = [compared.change(name, group, 'AvgP', baseline=baseline) for group in (OBSERVED, REPORTED)]
    found += [compared.contrast(_GAP, [(name, 1), (baseline, -1)]).interval()]
    found += [compared.change(name, REPORTED, metric, baseline=baseline) for metric in _SPREAD]
    yield [f'{_words(name)} less {_words(baseline)}', *(study.interval(f, signed=True) for f in found)]


def _comparisons(tables: Tables) -> Iterator[tuple[str, str]]:
  yield from ((name, BEFORE) for name in tables if name != BEFORE)
  yield from (pair for pair in _PAIRS if set(pair) <= set(tables))


def _words(name: str) -> str:
  method, _, steps = name.rpartition('_')
  words = (f'{method}, {int(steps):,} steps' if steps.isdecimal() else name).replace('_', ' ')
  return {BEFORE: 'without adapter'}.get(name, words)


def seeds_of(tables: Tables) -> Iterator[study.Cells]:
  """The accuracy of every seed under reported phrasings, mean over tasks."""
  for name, seeds in tables.items():
    yield [_words(name), ', '.join(f'{100 * _by_task(table).mean():.1f}' for table in seeds)]


def tasks_of(tables: Tables) -> Iterator[study.Cells]:
  """The accuracy of every task under reported phrasings, mean over seeds."""
  found = {name: sum(_by_task(table) for table in seeds) / len(seeds) for name, seeds in tables.items()}
  for task in found[BEFORE].index:
    yield [task.removeprefix('mini_').replace('_', ' '), *(f'{100 * found[name][task]:.0f}' for name in found)]


def _by_task(table: pd.DataFrame) -> pd.Series:
  return table[table['group'] == REPORTED].groupby('dataset', sort=False)['score'].mean()


def lmentry(tables: Tables, compared: Comparison) -> Iterator[study.Cells]:
  """A row for each model on LMentry, under the published phrasings."""
  (group,) = compared.groups
  for name, seeds in tables.items():
    found = [compared.interval(name, group, metric) for metric in ('AvgP', *_SPREAD)]
    found += [compared.answer_agreement(name, group)['consistency']]
    yield [_words(name), str(len(seeds)), *map(study.interval, found)]


def lmentry_changes(tables: Tables, compared: Comparison) -> Iterator[study.Cells]:
  """A row for each comparison on LMentry."""
  (group,) = compared.groups
  for name, baseline in _comparisons(tables):
    found = [compared.change(name, group, metric, baseline=baseline) for metric in ('AvgP', *_SPREAD)]
    found.append(compared.answer_agreement_change(name, group, baseline)['consistency'])
    yield [f'{_words(name)} less {_words(baseline)}', *(study.interval(f, signed=True) for f in found)]


def tables_of(found: Tables, record: Record) -> dict[str, list[study.Cells]]:
  """All tables, by name; a head is the first row of each."""
  own = {name: found[name] for name in sorted(found, key=_place) if not name.startswith(LMENTRY)}
  theirs = {name.removeprefix(LMENTRY): found[name] for name in sorted(found, key=_place) if name.startswith(LMENTRY)}
  made: dict[str, list[study.Cells]] = {}
  compared = study.compared(own, record)
  for kind in (methods, changes):
    made[kind.__name__] = [_HEADS[kind.__name__], *kind(own, compared)]
  made['seeds'] = [_HEADS['seeds'], *seeds_of(own)]
  made['tasks'] = [_HEADS['tasks'] + [_words(name) for name in own], *tasks_of(own)]
  made['tuning'] = [_HEADS['tuning'], *study.tuning(KEPT)]
  if theirs:
    compared = study.compared(theirs, record)
    for kind in (lmentry, lmentry_changes):
      made[kind.__name__] = [_HEADS[kind.__name__], *kind(theirs, compared)]
  return made


def _place(name: str) -> tuple[bool, int, str]:
  """The model as it is first, then the shorter runs."""
  steps = name.rpartition('_')[2]
  return not name.endswith(BEFORE), int(steps) if steps.isdecimal() else 0, name


def main() -> None:
  study.add_what_is_named(__doc__, KEPT)
  found, record = study.read_all(KEPT)
  study.write(RESULTS, 'python benchmarks/alignment.py', tables_of(found, record))
  study.draw({_words(name): found[name] for name in _DRAWN}, record, PICTURE)


if __name__ == '__main__':
  main()
