"""What wording does to a real model, and what alignment does about it: the tables of docs/real_model.md.

`bash benchmarks/real_model.sh OUT BIGBENCH_DIR` makes the evaluations that this reads; `python benchmarks/real_model.py OUT`
then keeps their scores in benchmarks/results/real_model/, beside those of earlier runs, and writes
benchmarks/results/real_model.json and docs/real_finding.png from all that is kept. Without OUT the tables are made from what is kept. OUT has

- frozen, the model as it is, METHOD-SEED, one with an adapter, and METHOD_0.0003-SEED, one of that learning rate instead of the chosen one;
- content_free_NAME, the same without questions, and elsewhere_NAME, on tasks that nothing was trained on;
- plain_text.csv, which benchmarks/plain_text.py writes, and tuning/METHOD, the sweep that a learning rate was chosen by.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import json
import pathlib

import numpy as np
import pandas as pd
import study

from robust_t5x.analysis import remedies
from robust_t5x.analysis.comparison import Comparison
from robust_t5x.analysis.wording import features
from robust_t5x.results.schema import Record

RESULTS = pathlib.Path(__file__).parent / 'results/real_model.json'
KEPT = RESULTS.with_suffix('')
PICTURE = pathlib.Path(__file__).parents[1] / 'docs/real_finding.png'
FROZEN, PLAIN_TEXT = 'frozen', 'plain_text.csv'
CONTENT_FREE, ELSEWHERE = _BESIDE = ('content_free_', 'elsewhere_')
LOW_RATE = '_0.0003'
CALIBRATED = ', calibrated'
GROUP = 'unobserved'
_DRAWN = (FROZEN, 'aligned', *(name + CALIBRATED for name in (FROZEN, 'likelihood', 'aligned')))
_METRICS = ('AvgP', 'sd', 'worst phrasing')
_AS_IT_IS = 'sum'
# Readings of the same scores; the first is what the evaluation itself reports.
_NORMS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
  _AS_IT_IS: lambda table: table,
  'per token': remedies.per_token,
}
_STRATA = ('not listed', 'listed')
# The tasks that have examples of their own to train on.
TRAINED = ('bigbench_step_inference', 'bigbench_goal_inference', 'bigbench_intent_recognition')
_TRAINED = ('other tasks', 'trained tasks')


def stratum(template: str) -> str:
  """Whether a phrasing lists the options."""
  return _STRATA[bool(features(template)['lists the options'])]


def wording(table: pd.DataFrame, free: pd.DataFrame, templates: Mapping[str, str]) -> Iterator[study.Cells]:
  """A row for each task: how much wording matters."""
  listed = table['instruction_id'].map(lambda i: stratum(templates[i]))
  for task, rows in table.groupby('dataset', sort=False):
    accuracy = 100 * rows.groupby('instruction_id', sort=False)['score'].mean()
    chance = rows['option_scores'].map(lambda text: 100 / len(json.loads(text))).mean()
    without = 100 * free.loc[free['dataset'] == task, 'score'].mean()
    by_stratum = 100 * rows.groupby(listed[rows.index])['score'].mean()
    yield [
      task.removeprefix('bigbench_'), str(rows['example_id'].nunique()), f'{chance:.0f}', f'{without:.0f}',
      f'{accuracy.mean():.0f}', f'{accuracy.std():.0f}', f'{accuracy.min():.0f}–{accuracy.max():.0f}',
      *(f'{by_stratum.get(s, float("nan")):.0f}' for s in _STRATA),
    ]  # fmt: skip


def without_training(table: pd.DataFrame, free: pd.DataFrame, record: Record) -> Iterator[study.Cells]:
  """A row for each reading of the frozen model's scores."""
  readings = {_AS_IT_IS: table} | {name: function(table) for name, function in remedies.READINGS.items()}
  readings['calibrated'] = remedies.calibrated(table, free)
  for name, read_so in readings.items():
    yield [name, *_numbers(study.compared({name: [read_so]}, record), name)]


def methods(tables: Mapping[str, Sequence[pd.DataFrame]], record: Record) -> Iterator[study.Cells]:
  """A row for each model, its seeds together."""
  compared = study.compared(tables, record)
  for name in tables:
    yield [_words(name), str(len(tables[name])), *_numbers(compared, name)]


def changes(tables: Mapping[str, Sequence[pd.DataFrame]], record: Record) -> Iterator[study.Cells]:
  """A row for each method against the frozen model, and for the first method against each other one, calibrated and not."""
  compared = study.compared(tables, record)
  as_it_is = [name for name in tables if name != FROZEN and not name.endswith(CALIBRATED)]
  first = as_it_is[0]
  pairs = [
    *((name, FROZEN) for name in tables if name != FROZEN),
    *((first, other) for other in (*as_it_is[1:], FROZEN + CALIBRATED)),
    *((first + CALIBRATED, other + CALIBRATED) for other in (FROZEN, *as_it_is[1:])),
  ]
  for name, baseline in pairs:
    if name in tables and baseline in tables:
      found = (compared.change(name, GROUP, metric, baseline=baseline) for metric in _METRICS)
      alike = compared.answer_agreement_change(name, GROUP, baseline)['consistency']
      yield [
        f'{_words(name)} less {_words(baseline)}',
        *(study.interval(change, signed=True) for change in (*found, alike)),
      ]


def _phrasings(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
  return zip(table['instruction_id'], table['dataset'], strict=True)


def _words(name: str) -> str:
  return name.replace('_', ' ')


def perplexities(directory: pathlib.Path) -> Iterator[study.Cells]:
  """A row for each model: perplexity on plain text, and that of every seed."""
  kept = pd.read_csv(directory / PLAIN_TEXT)
  kept['perplexity'] = np.exp(-kept['log likelihood'] / kept['tokens'])
  for name, rows in kept.groupby(kept['model'].str.split('-').str[0], sort=False):
    yield [_words(str(name)), f'{rows["perplexity"].mean():.2f}', ', '.join(f'{p:.2f}' for p in rows['perplexity'])]


def _numbers(compared: Comparison, model: str) -> study.Cells:
  """Mean accuracy, spread over phrasings, worst phrasing, and pairs of phrasings that lead to the same option, in %."""
  found = [compared.interval(model, GROUP, metric) for metric in _METRICS]
  return [*map(study.interval, found), study.interval(compared.answer_agreement(model, GROUP)['consistency'])]


_HEADS = {
  'wording': ['task', 'examples', 'chance', 'no question', 'mean', 'sd', 'lowest–highest', *_STRATA],
  'readings': ['ranked by', 'mean', 'sd', 'worst phrasing', 'same answer'],
  'methods': ['model', 'seeds', 'mean', 'sd', 'worst phrasing', 'same answer'],
  'changes': ['', 'mean', 'sd', 'worst phrasing', 'same answer'],
  'perplexity': ['model', 'perplexity', 'by seed'],
  'tuning': study.TUNING_HEAD,
}


def main() -> None:
  out = study.add_what_is_named(__doc__, KEPT)
  if out:
    _keep_plain_text(out / PLAIN_TEXT, KEPT / PLAIN_TEXT)
  runs, record = study.read_each(KEPT)
  frozen, frozen_free = runs[FROZEN], runs[CONTENT_FREE + FROZEN]
  asked = {name: table for name, table in runs.items() if not name.startswith(_BESIDE)}
  low_rate = study.by_model({name.replace(LOW_RATE, ''): table for name, table in asked.items() if LOW_RATE in name})
  named = {FROZEN: frozen, **{name: table for name, table in asked.items() if LOW_RATE not in name}}
  found = study.by_model(named)
  calibrated = study.by_model(
    {
      name: remedies.calibrated(table, runs[CONTENT_FREE + name])
      for name, table in named.items()
      if CONTENT_FREE + name in runs
    }
  )
  elsewhere = study.by_model({name: runs[ELSEWHERE + name] for name in named if ELSEWHERE + name in runs})
  tables: dict[str, list[study.Cells]] = {}
  for norm, again in _NORMS.items():
    tables[f'wording/{norm}'] = list(wording(again(frozen), again(frozen_free), record['instructions']))
    models = {name: [again(table) for table in seeds] for name, seeds in found.items()}
    if norm == _AS_IT_IS:
      models |= {name + CALIBRATED: seeds for name, seeds in calibrated.items()}
      study.draw({name: models[name] for name in _DRAWN}, record, PICTURE)
    listing = {i: stratum(text) for i, text in record['instructions'].items()}
    for part in ('all', *_STRATA, *_TRAINED):
      in_part = {
        name: [t[[part in ('all', listing[i], _TRAINED[d in TRAINED]) for i, d in _phrasings(t)]] for t in seeds]
        for name, seeds in models.items()
      }
      for kind in (methods, changes):
        tables[f'{kind.__name__}/{norm}/{part}'] = list(kind(in_part, record))
  tables['readings'] = list(without_training(frozen, frozen_free, record))
  for name, others in (('low rate', {FROZEN: [frozen], **low_rate}), ('elsewhere', elsewhere)):
    if len(others) > 1:
      for kind in (methods, changes):
        tables[f'{kind.__name__}/{name}'] = list(kind(others, record))
  if (KEPT / PLAIN_TEXT).is_file():
    tables['perplexity'] = list(perplexities(KEPT))
  tables['tuning'] = list(study.tuning(KEPT))
  study.write(
    RESULTS,
    'python benchmarks/real_model.py',
    {name: [_HEADS[name.split('/')[0]], *rows] for name, rows in tables.items()},
  )


def _keep_plain_text(found: pathlib.Path, kept: pathlib.Path) -> None:
  parts = [pd.read_csv(path) for path in (kept, found) if path.is_file()]
  if parts:
    pd.concat(parts).drop_duplicates('model', keep='last').to_csv(kept, index=False)


if __name__ == '__main__':
  main()
